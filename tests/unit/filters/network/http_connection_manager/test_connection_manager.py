"""The connection manager with the real HTTP/1 codec, a connection without sockets and a clock that stands still."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from envoymesh.access_loggers import AccessLog
from envoymesh.filters.network.http_connection_manager.connection_manager import ConnectionManager
from envoymesh.filters.network.http_connection_manager.date import DateProvider
from envoymesh.filters.network.http_connection_manager.leaving import LAST_LOOK, LEAVE_GRACE
from envoymesh.filters.network.http_connection_manager.manager_config import ConnectionManagerConfig
from envoymesh.filters.network.http_connection_manager.request_id import RequestIdGenerator
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.filters.network.http_connection_manager.stats import HttpConnectionManagerStats, ListenerHttpStats
from envoymesh.formatter import Formatter
from envoymesh.http.failed_requests import FailedRequests
from envoymesh.http.filter import FilterDataStatus, FilterHeadersStatus, WatermarkCallbacks
from envoymesh.http.filter_manager.filter_plan import FilterChainFactory, NamedFilter
from envoymesh.http.headers import ResponseHeaders
from envoymesh.http.http1 import Http1Settings
from envoymesh.http.http2.frames import PREFACE, FrameType
from envoymesh.http.recent_requests import RecentRequests
from envoymesh.http.stats import Http1CodecStats, Http2CodecStats
from envoymesh.http.stream_info import StreamInfo
from envoymesh.network.api import Address, CloseType
from envoymesh.router.table import RouteTable
from envoymesh.stats import Store
from tests.support.fakes import FakeConnection, FakeDispatcher, FakeRuntime
from tests.support.http2 import frames_of
from tests.support.stand_ins import stands_for
from tests.unit.filters.network.http_connection_manager.streams import DecoderFilter, EncoderFilter

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\ncontent-length: 3\r\n\r\n"
DATE = b"date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + DATE + b"server: envoy\r\n\r\nhi"
LOG = "%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION%\n"


class Watermarks(stands_for(WatermarkCallbacks)):
    """Those that were told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_above_write_buffer_high_watermark(self) -> None:
        self.told.append("above")

    def on_below_write_buffer_low_watermark(self) -> None:
        self.told.append("below")


class Upstream(DecoderFilter):
    """A terminal filter: the test answers in its place."""

    def __init__(self) -> None:
        super().__init__(FilterHeadersStatus.STOP, [FilterDataStatus.STOP_NO_BUFFER] * 100)
        self.watermarks = Watermarks()

    def answer(self, *body: bytes, status: int = 200, length: bool = True) -> None:
        whole = b"".join(body)
        self.decoder_callbacks.stream_info.upstream_host = Address("10.0.0.9", 80)
        headers = ResponseHeaders(status, [(b"content-length", b"%d" % len(whole))] if length else [])
        self.decoder_callbacks.add_downstream_watermark_callbacks(self.watermarks)
        self.decoder_callbacks.encode_headers(headers, not body, "via_upstream")
        for index, piece in enumerate(body, 1):
            self.decoder_callbacks.encode_data(piece, index == len(body))

    def begin(self, *fields: tuple[bytes, bytes]) -> None:
        self.decoder_callbacks.add_downstream_watermark_callbacks(self.watermarks)
        self.decoder_callbacks.encode_headers(ResponseHeaders(200, list(fields)), False, "via_upstream")


def as_named(each: Any) -> NamedFilter:
    return each if isinstance(each, NamedFilter) else NamedFilter("", each)


class Edge:
    """One downstream connection with its manager; `upstreams` has the terminal filter of each request."""

    def __init__(self, filters: Sequence[Any] = (), routes: RouteTable | None = None, **options: Any) -> None:
        self.dispatcher = FakeDispatcher()
        self.upstreams: list[Upstream] = []
        self.lines: list[bytes] = []
        self.drain_close = False
        scope = Store().scope("http.t.")
        self.stats = HttpConnectionManagerStats.create(scope)
        settings = HttpConnectionManagerSettings(
            "t",
            RouteTable("r", []) if routes is None else routes,
            FilterChainFactory([as_named(each) for each in (*filters, self._add)]),
            access_logs=(AccessLog(Formatter(LOG), self),),
            **options,
        )
        self.runtime = FakeRuntime()
        self.context = ConnectionManagerConfig(
            settings=settings,
            stats=self.stats,
            listener_stats=ListenerHttpStats.create(Store().scope("l.")),
            http1_stats=Http1CodecStats.create(Store().scope("http1.")),
            http2_stats=Http2CodecStats.create(Store().scope("http2.")),
            dispatcher=self.dispatcher,
            dates=DateProvider(self.dispatcher),
            request_ids=RequestIdGenerator(bytes),
            drain_close=lambda: self.drain_close,
            next_stream_id=itertools.count(1).__next__,
            runtime=self.runtime,
            failed=FailedRequests(),
            recent=RecentRequests(),
        )
        self.connection = FakeConnection()
        self.manager = ConnectionManager(self.context, self.connection, 1024)
        self.connection.set_handler(self.manager)

    def _add(self, callbacks: Any) -> None:
        self.upstreams.append(Upstream())
        callbacks.add_decoder_filter(self.upstreams[-1])

    def write(self, data: bytes) -> None:
        self.lines.append(data)

    @property
    def upstream(self) -> Upstream:
        return self.upstreams[-1]

    def receive(self, data: bytes) -> bytes:
        """Bytes from the client; what it got for them."""
        self.connection.receive(data)
        self.dispatcher.run_posted()
        return self.connection.take_written()

    @property
    def written(self) -> bytes:
        return self.connection.take_written()


HTTP2_START = PREFACE + b"\0\0\0\4\0\0\0\0\0"
GOAWAY = b"\0\0\x08\7\0\0\0\0\0"
"""The head of a GOAWAY frame without debug data: the last stream id and the error code follow."""


def http2_get(stream_id: int) -> bytes:
    """HEADERS that end stream and block: GET http://a/, with no use of HPACK's dynamic table."""
    return b"\0\0\6\1\5" + stream_id.to_bytes(4) + b"\x82\x86\x84\x01\x01a"


def cancel(stream_id: int) -> bytes:
    """RST_STREAM with CANCEL."""
    return b"\0\0\4\3\0" + stream_id.to_bytes(4) + b"\0\0\0\x08"


def test_a_request_and_its_response() -> None:
    edge = Edge()
    assert edge.receive(GET) == b""
    assert edge.upstream.seen.headers.path == b"/x"
    assert edge.upstream.seen.ends == 1
    edge.dispatcher.advance(0.25)
    edge.upstream.answer(b"h", b"i")
    assert edge.written == OK
    assert edge.lines == [b"/x 200 - via_upstream 0 2 250\n"]
    assert edge.upstream.destroyed == 1
    stats = edge.stats
    assert (stats.downstream_rq_total.value, stats.downstream_rq_active.value) == (1, 0)
    assert (stats.downstream_rq_2xx.value, stats.downstream_cx_active.value) == (1, 1)
    stats.downstream_rq_time.flush()
    assert stats.downstream_rq_time.cumulative.detailed() == [(250, 10, 1)]  # milliseconds


def test_keep_alive_and_pipelining() -> None:
    edge = Edge()
    edge.receive(GET + GET.replace(b"/x", b"/y"))
    assert len(edge.upstreams) == 1, "the second waits its turn"
    edge.upstream.answer(b"hi")
    edge.dispatcher.run_posted()
    assert edge.upstream.seen.headers.path == b"/y"
    edge.upstream.answer(b"hi")
    assert edge.written == OK * 2
    assert edge.connection.read_disable_count == 0
    assert not edge.connection.closed


def test_a_body_streams_through() -> None:
    edge = Edge()
    edge.receive(POST + b"a")
    edge.receive(b"bc")
    assert (edge.upstream.seen.data, edge.upstream.seen.ends) == (b"abc", 1)
    edge.upstream.answer()
    assert edge.lines == [b"/x 200 - via_upstream 3 0 0\n"]


@pytest.mark.parametrize("header", [b"connection: close", b"Connection: foo, CLOSE"])
def test_the_client_asks_for_the_end(header: bytes) -> None:
    edge = Edge()
    edge.receive(GET.replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n\r\n"))
    edge.upstream.answer(b"hi")
    assert b"\r\nconnection: close\r\n" in edge.written
    assert edge.connection.close_types == [CloseType.FLUSH_WRITE]


def test_an_early_response_ends_the_connection() -> None:
    edge = Edge()
    edge.receive(POST)
    edge.upstream.answer(b"hi")
    assert b"\r\nconnection: close\r\n" in edge.written
    assert edge.connection.close_types == [CloseType.FLUSH_WRITE_AND_DELAY]
    assert edge.stats.downstream_rq_response_before_rq_complete.value == 1


def test_a_malformed_request_is_refused_and_logged() -> None:
    edge = Edge()
    assert edge.receive(b"BAD\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert edge.lines == [b"- 400 DPE http1.codec_error 0 11 0\n"]
    assert edge.connection.close_types == [CloseType.FLUSH_WRITE_AND_DELAY]
    assert edge.stats.downstream_cx_protocol_error.value == 1
    assert edge.stats.downstream_rq_active.value == 0


def test_the_client_goes_away() -> None:
    edge = Edge()
    edge.receive(GET)
    edge.connection.remote_close()
    assert edge.lines == [b"/x 0 DC downstream_remote_disconnect 0 0 0\n"]
    assert edge.upstream.destroyed == 1
    assert edge.stats.downstream_cx_destroy_remote_active_rq.value == 1
    assert edge.context.managers == set()
    assert not edge.dispatcher.timers


def test_fin_during_a_request_ends_it() -> None:
    edge = Edge()
    edge.receive(GET)
    edge.connection.receive_eof()
    assert edge.connection.close_types == [CloseType.NO_FLUSH]
    assert edge.lines == [b"/x 0 DC downstream_remote_disconnect 0 0 0\n"]


@pytest.mark.parametrize(
    ("sent", "option", "answer", "line"),
    [
        (GET, "stream_idle_timeout", b"504 Gateway Timeout", b"/x 504 SI stream_idle_timeout 0 14 3000\n"),
        (POST, "stream_idle_timeout", b"408 Request Timeout", b"/x 408 SI stream_idle_timeout 0 14 3000\n"),
        (POST, "request_timeout", b"408 Request Timeout", b"/x 408 - request_overall_timeout 0 15 3000\n"),
        (b"GE", "request_headers_timeout", b"408 Request Timeout", b"- 408 - request_header_timeout 0 22 3000\n"),
        (GET, "max_stream_duration", b"504 Gateway Timeout", b"/x 504 - max_duration_timeout 0 27 3000\n"),
        (POST, "max_stream_duration", b"408 Request Timeout", b"/x 408 - max_duration_timeout 0 27 3000\n"),
    ],
)
def test_timeouts_of_requests(sent: bytes, option: str, answer: bytes, line: bytes) -> None:
    edge = Edge(**{option: 3.0})
    edge.receive(sent)
    edge.dispatcher.advance(2.9)
    assert edge.written == b""
    edge.dispatcher.advance(0.2)
    assert edge.written.startswith(b"HTTP/1.1 " + answer)
    assert edge.lines == [line]
    assert edge.connection.closed is (sent != GET)


def test_progress_puts_the_idle_timeout_off() -> None:
    edge = Edge(stream_idle_timeout=3.0)
    edge.receive(POST)
    for piece in (b"a", b"b", b"c"):
        edge.dispatcher.advance(2.0)
        assert edge.receive(piece) == b""
    edge.dispatcher.advance(2.0)
    edge.upstream.begin((b"content-length", b"2"))
    edge.dispatcher.advance(2.9)
    assert not edge.connection.closed
    edge.dispatcher.advance(0.2)
    assert edge.lines == [b"/x 200 SI stream_idle_timeout 3 0 11000\n"]
    assert edge.connection.closed


def test_a_long_download_is_progress() -> None:
    edge = Edge(stream_idle_timeout=3.0)
    edge.receive(GET)
    edge.upstream.begin((b"content-length", b"9"))
    for _ in range(8):
        edge.dispatcher.advance(2.0)
        edge.upstream.decoder_callbacks.encode_data(b"x", False)
    edge.dispatcher.advance(2.0)
    edge.upstream.decoder_callbacks.encode_data(b"x", True)
    assert edge.written.endswith(b"\r\n\r\n" + b"x" * 9)
    assert edge.lines == [b"/x 200 - via_upstream 0 9 18000\n"]


def test_the_request_timeout_is_for_the_request_alone() -> None:
    edge = Edge(request_timeout=3.0)
    edge.receive(POST + b"abc")
    edge.dispatcher.advance(100)
    assert edge.written == b""
    edge.upstream.answer(b"hi")
    assert edge.written.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_route_may_set_the_idle_timeout() -> None:
    edge = Edge(stream_idle_timeout=3.0)
    edge.receive(GET)
    edge.upstream.decoder_callbacks.set_idle_timeout(0)
    edge.dispatcher.advance(100)
    assert edge.written == b""
    edge.upstream.decoder_callbacks.set_idle_timeout(1.0)
    edge.dispatcher.advance(1.1)
    assert edge.written.startswith(b"HTTP/1.1 504 ")


def test_an_idle_connection_is_closed() -> None:
    edge = Edge(idle_timeout=10.0, drain_timeout=2.0)
    edge.dispatcher.advance(9)
    edge.receive(GET)
    edge.dispatcher.advance(20)
    assert not edge.connection.closed
    edge.upstream.answer(b"hi")
    edge.dispatcher.advance(9.9)
    assert edge.stats.downstream_cx_idle_timeout.value == 0
    edge.dispatcher.advance(0.2)
    assert edge.stats.downstream_cx_idle_timeout.value == 1
    assert not edge.connection.closed  # a request may be on its way: it drains first
    edge.dispatcher.advance(2.0)
    assert edge.connection.closed


def test_a_connection_has_its_time() -> None:
    edge = Edge(max_connection_duration=10.0, drain_timeout=1.0)
    edge.receive(GET)
    edge.dispatcher.advance(10.1)
    assert not edge.connection.closed
    edge.upstream.answer(b"hi")
    assert b"\r\nconnection: close\r\n" in edge.written
    assert edge.connection.closed
    assert edge.stats.downstream_cx_max_duration_reached.value == 1


def test_a_connection_has_its_number_of_requests() -> None:
    edge = Edge(max_requests_per_connection=2)
    for expected in (False, True):
        edge.receive(GET)
        edge.upstream.answer(b"hi")
        assert (b"connection: close" in edge.written) is expected
    assert edge.stats.downstream_cx_max_requests_reached.value == 1


def test_draining() -> None:
    asked = Edge()
    asked.drain_close = True
    asked.receive(GET)
    asked.upstream.answer(b"hi")
    assert b"connection: close" in asked.written
    assert asked.stats.downstream_cx_drain_close.value == 1


def test_a_drain_tells_an_http_2_client_twice() -> None:
    edge = Edge(drain_timeout=0.5)
    edge.receive(HTTP2_START + http2_get(1))
    edge.manager.start_drain()
    assert edge.written == GOAWAY + b"\x7f\xff\xff\xff" + b"\0\0\0\0"
    edge.receive(http2_get(3))
    assert len(edge.upstreams) == 2, "what was on its way is served"
    edge.dispatcher.advance(0.6)
    assert edge.written == GOAWAY + b"\0\0\0\3" + b"\0\0\0\0"
    assert edge.receive(http2_get(5)) == b"\0\0\4\3\0\0\0\0\5\0\0\0\7", "REFUSED_STREAM"
    for upstream in edge.upstreams:
        assert not edge.connection.closed
        upstream.answer()
    assert edge.connection.closed


def test_a_client_that_resets_half_of_its_requests_at_once_is_cut_off() -> None:
    """CVE-2023-44487; the limits are those of overload.premature_reset_* (500 requests, 1 s)."""
    edge = Edge()
    edge.receive(HTTP2_START)
    for number in range(249):
        edge.receive(http2_get(2 * number + 1) + cancel(2 * number + 1))
    assert not edge.connection.closed
    edge.receive(http2_get(499) + cancel(499))
    assert edge.connection.close_types == [CloseType.NO_FLUSH]
    assert edge.stats.downstream_rq_too_many_premature_resets.value == 1


def test_resets_after_a_while_are_not_held_against_a_client() -> None:
    edge = Edge()
    edge.receive(HTTP2_START)
    for number in range(600):
        edge.receive(http2_get(2 * number + 1))
        edge.dispatcher.advance(1.1)
        edge.receive(cancel(2 * number + 1))
    assert not edge.connection.closed


def answered(edge: Edge) -> Edge:
    """It has had one request."""
    edge.receive(GET)
    edge.upstream.answer(b"hi")
    assert not edge.connection.closed
    return edge


def test_a_request_on_its_way_when_the_process_leaves_is_told_of_the_end() -> None:
    edge = answered(Edge())
    edge.context.leave()
    edge.dispatcher.advance(LEAVE_GRACE - 0.01)
    assert not edge.connection.closed
    edge.receive(GET)
    edge.upstream.answer(b"hi")
    assert b"connection: close" in edge.written
    assert edge.connection.closed


def test_an_idle_connection_is_closed_when_the_process_leaves() -> None:
    edge = answered(Edge())
    edge.context.leave()
    edge.dispatcher.advance(LEAVE_GRACE + 0.01)
    assert edge.connection.closed


def test_one_that_was_idle_is_closed_at_once_but_for_a_last_look() -> None:
    idle, asking = answered(Edge()), answered(Edge())
    for edge in (idle, asking):
        edge.dispatcher.advance(LEAVE_GRACE)
        edge.context.leave()
        assert not edge.connection.closed
    asking.receive(GET)
    for edge in (idle, asking):
        edge.dispatcher.advance(2 * LAST_LOOK)
    assert (idle.connection.closed, asking.connection.closed) == (True, False)
    asking.upstream.answer(b"hi")
    assert b"connection: close" in asking.written


@pytest.mark.parametrize("first", [b"G", b"P", b""])
def test_a_request_that_has_begun_counts_as_one(first: bytes) -> None:
    edge = Edge()
    if first:
        edge.receive(first)
    edge.context.leave()
    edge.dispatcher.advance(60.0)
    assert edge.connection.closed is not bool(first)


def test_a_response_that_began_before_does_not_end_the_connection_untold() -> None:
    edge = Edge()
    edge.receive(GET)
    edge.upstream.begin((b"content-length", b"2"))
    edge.context.leave()
    edge.dispatcher.advance(10.5 * LEAVE_GRACE)  # between two looks
    edge.upstream.decoder_callbacks.encode_data(b"hi", True)
    assert b"connection: close" not in edge.written
    assert not edge.connection.closed
    edge.dispatcher.advance(LEAVE_GRACE * 0.75)
    edge.receive(GET)
    edge.upstream.answer(b"hi")
    assert b"connection: close" in edge.written


def test_http2_is_told_in_two_steps_when_the_process_leaves() -> None:
    edge = Edge()
    edge.receive(PREFACE + OPENING)
    edge.context.leave()
    assert goaways(edge) == [(1 << 31) - 1]
    edge.dispatcher.advance(LEAVE_GRACE)
    assert goaways(edge) == [0]
    assert edge.connection.closed


def test_a_connection_that_comes_while_the_process_leaves() -> None:
    """It is told as well; one that turns out to be HTTP/2 as soon as that is seen."""
    edge = Edge()
    edge.context.leaving = True
    connection = FakeConnection()
    connection.set_handler(ConnectionManager(edge.context, connection, 1024))
    connection.receive(PREFACE + OPENING)
    edge.dispatcher.advance(LEAVE_GRACE + 0.01)
    edge.connection = connection
    assert goaways(edge) == [(1 << 31) - 1]
    edge.dispatcher.advance(LEAVE_GRACE)
    assert goaways(edge) == [0]
    assert connection.closed


OPENING = b"\0\0\0\4\0\0\0\0\0"


def goaways(edge: Edge) -> list[int]:
    """The last stream ids of the GOAWAYs written since the last look."""
    return [
        int.from_bytes(each.payload[:4], "big")
        for each in frames_of(edge.connection.take_written())
        if each.kind == FrameType.GOAWAY
    ]


def test_watermarks_balance() -> None:
    edge = Edge()
    edge.receive(GET)
    edge.connection.above_high_watermark()
    edge.upstream.begin((b"content-length", b"2"))
    assert edge.upstream.watermarks.told == ["above"]
    edge.connection.below_low_watermark()
    edge.connection.above_high_watermark()
    edge.connection.below_low_watermark()
    assert edge.upstream.watermarks.told == ["above", "below"] * 2
    edge.upstream.decoder_callbacks.encode_data(b"hi", True)
    edge.connection.above_high_watermark()
    assert edge.upstream.watermarks.told == ["above", "below"] * 2, "the stream is gone"


def test_a_full_upstream_stops_the_reading() -> None:
    edge = Edge()
    edge.receive(POST)
    edge.upstream.decoder_callbacks.on_decoder_filter_above_write_buffer_high_watermark()
    edge.receive(b"abc")
    assert edge.upstream.seen.data == b""
    edge.upstream.decoder_callbacks.on_decoder_filter_below_write_buffer_low_watermark()
    assert edge.upstream.seen.data == b"abc"
    stats = edge.stats
    assert stats.downstream_flow_control_paused_reading_total.value == 1
    assert stats.downstream_flow_control_resumed_reading_total.value == 1


def test_expect_100_continue() -> None:
    edge = Edge()
    assert (
        edge.receive(POST.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n")) == b"HTTP/1.1 100 Continue\r\n\r\n"
    )
    assert b"expect" not in edge.upstream.seen.headers
    proxying = Edge(proxy_100_continue=True)
    assert proxying.receive(POST.replace(b"\r\n\r\n", b"\r\nexpect: 100-continue\r\n\r\n")) == b""
    proxying.upstream.decoder_callbacks.encode_1xx_headers(ResponseHeaders(100))
    assert proxying.written == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("connection", "length", "expected"),
    [
        (b"", True, b"connection: close"),
        (b"connection: keep-alive\r\n", True, b"connection: keep-alive"),
        (b"connection: keep-alive\r\n", False, b"connection: close"),
    ],
)
def test_http_1_0(connection: bytes, length: bool, expected: bytes) -> None:
    edge = Edge(http1=Http1Settings(accept_http_10=True))
    edge.receive(b"GET / HTTP/1.0\r\nHost: a\r\n" + connection + b"\r\n")
    edge.upstream.answer(b"hi", length=length)
    written = edge.written
    assert expected in written
    assert b"chunked" not in written
    assert written.endswith(b"\r\n\r\nhi")
    assert edge.connection.closed is (expected == b"connection: close")


def test_a_local_reply_after_headers_is_a_reset() -> None:
    edge = Edge()
    edge.receive(GET)
    edge.upstream.begin((b"content-length", b"9"))
    edge.upstream.decoder_callbacks.send_local_reply(503, b"late", "late")
    assert b"503" not in edge.written
    assert edge.connection.closed
    assert edge.lines == [b"/x 200 - late 0 0 0\n"]


def test_a_response_that_is_too_large_to_keep_becomes_500() -> None:
    keeper = EncoderFilter(FilterHeadersStatus.STOP, [FilterDataStatus.STOP_AND_BUFFER] * 9)
    edge = Edge([lambda callbacks: callbacks.add_encoder_filter(keeper)])
    edge.receive(GET)
    edge.upstream.begin()
    edge.upstream.decoder_callbacks.encode_data(b"x" * 1025, False)
    assert edge.written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert edge.lines == [b"/x 500 - response_payload_too_large 0 21 0\n"]
    assert (keeper.destroyed, edge.upstream.destroyed) == (1, 1)


def test_a_request_that_is_too_large_to_keep_becomes_413() -> None:
    keeper = DecoderFilter(FilterHeadersStatus.STOP, [FilterDataStatus.STOP_AND_BUFFER] * 9)
    edge = Edge([lambda callbacks: callbacks.add_decoder_filter(keeper)])
    answer = edge.receive(b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 2000\r\n\r\n" + b"x" * 1025)
    assert answer.startswith(b"HTTP/1.1 413 Payload Too Large\r\n")
    assert edge.upstream.seen.headers is None


def test_bytes_that_could_be_http_2_are_waited_for() -> None:
    edge = Edge()
    assert edge.receive(b"P") == b""
    edge.receive(POST[1:] + b"abc")
    assert edge.upstream.seen.headers.method == b"POST"
    http2 = Edge()
    http2.receive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    assert http2.manager.multiplexed
    assert http2.stats.downstream_cx_http2_total.value == 1


def test_a_repr_tells_what_is_going_on() -> None:
    edge = Edge()
    edge.receive(GET)
    assert "streams=1" in repr(edge.manager)


def held() -> tuple[Edge, bytes]:
    """An HTTP/2 client without windows, whose request was answered; with the SETTINGS that open them."""
    edge = Edge()
    block = b"\x82\x86\x84\x41\x01a"
    no_window = b"\0\0\6\4\0\0\0\0\0" + b"\0\4\0\0\0\0"
    edge.receive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + no_window + b"\0\0\6\1\5\0\0\0\1" + block)
    edge.upstream.answer(b"hi")
    assert edge.written
    assert edge.lines == []
    assert edge.stats.downstream_rq_active.value == 1
    return edge, no_window[:-4] + b"\0\0\0\x09"


def test_a_response_is_over_when_the_windows_let_it_out() -> None:
    edge, windows = held()
    edge.dispatcher.advance(1.0)
    assert b"\0\0\2\0\1\0\0\0\1hi" in edge.receive(windows)
    assert edge.lines == [b"/ 200 - via_upstream 0 2 1000\n"]
    assert edge.stats.downstream_rq_active.value == 0
    assert edge.stats.downstream_rq_rx_reset.value == 0


def test_a_client_that_leaves_before_its_windows_let_the_response_out() -> None:
    edge, _ = held()
    edge.connection.remote_close()
    assert edge.lines == [b"/ 200 DC downstream_remote_disconnect 0 2 0\n"]
    stats = edge.stats
    assert stats.downstream_rq_rx_reset.value == 1
    assert stats.downstream_cx_destroy_remote_active_rq.value == 1


def test_a_client_that_resets_a_response_that_waits() -> None:
    edge, _ = held()
    edge.receive(b"\0\0\4\3\0\0\0\0\1\0\0\0\x08")
    assert edge.lines == [b"/ 200 DR http2.remote_reset 0 2 0\n"]
    assert edge.stats.downstream_rq_rx_reset.value == 1


def test_a_response_that_waits_too_long_is_given_up() -> None:
    edge, _ = held()
    edge.dispatcher.advance(299.0)
    assert not edge.lines
    edge.dispatcher.advance(1.5)
    assert edge.lines == [b"/ 200 - via_upstream 0 2 300000\n"]
    assert edge.stats.downstream_rq_rx_reset.value == 0


def test_a_drain_waits_for_a_response_that_waits() -> None:
    edge, windows = held()
    edge.manager.start_drain()
    edge.dispatcher.advance(20.0)
    assert not edge.connection.closed
    edge.receive(windows)
    assert edge.connection.closed


def typed(edge: Edge) -> list[bytes]:
    """The lines so far, of a log that shows their type."""
    lines, edge.lines = edge.lines, []
    return lines


def test_a_new_request_can_be_logged_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "LOG", "%ACCESS_LOG_TYPE% %REQ(:PATH)% %RESPONSE_CODE%")
    edge = Edge(flush_access_log_on_new_request=True)
    edge.receive(GET)
    assert typed(edge) == [b"DownstreamStart /x 0"]
    edge.upstream.answer(b"hi")
    assert typed(edge) == [b"DownstreamEnd /x 200"]
    edge.receive(b"GET /x HTTP/1.1\r\n\r\n")
    assert typed(edge) == [b"DownstreamEnd /x 400"]


def test_a_request_can_be_logged_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "LOG", "%ACCESS_LOG_TYPE% %DURATION%")
    edge = Edge(access_log_flush_interval=2.0)
    edge.receive(GET[:10])
    edge.dispatcher.advance(2.5)
    edge.receive(GET[10:])
    edge.dispatcher.advance(2.0)
    assert typed(edge) == [b"DownstreamPeriodic 2000", b"DownstreamPeriodic 4000"]
    edge.upstream.answer(b"hi")
    edge.dispatcher.advance(10.0)
    assert typed(edge) == [b"DownstreamEnd 4500"]


@pytest.mark.parametrize(
    ("data", "protocol", "failed"),
    [
        ([GET], "HTTP/1.1", False),
        ([b"GET\r\n\r\n"], None, True),
        ([GET[:5], b"\r\n\r\n"], "HTTP/1.1", True),
        ([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], "HTTP/2", False),
    ],
)
def test_the_protocol_is_known_when_something_was_read_well(
    data: list[bytes], protocol: str | None, failed: bool
) -> None:
    edge = Edge()
    for piece in data:
        edge.receive(piece)
    info = StreamInfo(edge.connection, None, 0.0, 0.0, 0)
    edge.manager.add_connection_facts(info)
    assert (info.protocol and info.protocol.value, info.flag_names()) == (protocol, "DPE" if failed else "-")


def test_a_response_of_several_frames_that_nothing_holds_ends_as_any_other() -> None:
    edge = Edge()
    open_windows = b"\0\0\6\4\0\0\0\0\0" + b"\0\4\0\1\0\0" + b"\0\0\4\x08\0\0\0\0\0\0\1\0\0"
    block = b"\x82\x86\x84\x41\x01a"
    edge.receive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + open_windows + b"\0\0\6\1\5\0\0\0\1" + block)
    edge.upstream.answer(b"x" * 20000)
    assert edge.lines == [b"/ 200 - via_upstream 0 20000 0\n"]
    assert edge.stats.downstream_rq_rx_reset.value == 0
    assert edge.stats.downstream_rq_active.value == 0


def _reset_requests(edge: Edge, count: int, seconds: float) -> None:
    """HTTP/2 requests that the client resets after some time (RFC 9113 sections 6.2 and 6.4)."""
    edge.receive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    fields = b"\x82\x84\x86\x01\x01a"  # GET / http, authority "a"
    for stream in range(1, 2 * count, 2):
        number = stream.to_bytes(4, "big")
        edge.receive(bytes((0, 0, len(fields), 1, 5)) + number + fields)
        edge.dispatcher.advance(seconds)
        edge.receive(b"\0\0\4\3\0" + number + b"\0\0\0\x08")


@pytest.mark.parametrize(
    ("keys", "seconds", "count", "closed"),
    [
        ({}, 0.5, 249, False),
        ({}, 0.5, 250, True),
        ({}, 1.5, 600, False),
        ({"overload.premature_reset_total_stream_count": 10}, 0.5, 4, False),
        ({"overload.premature_reset_total_stream_count": 10}, 0.5, 5, True),
        ({"overload.premature_reset_min_stream_lifetime_seconds": 2}, 1.5, 250, True),
    ],
)
def test_a_client_that_resets_most_requests_early(
    keys: dict[str, int], seconds: float, count: int, closed: bool
) -> None:
    edge = Edge()
    for key, value in keys.items():
        edge.runtime.change(key, value)
    _reset_requests(edge, count, seconds)
    assert len(edge.upstreams) == count
    assert edge.connection.closed is closed
    assert edge.stats.downstream_rq_too_many_premature_resets.value == closed
