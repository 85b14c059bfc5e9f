"""TCP checks."""

from __future__ import annotations

from envoymesh.upstream.health.http import MOST_KEPT
from envoymesh.upstream.health.settings import TcpHealthCheckSettings
from envoymesh.upstream.host import ACTIVE_HC_TIMEOUT, FAILED_ACTIVE_HC
from tests.support.health import Checks

TALK = TcpHealthCheckSettings(b"hi", (b"he", b"lo"))


def test_a_connection_is_enough_and_closed_at_once() -> None:
    checks = Checks(TcpHealthCheckSettings(send=b"of no use"))
    [host] = checks.begin()
    wire = checks.connected()
    assert wire.closed
    assert wire.take_written() == b""
    assert host.health_flags == 0
    checks.dispatcher.advance(5.0)
    assert len(checks.connector.connections) == 2


def test_refused() -> None:
    checks = Checks(TcpHealthCheckSettings())
    checks.begin()
    checks.wire.remote_close("refused")
    assert checks.counts() == {"attempt": 1, "failure": 1, "network_failure": 1}


def test_an_answer_in_pieces() -> None:
    checks = Checks(TALK)
    [host] = checks.begin()
    wire = checks.connected()
    assert wire.take_written() == b"hi"
    wire.receive(b"xhexl")
    assert host.health_flags == FAILED_ACTIVE_HC
    wire.receive(b"o")
    assert host.health_flags == 0
    checks.dispatcher.advance(5.0)
    assert wire.take_written() == b"hi"
    wire.receive(b"lo")
    assert checks.counts()["success"] == 1, "what came for the check before counts no more"
    wire.receive(b"helo")
    assert checks.counts() == {"attempt": 2, "success": 2, "healthy": 1}


def test_a_wrong_answer_is_one_that_does_not_come() -> None:
    checks = Checks(TALK, unhealthy_threshold=1)
    [host] = checks.begin()
    checks.connected().receive(b"no")
    checks.dispatcher.advance(1.0)
    assert host.health_flags == FAILED_ACTIVE_HC | ACTIVE_HC_TIMEOUT
    assert checks.wire.closed
    assert checks.counts() == {"attempt": 1, "failure": 1, "network_failure": 1}


def test_the_host_closes() -> None:
    checks = Checks(TALK)
    checks.begin()
    checks.connected().receive_eof()
    assert checks.wire.closed
    assert checks.counts() == {"attempt": 1, "failure": 1, "network_failure": 1}


def test_the_host_closes_between_checks() -> None:
    checks = Checks(TALK)
    checks.begin()
    checks.answer(b"helo")
    checks.wire.receive_eof()
    assert checks.counts() == {"attempt": 1, "success": 1, "failure": 1, "network_failure": 1, "healthy": 1}
    checks.check(b"helo")
    assert checks.counts()["success"] == 2


def test_connections_are_not_to_be_used_again() -> None:
    checks = Checks(TALK, reuse_connection=False)
    checks.begin()
    checks.answer(b"helo")
    assert checks.wire.closed
    assert checks.counts() == {"attempt": 1, "success": 1, "healthy": 1}


def test_an_endless_answer_is_not_kept() -> None:
    checks = Checks(TALK)
    checks.begin()
    for _ in range(3):
        checks.connected().receive(b"x" * MOST_KEPT)
    [session] = checks.checker._sessions.values()
    assert len(session._received) <= MOST_KEPT  # type: ignore[attr-defined]
