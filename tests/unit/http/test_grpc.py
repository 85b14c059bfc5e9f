"""gRPC's words in HTTP headers: tables of the specification's values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.http.grpc import (
    GrpcStatus,
    parse_status,
    percent_decode,
    percent_encode,
    status_of_http,
    timeout_header,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"0", 0), (b"16", 16), (b"17", 2), (b"99", 2), (b"100", 2), (b"", 2), (b"-1", 2), (b"x", 2), (None, 2)],
)
def test_a_status(value: bytes | None, expected: int) -> None:
    assert parse_status(value) == expected


@pytest.mark.parametrize(("status", "expected"), [(400, 13), (401, 16), (404, 12), (429, 14), (503, 14), (500, 2)])
def test_a_status_of_http(status: int, expected: int) -> None:
    assert status_of_http(status) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0001, b"1m"),
        (0.25, b"250m"),
        (99_999.999, b"99999999m"),
        (100_000, b"100000S"),
        (99_999_999, b"99999999S"),
        (100_000_000, b"1666666M"),
        (99_999_999 * 60 + 60, b"1666666H"),
        (1e15, b"99999999H"),
    ],
)
def test_a_timeout(seconds: float, expected: bytes) -> None:
    assert timeout_header(seconds) == expected


@given(st.text())
def test_a_message_survives(text: str) -> None:
    encoded = percent_encode(text.encode("utf-8", "surrogatepass"))
    assert encoded.isascii()
    assert percent_decode(encoded) == text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


@pytest.mark.parametrize(("value", "shown"), [(b"50%", "50%"), (b"%zz", "%zz"), (b"%ff", "\ufffd"), (b"a%20b", "a b")])
def test_a_message_that_is_not_encoded_stays_readable(value: bytes, shown: str) -> None:
    assert percent_decode(value) == shown


def test_ok_is_zero() -> None:
    assert GrpcStatus.OK == 0
