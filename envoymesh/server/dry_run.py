"""A whole server that touches nothing: it reads a configuration and takes requests, but has no socket, file or name.

What decides and changes is what serves: the same filter chains, connection managers, routes, filters, balancers and
pools. Only the ends are others (`explain/wire.py`): there is no client and no upstream, no DNS, no log file, no TLS
handshake, and the loop stands still. `explain/` says in words what came of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

from envoymesh.config.load import LoadedBootstrap
from envoymesh.config.reader import Reader
from envoymesh.config.source import Source
from envoymesh.explain.question import Question, QuestionError
from envoymesh.explain.run import DryListener, Run
from envoymesh.explain.trace import Recorder, Trace
from envoymesh.explain.wire import DryClient, DryConnection, DryConnector, DryTls
from envoymesh.filters.listener.tls_inspector.filter import TlsInspector
from envoymesh.filters.network.filter_chain import NetworkFilterChainFactory
from envoymesh.filters.network.http_connection_manager.factory import ConnectionManagerFactory
from envoymesh.http.filter_manager.filter_plan import NamedFilter
from envoymesh.lint.tree import of_type
from envoymesh.network.api import Address, ClientTls, DnsCallback, DnsResponse, DnsStatus, PipeAddress
from envoymesh.network.listener.filter_chain_match import ConnectionFacts, find_filter_chain
from envoymesh.network.listener.tcp_listener import TcpListener
from envoymesh.network.settings import ListenerSettings, UpstreamTlsSettings
from envoymesh.network.stats import DnsStats
from envoymesh.options import Options
from envoymesh.router.actions.weighted import SHARE_STEP
from envoymesh.server.log import ProcessLog
from envoymesh.server.server import Server
from envoymesh.stats import Scope
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.health.api import ClusterHealth
from envoymesh.upstream.health.told import HostHealth, ToldHealth, key_of
from envoymesh.upstream.host import Host
from envoymesh.upstream.settings import DnsSettings

MOST_TURNS = 20_000
"""Calls of one run: far more than any exchange takes, so that a filter which calls itself for ever ends."""

CLIENT_PORT = 54321

MOST_IDS = 200_000
"""Numbers of requests that are looked at for the one that draws what is asked for."""

_DATA_SOURCE = "envoy.config.core.v3.DataSource"


class StillHandle:
    """Stands for a call that does not come."""

    def cancel(self) -> None:
        """It does not."""


class StillLoop:
    """A loop on which no time passes: what is to be called soon waits for `run_ready`, what is to be called later
    is forgotten."""

    def __init__(self) -> None:
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> None:
        """Call in `run_ready`."""
        self._ready.append((callback, args))

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> StillHandle:
        """Never."""
        return StillHandle()

    def set_exception_handler(self, handler: Any) -> None:
        """Exceptions come out of `run_ready`."""

    def run_ready(self) -> None:
        """Call what waits, and what that leads to."""
        for _ in range(MOST_TURNS):
            if not self._ready:
                return
            callback, args = self._ready.popleft()
            callback(*args)
        self._ready.clear()


class DryResolver:
    """Answers every name with one made-up address of its own; implements `network.api.DnsResolver`.

    Attributes:
        names: by address.
    """

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._addresses: dict[str, str] = {}

    def resolve(self, name: str, lookup_family: str, callback: DnsCallback) -> DryResolver:
        """Answer at once."""
        # RFC 6890: 198.18.0.0/15 is for benchmarks, nobody's address.
        number = len(self._addresses)
        address = self._addresses.setdefault(name, f"198.18.{number // 250}.{number % 250 + 1}")
        self.names[address] = name
        callback(DnsStatus.COMPLETED, [DnsResponse(address, 60.0)])
        return self

    details = ""

    def cancel(self) -> None:
        """It has called back."""


class KeptLog:
    """A log file that is none: lines are kept; implements `access_loggers.logger.AccessLogFile`."""

    def __init__(self, path: str, lines: list[tuple[str, str]]) -> None:
        self._path = path
        self._lines = lines

    def write(self, data: bytes) -> None:
        """Keep a line."""
        self._lines.append((self._path, data.decode("utf-8", "replace").rstrip("\n")))


class DryClientTls:
    """TLS of upstreams, which nobody speaks; implements `network.api.ClientTls`."""

    def for_names(self, server_name: str, subject_alt_names: tuple[str, ...]) -> DryClientTls:
        """Names make no difference."""
        return self


@dataclass(slots=True)
class _Draw:
    chance: float = 0.5
    stream_id: int = 1


class DryServer(Server):
    """A server for dry runs.

    Args:
        names_of_files: files that the configuration names and that are not here count as empty.
    Errors: ConfigError, as for the server that would serve.
    """

    log_level_of_steps = logging.DEBUG  # the server beside it, if there is one, has told already

    def __init__(self, options: Options, loaded: LoadedBootstrap, process_log: ProcessLog) -> None:
        self.loop = StillLoop()
        self.recorder = Recorder()
        self.resolver = DryResolver()
        self.missing_files: list[str] = []
        self.log_lines: list[tuple[str, str]] = []
        self._draw = _Draw()
        self.chance = lambda: self._draw.chance
        self.next_stream_id = lambda: self._draw.stream_id
        self.dry_listeners: list[DryListener] = []
        self._healths: list[tuple[Cluster, ToldHealth]] = []
        super().__init__(options, self._own(loaded), process_log, cast("asyncio.AbstractEventLoop", self.loop))
        self.clusters.initialise(self._initialised.set)
        self.loop.run_ready()
        for cluster, health in self._healths:
            health.take({key_of(host, cluster.info): HostHealth(0, -1.0) for host in cluster.hosts})

    def _own(self, loaded: LoadedBootstrap) -> LoadedBootstrap:
        """The same configuration, of which reading changes nothing for others."""
        source = loaded.source
        own = replace(
            loaded, source=Source(source.file, source.lines, source.override, dict(source.contents), source.aliases)
        )
        for each in of_type(own.reader(), _DATA_SOURCE):
            if each.which("specifier") == "filename":
                self._stand_in(own.source, each)
        return own

    def _stand_in(self, source: Source, reader: Reader) -> None:
        """Let a file that is not here be empty: certificates need not be where a configuration is looked at."""
        name = reader.string("filename")
        key = ("filename", name)
        if key not in source.contents and not can_read(name):
            source.contents[key] = b""
            self.missing_files.append(name)

    # What would touch the world

    def _open_log(self, path: str) -> KeptLog:
        return KeptLog(path, self.log_lines)

    def _make_connector(self) -> DryConnector:
        self.connector = DryConnector(self.dispatcher)
        return self.connector

    def _make_resolver(self, dns: DnsSettings, stats: DnsStats) -> DryResolver:
        return self.resolver

    def _upstream_tls(self, tls: UpstreamTlsSettings, scope: Scope) -> ClientTls:
        return DryClientTls()

    def _told_health(self, cluster: Cluster) -> ClusterHealth:
        # Nothing is checked: a host is healthy unless somebody knows better (`live_explainer.py`).
        health = ToldHealth(
            cluster.info, cluster.priority_set, self.dispatcher, _no_matter, _no_matter, lambda *failed: None
        )
        self._healths.append((cluster, health))
        return health

    def _http_filters(self, readers: Sequence[Reader], stat_prefix: str) -> Sequence[NamedFilter]:
        return self.recorder.with_spies(super()._http_filters(readers, stat_prefix))

    def _make_admin(self) -> TcpListener | None:
        return None

    def _kill_after(self) -> float:
        return 0.0  # nobody watches a loop that stands still

    def _make_listener(self, settings: ListenerSettings, reader: Reader) -> TcpListener | None:
        # Handshakes do not happen, so that keys are not needed.
        chains = tuple(replace(chain, tls=None) for chain in settings.filter_chains)
        default = settings.default_filter_chain
        bare = replace(
            settings,
            filter_chains=chains,
            default_filter_chain=None if default is None else replace(default, tls=None),
        )
        listener = super()._make_listener(bare, reader)
        if listener is not None:
            self.dry_listeners.append(DryListener(settings, listener.settings, reader.path))
            for terminal in self.dry_listeners[-1].connection_managers():
                terminal.add_access_log(self.recorder.access_log())
        return listener

    # A run

    def run_dry(self, question: Question) -> Run:
        """What would come of a request. Errors: QuestionError where no listener can be meant."""
        listener, why = choose_listener(self.dry_listeners, question)
        run = Run(question, listener, self.dry_listeners, why, self.dispatcher)
        self._draw.chance = question.chance
        self._draw.stream_id = _stream_id_of(question.chance)
        self.recorder.trace = run.trace = Trace()
        self.connector.upstreams.clear()
        self.log_lines.clear()
        self._find_chain(run)
        if run.chain is not None and not run.problem:
            self._connect(run)
        run.log_lines = list(self.log_lines)
        run.upstreams = list(self.connector.upstreams)
        self._forget_connections()
        return run

    def _find_chain(self, run: Run) -> None:
        settings, question = run.listener.filled, run.question
        local, remote = _ends(settings.address, question)
        speaks_tls = question.scheme == "https" or (not question.scheme and run.listener.only_tls)
        name, protocol = "", "raw_buffer"  # as where nobody looks
        inspected = any(isinstance(make(), TlsInspector) for make in settings.listener_filters)
        if inspected:
            protocol = "tls" if speaks_tls else "raw_buffer"
            name = question.server_name if speaks_tls else ""
        alpn = ("h2", "http/1.1") if speaks_tls and inspected else ()
        run.facts = ConnectionFacts(local, remote, name, protocol, alpn)
        run.chain = find_filter_chain(settings.filter_chains, settings.default_filter_chain, run.facts)
        if run.chain is None:
            run.problem = "no filter chain matches the connection, and there is no default_filter_chain: it is closed"
            return
        run.tls = run.listener.speaks_tls(run.chain)
        if run.tls and not speaks_tls:
            run.problem = (
                "the filter chain speaks TLS and the client does not: the handshake fails, nothing is answered"
            )
        elif speaks_tls and not run.tls:
            run.problem = "the client speaks TLS and the filter chain does not: what it says is no HTTP, and is refused"

    def _connect(self, run: Run) -> None:
        chain, facts = run.chain, run.facts
        assert chain is not None
        assert facts is not None
        factory: NetworkFilterChainFactory = chain.factory
        if not isinstance(factory.terminal, ConnectionManagerFactory):
            return
        run.manager = factory.terminal.settings
        http2 = run.manager.codec_type == "HTTP2"
        connection = DryConnection(self.dispatcher, 1, facts.local, facts.remote)
        if run.tls:
            connection.tls = DryTls("h2" if http2 else "http/1.1", run.question.server_name)
            connection.requested_server_name = facts.server_name or run.question.server_name
        connection.filter_chain_name, connection.metadata = chain.name, chain.metadata
        connection.listener_name = run.listener.settings.name
        factory.start(connection, factory.create(connection))
        run.client = DryClient(connection, http2)
        run.client.send(run.question.request_headers(), run.question.body)
        self.loop.run_ready()
        connection.hang_up()
        self.loop.run_ready()

    def _forget_connections(self) -> None:
        """The next run finds pools without connections."""
        for cluster in self.clusters.clusters().values():
            for pool in tuple(cluster.pools):
                pool.close()
        self.loop.run_ready()


def _no_matter(host: Host) -> None:
    pass


def _ends(address: Address, question: Question) -> tuple[Address, Address]:
    """The addresses of a connection to a listener: the proxy's, and the client's."""
    if isinstance(address, PipeAddress):
        return address, address
    here = "::1" if ":" in (question.source or address.host) else "127.0.0.1"
    host = here if address.host in ("0.0.0.0", "::", "") else address.host
    return Address(host, question.port or address.port), Address(question.source or here, CLIENT_PORT)


@lru_cache(maxsize=64)
def _stream_id_of(chance: float) -> int:
    """The number of a request for which weighted clusters draw this (`WeightedClusters.pick`), or nearly."""
    start = _Draw().chance  # what this server draws while it loads
    return min(range(MOST_IDS), key=lambda number: abs((start + number * SHARE_STEP) % 1.0 - chance))


def can_read(name: str) -> bool:
    """Whether a file is here."""
    try:
        with open(name, "rb"):
            return True
    except OSError:
        return False


def choose_listener(listeners: Sequence[DryListener], question: Question) -> tuple[DryListener, str]:
    """The listener that a question is for, and why that one. Errors: QuestionError."""
    if not listeners:
        raise QuestionError("the configuration has no listener")
    if question.listener:
        found = [each for each in listeners if each.settings.name == question.listener]
        if not found:
            raise QuestionError(f"there is no listener {question.listener}: {_names(listeners)}")
        return found[0], "named"
    if question.port is not None:
        found = [each for each in listeners if question.port in each.ports]
        if found:
            return found[0], f"it has port {question.port}"
    if len(listeners) == 1:
        return listeners[0], "it is the only one"
    if question.port is None or question.port in (80, 443):
        fitting = [each for each in listeners if not question.scheme or each.only_tls == (question.scheme == "https")]
        if fitting:
            return fitting[0], "the URL names no port of a listener; it is the first that speaks its scheme"
    raise QuestionError(f"no listener has port {question.port}: {_names(listeners)}")


def _names(listeners: Sequence[DryListener]) -> str:
    return ", ".join(f"{each.settings.name or 'a listener'} at {each.settings.address}" for each in listeners)
