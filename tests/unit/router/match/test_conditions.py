"""What a route may ask of a request beside its headers."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo, TextState
from envoymesh.matching.filter_state import FilterStateMatcher
from envoymesh.matching.strings import StringMatcher
from envoymesh.matching.values import MetadataMatcher, PresenceMatcher
from envoymesh.router.match.conditions import (
    DynamicMetadata,
    FilterStateCondition,
    IsConnect,
    RuntimeFraction,
    TlsContext,
)
from envoymesh.runtime import RuntimeShare
from tests.support.fakes import FakeConnection

GET = RequestHeaders(b"GET", b"/", b"a")


def info(stream_id: int = 1, tls: Any = None) -> StreamInfo:
    connection = FakeConnection()
    connection.tls = tls
    return StreamInfo(connection, None, 0.0, 0.0, stream_id)


def share(value: float) -> RuntimeShare:
    return RuntimeShare("k", value)


@pytest.mark.parametrize("wanted", [0.0, 0.01, 0.25, 0.5, 0.9, 1.0])
def test_a_share_of_requests_is_taken(wanted: float) -> None:
    fraction = RuntimeFraction(share(wanted), 0.3)
    taken = sum(fraction.holds(GET, info(stream_id)) for stream_id in range(1000))
    assert abs(taken - wanted * 1000) <= 5


def test_a_request_that_is_of_a_small_share_is_of_every_larger_one() -> None:
    shares = [RuntimeFraction(share(value), 0.7) for value in (0.1, 0.3, 0.6)]
    for stream_id in range(200):
        held = [fraction.holds(GET, info(stream_id)) for fraction in shares]
        assert held == sorted(held)


def test_a_share_changes_with_the_runtime() -> None:
    key = share(0.0)
    fraction = RuntimeFraction(key, 0.0)
    assert not fraction.holds(GET, None)
    key.set(1.0)
    assert fraction.holds(GET, None)


@pytest.mark.parametrize(("presented", "validated"), list(itertools.product((None, True, False), repeat=2)))
def test_tls(presented: bool | None, validated: bool | None) -> None:
    condition = TlsContext(presented, validated)
    for shown, valid in itertools.product((False, True), repeat=2):
        tls = SimpleNamespace(peer_certificate_presented=shown, peer_certificate_validated=valid, sni="")
        assert condition.holds(GET, info(tls=tls)) is (presented in (None, shown) and validated in (None, valid))
    without = presented in (None, False) and validated in (None, False)
    assert (condition.holds(GET, info()), condition.holds(GET, None)) == (without, without)


def test_what_filters_have_left() -> None:
    left = info()
    left.set_dynamic_metadata("f", {"k": 1})
    left.set_filter_state("s", TextState("a"))
    metadata = DynamicMetadata(MetadataMatcher("f", ["k"], PresenceMatcher(True)))
    state = FilterStateCondition(FilterStateMatcher("s", StringMatcher("exact", b"a")))
    for condition in (metadata, state):
        answers = [condition.holds(GET, each) for each in (left, info(), None)]
        assert answers == [True, False, False]


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        (RequestHeaders(b"CONNECT", b"", b"a"), True),
        (RequestHeaders(b"CONNECT", b"/", b"a", protocol=b"bytestream"), True),
        (RequestHeaders(b"GET", b"/", b"a", fields=[(b"upgrade", b"Connect-UDP")]), True),
        (GET, False),
    ],
)
def test_connect(headers: RequestHeaders, wanted: bool) -> None:
    assert IsConnect().holds(headers, None) is wanted
