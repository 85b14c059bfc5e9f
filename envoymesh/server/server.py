"""The server: assembles every room's parts from a bootstrap, runs them, drains and stops them.

`Server(...)` builds everything short of binding, which is what `--mode validate` does; `run` serves until it
is told to stop. Start order as Envoy's: bind, find every cluster's first hosts, listen, say so.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from envoymesh.access_loggers.config import AccessLogFactoryContext, read_access_log
from envoymesh.access_loggers.logger import AccessLogFile
from envoymesh.admin.filter import admin_filter_factory
from envoymesh.admin.registry import Admin
from envoymesh.admin.views import ServerState
from envoymesh.config.load import LoadedBootstrap
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.filters.network.filter_chain import NetworkFilterChainFactory
from envoymesh.filters.network.http_connection_manager.config import ConnectionManagerFactoryContext
from envoymesh.filters.network.http_connection_manager.factory import ConnectionManagerFactory
from envoymesh.filters.network.http_connection_manager.manager_configs import ConnectionManagerConfigs
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.filters.network.registry import CONNECTION_MANAGER
from envoymesh.http.failed_requests import FailedRequest, FailedRequests
from envoymesh.http.filter import FilterFactory
from envoymesh.http.filter_manager.filter_plan import FilterChainFactory, NamedFilter
from envoymesh.http.recent_requests import Recent, RecentRequests
from envoymesh.network.api import ClientTls, Connector, DnsResolver
from envoymesh.network.connection.connector import LoopConnector
from envoymesh.network.listener.tcp_listener import TcpListener
from envoymesh.network.loop.dispatcher import LoopDispatcher
from envoymesh.network.loop.shortage import Shortage
from envoymesh.network.loop.slices import Slices
from envoymesh.network.settings import FilterChainMatch, FilterChainSettings, ListenerSettings, UpstreamTlsSettings
from envoymesh.network.stats import DnsStats, SslStats
from envoymesh.network.tls.tls_context import upstream_context
from envoymesh.options import Options
from envoymesh.router.table import RouteTable
from envoymesh.scripting.script import Scripts
from envoymesh.server.access_log_file import AccessLogFiles
from envoymesh.server.admin import certificates, make_admin_context
from envoymesh.server.config import (
    DEFAULT_PROFILE_PATH,
    AdminSettings,
    BootstrapSettings,
    read_bootstrap,
    read_runtime_layers,
)
from envoymesh.server.cpu_profiler import CpuProfiler
from envoymesh.server.drain import DrainManager
from envoymesh.server.health_checks import health_check_context
from envoymesh.server.listeners import (
    ADMIN_STAT_NAME,
    ListenerParts,
    filter_chain_settings,
    filter_context,
    make_listener,
    network_filter_context,
    read_http_filters,
    route_context,
)
from envoymesh.server.log import ProcessLog
from envoymesh.server.process_stats import ProcessStats
from envoymesh.server.runtime import Runtime
from envoymesh.stats import Scope, Store
from envoymesh.stats.server import FilesystemStats, RuntimeStats
from envoymesh.upstream.client import AsyncClient
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.cluster_manager import StaticClusterManager
from envoymesh.upstream.health.api import ClusterHealth
from envoymesh.upstream.outlier.event_log import OutlierEventLog
from envoymesh.upstream.settings import DnsSettings

_log = logging.getLogger("envoymesh.main")


LAST_TURNS = 10_000
"""Turns of the loop that connections which were closed have for the end of their streams."""


class Server:
    """One proxy process. Also the admin's `ServerLifecycle`. `workers/` has the two kinds that share the work.

    Args:
        open_logs: descriptors of log files that are open already, by path.
    Errors: ConfigError, at construction, for anything in the bootstrap that cannot be done.
    """

    log_level_of_steps = logging.INFO
    """How loudly it tells of each step of its life."""

    chance: Callable[[], float] = staticmethod(random.random)
    next_stream_id: Callable[[], int] | None = None
    """What decides where something is left to chance: uniform in [0, 1)."""

    def __init__(
        self,
        options: Options,
        loaded: LoadedBootstrap,
        process_log: ProcessLog,
        loop: asyncio.AbstractEventLoop,
        open_logs: Mapping[str, int] | None = None,
    ) -> None:
        self.options = options
        self.loaded = loaded
        self.process_log = process_log
        self.dispatcher = LoopDispatcher(loop)
        self._slices = Slices(self.dispatcher)
        self.store = Store()
        self.started_wall_time = self.dispatcher.wall_time()
        self._started = self.dispatcher.now()
        self._state = ServerState.PRE_INITIALIZING
        self._stopped = asyncio.Event()
        self._initialised = asyncio.Event()
        root = self.store.scope("")
        self._stats = ProcessStats(self.store, self.dispatcher)
        self._listener_stats = self._stats.listeners
        flush_interval = options.file_flush_interval_msec / 1000
        self._access_logs = AccessLogFiles(
            self.dispatcher, flush_interval, FilesystemStats.create(root.scope("filesystem.")), open_logs
        )
        self._drain = DrainManager(self.dispatcher, options.drain_time_s, options.drain_strategy, self.chance)
        self._inbound_only = False
        self._stopping = False
        self._deadline = 0.0
        self._stats_timer = self.dispatcher.create_timer(self._flush_stats)
        self._drain_timer = self.dispatcher.create_timer(self._stop_listeners)
        self.runtime = Runtime(RuntimeStats.create(root.scope("runtime.")))
        reader = loaded.reader()
        reader.gather()
        reader.attempt(self._assemble)
        reader.finish()

    # Assembly

    def _assemble(self, reader: Reader) -> None:
        """Make everything that the bootstrap asks for. Errors: ConfigError; `reader` may have noted others."""
        options = self.options
        self.runtime.set_layers(read_runtime_layers(reader))
        self.scripts = Scripts(self.dispatcher, self.store.scope(""), self.log_level_of_steps == logging.INFO)
        self._log_context = AccessLogFactoryContext(self._open_log, self.runtime.reader, self.chance, self.scripts)
        health_checks = health_check_context(self._log_context, self.dispatcher)
        self.settings: BootstrapSettings = read_bootstrap(reader, options, self._log_context, health_checks)
        self._shortage = Shortage(self.dispatcher)
        self.clusters = self._make_clusters()
        self._stats.loaded(self.loaded.unknown_fields, len(self.settings.clusters))
        self._stats.watch(self.settings.watchdogs, self._kill_after())
        self._parts = self._listener_parts()
        self.route_messages: list[Any] = []
        self.scoped_route_messages: list[Any] = []
        self.listeners = self._make_listeners()
        self.cpu_profiler = CpuProfiler(self._profile_path())
        self._admin = self._make_admin()

    def _kill_after(self) -> float:
        """Seconds for which the loop may stand still before the process ends itself; 0 is for ever."""
        return self.settings.watchdogs.kill_after(self.chance)

    def _make_clusters(self) -> StaticClusterManager:
        # As in Envoy the resolver's stats exist only where a cluster needs a resolver.
        asks = any(each.discovery_type != "STATIC" for each in self.settings.clusters)
        dns_stats = DnsStats.create((self.store if asks else Store()).scope("dns.cares."))
        return StaticClusterManager(
            self.settings.clusters,
            self.store.scope(""),
            self._make_connector(),
            lambda dns: self._make_resolver(dns, dns_stats),
            self.dispatcher,
            self.chance,
            self.runtime.reader,
            self._upstream_tls,
            self.settings.locality,
            self.settings.local_cluster,
            self._outlier_log(),
            self._told_health,
        )

    def _outlier_log(self) -> OutlierEventLog | None:
        path = self.settings.outlier_event_log_path
        return OutlierEventLog(self._open_log(path), self.dispatcher) if path else None

    def _told_health(self, cluster: Cluster) -> ClusterHealth | None:
        """Who is told of the health of a cluster's hosts by another process; None: they are checked in this one."""
        return None

    # What touches the world outside; a dry run (`dry_run.py`) touches nothing

    def _open_log(self, path: str) -> AccessLogFile:
        return self._access_logs.open(path)

    def _make_connector(self) -> Connector:
        return LoopConnector(self.dispatcher, self._shortage)

    def _make_resolver(self, dns: DnsSettings, stats: DnsStats) -> DnsResolver:
        # Not at the top: only clusters with names to resolve need c-ares, which takes its time to import.
        from envoymesh.network.dns.resolver import CaresResolver, cares_options

        options = cares_options(dns.resolvers, dns.use_tcp_for_dns_lookups, dns.no_default_search_domain)
        return CaresResolver(self.dispatcher, stats, **options)

    def _upstream_tls(self, tls: UpstreamTlsSettings, scope: Scope) -> ClientTls:
        return upstream_context(tls, SslStats(scope))

    def _http_filters(self, readers: Sequence[Reader], stat_prefix: str) -> Sequence[NamedFilter]:
        return read_http_filters(readers, filter_context(stat_prefix, self._parts))

    def _listener_parts(self) -> ListenerParts:
        address = local_address(self.options.local_address_ip_version)
        config = ConnectionManagerFactoryContext(
            read_filters=self._http_filters,
            access_logs=self._log_context,
            routes=route_context(self.runtime.reader, self.chance, self.store),
            local_address=address,
            service_cluster=self.settings.node.cluster,
            service_node=self.settings.node.id,
            runtime=self.runtime.reader,
            random=self.chance,
        )
        return ListenerParts(
            self.dispatcher,
            self.store,
            self.runtime.reader,
            self.clusters,
            ConnectionManagerConfigs(self.store, self.dispatcher, self.runtime.reader, self.next_stream_id),
            AsyncClient(self.dispatcher, self._stats.async_client, self.chance, address.encode()),
            config,
            self._drain,
            self.chance,
            self._shortage,
            self._all_connections,
            [],
        )

    def _make_listeners(self) -> list[TcpListener]:
        made = [reader.attempt(partial(self._make_listener, settings)) for settings, reader in self.settings.listeners]
        return [listener for listener in made if listener is not None]

    def _make_listener(self, settings: ListenerSettings, reader: Reader) -> TcpListener | None:
        stat_name = settings.stat_prefix or str(settings.address)
        filled = filter_chain_settings(settings, reader, self._parts, stat_name)
        for manager in _connection_managers(settings):
            if manager.HasField("scoped_routes"):
                self.scoped_route_messages.append(manager.scoped_routes)
            else:
                self.route_messages.append(manager.route_config)
        read = partial(read_access_log, context=self._log_context)
        logs = [log for log in (each.attempt(read) for each in settings.access_log) if log is not None]
        if reader.has_refused:
            return None  # it will not run
        listener = make_listener(filled, self._parts, stat_name, logs)
        self._listener_stats.listener_added.inc()
        return listener

    def _profile_path(self) -> str:
        return DEFAULT_PROFILE_PATH if self.settings.admin is None else self.settings.admin.profile_path

    def _make_admin(self) -> TcpListener | None:
        admin = self.settings.admin
        if admin is None:
            return None
        settings = ListenerSettings(
            "admin", admin.address, reuse_port=False, ignore_global_conn_limit=admin.ignore_global_conn_limit
        )
        context = network_filter_context(settings, self._parts, ADMIN_STAT_NAME)
        http = context.http.make(self._admin_http(admin), context.listener_scope, context.drain_close)
        http.failed, http.recent = FailedRequests(), RecentRequests()  # /failures and /requests are about others
        terminal = ConnectionManagerFactory(http, context.buffer_limit)
        factory = NetworkFilterChainFactory(terminal, (), self.dispatcher, context.buffer_limit)
        chain = FilterChainSettings("", FilterChainMatch(), (), factory=factory)
        return make_listener(replace(settings, filter_chains=(chain,)), self._parts, ADMIN_STAT_NAME)

    def _admin_filter(self, admin: AdminSettings) -> FilterFactory:
        return admin_filter_factory(Admin(make_admin_context(self, admin)), self._slices)

    def _admin_http(self, admin: AdminSettings) -> HttpConnectionManagerSettings:
        return HttpConnectionManagerSettings(
            stat_prefix="admin",
            route_table=RouteTable("admin", []),
            filters=FilterChainFactory.of(self._admin_filter(admin)),
            use_remote_address=True,
            generate_request_id=False,
            delayed_close_timeout=0.0,  # as Envoy's admin: closed with the last byte
            access_logs=admin.access_logs,
        )

    # Running

    async def run(self) -> None:
        """Serve until `shutdown`. Errors: BindError when an address is not to be had."""
        self._stats.starting()
        self._bind()
        if self._admin is not None:
            self._admin.listen()
            _log.info("admin address: %s", self._admin.addresses[0])
            self._write_admin_address(str(self._admin.addresses[0]))
        self._state = ServerState.INITIALIZING
        await self._start_serving()
        self._go_live()
        await self._stopped.wait()
        await self._close()

    async def _start_serving(self) -> None:
        self._say("cm init: initializing cds")
        self.clusters.initialise(self._initialised.set)
        await self._initialised.wait()
        if self._stopping:
            return  # told to end meanwhile
        self._say("all clusters initialized. initializing init manager")
        for listener in self.listeners:
            listener.listen()
            self._listener_stats.listener_create_success.inc()

    def _say(self, text: str, *values: object) -> None:
        _log.log(self.log_level_of_steps, text, *values, stacklevel=2)

    def _bind(self) -> None:
        bound: list[TcpListener] = []
        try:
            for listener in [*filter(None, [self._admin]), *self.listeners]:
                listener.bind()
                bound.append(listener)
        except BaseException:
            for listener in bound:
                listener.stop_accepting()
            self._access_logs.close()
            raise

    def _go_live(self) -> None:
        self._state = ServerState.LIVE
        self.runtime.load()
        elapsed = int((self.dispatcher.now() - self._started) * 1000)
        self._stats.live(len(self.listeners), elapsed)
        self.store.settle()
        for _ in self._flushing_stats():
            pass  # not running yet: nobody waits for it
        self._say("all dependencies initialized. starting workers")
        self._say("starting main dispatch loop (started in %d ms)", elapsed)

    def _write_admin_address(self, address: str) -> None:
        path = self.options.admin_address_path
        if not path:
            return
        try:
            Path(path).write_text(address)
        except OSError as error:
            _log.critical("cannot open admin address output file %s for writing: %s", path, error.strerror)

    def _flush_stats(self) -> None:
        self._slices.add(self._flushing_stats())

    def _flushing_stats(self) -> Iterator[None]:
        for terminal in tuple(self._parts.terminals):
            terminal.sample_buffers()
            yield
        clusters = tuple(self.clusters.clusters().values())
        for cluster in clusters:
            cluster.sample_buffers()
            yield
        yield from self._stats.flushing(certificates(self.listeners, clusters, self.dispatcher.wall_time()))
        self._stats.measure(self.state, self.uptime_current_epoch(), self._open_connections())
        if not self._stopped.is_set():
            self._stats_timer.enable(self.settings.stats_flush_interval)

    # ServerLifecycle

    @property
    def state(self) -> ServerState:
        """Where the server is in its life; a failed health check shows as DRAINING."""
        if self._state is ServerState.LIVE and (self._drain.health_check_failed or self._stopping):
            return ServerState.DRAINING
        return self._state

    def uptime_current_epoch(self) -> float:
        """Seconds since this process started."""
        return self.dispatcher.now() - self._started

    def uptime_all_epochs(self) -> float:
        """The same: there is no hot restart."""
        return self.uptime_current_epoch()

    def fail_health_check(self, fail: bool) -> None:
        """``/healthcheck/fail`` and ``/healthcheck/ok``."""
        self._drain.health_check_failed = fail
        self._stats.set_live(self.state)

    def drain_listeners(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None:
        """``/drain_listeners``: stop accepting, now or after the drain time; `skip_exit` only drains connections."""
        if graceful or skip_exit:
            self._drain.start()
        if skip_exit:
            return
        self._inbound_only = inbound_only
        if graceful:
            self._drain_timer.enable(self.options.drain_time_s)
        else:
            self._stop_listeners()

    def _stop_listeners(self) -> None:
        for listener in self.listeners:
            if not self._inbound_only or listener.settings.traffic_direction == "INBOUND":
                listener.stop_accepting()
                self._listener_stats.listener_stopped.inc()

    def reopen_logs(self) -> None:
        """Open access logs and the process log anew (SIGUSR1, ``/reopen_logs``)."""
        self._access_logs.reopen()
        try:
            self.process_log.reopen()
        except ConfigError as error:
            _log.error("%s", error)

    def shutdown(self) -> None:
        """``/quitquitquit``: leave as soon as the answer is out."""
        timer = self.dispatcher.create_timer(self._stopped.set)
        timer.enable(0.05)

    # Stopping

    def leave_at_once(self) -> None:
        """The process is about to end at once, without a drain."""

    def drain_and_stop(self) -> None:
        """Accept no more, end connections when their requests are done, then stop; at the latest after drain_time_s."""
        self._say("caught signal, draining: %d connections open", self._open_connections())
        self._drain.start()
        self._stopping = True
        for terminal in self._parts.terminals:
            terminal.leave()
        for listener in self.listeners:
            listener.stop_accepting()
        self._deadline = self.dispatcher.now() + self.options.drain_time_s
        self._drain_timer = self.dispatcher.create_timer(self._stop_when_drained)
        self._initialised.set()  # first health checks are not waited for
        self._stop_when_drained()

    def _all_connections(self) -> int:
        return sum(each.active_connections for each in (*self.listeners, *filter(None, [self._admin])))

    def failures(self) -> Sequence[FailedRequest]:
        """The requests that failed lately, the oldest first."""
        return tuple(self._parts.http.failed.kept)

    def recent(self) -> Recent:
        """The last requests, which are kept from now on."""
        return self._parts.http.recent.ask(self.dispatcher.now())

    def _open_connections(self) -> int:
        return sum(listener.active_connections for listener in self.listeners)

    def _stop_when_drained(self) -> None:
        drained = all(listener.is_drained for listener in self.listeners)
        if drained or self.dispatcher.now() >= self._deadline:
            self._stopped.set()
        else:
            self._drain_timer.enable(0.05)

    async def _close(self) -> None:
        self._say("main dispatch loop exited")
        for listener in [*self.listeners, *filter(None, [self._admin])]:
            listener.close()
        self.clusters.shutdown()
        self.scripts.close()
        self._stats_timer.disable()
        self._stats.stopping()
        self.cpu_profiler.stop()
        for _ in range(LAST_TURNS):
            if not any(terminal.is_busy for terminal in self._parts.terminals):
                break
            await asyncio.sleep(0)  # streams that were cut are ended, and logged, a share in each turn
        self._access_logs.close()
        await asyncio.sleep(0)  # transports that were closed just now get their turn
        self._say("exiting")


def _connection_managers(settings: ListenerSettings) -> list[Any]:
    """The messages of a listener's connection managers, whose routes the admin shows."""
    chains = [*settings.filter_chains, *filter(None, [settings.default_filter_chain])]
    readers = [reader for chain in chains for _, reader in chain.filters]
    return [reader.message for reader in readers if reader.type_name == CONNECTION_MANAGER]


def local_address(version: str) -> str:
    """This machine's address, as Envoy's LocalInfo finds it: that of the first interface which is not the loopback."""
    family, target, fallback = (
        (socket.AF_INET6, "2001:db8::1", "::1") if version == "v6" else (socket.AF_INET, "192.0.2.1", "127.0.0.1")
    )
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))  # chooses a source address; a datagram socket sends nothing on connect
            return str(probe.getsockname()[0])
    except OSError:
        return fallback
