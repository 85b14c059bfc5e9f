"""What every HTTP filter of the registry must bear: messages in pieces of every size, neighbours that stop, answer,
reset or raise at each step, and full buffers; afterwards nothing is left, and the connection serves another request.

A filter is registered, and it is tested here; only one that does nothing without settings needs a line in SETTINGS.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.filters.http.explanation import FilterCase
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.filters.http.registry import FILTERS
from envoymesh.http.codec import StreamResetReason
from envoymesh.http.filter import FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus, StreamFilter
from envoymesh.http.filter_manager.filter_plan import NamedFilter
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.http1 import Http1Settings
from envoymesh.http.stream_info import StreamInfo
from envoymesh.router.config import RouteFactoryContext
from envoymesh.router.filter_configs import FilterConfig
from envoymesh.router.paths import PrefixPath
from envoymesh.router.table import ClusterAction, FilterConfigs, Route, RouteTable, VirtualHost
from envoymesh.stats import Store
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.dynamic_forward_proxy.dns_cache import DnsCaches
from tests.support.fakes import FakeConnection, FakeResolver, FakeRuntime
from tests.support.python_files import PASSING, own_reader
from tests.support.router import BenchCluster, async_client
from tests.unit.filters.network.http_connection_manager.test_connection_manager import Edge

SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "envoy.extensions.filters.http.buffer.v3.Buffer": (
        {"max_request_bytes": 5000},
        {"buffer": {"max_request_bytes": 1000}},
    ),
    "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig": (
        {"dns_cache_config": {"name": "c"}},
        {"host_rewrite_literal": "b"},
    ),
    "envoy.extensions.filters.http.health_check.v3.HealthCheck": (
        {"pass_through_mode": True, "headers": [{"name": ":path", "string_match": {"prefix": "/"}}]},
        {},
    ),
    "envoymesh.http.PythonFilter": ({"file": PASSING, "class": "Plain"}, {"config": {"a": 1}}),
    "envoy.extensions.filters.http.cors.v3.Cors": ({}, {"allow_origin_string_match": [{"exact": "*"}]}),
}
"""A filter's message in `http_filters` and in routes, where it needs any."""

ROUTER = "envoy.extensions.filters.http.router.v3.Router"
BODY = b"abcdefghij"
STEPS = ("decode_headers", "decode_data", "decode_trailers", "encode_headers", "encode_data", "encode_trailers")
REQUEST = b"POST /x HTTP/1.1\r\nhost: a\r\norigin: http://b\r\ntransfer-encoding: chunked\r\n\r\n"


def reader(type_name: str, settings: dict[str, Any]) -> Reader:
    if type_name.startswith("envoymesh."):
        return own_reader(type_name, **settings)
    return Reader(json_format.ParseDict(settings, message_class(type_name)()), "settings")


class MishapError(Exception):
    """The neighbour's own."""


class Neighbour(StreamFilter):
    """Does something in one step, once."""

    def __init__(self, step: str, action: str) -> None:
        self._step = step
        self._action = action
        self.seen: list[str] = []
        self.destroyed = 0

    def _act(self, step: str, stop: Any, go_on: Any) -> Any:
        self.seen.append(step)
        if step != self._step:
            return go_on
        self._step = ""
        callbacks: Any = self.decoder_callbacks if step.startswith("decode") else self.encoder_callbacks
        if self._action == "reply":
            callbacks.send_local_reply(403, b"local", "neighbour")
        elif self._action == "reset":
            callbacks.reset_stream(StreamResetReason.LOCAL_RESET, "neighbour")
        elif self._action == "raise":
            raise MishapError(step)
        elif self._action == "watermarks":
            self._fill_and_empty()
            return go_on
        return stop

    def _fill_and_empty(self) -> None:
        self.decoder_callbacks.on_decoder_filter_above_write_buffer_high_watermark()
        self.encoder_callbacks.on_encoder_filter_above_write_buffer_high_watermark()
        self.decoder_callbacks.on_decoder_filter_below_write_buffer_low_watermark()
        self.encoder_callbacks.on_encoder_filter_below_write_buffer_low_watermark()

    def _headers_stop(self) -> FilterHeadersStatus:
        stop_all = {
            "stop all": FilterHeadersStatus.STOP_ALL_AND_BUFFER,
            "stop all, streaming": FilterHeadersStatus.STOP_ALL_AND_WATERMARK,
        }
        return stop_all.get(self._action, FilterHeadersStatus.STOP)

    def _data_stop(self) -> FilterDataStatus:
        return FilterDataStatus.STOP_AND_WATERMARK if "streaming" in self._action else FilterDataStatus.STOP_AND_BUFFER

    def decode_headers(self, headers: Any, end_stream: bool) -> FilterHeadersStatus:
        return self._act("decode_headers", self._headers_stop(), FilterHeadersStatus.CONTINUE)  # type: ignore[no-any-return]

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        return self._act("decode_data", self._data_stop(), FilterDataStatus.CONTINUE)  # type: ignore[no-any-return]

    def decode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        return self._act("decode_trailers", FilterTrailersStatus.STOP, FilterTrailersStatus.CONTINUE)  # type: ignore[no-any-return]

    def encode_headers(self, headers: Any, end_stream: bool) -> FilterHeadersStatus:
        return self._act("encode_headers", self._headers_stop(), FilterHeadersStatus.CONTINUE)  # type: ignore[no-any-return]

    def encode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        return self._act("encode_data", self._data_stop(), FilterDataStatus.CONTINUE)  # type: ignore[no-any-return]

    def encode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        return self._act("encode_trailers", FilterTrailersStatus.STOP, FilterTrailersStatus.CONTINUE)  # type: ignore[no-any-return]

    def on_destroy(self) -> None:
        self.destroyed += 1


class ConformanceEdge(Edge):
    """A connection whose requests pass a neighbour, the filter under test, another neighbour and the router."""

    def __init__(self, subject: str, step: str = "", action: str = "", where: str = "") -> None:
        self._acting = {where: (step, action)}
        self.neighbours: dict[str, list[Neighbour]] = {"front": [], "back": []}
        self.raised: list[str] = []
        kind = FILTERS[subject]
        settings, route_settings = SETTINGS.get(subject, ({}, {}))
        configs: FilterConfigs = {}
        if kind.read_route is not None and route_settings:
            context = RouteFactoryContext(lambda *arguments: None, FakeRuntime(), lambda: 0.5)
            configs = {"subject": FilterConfig(kind.read_route(reader(kind.route_type, route_settings), context))}
        route = Route("r", PrefixPath(b"/"), ClusterAction("c"), own_filter_configs=configs)
        self._settings = settings
        own = [] if kind.is_terminal else [NamedFilter("subject", lambda callbacks: self._subject(callbacks))]
        super().__init__(
            [lambda callbacks: self._neighbour(callbacks, "front"), *own,
             lambda callbacks: self._neighbour(callbacks, "back")],
            routes=RouteTable("r", [VirtualHost("v", [b"*"], [route])]),
            http1=Http1Settings(enable_trailers=True),
        )  # fmt: skip
        self.cluster = BenchCluster(self.dispatcher, 1, 3, FakeRuntime())
        self.dispatcher.report = lambda what, error: self.raised.append(f"{what}: {error!r}")  # type: ignore[method-assign]
        scope = Store().scope("http.t.")
        self.dns_caches = DnsCaches(scope, lambda dns: FakeResolver(), self.dispatcher, lambda: 0.5, FakeRuntime())
        context: Any = HttpFilterFactoryContext(
            self, async_client(self.dispatcher), self.dispatcher, scope, lambda: 0.5, FakeRuntime()
        )  # type: ignore[arg-type]
        self._subject = kind.read(reader(subject, settings), context)
        self._router = FILTERS[ROUTER].read(reader(ROUTER, {}), context)

    def get(self, name: str) -> Cluster:
        """The cluster, by its name."""
        return self.cluster.real

    def _neighbour(self, callbacks: Any, where: str) -> None:
        # Only in the first request does anybody act.
        step, action = self._acting.pop(where, ("", ""))
        self.neighbours[where].append(Neighbour(step, action))
        callbacks.add_filter(self.neighbours[where][-1])

    def _add(self, callbacks: Any) -> None:
        self._router(callbacks)

    def go_on(self) -> None:
        """Who has stopped continues."""
        for each in (self.neighbours["front"][-1], self.neighbours["back"][-1]):
            each.decoder_callbacks.continue_decoding()  # type: ignore[attr-defined]
            each.encoder_callbacks.continue_encoding()  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Message:
    """A body's pieces, and how the message ends."""

    pieces: tuple[bytes, ...]
    ending: str

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def wire(self) -> bytes:
        """As a request."""
        if self.ending == "headers":
            return b"GET /x HTTP/1.1\r\nhost: a\r\norigin: http://b\r\n\r\n"
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in self.pieces)
        trailers = b"x-t: 1\r\n" if self.ending == "trailers" else b""
        return REQUEST + chunks + b"0\r\n" + trailers + b"\r\n"


def cut(size: int) -> tuple[bytes, ...]:
    return tuple(BODY[at : at + size] for at in range(0, len(BODY), size))


WHOLE = Message((BODY,), "trailers")
MESSAGES = [
    Message((), "headers"),
    *(Message(pieces, ending) for ending in ("data", "trailers") for pieces in ((), (BODY,), cut(3), cut(1))),
]


def answer(edge: ConformanceEdge, message: Message) -> Any:
    """The upstream's answer, if the request has come to it; gives its stream."""
    if not edge.cluster.waits or edge.cluster.waits[-1].over:
        return None
    stream = edge.cluster.ready()
    decoder = stream.decoder
    ended = message.ending == "headers"
    for step in range(2 + len(message.pieces)):
        if stream.reset is not None:
            break
        if step == 0:
            decoder.decode_headers(ResponseHeaders(200, [(b"content-length", b"0")] if ended else []), ended)
        elif step <= len(message.pieces):
            last = step == len(message.pieces) and message.ending == "data"
            decoder.decode_data(message.pieces[step - 1], last)
            ended = ended or last
        elif message.ending == "trailers":
            decoder.decode_trailers(HeaderMap([(b"x-t", b"1")]))
        elif not ended:
            decoder.decode_data(b"", True)
        edge.dispatcher.run_posted()
    return stream


def exchange(edge: ConformanceEdge, request: Message, response: Message, split: int = 0) -> tuple[bytes, Any]:
    """A request in pieces of `split` bytes (0: in one), and its answer: what the client got, the upstream's stream."""
    wire = request.wire()
    size = split or len(wire)
    got = b""
    for at in range(0, len(wire), size):
        if not edge.connection.closed:
            got += edge.receive(wire[at : at + size])
    for _ in range(4):
        edge.go_on()
    stream = answer(edge, response)
    for _ in range(4):
        edge.go_on()
    edge.dispatcher.run_posted()
    return got + edge.written, stream


def body_of(response: bytes) -> bytes:
    """The body of a complete HTTP/1 response."""
    head, _, rest = response.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return rest
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        if not int(size, 16):
            assert rest in (b"\r\n", b"x-t: 1\r\n\r\n")
            return body
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]


def check_end(edge: ConformanceEdge, upstream: Any) -> None:
    """Nothing is left of the request, and the connection, if it is still there, serves another one."""
    assert edge.stats.downstream_rq_active.value == 0
    assert [each.destroyed for each in (*edge.neighbours["front"], *edge.neighbours["back"])] == [1, 1]
    if upstream is not None:
        assert upstream.read_disabled == 0 or upstream.reset is not None
    if edge.connection.closed or edge.manager.closing:
        return
    assert edge.connection.read_disable_count == 0
    got, stream = exchange(edge, WHOLE, WHOLE)
    assert (stream.body, stream.ended, body_of(got)) == (BODY, True, BODY)


def checked(edge: ConformanceEdge, request: Message, response: Message, split: int = 0) -> None:
    """The exchange goes through as if nobody had acted."""
    got, stream = exchange(edge, request, response, split)
    assert stream is not None
    assert (stream.body, stream.ended) == (request.body, True)
    assert (stream.trailers is not None) == (request.ending == "trailers")
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body_of(got) == response.body
    assert edge.raised == []
    check_end(edge, stream)


def acts(*actions: str) -> list[tuple[str, str, str]]:
    """Every step, neighbour and action."""
    return [
        (step, where, action)
        for step in STEPS
        for action in actions
        for where in ("front", "back")
        if "all" not in action or "headers" in step
    ]


subjects = pytest.mark.parametrize("subject", FILTERS)


@subjects
@pytest.mark.parametrize("split", [0, 1, 2, 7])
@pytest.mark.parametrize("request_", MESSAGES)
def test_messages_pass_in_pieces_of_every_size(subject: str, request_: Message, split: int) -> None:
    for response in MESSAGES:
        checked(ConformanceEdge(subject), request_, response, split)


@subjects
@pytest.mark.parametrize(
    ("step", "where", "action"), acts("stop", "stop, streaming", "stop all", "stop all, streaming", "watermarks")
)
def test_a_neighbour_stops_and_goes_on(subject: str, step: str, where: str, action: str) -> None:
    for message in MESSAGES:
        for split in (0, 3):
            checked(ConformanceEdge(subject, step, action, where), message, message, split)


@subjects
@pytest.mark.parametrize(("step", "where", "action"), acts("reply", "reset", "raise"))
def test_a_neighbour_ends_it(subject: str, step: str, where: str, action: str) -> None:
    for message in MESSAGES:
        for split in (0, 3):
            edge = ConformanceEdge(subject, step, action, where)
            got, stream = exchange(edge, message, message, split)
            acted = step in edge.neighbours[where][0].seen
            assert (edge.raised != []) == (acted and action == "raise")
            if acted and action == "reset":
                assert edge.connection.closed or edge.manager.closing
            elif acted and step in ("decode_headers", "decode_data", "decode_trailers", "encode_headers"):
                status = b"403 Forbidden" if action == "reply" else b"500 Internal Server Error"
                assert got.split(b"\r\n")[0] == b"HTTP/1.1 " + status
                assert body_of(got) == (b"local" if action == "reply" else b"Internal Server Error")
            check_end(edge, stream)


@subjects
def test_a_client_that_goes_away_leaves_nothing(subject: str) -> None:
    for end in range(1, len(WHOLE.wire())):
        edge = ConformanceEdge(subject)
        edge.receive(WHOLE.wire()[:end])
        edge.connection.remote_close()
        assert edge.stats.downstream_rq_active.value == 0
        assert all(each.destroyed == 1 for each in (*edge.neighbours["front"], *edge.neighbours["back"]))


@subjects
def test_it_says_what_it_would_do(subject: str) -> None:
    """`envoymesh explain`; who does not say anything yet is listed among the skipped tests."""
    kind = FILTERS[subject]
    if kind.explain is None:
        pytest.skip(f"{kind.name} does not say what it would do")
    settings, route_settings = SETTINGS.get(subject, ({}, {}))
    info: Any = StreamInfo(FakeConnection(), None, 0.0, 0.0, 1)
    context = RouteFactoryContext(lambda *arguments: None, FakeRuntime(), lambda: 0.5)
    own = [kind.read_route(reader(kind.route_type, route_settings), context)] if kind.read_route is not None else []
    route = Route("r", PrefixPath(b"/"), ClusterAction("c"))
    route.virtual_host = VirtualHost("v", [b"*"], [])
    for taken, configs, has_body in ((None, [], False), (route, [], True), (route, own, True), (route, own, False)):
        headers = RequestHeaders(b"POST", b"/x", b"a", b"http", [(b"origin", b"http://b")])
        sayings = kind.explain(FilterCase(settings, configs, taken, headers, has_body, info))
        assert sayings
        assert all(each.text and "\n" not in each.text for each in sayings)
