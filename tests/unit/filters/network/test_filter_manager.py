"""How bytes pass the filters of a chain: who sees what, when, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.filters.network.filter import Buffer, FilterStatus, NetworkFilter
from envoymesh.filters.network.filter_chain import ForwardingTerminal
from envoymesh.http.stream_info import TextState
from envoymesh.network.api import CloseType, ConnectionEvent
from tests.support.network_filters import CONTINUE, STOP, Chain, Recorder, RecordingEnd, added

REMOTE, LOCAL = ConnectionEvent.REMOTE_CLOSE, ConnectionEvent.LOCAL_CLOSE


def two(told: list[Any], **answers: Any) -> tuple[Recorder, Recorder, Chain]:
    """A chain of a and b; the answers are those of a."""
    a, b = Recorder("a", told, **answers), Recorder("b", told)
    return a, b, Chain(added(a), added(b), told=told)


def test_a_chain_of_one_hands_the_connection_over() -> None:
    chain = Chain()
    assert isinstance(chain.connection.handler, ForwardingTerminal)
    assert chain.connection.handler.filter is chain.end
    assert chain.connection.write_filter is None
    assert chain.told == [("end", "new")]


def test_bytes_pass_in_order_and_answers_in_reverse() -> None:
    _, _, chain = two(told := [])
    chain.connection.receive(b"in")
    chain.end.connection.write(b"out")
    assert told == [
        ("a", "new"), ("b", "new"), ("end", "new"), ("a", "data", b"in", False), ("b", "data", b"in", False),
        ("end", "data", b"in"), ("b", "write", b"out", False), ("a", "write", b"out", False),
    ]  # fmt: skip
    assert chain.connection.take_written() == b"out"
    assert chain.connection.bytes_sent == 3


def test_a_filter_that_reads_only_is_not_in_the_way_of_writes() -> None:
    chain = Chain(added(Recorder("a", []), "add_read_filter"))
    assert chain.connection.write_filter is None


def test_a_filter_that_writes_only_does_not_see_what_comes() -> None:
    told: list[Any] = []
    chain = Chain(added(Recorder("a", told), "add_write_filter"), told=told)
    chain.connection.receive(b"in")
    chain.connection.write(b"out")
    chain.connection.remote_close()
    assert told == [("end", "new"), ("end", "data", b"in"), ("a", "write", b"out", False), ("a", "event", REMOTE),
                    ("end", "event", REMOTE)]  # fmt: skip


def test_what_is_kept_comes_again_with_what_comes_next() -> None:
    _, _, chain = two(told := [], data=[STOP, CONTINUE])
    chain.connection.receive(b"one ")
    chain.connection.receive(b"two")
    assert told[3:] == [
        ("a", "data", b"one ", False), ("a", "data", b"one two", False), ("b", "data", b"one two", False),
        ("end", "data", b"one two"),
    ]  # fmt: skip


def test_filters_behind_one_that_stops_begin_when_it_goes_on() -> None:
    a, _, chain = two(told := [], new=[STOP])
    assert told == [("a", "new")]
    a.read_callbacks.continue_reading()
    assert told == [("a", "new"), ("b", "new"), ("end", "new")]
    chain.connection.receive(b"in")
    assert told[3:] == [("a", "data", b"in", False), ("b", "data", b"in", False), ("end", "data", b"in")]


def test_filters_behind_one_that_stops_begin_when_bytes_come() -> None:
    _, _, chain = two(told := [], new=[STOP])
    chain.connection.receive(b"in")
    assert told == [
        ("a", "new"),
        ("a", "data", b"in", False),
        ("b", "new"),
        ("b", "data", b"in", False),
        ("end", "new"),
    ]
    chain.turns()  # the terminal filter might have wanted to wait before it reads
    assert told[5:] == [("end", "data", b"in")]


def test_what_goes_on_later_comes_in_a_turn_of_its_own() -> None:
    a, _, chain = two(told := [], data=[STOP])
    chain.connection.receive(b"in")
    a.read_callbacks.continue_reading()
    assert told[-1] == ("b", "data", b"in", False)
    chain.turns()
    assert told[-1] == ("end", "data", b"in")


def test_what_goes_on_later_waits_while_reading_is_disabled() -> None:
    a, _, chain = two([], data=[STOP])
    chain.connection.receive(b"in")
    chain.connection.read_disable(True)
    a.read_callbacks.continue_reading()
    chain.connection.take_turn()
    assert chain.end.data == b""
    chain.connection.read_disable(False)
    assert chain.end.data == b"in"


@pytest.mark.parametrize("bite", [1, 2, 3])
def test_what_the_terminal_filter_leaves_comes_again_and_passes_no_filter_twice(bite: int) -> None:
    a = Recorder("a", [])
    chain = Chain(added(a), bite=bite)
    chain.connection.receive(b"abcdefg")
    chain.connection.receive(b"hi")
    chain.connection.receive_eof()
    assert chain.end.data == b"abcdefg"[:bite]
    chain.turns()
    assert chain.end.data == b"abcdefghi"
    assert [each[2] for each in a.told if each[1] == "data"] == [b"abcdefg", b"hi", b""]
    assert chain.told[-1] == ("end", "eof")


def test_the_peers_end_passes_behind_the_bytes() -> None:
    a, _, chain = two(told := [], data=[STOP, STOP])
    chain.connection.receive(b"in")
    chain.connection.receive_eof()
    assert told[-1] == ("a", "data", b"in", True)
    a.read_callbacks.continue_reading()
    chain.turns()
    assert told[-3:] == [("b", "data", b"in", True), ("end", "data", b"in"), ("end", "eof")]


def test_our_end_passes_behind_the_bytes() -> None:
    _, _, chain = two(told := [], write=[STOP])
    chain.connection.write(b"out")
    chain.connection.write_end_stream()
    assert told[-2:] == [("b", "write", b"", True), ("a", "write", b"out", True)]
    assert (chain.connection.take_written(), chain.connection.write_ended) == (b"out", True)


def test_bytes_are_replaced_and_taken_out() -> None:
    class Change(NetworkFilter):
        def on_data(self, buffer: Buffer, end_stream: bool) -> FilterStatus:
            assert buffer.drain(1) == b"!"
            buffer.data = buffer.data.upper()
            return CONTINUE

        def on_write(self, buffer: Buffer, end_stream: bool) -> FilterStatus:
            assert len(buffer) == 3
            buffer.data += b"!"
            return CONTINUE

    chain = Chain(added(Change()))
    chain.connection.receive(b"!abc")
    chain.connection.write(b"out")
    assert (chain.end.data, chain.connection.take_written()) == (b"ABC", b"out!")


def test_bytes_are_put_in() -> None:
    a, b, chain = two(told := [], data=[STOP], write=[STOP])
    chain.connection.receive(b"kept")
    a.read_callbacks.inject_read_data_to_filter_chain(b"put in", False)
    chain.turns()
    assert told[-2:] == [("b", "data", b"put in", False), ("end", "data", b"put in")]
    chain.connection.write(b"kept")
    b.write_callbacks.inject_write_data_to_filter_chain(b"put in", False)
    assert told[-1] == ("a", "write", b"keptput in", False)
    assert chain.connection.take_written() == b"keptput in"


def test_a_filter_that_keeps_too_much_gets_no_more() -> None:
    a = Recorder("a", [], data=[STOP, STOP, CONTINUE])
    chain = Chain(added(a), limit=4)
    chain.connection.receive(b"abc")
    assert not chain.connection.read_disable_count
    chain.connection.receive(b"de")
    assert chain.connection.read_disable_count == 1
    chain.connection.receive(b"f")
    assert a.told[-1] == ("a", "data", b"abcde", False)
    a.read_callbacks.continue_reading()
    assert not chain.connection.read_disable_count
    chain.turns()
    assert chain.end.data == b"abcdef"


@pytest.mark.parametrize("step", ["data", "write", "event"])
def test_what_a_filter_raises_costs_its_connection(step: str) -> None:
    a, _, chain = two(told := [])
    chain.dispatcher.expects_errors = True
    a.raises = step
    if step == "data":
        with pytest.raises(RuntimeError):  # a connection catches it: TcpConnection's tests
            chain.connection.receive(b"in")
        return
    if step == "write":
        chain.end.connection.write(b"out")
        assert chain.connection.close_types == [CloseType.NO_FLUSH]
    else:
        chain.connection.remote_close()
    (report,) = chain.dispatcher.reported
    assert report[0].startswith("<NetworkFilterManager C")
    assert ("b", "event", chain.connection.events[0]) in told
    assert told[-1] == ("end", "event", chain.connection.events[0])


def test_what_a_timer_raises_costs_its_connection() -> None:
    a, b, chain = two([])
    chain.dispatcher.expects_errors = True

    def fail() -> None:
        raise RuntimeError("meant to be")

    for callbacks in (a.read_callbacks, b.write_callbacks):
        callbacks.create_timer(fail).enable(1.0)
    chain.dispatcher.advance(1.0)
    assert chain.connection.closed
    assert chain.connection.close_details == "unexpected_exception"


def test_filters_share_the_connections_facts() -> None:
    a, b, chain = two([])
    a.read_callbacks.stream_info.set_filter_state("key", TextState("text"))
    assert b.write_callbacks.stream_info is a.read_callbacks.stream_info is chain.connection.stream_info
    assert a.read_callbacks.connection is b.write_callbacks.connection is chain.connection
    assert a.read_callbacks.dispatcher is b.write_callbacks.dispatcher is chain.dispatcher
    assert a.read_callbacks.upstream_host is None


def test_watermarks_are_the_terminal_filters() -> None:
    class Watching(RecordingEnd):
        def on_above_write_buffer_high_watermark(self) -> None:
            self.told.append("above")

        def on_below_write_buffer_low_watermark(self) -> None:
            self.told.append("below")

    _, _, chain = two(told := [])
    chain.end.__class__ = Watching
    chain.connection.above_high_watermark()
    chain.connection.below_low_watermark()
    assert told[-2:] == ["above", "below"]


def test_a_filter_that_closes_is_the_last_one() -> None:
    a, _, chain = two(told := [])
    a.then = lambda step: chain.connection.close(CloseType.NO_FLUSH) if step == "data" else None
    chain.connection.receive(b"in")
    assert told[3:] == [
        ("a", "data", b"in", False),
        ("a", "event", LOCAL),
        ("b", "event", LOCAL),
        ("end", "event", LOCAL),
    ]
