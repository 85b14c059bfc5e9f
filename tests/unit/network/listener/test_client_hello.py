"""Tests of envoymesh.network.listener.client_hello: OpenSSL's own hellos, cut and split anywhere, and noise."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.network.listener.client_hello import MAX_CLIENT_HELLO, NOT_TLS, TOO_LARGE, ClientHello, ClientHelloReader


def parse_client_hello(data: bytes) -> ClientHello | None:
    """All in one piece."""
    return ClientHelloReader().feed(data)


def hello(server_name: str | None = "a.test", protocols: list[str] | None = None, tls12: bool = False) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(protocols)
    if tls12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same handshake bytes in records of `size`."""
    body = data[5:]
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)


WHOLE = hello("a.test", ["h2", "http/1.1"])


@pytest.mark.parametrize("tls12", [False, True])
def test_server_name_and_protocols(tls12: bool) -> None:
    data = hello("A.Test", ["h2", "http/1.1"], tls12)
    assert parse_client_hello(data) == ClientHello(True, "a.test", ("h2", "http/1.1"))


def test_neither() -> None:
    assert parse_client_hello(hello(None)) == ClientHello(True)


def test_every_cut_asks_for_more() -> None:
    for end in range(len(WHOLE)):
        assert parse_client_hello(WHOLE[:end]) is None


@pytest.mark.parametrize("size", [1, 4, 5, 100, 10_000])
@pytest.mark.parametrize("behind", [b"", b"\x14\x03\x03\x00\x01\x01", b"\x17\x03\x03\x00\x04data", b"what follows"])
def test_what_follows_and_how_it_came_do_not_matter(size: int, behind: bytes) -> None:
    # A client that resumes sends ChangeCipherSpec and early data right behind its hello (RFC 8446 section 2.3).
    reader = ClientHelloReader()
    data = WHOLE + behind
    found = [hello for start in range(0, len(data), size) if (hello := reader.feed(data[start : start + size]))]
    assert found[0] == ClientHello(True, "a.test", ("h2", "http/1.1"))


def test_no_more_is_read_than_the_limit() -> None:
    size = MAX_CLIENT_HELLO - 4
    data = b"\x16\x03\x01\x40\x00\x01" + size.to_bytes(3, "big") + bytes(size)
    reader = ClientHelloReader()
    assert reader.feed(data[: MAX_CLIENT_HELLO - 1]) is None
    assert reader.feed(data[MAX_CLIENT_HELLO - 1 :]) == TOO_LARGE


@pytest.mark.parametrize("size", [9, 16, 100])
def test_split_over_records(size: int) -> None:
    assert parse_client_hello(in_records(WHOLE, size)) == parse_client_hello(WHOLE)


def test_too_many_records_are_refused() -> None:
    assert parse_client_hello(in_records(WHOLE, 1)) == NOT_TLS


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0", b"\x16\x02", b"\x15\x03\x01\x00\x02\x02\x28", b"\x00", b"\xff" * 99],
)
def test_other_protocols(data: bytes) -> None:
    assert parse_client_hello(data) == NOT_TLS


def test_another_handshake_message_is_not_tls() -> None:
    assert parse_client_hello(b"\x16\x03\x01\x00\x04\x02\x00\x00\x00") == NOT_TLS


def test_an_empty_record_is_not_tls() -> None:
    assert parse_client_hello(b"\x16\x03\x01\x00\x00") == NOT_TLS


def test_a_hello_that_claims_to_be_huge() -> None:
    size = MAX_CLIENT_HELLO + 1
    data = b"\x16\x03\x01\x40\x00\x01" + size.to_bytes(3, "big")
    assert parse_client_hello(data) == TOO_LARGE


@given(st.binary(max_size=600), st.booleans())
def test_noise_never_raises(data: bytes, looks_like_tls: bool) -> None:
    if looks_like_tls:
        data = (
            b"\x16\x03\x01"
            + len(data).to_bytes(2, "big")
            + b"\x01\x00"
            + max(len(data) - 4, 0).to_bytes(2, "big")
            + data
        )
    found = parse_client_hello(data)
    assert found is None or isinstance(found, ClientHello)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_one_wrong_byte_never_raises(position: int, value: int) -> None:
    data = bytearray(WHOLE)
    data[position] = value
    found = parse_client_hello(bytes(data))
    assert found is None or isinstance(found, ClientHello)
