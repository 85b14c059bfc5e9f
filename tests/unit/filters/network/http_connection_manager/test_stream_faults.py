"""What a filter raises costs its own stream: 500, or a reset once the response has begun."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.http.filter import FilterDataStatus, FilterHeadersStatus
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.http2.frames import PREFACE, FrameType, frame
from envoymesh.http.http2.hpack import Encoder
from tests.support.http2 import frames_of
from tests.unit.filters.network.http_connection_manager.streams import DecoderFilter, EncoderFilter
from tests.unit.filters.network.http_connection_manager.test_connection_manager import GET, Edge

STEPS = ["decode_headers", "decode_data", "decode_trailers", "encode_headers", "encode_data", "on_destroy", "timer"]
POST = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a")]


class MishapError(Exception):
    """The filter's own."""


class Decoder(DecoderFilter):
    """Raises in one step, for requests to /bad."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self._step = step
        self._bad = False

    def _may_raise(self, step: str) -> None:
        if self._bad and self._step == step:
            raise MishapError(step)

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        self._bad = headers.path == b"/bad"
        self._may_raise("decode_headers")
        if self._bad and self._step == "timer":
            self.decoder_callbacks.create_timer(lambda: self._may_raise("timer")).enable(0.1)
        return super().decode_headers(headers, end_stream)

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        self._may_raise("decode_data")
        return super().decode_data(data, end_stream)

    def decode_trailers(self, trailers: HeaderMap) -> Any:
        self._may_raise("decode_trailers")
        return super().decode_trailers(trailers)

    def on_destroy(self) -> None:
        super().on_destroy()
        self._may_raise("on_destroy")


class EncoderHalf(EncoderFilter):
    """Raises in one step of a response that says so."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self._step = step
        self._bad = False

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> FilterHeadersStatus:
        self._bad = headers.get(b"x-bad") is not None
        if self._bad and self._step == "encode_headers":
            raise MishapError
        return super().encode_headers(headers, end_stream)

    def encode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        if self._bad and self._step == "encode_data":
            raise MishapError
        return super().encode_data(data, end_stream)


def edge_with(step: str) -> Edge:
    def add(callbacks: Any) -> None:
        callbacks.add_decoder_filter(Decoder(step))
        callbacks.add_encoder_filter(EncoderHalf(step))

    edge = Edge([add])
    edge.dispatcher.expects_errors = True
    return edge


class Http2Client:
    """Two streams on one connection: 1 goes to /bad, 3 is another one's."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.encoder = Encoder()
        edge.receive(PREFACE + frame(FrameType.SETTINGS, 0, 0) + frame(FrameType.SETTINGS, 1, 0))
        self.send(1, b"/bad")
        self.send(3, b"/good")

    def send(self, stream_id: int, path: bytes) -> None:
        block = self.encoder.encode([*POST, (b":path", path)])
        self.edge.connection.receive(frame(FrameType.HEADERS, 4, stream_id, block))

    def finish_requests(self) -> None:
        for stream_id in (1, 3):
            self.edge.connection.receive(frame(FrameType.DATA, 0, stream_id, b"body"))
            block = self.encoder.encode([(b"x-trailer", b"1")])
            self.edge.connection.receive(frame(FrameType.HEADERS, 5, stream_id, block))


@pytest.mark.parametrize("step", STEPS)
def test_the_other_streams_of_an_http2_connection_finish(step: str) -> None:
    edge = edge_with(step)
    client = Http2Client(edge)
    client.finish_requests()
    edge.dispatcher.advance(0.2)
    good = edge.upstreams[-1]
    if step in ("encode_headers", "encode_data", "on_destroy"):
        bad = edge.upstreams[0]
        bad.begin((b"x-bad", b"1"))
        if not bad.destroyed:
            bad.decoder_callbacks.encode_data(b"no", True)
    good.answer(b"hi")
    frames = frames_of(edge.written)
    ended = [each.stream_id for each in frames if each.flags & 1 and each.name in ("DATA", "HEADERS")]
    assert 3 in ended
    assert not edge.connection.closed
    assert [str(type(error).__name__) for _, error in edge.dispatcher.reported] == ["MishapError"]
    lines = {line.split()[0]: line.split()[1:4] for line in edge.lines}
    assert lines[b"/good"] == [b"200", b"-", b"via_upstream"]
    if step == "on_destroy":
        assert lines[b"/bad"] == [b"200", b"-", b"via_upstream"]
    elif step == "encode_data":
        assert lines[b"/bad"] == [b"200", b"-", b"unexpected_exception"]
        assert [each.stream_id for each in frames if each.name == "RST_STREAM"] == [1]
    else:
        assert lines[b"/bad"] == [b"500", b"-", b"unexpected_exception"]
        assert 1 in ended
    assert edge.stats.downstream_rq_active.value == 0
    # The connection is as good as before.
    client.send(5, b"/good")
    assert edge.upstream is not good


def test_http1_answers_500() -> None:
    edge = edge_with("decode_headers")
    written = edge.receive(GET.replace(b"/x", b"/bad"))
    assert written.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert written.endswith(b"\r\n\r\nInternal Server Error")
    edge.receive(GET)
    edge.upstream.answer(b"hi")
    assert edge.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not edge.connection.closed


def test_a_log_that_raises_costs_nobody_anything() -> None:
    edge = Edge()
    edge.dispatcher.expects_errors = True
    edge.write = lambda data: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    edge.receive(GET)
    edge.upstream.answer(b"hi")
    assert edge.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not edge.connection.closed
    assert len(edge.dispatcher.reported) == 1
    assert edge.stats.downstream_rq_active.value == 0
