"""The requests that failed lately: a bounded record, which costs nothing while nothing fails.

A connection manager notes a request at its end where it has a response flag or a status of 5xx. It must not say why.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo

KEPT: Final = 200
"""Requests that are remembered; older ones are forgotten."""

_LONGEST: Final = 256
"""Characters of each text of theirs: together less than half a megabyte."""


class FailedRequest(NamedTuple):
    """One of them. `time` is UNIX seconds at its end; `duration` milliseconds; `status` 0 is no answer."""

    time: float
    method: str
    authority: str
    path: str
    request_id: str
    listener: str
    status: int
    flags: str
    details: str
    route: str
    cluster: str
    upstream: str
    attempts: int
    reason: str
    duration: int


class FailedRequests:
    """The last KEPT of them.

    Attributes:
        kept: the oldest first.
    """

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: deque[FailedRequest] = deque(maxlen=KEPT)

    def note(self, info: StreamInfo, headers: RequestHeaders | None) -> None:
        """A request is over, and it failed."""
        milliseconds = int((info.end_time - info.start_time) * 1000)
        upstream = info.upstream_host
        self.kept.append(
            FailedRequest(
                info.start_wall_time + milliseconds / 1000,
                "" if headers is None else _text(headers.method),
                "" if headers is None else _text(headers.authority or b""),
                "" if headers is None else _text(headers.path),
                "" if headers is None else _text(headers.get(b"x-request-id") or b""),
                info.downstream.listener_name[:_LONGEST],
                info.response_code or 0,
                info.flag_names(),
                info.response_code_details[:_LONGEST],
                info.route_name[:_LONGEST],
                info.upstream_cluster[:_LONGEST],
                "" if upstream is None else str(upstream),
                info.attempt_count,
                info.upstream_failure_reason[:_LONGEST],
                milliseconds,
            )
        )


def latest(several: Iterable[Sequence[FailedRequest]]) -> tuple[FailedRequest, ...]:
    """The last KEPT of all, the oldest first."""
    found = [each for some in several for each in some]
    return tuple(sorted(found, key=lambda each: each.time)[-KEPT:])


def _text(value: bytes) -> str:
    return value[:_LONGEST].decode("latin-1")
