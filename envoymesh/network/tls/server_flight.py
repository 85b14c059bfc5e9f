"""What a server's first handshake messages agree on, of which Python's ssl does not tell: the group of the key
exchange (RFC 8446 section 4.1.3, RFC 8422 section 5.4), and with TLS 1.2 the server's signature algorithm.

In TLS 1.3 signatures are encrypted, and stay unknown. Pure functions on bytes; this module must not know connections.
"""

from __future__ import annotations

from typing import Final

from envoymesh.network.listener.client_hello import Cursor, MalformedError

_HANDSHAKE_RECORD: Final = 22
_SERVER_HELLO: Final = 2
_SERVER_KEY_EXCHANGE: Final = 12
_KEY_SHARE: Final = 51
_NAMED_CURVE: Final = 3

# BoringSSL's names, which Envoy's stats have.
_GROUPS: Final = {23: "P-256", 24: "P-384", 25: "P-521", 29: "X25519", 4588: "X25519MLKEM768"}
_SIGNATURES: Final = {
    0x0201: "rsa_pkcs1_sha1",
    0x0401: "rsa_pkcs1_sha256",
    0x0501: "rsa_pkcs1_sha384",
    0x0601: "rsa_pkcs1_sha512",
    0x0203: "ecdsa_sha1",
    0x0403: "ecdsa_secp256r1_sha256",
    0x0503: "ecdsa_secp384r1_sha384",
    0x0603: "ecdsa_secp521r1_sha512",
    0x0804: "rsa_pss_rsae_sha256",
    0x0805: "rsa_pss_rsae_sha384",
    0x0806: "rsa_pss_rsae_sha512",
    0x0807: "ed25519",
}


def read_server_flight(data: bytes) -> tuple[str, str]:
    """The names of group and signature algorithm in what a server sent first; "" for what is not there, or unknown."""
    group = signature = ""
    messages = _plain_handshake(data)
    try:
        while messages:
            kind = messages.number(1)
            body = messages.vector(3)
            if kind == _SERVER_HELLO:
                group = _GROUPS.get(_key_share(body), "")
            elif kind == _SERVER_KEY_EXCHANGE and body.number(1) == _NAMED_CURVE:
                group = _GROUPS.get(body.number(2), "")
                body.vector(1)
                signature = _SIGNATURES.get(body.number(2), "")
    except MalformedError:
        pass  # cut short, or not what it seems: OpenSSL judges that
    return group, signature


def _plain_handshake(data: bytes) -> Cursor:
    """The content of the handshake records before the first of another kind, behind which all is encrypted."""
    found = bytearray()
    position = 0
    while position + 5 <= len(data) and data[position] == _HANDSHAKE_RECORD:
        size = int.from_bytes(data[position + 3 : position + 5], "big")
        found += data[position + 5 : position + 5 + size]
        position += 5 + size
    return Cursor(bytes(found), 0, len(found))


def _key_share(hello: Cursor) -> int:
    """The group of TLS 1.3, also where the server only asks for another; 0 is none."""
    hello.skip(2 + 32)
    hello.vector(1)
    hello.skip(2 + 1)
    extensions = hello.vector(2) if hello else hello
    while extensions:
        kind = extensions.number(2)
        body = extensions.vector(2)
        if kind == _KEY_SHARE:
            return body.number(2)
    return 0
