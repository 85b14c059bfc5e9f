"""The last requests: kept only while somebody looks, bounded, a share of many, the same share in every proxy."""

from __future__ import annotations

import pytest

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.recent_requests import (
    KEPT,
    KEPT_A_SECOND,
    OPEN_FOR,
    JoinedRequests,
    RecentRequests,
    phases,
)
from envoymesh.http.stream_info import StreamInfo
from tests.support.fakes import FakeConnection


def note(recent: RecentRequests, number: int, at: float = 10.25, status: int | None = 200, path: bytes = b"/x") -> None:
    info = StreamInfo(FakeConnection(), None, at - 0.25, 1000.0 + number, number)
    info.end_time = at
    info.response_code = status
    headers = RequestHeaders(b"GET", path, b"host", b"http", [(b"x-request-id", b"id-%d" % number)])
    recent.note(info, headers, "backend", 2)


def kept(recent: RecentRequests) -> list[str]:
    return [each.request_id for each in recent.told().requests]


def test_facts() -> None:
    recent = RecentRequests()
    recent.ask(10.0)
    note(recent, 1)
    (each,) = recent.told().requests
    assert (each.sequence, each.method, each.authority, each.path, each.request_id) == (1, "GET", "host", "/x", "id-1")
    assert (each.status, each.virtual_host, each.route, each.time, each.duration) == (200, "backend", "2", 1001.0, 250)


def test_it_closes_by_itself_some_time_after_the_last_look_and_forgets() -> None:
    recent = RecentRequests()
    assert not recent.open
    recent.ask(10.0)
    note(recent, 1, 11.0)
    assert recent.open
    note(recent, 2, 10.0 + OPEN_FOR)
    assert (recent.open, kept(recent)) == (False, [])


def test_of_many_a_share_is_kept_and_all_are_counted() -> None:
    recent = RecentRequests()
    recent.ask(10.0)
    for second in range(5):
        for number in range(1000):
            note(recent, second * 1000 + number, 10.0 + second + number / 1000)
        recent.ask(11.0 + second)
    told = recent.ask(15.0)
    assert (told.share, told.seen, told.failed) == (32, 5000, 0)
    last = [each for each in told.requests if each.time >= 1000 + 4000]
    assert 0 < len(last) < 2 * KEPT_A_SECOND


def test_a_proxy_with_fewer_requests_keeps_all_that_one_with_more_keeps() -> None:
    front, sidecar = RecentRequests(), RecentRequests()
    front.ask(10.0)
    sidecar.ask(10.0)
    for number in range(2000):
        note(front, number, 10.0 + number / 800)
        if number % 3 == 0:
            note(sidecar, number, 10.0 + number / 800)
    assert front.told().share > sidecar.told().share > 1
    # Of the last second, when each had its share for the whole of it.
    late = [each for each in kept(front) if int(each[3:]) > 1700 and int(each[3:]) % 3 == 0]
    assert late
    assert set(late) <= set(kept(sidecar))


def test_failed_ones_are_kept_whatever_is_drawn_up_to_a_bound() -> None:
    recent = RecentRequests()
    recent.ask(10.0)
    for number in range(1000):
        note(recent, number, 10.0 + number / 1000)
    before = recent.told().requests[-1].sequence
    for number in range(1000, 1005):
        note(recent, number, 11.0, status=503)
    note(recent, 1005, 11.0, status=None)
    assert [each.status for each in recent.told().requests if each.sequence > before] == [503] * 5 + [0]
    for number in range(2000, 3000):
        note(recent, number, 11.5, status=503)
    assert recent.told().failed == 1006
    assert recent.told().requests[-1].sequence - before < 200


def test_bounds() -> None:
    recent = RecentRequests()
    for number in range(KEPT + 50):
        recent.ask(10.0 + 2 * number)
        note(recent, number, 10.0 + 2 * number, path=b"/" + b"x" * 10_000)
    assert len(kept(recent)) == KEPT
    assert kept(recent)[0] == "id-50"
    assert all(len(each.path) == 256 for each in recent.told().requests)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"last_downstream_rx": 10.1, "first_upstream_tx": 10.3, "first_upstream_rx": 10.6}, (100, 200, 300, 400)),
        ({"last_downstream_rx": 10.7, "first_upstream_tx": 10.3, "first_upstream_rx": 10.6}, (300, 0, 300, 400)),
        ({"last_downstream_rx": 10.1, "first_upstream_tx": 10.3}, (100, 200, 700, -1)),
        ({"last_downstream_rx": 10.1}, (1000, -1, -1, -1)),
        ({"last_downstream_rx": 10.1, "attempt_count": 3}, (100, 900, -1, -1)),
    ],
)
def test_phases_are_the_whole_time(times: dict[str, float], expected: tuple[float, ...]) -> None:
    info = StreamInfo(FakeConnection(), None, 10.0, 0.0, 1)
    info.end_time = 11.0
    for name, value in times.items():
        setattr(info, name, value)
    found = phases(info)
    assert found == pytest.approx(expected, abs=0.01)
    assert sum(each for each in found if each >= 0) == pytest.approx(1000)


def test_a_request_that_was_refused_unread() -> None:
    recent = RecentRequests()
    recent.ask(1.0)
    info = StreamInfo(FakeConnection(), None, 1.0, 0.0, 1)
    info.end_time = 1.0
    recent.note(info, None, "", 0)
    assert (recent.told().requests[0].path, recent.told().requests[0].route) == ("", "")


def test_several_workers_have_one_sequence_and_one_count() -> None:
    first, second = RecentRequests(), RecentRequests()
    joined = JoinedRequests()
    first.ask(10.0)
    second.ask(10.0)
    note(first, 1)
    note(second, 2)
    told = joined.join([first.told(), second.told()])
    assert [(each.sequence, each.request_id) for each in told.requests] == [(1, "id-1"), (2, "id-2")]
    note(first, 4)
    note(second, 3)
    told = joined.join([first.told(), second.told()])
    assert [(each.sequence, each.request_id) for each in told.requests][2:] == [(3, "id-3"), (4, "id-4")]
    assert told.seen == 4


def test_a_worker_that_is_started_again_is_another_one() -> None:
    first, again = RecentRequests(), RecentRequests()
    joined = JoinedRequests()
    for recent, number in ((first, 1), (again, 2)):
        recent.ask(10.0)
        note(recent, number)
        told = joined.join([recent.told()])
    assert [each.request_id for each in told.requests] == ["id-1", "id-2"]
    assert told.seen == 2
