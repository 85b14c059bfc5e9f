"""The last requests of all kinds, kept only while somebody looks: for others a request costs one question more.

Of many requests a share is kept, drawn by x-request-id: proxies that a request passes one after the other keep the same
ones, so that they can be put together. It must not say why anything happened.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo

KEPT: Final = 500
"""Requests that are remembered; older ones are forgotten."""

OPEN_FOR: Final = 10.0
"""Seconds for which requests are kept after somebody asked."""

KEPT_A_SECOND: Final = 50
"""Above so many in a second one of two is kept, above twice as many one of four, and so on."""

_MOST_FAILED: Final = 20
"""Failed requests of a second that are kept whatever is drawn."""

_LARGEST_SHARE: Final = 1 << 12

_LONGEST: Final = 256
"""Characters of each text of theirs."""


class RecentRequest(NamedTuple):
    """One of them. `time` is UNIX seconds at its beginning; times below are milliseconds, -1 where it has not happened.

    Attributes:
        sequence: from 1, without gaps.
        route: its name, or else its number among the virtual host's, from 1.
        status: 0 is no answer.
        request: until it was read, or there was an upstream to write it to.
        connect: until there was a connection to write it to, failed tries included.
        upstream: until the upstream's answer began. `response`: until the answer's end.
    """

    sequence: int
    time: float
    duration: float
    method: str
    authority: str
    path: str
    protocol: str
    request_id: str
    listener: str
    status: int
    flags: str
    details: str
    virtual_host: str
    route: str
    cluster: str
    upstream: str
    attempts: int
    bytes_received: int
    bytes_sent: int
    request: float
    connect: float
    upstream_wait: float
    response: float


class Recent(NamedTuple):
    """What is known now, of one process or of several.

    Attributes:
        source: differs for each run of a process; sequences and counts begin anew with it.
        share: one request of so many is kept at the moment.
        seen: requests that have ended while somebody looked. `failed`: those of them with a status of 5xx or no answer.
        requests: the oldest first.
    """

    source: str
    share: int
    seen: int
    failed: int
    requests: Sequence[RecentRequest]


NOTHING: Final = Recent("", 1, 0, 0, ())


class RecentRequests:
    """What one process keeps.

    Attributes:
        open: whether somebody looks: `note` is called only then.
    """

    __slots__ = (
        "_failed",
        "_failed_kept",
        "_kept",
        "_mask",
        "_second",
        "_seen",
        "_seen_before",
        "_sequence",
        "_source",
        "_until",
        "open",
    )

    def __init__(self) -> None:
        self.open = False
        self._source = os.urandom(6).hex()
        self._kept: deque[RecentRequest] = deque(maxlen=KEPT)
        self._until = 0.0
        self._second = 0.0
        self._seen = 0
        self._seen_before = 0
        self._failed = 0
        self._failed_kept = 0
        self._sequence = 0
        self._mask = 0

    def ask(self, now: float) -> Recent:
        """What is kept; from `now` on (monotonic seconds) more is, for a while."""
        if now >= self._until:
            self._kept.clear()  # of another who looked, long ago
        self.open = True
        self._until = now + OPEN_FOR
        return self.told()

    def told(self) -> Recent:
        """What is kept."""
        return Recent(self._source, self._mask + 1, self._seen, self._failed, tuple(self._kept))

    def note(self, info: StreamInfo, headers: RequestHeaders | None, virtual_host: str, number: int) -> None:
        """A request is over; `number` is that of its route."""
        now = info.end_time
        if now >= self._until:
            self.open = False
            self._kept.clear()
            return
        if now >= self._second:
            self._draw_anew(now)
        self._seen += 1
        request_id = b"" if headers is None else headers.get(b"x-request-id") or b""
        code = info.response_code or 0
        drawn = not (crc32(request_id) if request_id else self._seen) & self._mask
        if code >= 500 or not code:
            self._failed += 1
            self._failed_kept += 1
            drawn = drawn or self._failed_kept <= _MOST_FAILED
        if drawn:
            self._keep(info, headers, request_id, virtual_host, number)

    def _draw_anew(self, now: float) -> None:
        """A second is over: the next one's share is that which would have been right for this one."""
        seen, share = self._seen - self._seen_before, 1
        while seen > KEPT_A_SECOND * share and share < _LARGEST_SHARE:
            share *= 2
        self._mask = share - 1
        self._second = now + 1.0
        self._seen_before = self._seen
        self._failed_kept = 0

    def _keep(
        self, info: StreamInfo, headers: RequestHeaders | None, request_id: bytes, virtual_host: str, number: int
    ) -> None:
        self._sequence += 1
        upstream, protocol = info.upstream_host, info.protocol
        request, connect, wait, response = phases(info)
        self._kept.append(
            RecentRequest(
                self._sequence,
                info.start_wall_time,
                round((info.end_time - info.start_time) * 1000, 3),
                "" if headers is None else _text(headers.method),
                "" if headers is None else _text(headers.authority or b""),
                "" if headers is None else _text(headers.path),
                "" if protocol is None else protocol.value,
                _text(request_id),
                info.downstream.listener_name[:_LONGEST],
                info.response_code or 0,
                info.flag_names(),
                info.response_code_details[:_LONGEST],
                virtual_host[:_LONGEST],
                info.route_name[:_LONGEST] or (str(number) if number else ""),
                info.upstream_cluster[:_LONGEST],
                "" if upstream is None else str(upstream),
                info.attempt_count,
                info.bytes_received,
                info.bytes_sent,
                request,
                connect,
                wait,
                response,
            )
        )


def phases(info: StreamInfo) -> tuple[float, float, float, float]:
    """What the time went into, in milliseconds one after the other: together they are the whole."""
    begin, end = info.start_time, info.end_time
    sent, answered = info.first_upstream_tx, info.first_upstream_rx
    read = info.last_downstream_rx
    if not sent:
        read = min(read or end, end) if info.attempt_count else end
        return _ms(begin, read), _ms(read, end) if info.attempt_count else -1.0, -1.0, -1.0
    read = min(read or sent, sent)
    if not answered or answered < sent:
        return _ms(begin, read), _ms(read, sent), _ms(sent, end), -1.0
    return _ms(begin, read), _ms(read, sent), _ms(sent, answered), _ms(answered, end)


def _ms(begin: float, end: float) -> float:
    return round(max(0.0, end - begin) * 1000, 3)


def _text(value: bytes) -> str:
    return value[:_LONGEST].decode("latin-1")


class JoinedRequests:
    """What several processes keep, with one sequence for all."""

    __slots__ = ("_failed", "_kept", "_known", "_seen", "_sequence", "_source")

    def __init__(self) -> None:
        self._source = os.urandom(6).hex()
        self._kept: deque[RecentRequest] = deque(maxlen=KEPT)
        self._known: dict[str, tuple[int, int, int]] = {}
        self._sequence = 0
        self._seen = 0
        self._failed = 0

    def join(self, parts: Iterable[Recent]) -> Recent:
        """Take in what is new in each process, and give the whole."""
        fresh: list[RecentRequest] = []
        known: dict[str, tuple[int, int, int]] = {}
        share = 1
        for part in parts:
            last, seen, failed = self._known.get(part.source, (0, 0, 0))
            fresh += [each for each in part.requests if each.sequence > last]
            last = part.requests[-1].sequence if part.requests else last
            known[part.source] = (last, part.seen, part.failed)
            self._seen += part.seen - seen
            self._failed += part.failed - failed
            share = max(share, part.share)
        self._known = known
        for each in sorted(fresh, key=lambda each: each.time + each.duration / 1000):
            self._sequence += 1
            self._kept.append(each._replace(sequence=self._sequence))
        return Recent(self._source, share, self._seen, self._failed, tuple(self._kept))
