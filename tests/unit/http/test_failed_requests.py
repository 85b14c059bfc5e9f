"""What is remembered of requests that failed: bounded in number and length, the newest last, whoever had them."""

from __future__ import annotations

from envoymesh.http.failed_requests import KEPT, FailedRequests, latest
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import ResponseFlag, StreamInfo
from tests.support.fakes import FakeConnection


def noted(kept: FailedRequests, number: int, path: bytes = b"/x") -> None:
    info = StreamInfo(FakeConnection(), None, 10.0, 1000.0 + number, number)
    info.end_time = 10.25
    info.flags = ResponseFlag.NO_HEALTHY_UPSTREAM | ResponseFlag.UPSTREAM_RETRY_LIMIT_EXCEEDED
    info.response_code = 503
    kept.note(info, RequestHeaders(b"GET", path, b"host", b"http", [(b"x-request-id", b"id-%d" % number)]))


def test_facts() -> None:
    failed = FailedRequests()
    noted(failed, 1)
    (each,) = failed.kept
    assert (each.method, each.authority, each.path, each.request_id) == ("GET", "host", "/x", "id-1")
    assert (each.status, each.flags, each.duration, each.time) == (503, "URX,UH", 250, 1001.25)


def test_a_request_that_was_refused_unread() -> None:
    failed = FailedRequests()
    info = StreamInfo(FakeConnection(), None, 0.0, 0.0, 1)
    failed.note(info, None)
    assert (failed.kept[0].path, failed.kept[0].status, failed.kept[0].flags) == ("", 0, "-")


def test_bounds() -> None:
    failed = FailedRequests()
    for number in range(KEPT + 50):
        noted(failed, number, b"/" + b"x" * 10_000)
    assert len(failed.kept) == KEPT
    assert failed.kept[0].request_id == "id-50"
    assert all(len(each.path) == 256 for each in failed.kept)


def test_those_of_several_workers_are_in_order() -> None:
    first, second = FailedRequests(), FailedRequests()
    for number in range(0, 300, 2):
        noted(first, number)
    for number in range(1, 300, 2):
        noted(second, number)
    found = latest([tuple(first.kept), tuple(second.kept), ()])
    assert [each.request_id for each in found] == [f"id-{number}" for number in range(100, 300)]
