"""A connection that ends with many streams under way ends them a share at a time, and loses none of their logs."""

from __future__ import annotations

from envoymesh.http.codec import CUT_SHARE, StreamResetReason
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.http2.frames import PREFACE, FrameType, frame
from envoymesh.http.http2.hpack import Encoder
from tests.support.http2 import ClientSide
from tests.unit.filters.network.http_connection_manager.test_connection_manager import Edge

STREAMS = 3 * CUT_SHARE + 1
FIELDS = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/x")]


def edge_with_streams() -> Edge:
    edge = Edge()
    encoder = Encoder()
    edge.receive(PREFACE + frame(FrameType.SETTINGS, 0, 0) + frame(FrameType.SETTINGS, 1, 0))
    for n in range(STREAMS):
        edge.receive(frame(FrameType.HEADERS, 5, 2 * n + 1, encoder.encode(FIELDS)))
    assert len(edge.upstreams) == STREAMS
    return edge


def turns_to_the_end(edge: Edge) -> list[int]:
    """How many logs each turn of the loop has written."""
    seen, steps = 0, []
    while True:
        steps.append(len(edge.lines) - seen)
        seen = len(edge.lines)
        if not edge.dispatcher.posted:
            return steps
        edge.dispatcher.posted.popleft()()


def test_the_client_leaves() -> None:
    edge = edge_with_streams()
    edge.connection.remote_close()
    assert edge.manager in edge.context.managers
    assert turns_to_the_end(edge) == [CUT_SHARE] * 3 + [1]
    assert edge.lines == [b"/x 0 DC downstream_remote_disconnect 0 0 0\n"] * STREAMS
    assert all(upstream.destroyed == 1 for upstream in edge.upstreams)
    assert edge.stats.downstream_rq_active.value == 0
    assert not edge.context.managers


def test_an_answer_that_comes_meanwhile_goes_nowhere() -> None:
    edge = edge_with_streams()
    edge.connection.remote_close()
    left = next(upstream for upstream in edge.upstreams if not upstream.destroyed)
    left.answer(b"late")
    turns_to_the_end(edge)
    assert len(edge.lines) == STREAMS
    assert edge.connection.take_written() == b"" or edge.connection.closed
    assert not edge.context.managers


def test_the_client_breaks_the_protocol() -> None:
    edge = edge_with_streams()
    edge.connection.receive(frame(FrameType.DATA, 0, 0, b"x"))
    turns_to_the_end(edge)
    assert {line.split()[2] for line in edge.lines} == {b"DPE"}
    assert len(edge.lines) == STREAMS
    assert not edge.context.managers


def test_an_upstreams_streams() -> None:
    client = ClientSide()
    client.codec.dispatch(frame(FrameType.SETTINGS, 0, 0))
    requests = [client.request(RequestHeaders(b"GET", b"/", b"a", b"http", [])) for _ in range(STREAMS)]
    turns = 1
    while not client.codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, "gone"):
        assert sum(request.reset is not None for request in requests) == turns * CUT_SHARE
        turns += 1
    assert turns == 4
    assert all(request.reset is not None for request in requests)
