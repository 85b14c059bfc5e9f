"""The table of upstream failures: what the client is told, and what the log says."""

from __future__ import annotations

import pytest

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.stream_info import FLAG_NAMES
from envoymesh.upstream.failures import failure_of_reset

SHORT = {bit: short for bit, short, _ in FLAG_NAMES}


@pytest.mark.parametrize(
    ("reason", "status", "flag"),
    [
        (StreamResetReason.LOCAL_CONNECTION_FAILURE, 503, "UF"),
        (StreamResetReason.REMOTE_CONNECTION_FAILURE, 503, "UF"),
        (StreamResetReason.CONNECTION_TIMEOUT, 503, "UF"),
        (StreamResetReason.CONNECTION_TERMINATION, 503, "UC"),
        (StreamResetReason.LOCAL_RESET, 503, "LR"),
        (StreamResetReason.LOCAL_REFUSED_STREAM_RESET, 503, "LR"),
        (StreamResetReason.REMOTE_RESET, 503, "UR"),
        (StreamResetReason.REMOTE_REFUSED_STREAM_RESET, 503, "UR"),
        (StreamResetReason.CONNECT_ERROR, 503, "UR"),
        (StreamResetReason.OVERFLOW, 503, "UO"),
        (StreamResetReason.PROTOCOL_ERROR, 502, "UPE"),
    ],
)
def test_each_reason(reason: StreamResetReason, status: int, flag: str) -> None:
    failure = failure_of_reset(reason, "", started=False, retried=False)
    assert (failure.status, SHORT[failure.flag]) == (status, flag)
    assert failure.body.decode().endswith(f"before headers. reset reason: {reason.value}")
    words = reason.value.replace(" ", "_")
    assert failure.details == f"upstream_reset_before_response_started{{{words}}}"


def test_every_reason_is_in_the_table() -> None:
    for reason in StreamResetReason:
        assert failure_of_reset(reason, "", started=True, retried=False).flag in SHORT


def test_the_transports_reason_and_the_retry() -> None:
    reason = StreamResetReason.REMOTE_CONNECTION_FAILURE
    text = "delayed connect error: Connection refused"
    failure = failure_of_reset(reason, text, started=False, retried=True)
    assert failure.body == (
        b"upstream connect error or disconnect/reset before headers. "
        b"retried and the latest reset reason: remote connection failure"
    )
    assert failure.details == (
        "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
    )


def test_after_the_response_began() -> None:
    failure = failure_of_reset(StreamResetReason.PROTOCOL_ERROR, "", started=True, retried=False)
    assert failure.details == "upstream_reset_after_response_started{protocol_error}"
