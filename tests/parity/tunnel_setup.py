"""Listeners that let connections be upgraded, and upstreams that take a script once they have been asked.

A request says with `x-to` which upstream it is for: each script is a cluster. This file must not know cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.integration.harness import Peer, ShutdownWrite, Until, Wait, http_listener, static_cluster
from tests.parity import frames as f
from tests.parity.setup import Json, MakeUpstream, Places, Setup, bootstrap_of
from tests.parity.tcp_setup import LARGE, Closes, Counts, Resets, Scripted, _reset
from tests.parity.upstreams import Refusing, text

PROTOCOL_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
HEAD = Until(b"\r\n\r\n")
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
)
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
END = ShutdownWrite()


class Echoes:
    """A step of a script: say again what comes, to the end."""


@dataclass(frozen=True)
class Asked:
    """A step of an HTTP/2 script: wait for so many HEADERS."""

    count: int = 1


def show(data: bytes) -> str:
    """Bytes for people: the large ones among them by their name."""
    return text(data.replace(LARGE, b"LARGE"))


class Tunnelling(Scripted):
    """A Scripted that may echo."""

    def _serve(self, peer: Peer) -> None:
        end = "FIN"
        try:
            end = self._take_all(peer)
        except OSError:
            end = "RST"
        finally:
            self.seen.append(f"{self._shown(bytes(peer.buffer))}\n{end}")
            self._sockets.discard(peer.socket)
            peer.socket.close()

    def _shown(self, data: bytes) -> str:
        return show(data)

    def _take_all(self, peer: Peer) -> str:
        for step in self._steps:
            if isinstance(step, Echoes):
                _echo(peer)
            elif isinstance(step, Resets):
                _reset(peer.socket)
                return "reset here"
            elif isinstance(step, Closes):
                return "closed here"
            elif isinstance(step, Counts):
                while len(peer.buffer) < step.count and peer.more():
                    pass
            else:
                self._take_one(step, peer)
        while peer.more():
            pass
        return "FIN"

    def _take_one(self, step: Any, peer: Peer) -> None:
        self._take(step, peer)


def _echo(peer: Peer) -> None:
    at = peer.buffer.find(b"\r\n\r\n") + 4
    while True:
        if len(peer.buffer) > at:
            peer.send(bytes(peer.buffer[at:]))
            at = len(peer.buffer)
        if not peer.more():
            return


class Http2Tunnelling(Tunnelling):
    """The same by HTTP/2: bytes of the script are frames; `seen` shows frames."""

    def __init__(self, *script: Any, connect: int = 1) -> None:
        super().__init__(Until(f.PREFACE), f.settings((8, connect)) + f.frame(f.SETTINGS, f.ACK), *script)

    def _shown(self, data: bytes) -> str:
        return f.show_http2(data[len(f.PREFACE) :])

    def _take_one(self, step: Any, peer: Peer) -> None:
        if isinstance(step, Asked):
            while _headers_in(peer) < step.count and peer.more():
                pass
        else:
            self._take(step, peer)


def _headers_in(peer: Peer) -> int:
    found, _ = f.split(peer.buffer[len(f.PREFACE) :])
    return sum(type(each).__name__ == "HeadersFrame" for each in found)


def _answers(status: bytes, *more: bytes, body: bytes = b"no") -> tuple[Any, ...]:
    lines = b"".join(line + b"\r\n" for line in (*more, b"content-length: %d" % len(body)))
    return HEAD, b"HTTP/1.1 " + status + b"\r\n" + lines + b"\r\n" + body


SCRIPTS: dict[str, tuple[Any, ...]] = {
    "echo": (HEAD, SWITCH, Echoes()),
    "talks": (HEAD, SWITCH + b"hello\n", Until(b"in\n"), b"bye\n", END),
    "late": (HEAD, Wait(0.3), SWITCH, Until(b"in\n"), b"bye\n", END),
    "closes": (HEAD, SWITCH, Until(b"in\n"), Closes()),
    "resets": (HEAD, SWITCH, Until(b"in\n"), Resets()),
    "half-closes": (HEAD, SWITCH, Until(b"in\n"), b"bye\n", END, Until(b"more")),
    "silent": (HEAD, SWITCH),
    "never": (HEAD,),
    "closes-before": (HEAD, Closes()),
    "resets-before": (HEAD, Resets()),
    "says-200": _answers(b"200 OK", b"upgrade: websocket", b"connection: upgrade", b"x-a: b"),
    "says-200-plainly": _answers(b"200 OK", b"x-a: b"),
    "says-204": (HEAD, b"HTTP/1.1 204 No Content\r\n\r\n"),
    "says-302": _answers(b"302 Found", b"location: http://a.com/b"),
    "says-403": _answers(b"403 Forbidden", b"upgrade: websocket", b"connection: upgrade, x-b", b"x-b: 1"),
    "says-503": _answers(b"503 Service Unavailable"),
    "says-101-bare": (HEAD, b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "says-101-length": (HEAD, SWITCH[:-2] + b"Content-Length: 0\r\n\r\nhello\n"),
    "says-101-chunked": (HEAD, SWITCH[:-2] + b"Transfer-Encoding: chunked\r\n\r\nhello\n"),
    "says-101-keep-alive": (HEAD, SWITCH[:-2] + b"Keep-Alive: 5\r\nProxy-Connection: x\r\n\r\nhello\n"),
    "says-100-first": (HEAD, b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" + SWITCH + b"hello\n"),
    "large": (HEAD, SWITCH, Until(b"in\n"), LARGE, END),
    "rests": (HEAD, SWITCH, Wait(0.3), Counts(len(LARGE)), b"all\n"),
    "connect": (HEAD, ESTABLISHED, Until(b"in\n"), b"bye\n", END),
    "connect-echo": (HEAD, ESTABLISHED, Echoes()),
    "connect-late": (HEAD, Wait(0.3), ESTABLISHED, Until(b"in\n"), b"bye\n", END),
    "connect-201": (HEAD, b"HTTP/1.1 201 Created\r\ncontent-length: 3\r\n\r\n", Until(b"in\n"), b"bye\n", END),
    "connect-200-length": (HEAD, b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", Until(b"in\n"), b"bye\n", END),
    "connect-503": _answers(b"503 Service Unavailable"),
    "early": (HEAD, b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello\n"),
    "connect-chunked": (HEAD, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Until(b"in\n"), b"bye\n", END),
    "connect-403": _answers(b"403 Forbidden"),
    "tcp": (Until(b"in\n"), b"bye\n", END),
    "tcp-first": (b"hello\n", Until(b"in\n"), b"bye\n", Closes()),
    "tcp-half": (b"hello\n", END, Until(b"in\n")),
    "tcp-lingers": (Counts(1 << 30), Wait(0.8)),
    "tcp-resets": (Until(b"in\n"), Resets()),
    "tcp-silent": (),
    "tcp-closes": (Closes(),),
    "tcp-large": (Until(b"in\n"), LARGE, END),
    "tcp-rests": (Wait(0.3), Counts(len(LARGE)), b"all\n"),
    "tcp-after": (Counts(1 << 30), b"you have ended\n"),
}

OK = f.headers([(":status", "200"), ("x-a", "b")], end=False)
HTTP2_SCRIPTS: dict[str, tuple[Any, ...]] = {
    "http2-talks": (Asked(), OK, f.data(b"hello\n", end=False), Until(b"in\n"), f.data(b"bye\n")),
    "http2-late": (Asked(), Wait(0.3), OK, Until(b"in\n"), f.data(b"bye\n")),
    "http2-silent": (Asked(), OK),
    "http2-never": (Asked(),),
    "http2-resets": (Asked(), OK, Until(b"in\n"), f.rst(2)),
    "http2-refuses": (Asked(), f.headers([(":status", "403"), ("x-a", "b")], end=False), Wait(0.1), f.data(b"no")),
    "http2-says-101": (Asked(), f.headers([(":status", "101")], end=False)),
    "http2-says-201": (Asked(), f.headers([(":status", "201")], end=False), Until(b"in\n"), f.data(b"bye\n")),
    "http2-trailers": (Asked(), OK, Until(b"in\n"), f.data(b"bye\n", end=False), f.headers([("x-t", "1")])),
}


def upstreams() -> dict[str, MakeUpstream]:
    """What makes each upstream."""
    made: dict[str, MakeUpstream] = {name: partial(Tunnelling, *script) for name, script in SCRIPTS.items()}
    made |= {name: partial(Http2Tunnelling, *script) for name, script in HTTP2_SCRIPTS.items()}
    made["http2-without"] = partial(Http2Tunnelling, *HTTP2_SCRIPTS["http2-talks"], connect=0)
    return made | {"dead": Refusing}


# Configuration


def _cluster(places: Places, name: str) -> Json:
    if not name.startswith("http2-"):
        return static_cluster(name, places[name])
    explicit = {"http2_protocol_options": {"allow_connect": True}}
    options = {PROTOCOL_OPTIONS.rpartition("/")[2]: {"@type": PROTOCOL_OPTIONS, "explicit_http_config": explicit}}
    return static_cluster(name, places[name], typed_extension_protocol_options=options)


def _to(match: Json, **action: Any) -> Json:
    return {"match": match, "route": {"cluster_header": "x-to", **action}}


def route(prefix: str = "/", **action: Any) -> Json:
    """A route to what `x-to` says."""
    return _to({"prefix": prefix}, **action)


def connect(**action: Any) -> Json:
    """A route of CONNECT requests to what `x-to` says."""
    return _to({"connect_matcher": {}}, **action)


def listener(name: str, *routes: Json, **options: Any) -> Json:
    """A listener that has `allow_connect`."""
    virtual = {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": list(routes), **options.pop("host", {})}]}
    small = options.pop("small", None)
    options.setdefault("http2_protocol_options", {"allow_connect": True})
    made = http_listener(name, virtual, **options)
    return made if small is None else {**made, "per_connection_buffer_limit_bytes": small}


def kinds(*names: str) -> list[Json]:
    """`upgrade_configs`."""
    return [{"upgrade_type": name} for name in names]


TERMINATES = [{"upgrade_type": "CONNECT", "connect_config": {}}]
TAKES_POST = [{"upgrade_type": "CONNECT", "connect_config": {"allow_post": True}}]
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
}
BUFFER = {
    "name": "envoy.filters.http.buffer",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer", "max_request_bytes": 4
    },
}  # fmt: skip
RETRIES = {"retry_on": "5xx,connect-failure,reset", "num_retries": 2}
PER_TRY_IDLE = {**RETRIES, "per_try_idle_timeout": "0.3s"}
COUNTED = [{"name": "all", "headers": [{"name": ":method", "present_match": True}]}]
DIRECT = {"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "direct"}}}
REDIRECT = {"match": {"prefix": "/redirect"}, "redirect": {"host_redirect": "b.com"}}


def _per_route() -> list[Json]:
    """Routes that say more than their connection manager."""
    return [
        route("/on", upgrade_configs=kinds("websocket")),
        route("/cased", upgrade_configs=kinds("WebSocket")),
        route("/off", upgrade_configs=[{"upgrade_type": "websocket", "enabled": False}]),
        route("/foo", upgrade_configs=[{"upgrade_type": "foo"}, {"upgrade_type": "websocket", "enabled": False}]),
        DIRECT,
        REDIRECT,
        route("/plain"),
        connect(upgrade_configs=TERMINATES),
    ]


def _listeners() -> list[Json]:
    every = kinds("websocket", "CONNECT", "foo")
    disabled = [{"upgrade_type": "websocket", "enabled": False}, {"upgrade_type": "CONNECT"}]
    own = [{"upgrade_type": "websocket", "filters": [ROUTER]}, {"upgrade_type": "foo"}]
    return [
        listener("main", DIRECT, connect(), route(), upgrade_configs=every),
        listener("routes", *_per_route()),
        listener("disabled", *_per_route(), upgrade_configs=disabled),
        listener("by-routes-too", *_per_route(), upgrade_configs=kinds("WebSocket")),
        listener("no-route", route("/on"), upgrade_configs=every),
        listener("no-route-none", route("/on")),
        listener("raw", connect(upgrade_configs=TERMINATES), route(), upgrade_configs=kinds("CONNECT")),
        listener("raw-small", connect(upgrade_configs=TERMINATES), upgrade_configs=kinds("CONNECT"), small=16384),
        listener("post", route(upgrade_configs=TAKES_POST)),
        listener("raw-by-route", connect(upgrade_configs=TERMINATES)),
        listener("own-filters", route(), http_filters=[BUFFER, ROUTER], upgrade_configs=own),
        listener("idle", connect(), route(), stream_idle_timeout="0.3s", upgrade_configs=every),
        listener("route-idle", route(idle_timeout="0.3s"), upgrade_configs=every),
        listener("duration", route(max_stream_duration={"max_stream_duration": "0.3s"}), upgrade_configs=every),
        listener("request-timeout", connect(), route(), request_timeout="0.3s", upgrade_configs=every),
        listener("timeout", connect(timeout="0.3s"), route(timeout="0.3s"), upgrade_configs=every),
        listener("raw-timeout", connect(timeout="0.3s", upgrade_configs=TERMINATES)),
        listener("retries", connect(retry_policy=RETRIES), route(retry_policy=RETRIES), upgrade_configs=every),
        listener("per-try", route(retry_policy={**RETRIES, "per_try_timeout": "0.3s"}), upgrade_configs=every),
        listener("per-try-idle", route(retry_policy=PER_TRY_IDLE), upgrade_configs=every),
        listener("small", route(), upgrade_configs=every, small=16384),
        listener("small-retries", route(retry_policy=RETRIES), upgrade_configs=every, small=16384),
        listener("rewrites", route("/a", prefix_rewrite="/b", host_rewrite_literal="b.com"), upgrade_configs=every),
        listener(
            "told-early", connect(), route(), upgrade_configs=every,
            access_log_options={"flush_log_on_tunnel_successfully_established": True},
        ),
        listener("http10", connect(), route(), upgrade_configs=every, http_protocol_options={"accept_http_10": True}),
        listener(
            "ignores", route(), upgrade_configs=every,
            http_protocol_options={"ignore_http_11_upgrade": [{"exact": "foo"}, {"prefix": "ba"}]},
        ),
        listener("not-offered", connect(), route(), upgrade_configs=every, http2_protocol_options={}),
        listener("mirrored", route(request_mirror_policies=[{"cluster": "silent"}]), upgrade_configs=every),
        listener("counted", connect(), route(), upgrade_configs=every, host={"virtual_clusters": COUNTED}),
    ]  # fmt: skip


def configuration(places: Places) -> Json:
    """The bootstrap of one half of a pair."""
    return bootstrap_of(_listeners(), [_cluster(places, name) for name in upstreams()])


SETUP = Setup("tunnels", configuration, upstreams())
WORKERS = Setup("tunnels-workers", configuration, upstreams(), ("--concurrency", "2"))
_DRAIN = ("--drain-time-s", "1", "--parent-shutdown-time-s", "2", "--drain-strategy", "immediate")
LEAVING = Setup("tunnels-leaving", configuration, upstreams(), ("--concurrency", "1", *_DRAIN), alone=True)
