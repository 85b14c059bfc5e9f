"""What gRPC says in HTTP's headers: statuses, messages, timeouts (grpc/doc/PROTOCOL-HTTP2.md).

Frames of messages are `upstream/grpc.py`'s. It must not act.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes


class GrpcStatus:
    """Values of grpc-status (grpc/doc/statuscodes.md)."""

    OK: Final = 0
    CANCELLED: Final = 1
    UNKNOWN: Final = 2
    INVALID_ARGUMENT: Final = 3
    DEADLINE_EXCEEDED: Final = 4
    NOT_FOUND: Final = 5
    ALREADY_EXISTS: Final = 6
    PERMISSION_DENIED: Final = 7
    RESOURCE_EXHAUSTED: Final = 8
    FAILED_PRECONDITION: Final = 9
    ABORTED: Final = 10
    OUT_OF_RANGE: Final = 11
    UNIMPLEMENTED: Final = 12
    INTERNAL: Final = 13
    UNAVAILABLE: Final = 14
    DATA_LOSS: Final = 15
    UNAUTHENTICATED: Final = 16


_OF_HTTP: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}

_MESSAGE_SAFE: Final = frozenset(range(0x20, 0x7F)) - {ord("%")}

MAX_TIMEOUT: Final = 99_999_999
"""The largest number of a grpc-timeout, which has eight digits at most."""

_COARSER_UNITS: Final = ((1000, b"S"), (60, b"M"), (60, b"H"))


def status_of_http(status: int) -> int:
    """HTTP status to gRPC status (grpc/doc/http-grpc-status-mapping.md); others are UNKNOWN."""
    return _OF_HTTP.get(status, GrpcStatus.UNKNOWN)


def parse_status(value: bytes | None) -> int:
    """The status of a grpc-status header; UNKNOWN where there is none, or none that is known."""
    if value is None or not value.isdigit() or len(value) > 2:
        return GrpcStatus.UNKNOWN
    status = int(value)
    return status if status <= GrpcStatus.UNAUTHENTICATED else GrpcStatus.UNKNOWN


def percent_encode(message: bytes) -> bytes:
    """Encode a grpc-message (section Responses)."""
    return b"".join(b"%c" % byte if byte in _MESSAGE_SAFE else b"%%%02X" % byte for byte in message)


def percent_decode(message: bytes) -> str:
    """Decode a grpc-message; bytes that are no valid percent-encoding or UTF-8 are kept in a readable form."""
    return unquote_to_bytes(message).decode("utf-8", "replace")


def timeout_header(seconds: float) -> bytes:
    """A grpc-timeout: in milliseconds, or in the finest unit that eight digits are enough for."""
    number, unit = max(1, round(seconds * 1000)), b"m"
    for factor, coarser in _COARSER_UNITS:
        if number <= MAX_TIMEOUT:
            break
        number, unit = number // factor, coarser
    return b"%d%s" % (min(number, MAX_TIMEOUT), unit)
