"""Listeners whose filter chains are `tcp_proxy`, `echo`, `direct_response`, and upstreams of bytes behind them.

Each script of an upstream is a cluster, and a listener of the same name leads there. This file must not know cases.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import trustme

from tests.integration.harness import (
    Address,
    Peer,
    ShutdownWrite,
    Step,
    Until,
    Wait,
    catch_all,
    hcm_filter,
    socket_address,
    static_cluster,
    to_cluster,
)
from tests.parity.configuration import INSPECTOR, LOG_SEPARATOR, TLS
from tests.parity.setup import FILE_LOG, TCP_PROXY, Json, MakeUpstream, Places, Setup, bootstrap_of
from tests.parity.steps import Do
from tests.parity.upstreams import Recorder, Refusing, TcpRecorder, text

if TYPE_CHECKING:
    from tests.parity.client import Client

_EXTENSION = "type.googleapis.com/envoy.extensions.filters.network."
ECHO = {"name": "echo", "typed_config": {"@type": _EXTENSION + "echo.v3.Echo"}}
SNI_CLUSTER = {"name": "sni_cluster", "typed_config": {"@type": _EXTENSION + "sni_cluster.v3.SniCluster"}}
UPSTREAM_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"

FORMAT = LOG_SEPARATOR.join(
    f"{name}=%{operator}%"
    for name, operator in {
        "type": "ACCESS_LOG_TYPE", "flags": "RESPONSE_FLAGS", "long": "RESPONSE_FLAGS_LONG", "rx": "BYTES_RECEIVED",
        "tx": "BYTES_SENT", "code": "RESPONSE_CODE", "details": "RESPONSE_CODE_DETAILS", "protocol": "PROTOCOL",
        "termination": "CONNECTION_TERMINATION_DETAILS", "upstream": "UPSTREAM_HOST", "cluster": "UPSTREAM_CLUSTER",
        "failure": "UPSTREAM_TRANSPORT_FAILURE_REASON", "attempts": "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        "tried": "UPSTREAM_HOSTS_ATTEMPTED", "names": "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
        "up-local": "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "up-remote": "UPSTREAM_REMOTE_ADDRESS",
        "down-rx": "DOWNSTREAM_WIRE_BYTES_RECEIVED", "down-tx": "DOWNSTREAM_WIRE_BYTES_SENT",
        "up-rx": "UPSTREAM_WIRE_BYTES_RECEIVED", "up-tx": "UPSTREAM_WIRE_BYTES_SENT",
        "down-end": "DOWNSTREAM_DETECTED_CLOSE_TYPE", "down-reason": "DOWNSTREAM_LOCAL_CLOSE_REASON",
        "up-end": "UPSTREAM_DETECTED_CLOSE_TYPE", "up-reason": "UPSTREAM_LOCAL_CLOSE_REASON",
        "sni": "REQUESTED_SERVER_NAME", "local": "DOWNSTREAM_LOCAL_ADDRESS", "route": "ROUTE_NAME",
        "method": "REQ(:METHOD)", "chain": "FILTER_CHAIN_NAME", "listener": "LISTENER_NAME",
        "state": "FILTER_STATE(envoy.tcp_proxy.cluster:PLAIN)",
    }.items()
)  # fmt: skip


# Steps


@dataclass(frozen=True)
class Reset(Do):
    """End the connection with an RST."""

    def take(self, client: Client) -> None:
        client.current.end = "reset here"
        _reset(client.current.socket)


@dataclass(frozen=True)
class Rest(Do):
    """Do not read for so many seconds."""

    seconds: float

    def take(self, client: Client) -> None:
        import time

        time.sleep(self.seconds)


class Resets:
    """A step of a script: RST."""


class Closes:
    """A step of a script: close both directions, whatever comes."""


@dataclass(frozen=True)
class Counts:
    """A step of a script: read so many bytes."""

    count: int


ScriptStep = Step | Resets | Closes | Counts


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def show(data: bytes) -> str:
    """Bytes for people: large ones by their size and digest."""
    return text(data) if len(data) <= 300 else f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:16]}"


# Upstreams


class Scripted(TcpRecorder):
    """A TcpRecorder whose scripts may also end the connection, and which shows large bytes as `show` does."""

    def __init__(self, *script: ScriptStep, context: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self._steps = script
        self._context = context

    def _serve(self, peer: Peer) -> None:
        end = "FIN"
        try:
            if self._context is not None:
                peer = replace(peer, socket=self._context.wrap_socket(peer.socket, server_side=True))
                self._sockets.add(peer.socket)
            end = self._take_all(peer)
        except OSError:
            end = "RST"
        finally:
            self.seen.append(f"{show(bytes(peer.buffer))}\n{end}")
            self._sockets.discard(peer.socket)
            peer.socket.close()

    def _take_all(self, peer: Peer) -> str:
        for step in self._steps:
            if isinstance(step, Resets):
                _reset(peer.socket)
                return "reset here"
            if isinstance(step, Closes):
                return "closed here"
            if isinstance(step, Counts):
                while len(peer.buffer) < step.count and peer.more():
                    pass
            else:
                self._take(step, peer)
        while peer.more():
            pass
        return "FIN"


class Hanging:
    """An upstream that never takes a connection: its queue is full."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.address: Address = self._listener.getsockname()
        self._waiting = [socket.socket() for _ in range(3)]
        for each in self._waiting:
            each.setblocking(False)
            each.connect_ex(self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in (self._listener, *self._waiting):
            each.close()

    def drop(self) -> None:
        """Who waits waits on."""


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("up.example.com").configure_cert(context)
    return context


LINE = Until(b"\n")
LARGE = b"0123456789abcdef" * 20_000
SCRIPTS: dict[str, tuple[ScriptStep, ...]] = {
    "answers": (LINE, b"answer\n"),
    "other": (LINE, b"other\n"),
    "speaks-first": (b"hello\n", LINE, b"bye\n"),
    "closes": (LINE, b"bye\n", Closes()),
    "closes-at-once": (Closes(),),
    "closes-unread": (b"bye\n", Wait(0.1), Closes()),
    "half-closes": (LINE, b"bye\n", ShutdownWrite()),
    "half-closes-first": (ShutdownWrite(),),
    "resets": (LINE, Resets()),
    "resets-later": (LINE, b"bye\n", Wait(0.1), Resets()),
    "silent": (),
    "after-the-end": (Counts(1 << 30), b"you have ended\n"),
    "large": (LINE, LARGE, ShutdownWrite()),
    "large-later": (Counts(len(LARGE)), b"all\n"),
    "slow": (Wait(0.3), Counts(len(LARGE)), b"all\n"),
}


def upstreams() -> dict[str, MakeUpstream]:
    """What makes each upstream."""
    made: dict[str, MakeUpstream] = {name: partial(Scripted, *script) for name, script in SCRIPTS.items()}
    made["secure"] = lambda: Scripted(LINE, b"secure\n", context=_server_context())
    made["secure-closes"] = lambda: Scripted(LINE, b"bye\n", Closes(), context=_server_context())
    http = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"
    made["http"] = lambda: Recorder({"/": lambda peer, request: peer.send(http)})
    return made | {"dead": Refusing, "hanging": Hanging}


# Configuration


def _log(places: Places) -> list[Json]:
    format_ = {"text_format_source": {"inline_string": FORMAT + "\n"}}
    return [{"name": "file", "typed_config": {"@type": FILE_LOG, "path": str(places.log), "log_format": format_}}]


def tcp_filter(places: Places, cluster: str, **fields: Any) -> Json:
    """A TCP proxy with the area's log."""
    to = {} if "weighted_clusters" in fields else {"cluster": cluster}
    return {
        "name": "tcp_proxy",
        "typed_config": {
            "@type": TCP_PROXY, "stat_prefix": "test", "access_log": _log(places), "idle_timeout": "20s", **to, **fields
        },
    }  # fmt: skip


def direct(body: str) -> Json:
    """The direct response filter."""
    config = {"@type": _EXTENSION + "direct_response.v3.Config", "response": {"inline_string": body}}
    return {"name": "direct", "typed_config": config}


def _listener(name: str, *chains: Json, **more: Any) -> Json:
    return {"name": name, "address": socket_address(("127.0.0.1", 0)), "filter_chains": list(chains), **more}


def _chain(*filters: Json, **more: Any) -> Json:
    return {"filters": list(filters), **more}


def _secured(places: Places, name: str = "a.example.com") -> Json:
    folder: Path = places.certificates
    certificate = {
        "certificate_chain": {"filename": str(folder / f"{name}.pem")},
        "private_key": {"filename": str(folder / f"{name}.key")},
    }
    context = {"@type": TLS, "common_tls_context": {"tls_certificates": [certificate]}}
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _by_name(places: Places) -> Json:
    """Chains by server name: an HTTP connection manager, two TCP proxies, and one for what is not TLS."""

    def chain(server_name: str, certificate: str, filter_: Json) -> Json:
        match = {"server_names": [server_name]}
        return _chain(
            filter_, filter_chain_match=match, transport_socket=_secured(places, certificate), name=server_name
        )

    manager = hcm_filter(catch_all(to_cluster("http")), access_log=[])
    plain = {"filter_chain_match": {"transport_protocol": "raw_buffer"}, "name": "plain"}
    return _listener(
        "by-name",
        chain("a.example.com", "a.example.com", manager),
        chain("b.example.com", "b.example.com", tcp_filter(places, "answers")),
        chain("*.wild.example.com", "wild.example.com", tcp_filter(places, "other")),
        _chain(tcp_filter(places, "speaks-first"), **plain),
        listener_filters=[_inspector()],
    )


def _inspector() -> Json:
    return {"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": INSPECTOR}}


def _weights(**weights: int) -> Json:
    return {"clusters": [{"name": name.replace("_", "-"), "weight": weight} for name, weight in weights.items()]}


def _variants(places: Places) -> dict[str, Json]:
    """TCP proxies of other settings, by listener."""
    tcp = partial(tcp_filter, places)
    backoff = {"base_interval": "0.01s", "max_interval": "0.02s"}
    return {
        "dead": tcp("dead"),
        "dead-thrice": tcp("dead", max_connect_attempts=3),
        "dead-backoff": tcp("dead", max_connect_attempts=3, backoff_options=backoff),
        "hanging": tcp("hanging"),
        "hanging-twice": tcp("hanging", max_connect_attempts=2),
        "unknown": tcp("nowhere"),
        "no-hosts": tcp("no-hosts"),
        "one-at-a-time": tcp("one-at-a-time"),
        "none-may-wait": tcp("none-may-wait", max_connect_attempts=2),
        "idle": tcp("silent", idle_timeout="0.3s"),
        "idle-flush": tcp("slow", idle_timeout="0.2s"),
        "never-idle": tcp("silent", idle_timeout="0s"),
        "short-lived": tcp("silent", max_downstream_connection_duration="0.3s"),
        "all-to-one": tcp("", weighted_clusters=_weights(answers=100)),
        "nearly-all-to-one": tcp("", weighted_clusters=_weights(other=4_000_000_000, answers=1)),
        "told-early": tcp("speaks-first", access_log_options={"flush_access_log_on_connected": True}),
        "told-often": tcp("silent", access_log_options={"access_log_flush_interval": "0.3s"}),
        "to-tls": tcp("secure"),
        "to-tls-closing": tcp("secure-closes"),
        "early": tcp("answers", max_early_data_bytes=4),
        "early-large": tcp("large-later", max_early_data_bytes=1000, upstream_connect_mode="ON_DOWNSTREAM_DATA"),
        "on-data": tcp("answers", max_early_data_bytes=100, upstream_connect_mode="ON_DOWNSTREAM_DATA"),
        "on-data-dead": tcp("dead", max_early_data_bytes=100, upstream_connect_mode="ON_DOWNSTREAM_DATA"),
        "unread-idle": tcp("silent", downstream_idle_timeout="0.2s", upstream_idle_timeout="0.2s"),
    }


def _clusters(places: Places) -> list[Json]:
    secure = {"name": "tls", "typed_config": {"@type": UPSTREAM_TLS, "sni": "up.example.com"}}
    breaker = {"thresholds": [{"max_connections": 1}]}
    nobody_waits = {"thresholds": [{"max_pending_requests": 0}]}
    small = {"per_connection_buffer_limit_bytes": 16384}
    names = [name for name in upstreams() if name not in ("secure", "secure-closes", "hanging")]
    return [
        *(static_cluster(name, places[name], **(small if name == "slow" else {})) for name in names),
        static_cluster("secure", places["secure"], transport_socket=secure),
        static_cluster("secure-closes", places["secure-closes"], transport_socket=secure),
        {**static_cluster("hanging", places["hanging"]), "connect_timeout": "0.2s"},
        static_cluster("no-hosts"),
        static_cluster("one-at-a-time", places["silent"], circuit_breakers=breaker),
        static_cluster("none-may-wait", places["silent"], circuit_breakers=nobody_waits),
    ]


def _others(places: Places) -> list[Json]:
    """Listeners whose chains have other filters, TLS, or the listener's own log."""
    log = {"access_log": _log(places)}
    silent = {"access_log": []}
    small = {"per_connection_buffer_limit_bytes": 16384}
    sni = _chain(SNI_CLUSTER, tcp_filter(places, "speaks-first"))
    return [
        _listener("echo", _chain(ECHO)),
        _listener("echo-logged", _chain(ECHO), **log),
        _listener("echo-tls", _chain(ECHO, transport_socket=_secured(places))),
        _listener("direct", _chain(direct("hello\n"))),
        _listener("direct-logged", _chain(direct("hello\n")), **log),
        _listener("direct-empty", _chain(direct(""))),
        _listener("direct-tls", _chain(direct("hello\n"), transport_socket=_secured(places))),
        _listener("tcp-logged", _chain(tcp_filter(places, "answers", **silent), name="chain"), **log),
        _listener("dead-logged", _chain(tcp_filter(places, "dead", **silent)), **log),
        _listener("tls", _chain(tcp_filter(places, "answers"), transport_socket=_secured(places))),
        _listener("tls-speaks-first", _chain(tcp_filter(places, "speaks-first"), transport_socket=_secured(places))),
        _listener("tls-half-closes", _chain(tcp_filter(places, "half-closes"), transport_socket=_secured(places))),
        _listener("tls-after-the-end", _chain(tcp_filter(places, "after-the-end"), transport_socket=_secured(places))),
        _listener("tls-large", _chain(tcp_filter(places, "large"), transport_socket=_secured(places))),
        _listener("tls-to-tls", _chain(tcp_filter(places, "secure"), transport_socket=_secured(places))),
        _listener("small-large", _chain(tcp_filter(places, "large")), **small),
        _listener("small-slow", _chain(tcp_filter(places, "slow")), **small),
        _listener("inspected", _chain(tcp_filter(places, "answers")), listener_filters=[_inspector()]),
        _listener("sni-cluster", sni, listener_filters=[_inspector()]),
        _by_name(places),
    ]


def configuration(places: Places) -> Json:
    """The bootstrap of one half of a pair."""
    plain = {name: tcp_filter(places, name) for name in SCRIPTS} | _variants(places)
    listeners = [_listener(name, _chain(each)) for name, each in plain.items()]
    return bootstrap_of([*listeners, *_others(places)], _clusters(places))


SETUP = Setup("network", configuration, upstreams())
