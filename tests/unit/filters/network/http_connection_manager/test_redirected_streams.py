"""A stream that begins again for a redirect, and one whose route limits its duration."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.http.headers import HeaderMap, ResponseHeaders
from envoymesh.http.stream_info import FilterState
from tests.unit.filters.network.http_connection_manager.test_connection_manager import GET, OK, Edge

POST = b"POST /x HTTP/1.1\r\nHost: a\r\ncontent-length: 3\r\n\r\nabc"
FOUND = ResponseHeaders(302, [(b"location", b"http://b/new")])


class Lasting(FilterState):
    """What a request keeps."""

    def lives_with_request(self) -> bool:
        return True


def redirect(edge: Edge, body: bytes = b"", path: bytes = b"/new") -> None:
    callbacks = edge.upstream.decoder_callbacks
    edge.upstream.seen.headers.path = path
    callbacks.recreate_stream(FOUND, body)


def test_the_request_goes_through_new_filters() -> None:
    edge = Edge()
    edge.receive(GET)
    first = edge.upstream
    info = first.decoder_callbacks.stream_info
    info.set_filter_state("lasting", Lasting())
    info.set_filter_state("passing", FilterState())
    redirect(edge)
    assert (first.destroyed, len(edge.upstreams)) == (1, 2)
    assert edge.upstream.seen.headers.path == b"/new"
    assert edge.upstream.seen.ends == 1
    assert list(edge.upstream.decoder_callbacks.stream_info.filter_state or ()) == ["lasting"]
    edge.upstream.answer(b"hi")
    assert edge.written == OK
    assert edge.lines == [b"/new 302 - internal_redirect 0 0 0\n", b"/new 200 - via_upstream 0 2 0\n"]
    stats = edge.stats
    assert (stats.downstream_rq_total.value, stats.downstream_rq_active.value) == (2, 0)
    assert (stats.downstream_rq_completed.value, stats.downstream_rq_rx_reset.value) == (1, 0)
    assert not edge.connection.closed


def test_a_body_and_trailers_go_with_it() -> None:
    edge = Edge()
    edge.receive(POST)
    stream = edge.upstream.decoder_callbacks.stream
    stream.request_trailers = HeaderMap([(b"t", b"1")])
    redirect(edge, b"abc")
    seen = edge.upstream.seen
    assert (seen.data, seen.ends) == (b"abc", 1)
    assert seen.trailers is not None
    edge.upstream.answer(b"hi")
    assert [line.split()[4] for line in edge.lines] == [b"3", b"6"], "as in Envoy the body counts again"


def test_the_connection_goes_on() -> None:
    edge = Edge()
    edge.receive(GET)
    redirect(edge)
    edge.upstream.answer(b"hi")
    assert edge.written == OK
    edge.receive(GET)
    assert edge.upstream.seen.headers.path == b"/x"
    edge.upstream.answer(b"hi")
    assert edge.written == OK


def test_a_path_that_is_refused() -> None:
    edge = Edge(normalize_path=True)
    edge.receive(GET)
    redirect(edge, path=b"/%00")
    assert edge.written.startswith(b"HTTP/1.1 400 ")
    assert len(edge.lines) == 2


def test_a_client_that_leaves() -> None:
    edge = Edge()
    edge.receive(GET)
    redirect(edge)
    edge.connection.remote_close()
    assert edge.upstream.destroyed == 1
    assert edge.lines[1] == b"/new 0 DC downstream_remote_disconnect 0 0 0\n"


def test_a_redirect_that_raises_costs_the_stream() -> None:
    def failing(callbacks: Any) -> None:
        if edge.upstreams:
            raise RuntimeError("no filter")

    edge = Edge([failing])
    edge.dispatcher.expects_errors = True
    edge.receive(GET)
    redirect(edge)
    assert edge.written.startswith(b"HTTP/1.1 500 ")
    assert [what for what, _ in edge.dispatcher.reported] != []


# Durations


@pytest.mark.parametrize("of_listener", [0.0, 5.0])
def test_a_route_limits_its_streams(of_listener: float) -> None:
    edge = Edge(max_stream_duration=of_listener)
    edge.receive(GET)
    edge.dispatcher.advance(0.1)
    callbacks = edge.upstream.decoder_callbacks
    assert callbacks.max_stream_duration == of_listener
    callbacks.set_max_stream_duration(0.3)
    edge.dispatcher.advance(0.19)
    assert edge.written == b""
    edge.dispatcher.advance(0.01)
    assert edge.written.startswith(b"HTTP/1.1 504 ")
    assert edge.stats.downstream_rq_max_duration_reached.value == 1
    assert not edge.dispatcher.timers - {edge.manager._idle_timer}


def test_a_route_without_a_limit() -> None:
    edge = Edge(max_stream_duration=0.2)
    edge.receive(GET)
    edge.upstream.decoder_callbacks.set_max_stream_duration(None)
    edge.dispatcher.advance(1)
    edge.upstream.answer(b"hi")
    assert edge.written.endswith(b"\r\n\r\nhi")


def test_no_limit_where_there_was_none() -> None:
    edge = Edge()
    edge.receive(GET)
    edge.upstream.decoder_callbacks.set_max_stream_duration(None)
    edge.upstream.answer(b"hi")
    assert edge.written == OK


def test_a_limit_that_is_over() -> None:
    edge = Edge()
    edge.receive(GET)
    edge.dispatcher.advance(1)
    edge.upstream.decoder_callbacks.set_max_stream_duration(0.5)
    edge.dispatcher.advance(0)
    assert edge.written.startswith(b"HTTP/1.1 504 ")


def test_a_grpc_client_hears_that_its_deadline_is_over() -> None:
    edge = Edge()
    edge.receive(b"POST /x HTTP/1.1\r\nHost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n")
    edge.upstream.decoder_callbacks.set_max_stream_duration(0.5)
    edge.dispatcher.advance(0.5)
    assert b"grpc-status: 4\r\n" in edge.written
