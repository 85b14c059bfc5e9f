"""The one table that turns an upstream failure into a local reply: status, response flag, details."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.stream_info import ResponseFlag

_FLAGS: Final = {
    StreamResetReason.LOCAL_CONNECTION_FAILURE: ResponseFlag.UPSTREAM_CONNECTION_FAILURE,
    StreamResetReason.REMOTE_CONNECTION_FAILURE: ResponseFlag.UPSTREAM_CONNECTION_FAILURE,
    StreamResetReason.CONNECTION_TIMEOUT: ResponseFlag.UPSTREAM_CONNECTION_FAILURE,
    StreamResetReason.CONNECTION_TERMINATION: ResponseFlag.UPSTREAM_CONNECTION_TERMINATION,
    StreamResetReason.LOCAL_RESET: ResponseFlag.LOCAL_RESET,
    StreamResetReason.LOCAL_REFUSED_STREAM_RESET: ResponseFlag.LOCAL_RESET,
    StreamResetReason.OVERFLOW: ResponseFlag.UPSTREAM_OVERFLOW,
    StreamResetReason.REMOTE_RESET: ResponseFlag.UPSTREAM_REMOTE_RESET,
    StreamResetReason.REMOTE_REFUSED_STREAM_RESET: ResponseFlag.UPSTREAM_REMOTE_RESET,
    StreamResetReason.PROTOCOL_ERROR: ResponseFlag.UPSTREAM_PROTOCOL_ERROR,
    StreamResetReason.CONNECT_ERROR: ResponseFlag.UPSTREAM_REMOTE_RESET,
}

OVERLOADED: Final = b"x-envoy-overloaded"
_BEFORE: Final = "upstream connect error or disconnect/reset before headers. "


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """What the client is told of an upstream failure, and what the log says.

    Args:
        flag: a `ResponseFlag`, or 0.
        details: response_code_details.
        after_response_started: there was a response, which has no end.
        header: set to ``true`` in the answer, unless `suppress_envoy_headers`; empty for none.
    """

    status: int
    body: bytes
    flag: int
    details: str
    after_response_started: bool = False
    header: bytes = b""


def failure_of_reset(
    reason: StreamResetReason, transport_reason: str, *, started: bool, retried: bool
) -> UpstreamFailure:
    """The answer to a reset.

    Args:
        started: the response had begun (it is then reset, and only flag and details count).
        retried: this was not the first try.
    """
    when = "after" if started else "before"
    cause = reason.value if not transport_reason else f"{reason.value}|{transport_reason}"
    details = f"upstream_reset_{when}_response_started{{{cause}}}".replace(" ", "_")
    body = _BEFORE + ("retried and the latest " if retried else "") + "reset reason: " + reason.value
    status = 502 if reason is StreamResetReason.PROTOCOL_ERROR else 503
    header = OVERLOADED if reason is StreamResetReason.OVERFLOW else b""
    return UpstreamFailure(status, body.encode(), _FLAGS[reason], details, started, header)


NO_HEALTHY_UPSTREAM: Final = UpstreamFailure(
    503, b"no healthy upstream", ResponseFlag.NO_HEALTHY_UPSTREAM, "no_healthy_upstream"
)
MAINTENANCE_MODE: Final = UpstreamFailure(
    503, b"maintenance mode", ResponseFlag.UPSTREAM_OVERFLOW, "maintenance_mode", header=OVERLOADED
)
DROP_OVERLOAD: Final = UpstreamFailure(
    503, b"drop overload", ResponseFlag.DROP_OVERLOAD, "drop_overload", header=b"x-envoy-drop-overload"
)
UNCONDITIONAL_DROP_OVERLOAD: Final = UpstreamFailure(
    503,
    b"unconditional drop overload",
    ResponseFlag.UNCONDITIONAL_DROP_OVERLOAD,
    "unconditional_drop_overload",
    header=b"x-envoy-unconditional-drop-overload",
)
RESPONSE_TIMEOUT: Final = UpstreamFailure(
    504, b"upstream request timeout", ResponseFlag.UPSTREAM_REQUEST_TIMEOUT, "response_timeout"
)
PER_TRY_TIMEOUT: Final = UpstreamFailure(
    504, b"upstream request timeout", ResponseFlag.UPSTREAM_REQUEST_TIMEOUT, "upstream_per_try_timeout"
)
PER_TRY_IDLE_TIMEOUT: Final = UpstreamFailure(
    504, b"upstream request timeout", ResponseFlag.UPSTREAM_REQUEST_TIMEOUT, "upstream_per_try_idle_timeout"
)
MAX_STREAM_DURATION: Final = UpstreamFailure(
    504,
    b"upstream max stream duration reached",
    ResponseFlag.UPSTREAM_MAX_STREAM_DURATION_REACHED,
    "upstream_max_stream_duration_reached",
)
MAX_STREAM_DURATION_OF_REQUEST: Final = replace(MAX_STREAM_DURATION, status=408)
"""The same where the client has not sent the whole request."""
RETRY_BUFFER_EXCEEDED: Final = UpstreamFailure(
    507,
    b"exceeded request buffer limit while retrying upstream",
    0,
    "request_payload_exceeded_retry_buffer_limit",
)
