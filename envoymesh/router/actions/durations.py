"""Durations that the request's own grpc-timeout takes part in (RouteAction.MaxStreamDuration and its predecessors).

Pure functions; times are seconds. This module must not start timers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from envoymesh.http.headers import RequestHeaders, is_grpc

GRPC_TIMEOUT: Final = b"grpc-timeout"

_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MOST_DIGITS: Final = 8
_MOST_MILLISECONDS: Final = 99999999


def read_grpc_timeout(headers: RequestHeaders) -> float | None:
    """The header grpc-timeout in whole milliseconds, as seconds; None where there is none, or an invalid one.

    Microseconds and nanoseconds are rounded up (`Grpc::Common::getGrpcTimeout`).
    """
    text = headers.get(GRPC_TIMEOUT)
    if text is None:
        return None
    digits, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        return None
    # Rounded first, so that an inexact product (of 1000000 nanoseconds, say) is not rounded up to 2 milliseconds.
    milliseconds = round(int(digits) * unit * 1000, 6)
    whole = int(milliseconds)
    return (whole if whole == milliseconds else whole + 1) / 1000


def set_grpc_timeout(headers: RequestHeaders, seconds: float) -> None:
    """Set grpc-timeout, for the upstream (`Grpc::Common::toGrpcTimeout`)."""
    value, unit = round(seconds * 1000), b"m"
    if value > _MOST_MILLISECONDS:
        value, unit = value // 1000, b"S"
        if value > _MOST_MILLISECONDS:
            value, unit = value // 60, b"M"
            if value > _MOST_MILLISECONDS:
                value, unit = value // 60, b"H"
    headers.set(GRPC_TIMEOUT, b"%d%s" % (value, unit))


@dataclass(frozen=True, slots=True)
class StreamDuration:
    """`max_stream_duration`: how long a stream may take from its beginning; None is not configured.

    Args:
        longest: 0 is no limit; None leaves the connection manager's in force.
        grpc_longest: the most that a grpc-timeout counts; 0 is no limit. None: grpc-timeout does not count.
        grpc_offset: what is taken off a grpc-timeout.
    """

    longest: float | None = None
    grpc_longest: float | None = None
    grpc_offset: float = 0.0

    def limit(self, headers: RequestHeaders, otherwise: float) -> float | None:
        """Seconds from the stream's beginning, None for no limit. Tells a gRPC upstream in grpc-timeout.

        Args:
            otherwise: `max_stream_duration` of the connection manager; 0 is no limit.
        """
        of_grpc = is_grpc(headers)
        asked = read_grpc_timeout(headers) if of_grpc else None
        if asked is None or self.grpc_longest is None:
            longest = otherwise if self.longest is None else self.longest
            limit = longest or None
        else:
            limit = self._of_grpc(asked, self.grpc_longest)
        if of_grpc and limit is not None:
            set_grpc_timeout(headers, limit)
        return limit

    def _of_grpc(self, asked: float, longest: float) -> float:
        limit = min(asked, longest) if longest else asked
        return max(limit - self.grpc_offset, 0.0)


@dataclass(frozen=True, slots=True)
class GrpcTimeout:
    """The deprecated `max_grpc_timeout` and `grpc_timeout_offset`.

    Args:
        longest: the most that a grpc-timeout counts; 0 is no limit.
        offset: what is taken off it, where that leaves anything.
    """

    longest: float
    offset: float = 0.0

    def limit(self, headers: RequestHeaders) -> float:
        """The timeout of a gRPC request in the place of the route's; 0 is no limit."""
        limit = read_grpc_timeout(headers) or 0.0
        if self.offset < limit:
            limit -= self.offset
        if self.longest and (not limit or limit > self.longest):
            limit = self.longest
        return limit
