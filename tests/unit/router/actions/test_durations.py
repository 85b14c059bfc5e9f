"""grpc-timeout, and the limits that it takes part in. Expected values are the real Envoy's."""

from __future__ import annotations

import pytest

from envoymesh.http.headers import RequestHeaders
from envoymesh.router.actions.durations import GrpcTimeout, StreamDuration, read_grpc_timeout, set_grpc_timeout


def grpc(timeout: bytes | None) -> RequestHeaders:
    fields = [(b"content-type", b"application/grpc")]
    return RequestHeaders(
        b"POST", b"/", b"a", fields=fields + ([] if timeout is None else [(b"grpc-timeout", timeout)])
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"2H", 7200.0), (b"3M", 180.0), (b"4S", 4.0), (b"5m", 0.005), (b"1u", 0.001), (b"1000u", 0.001),
        (b"1001u", 0.002), (b"1000000n", 0.001), (b"0S", 0.0), (b"99999999H", 99999999 * 3600.0), (b"123456789S", None),
        (b"S", None), (b"4", None), (b"-4S", None), (b"4s", None), (b"", None), (b"4 S", None), (None, None),
    ],
)  # fmt: skip
def test_reading(text: bytes | None, seconds: float | None) -> None:
    assert read_grpc_timeout(grpc(text)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, b"0m"), (0.2, b"200m"), (7200.0, b"7200000m"), (120000.0, b"120000S"), (1e8, b"1666666M"),
        (6e9, b"1666666H"),
    ],
)  # fmt: skip
def test_writing(seconds: float, text: bytes) -> None:
    headers = grpc(b"1S")
    set_grpc_timeout(headers, seconds)
    assert headers.get(b"grpc-timeout") == text


@pytest.mark.parametrize(
    ("duration", "timeout", "limit", "told"),
    [
        (StreamDuration(), None, None, None),
        (StreamDuration(0.2), None, 0.2, b"200m"),
        (StreamDuration(0.0), b"5S", None, b"5S"),
        (StreamDuration(0.2), b"5S", 0.2, b"200m"),
        (StreamDuration(9.0, 3.0), b"2S", 2.0, b"2000m"),
        (StreamDuration(9.0, 3.0), b"4S", 3.0, b"3000m"),
        (StreamDuration(9.0, 0.0), b"4S", 4.0, b"4000m"),
        (StreamDuration(9.0, 3.0), None, 9.0, b"9000m"),
        (StreamDuration(None, 3.0, 0.5), b"2S", 1.5, b"1500m"),
        (StreamDuration(None, 3.0, 0.5), b"400m", 0.0, b"0m"),
    ],
)
def test_streams(duration: StreamDuration, timeout: bytes | None, limit: float | None, told: bytes | None) -> None:
    headers = grpc(timeout)
    assert duration.limit(headers, 0.0) == limit
    assert headers.get(b"grpc-timeout") == told


def test_what_is_not_set_is_the_listeners() -> None:
    assert StreamDuration().limit(RequestHeaders(b"GET", b"/"), 7.0) == 7.0
    assert StreamDuration(0.0).limit(RequestHeaders(b"GET", b"/"), 7.0) is None
    headers = RequestHeaders(b"GET", b"/", fields=[(b"grpc-timeout", b"5S")])
    assert StreamDuration(1.0, 3.0).limit(headers, 7.0) == 1.0
    assert headers.get(b"grpc-timeout") == b"5S"


@pytest.mark.parametrize(
    ("settings", "timeout", "limit"),
    [
        (GrpcTimeout(0.3, 0.1), b"5S", 0.3),
        (GrpcTimeout(0.3, 0.1), b"250m", 0.15),
        (GrpcTimeout(0.3, 0.1), b"50m", 0.05),
        (GrpcTimeout(0.3), None, 0.3),
        (GrpcTimeout(0.0), None, 0.0),
        (GrpcTimeout(0.0), b"5S", 5.0),
    ],
)
def test_the_deprecated_limits(settings: GrpcTimeout, timeout: bytes | None, limit: float) -> None:
    assert settings.limit(grpc(timeout)) == pytest.approx(limit)
