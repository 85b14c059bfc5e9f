"""What a server's first messages say, from a real OpenSSL's bytes and from broken ones."""

import ssl
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.network.tls.server_flight import read_server_flight


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def flight(
    ca: trustme.CA, version: ssl.TLSVersion, curve: str = "", ciphers: str = "", key: Any = trustme.KeyType.ECDSA
) -> bytes:
    """What a server answers to a ClientHello."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("a.test", key_type=key).configure_cert(server_context)
    if curve:
        server_context.set_ecdh_curve(curve)
    client_context = ssl.create_default_context()
    client_context.minimum_version = client_context.maximum_version = version
    if ciphers:
        client_context.set_ciphers(ciphers)
        server_context.set_ciphers(ciphers)
    sent, received, nothing = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(nothing, sent, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    server = server_context.wrap_bio(sent, received, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    return received.read()


@pytest.mark.parametrize(
    ("curve", "name"), [("", "X25519"), ("prime256v1", "P-256"), ("secp384r1", "P-384"), ("secp521r1", "P-521")]
)
def test_groups(ca: trustme.CA, curve: str, name: str) -> None:
    # A group that the client offered no key for is asked for with HelloRetryRequest, which names it too.
    assert read_server_flight(flight(ca, ssl.TLSVersion.TLSv1_3, curve)) == (name, "")
    assert read_server_flight(flight(ca, ssl.TLSVersion.TLSv1_2, curve))[0] == name


def test_signatures_of_tls_1_2(ca: trustme.CA) -> None:
    assert read_server_flight(flight(ca, ssl.TLSVersion.TLSv1_2))[1] == "ecdsa_secp256r1_sha256"
    rsa = flight(ca, ssl.TLSVersion.TLSv1_2, key=trustme.KeyType.RSA)
    assert read_server_flight(rsa)[1] == "rsa_pss_rsae_sha256"


def test_a_key_exchange_without_group(ca: trustme.CA) -> None:
    rsa = flight(ca, ssl.TLSVersion.TLSv1_2, ciphers="AES128-SHA:@SECLEVEL=0", key=trustme.KeyType.RSA)
    assert read_server_flight(rsa) == ("", "")


def test_anything_else_is_nothing(ca: trustme.CA) -> None:
    whole = flight(ca, ssl.TLSVersion.TLSv1_2)
    assert read_server_flight(b"") == ("", "")
    found = {read_server_flight(whole[:size]) for size in range(len(whole))}
    assert found == {("", ""), ("X25519", "ecdsa_secp256r1_sha256")}


@given(st.binary(max_size=60))
def test_no_bytes_raise(data: bytes) -> None:
    read_server_flight(b"\x16\x03\x03\0" + bytes([len(data)]) + data)
    read_server_flight(data)
