"""Tests of tests.support.fakes: a fake that lies makes every test that uses it worthless."""

from __future__ import annotations

import pytest

from envoymesh.network.api import Address, CloseType, ConnectionEvent, DnsResponse, DnsStatus
from tests.support.fakes import FakeConnection, FakeConnector, FakeDispatcher, FakeResolver, RecordingHandler

CONNECTED, LOCAL, REMOTE = ConnectionEvent.CONNECTED, ConnectionEvent.LOCAL_CLOSE, ConnectionEvent.REMOTE_CLOSE


def test_timers_fire_in_order_each_at_its_time() -> None:
    dispatcher = FakeDispatcher(now=10.0)
    fired: list[tuple[str, float]] = []
    late = dispatcher.create_timer(lambda: fired.append(("late", dispatcher.now())))
    early = dispatcher.create_timer(lambda: (fired.append(("early", dispatcher.now())), late.enable(1.0)))
    gone = dispatcher.create_timer(lambda: fired.append(("gone", 0.0)))
    early.enable(2.0)
    gone.enable(1.0)
    gone.disable()
    dispatcher.advance(1.5)
    assert fired == []
    dispatcher.advance(10)
    assert fired == [("early", 12.0), ("late", 13.0)]
    assert (dispatcher.now(), late.enabled) == (21.5, False)


def test_posted_calls_wait_for_the_next_turn() -> None:
    dispatcher = FakeDispatcher()
    ran: list[int] = []
    dispatcher.post(lambda: (ran.append(1), dispatcher.post(lambda: ran.append(2))))
    assert ran == []
    dispatcher.run_posted()
    assert ran == [1, 2]


def test_a_connection_holds_back_while_reading_is_disabled_and_closes_once() -> None:
    handler = RecordingHandler()
    connection = FakeConnection(handler)
    connection.read_disable(True)
    connection.receive(b"data")
    connection.receive_eof()
    assert (handler.data, handler.eof) == (b"", 0)
    connection.read_disable(False)
    assert (handler.data, handler.eof) == (b"data", 1)
    connection.write(b"answer")
    connection.close(CloseType.FLUSH_WRITE)
    connection.remote_close()
    connection.write(b"never")
    assert connection.take_written() == b"answer"
    assert handler.events == [LOCAL]


def test_a_connector_times_out_on_its_dispatchers_clock() -> None:
    dispatcher = FakeDispatcher()
    connector = FakeConnector(dispatcher)
    handler = RecordingHandler()
    connector.connect(Address("10.0.0.1", 80), handler, connect_timeout=5, buffer_limit=0)
    dispatcher.advance(4.9)
    assert handler.events == []
    dispatcher.advance(0.1)
    assert handler.events == [LOCAL]
    second = RecordingHandler()
    FakeConnector(dispatcher, auto_connect=True).connect(
        Address("10.0.0.1", 80), second, connect_timeout=5, buffer_limit=0
    )
    dispatcher.advance(50)
    assert second.events == [CONNECTED]


@pytest.mark.parametrize("hosts", [["10.0.0.1"], [], None])
def test_a_resolver_answers_in_a_later_turn(hosts: list[str] | None) -> None:
    dispatcher = FakeDispatcher()
    resolver = FakeResolver(dispatcher, {"a.test": hosts})
    answers: list[tuple[DnsStatus, list[DnsResponse]]] = []
    resolver.resolve("a.test", "AUTO", lambda *answer: answers.append(answer))
    assert answers == []
    dispatcher.run_posted()
    status = DnsStatus.FAILURE if hosts is None else DnsStatus.COMPLETED
    assert answers == [(status, [DnsResponse(host, 60.0) for host in hosts or []])]
    resolver.resolve("a.test", "AUTO", lambda *answer: answers.append(answer)).cancel()
    dispatcher.run_posted()
    assert len(answers) == 1
