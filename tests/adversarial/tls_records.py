"""Records that no TLS library would write: the client's keys, taken from a library's key log, and encryption by hand.

Only AES-256-GCM with SHA-384, which is what the library and the proxies agree on. It must not know attacks.
"""

from __future__ import annotations

import hmac
import socket
import ssl
import struct
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

HANDSHAKE = 22
_APPLICATION_DATA = 23
_VERSION = 0x0303


class Keys(Protocol):
    """The client's half of a connection."""

    def record(self, kind: int, content: bytes) -> bytes:
        """The next record."""


class Keys13:
    """TLS 1.3 (RFC 8446 sections 5.2, 7.1 and 7.2)."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._begin()

    def _begin(self) -> None:
        self._cipher = AESGCM(self._expand(b"key", 32))
        self._iv = int.from_bytes(self._expand(b"iv", 12), "big")
        self._number = 0

    def _expand(self, label: bytes, length: int) -> bytes:
        label = b"tls13 " + label
        info = struct.pack(">HB", length, len(label)) + label + b"\x00"
        return HKDFExpand(SHA384(), length, info).derive(self._secret)

    def record(self, kind: int, content: bytes) -> bytes:
        """The next record."""
        header = struct.pack(">BHH", _APPLICATION_DATA, _VERSION, len(content) + 17)
        nonce = (self._iv ^ self._number).to_bytes(12, "big")
        self._number += 1
        return header + self._cipher.encrypt(nonce, content + bytes([kind]), header)

    def update(self) -> None:
        """The next keys."""
        self._secret = self._expand(b"traffic upd", 48)
        self._begin()


class Keys12:
    """TLS 1.2 (RFC 5246 sections 5 and 6.3, RFC 5288 section 3), after the client's Finished."""

    def __init__(self, master: bytes, client_random: bytes, server_random: bytes) -> None:
        block = _prf(master, b"key expansion" + server_random + client_random, 72)
        self._cipher = AESGCM(block[:32])
        self._salt = block[64:68]
        self._number = 1

    def record(self, kind: int, content: bytes) -> bytes:
        """The next record."""
        number = struct.pack(">Q", self._number)
        self._number += 1
        bound = number + struct.pack(">BHH", kind, _VERSION, len(content))
        sealed = self._cipher.encrypt(self._salt + number, content, bound)
        return struct.pack(">BHH", kind, _VERSION, 8 + len(sealed)) + number + sealed


def _prf(secret: bytes, seed: bytes, length: int) -> bytes:
    """P_SHA384 (RFC 5246 section 5)."""
    found, chain = b"", seed
    while len(found) < length:
        chain = hmac.digest(secret, chain, "sha384")
        found += hmac.digest(secret, chain + seed, "sha384")
    return found[:length]


def shake(client: socket.socket, version: ssl.TLSVersion, folder: Path) -> dict[str, list[bytes]]:
    """Shake hands over a blocking socket; gives the key log's values by label, and the server's random as `server`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ECDHE+AESGCM+AES256")
    log = folder / "keys"
    log.unlink(missing_ok=True)
    context.keylog_filename = str(log)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    shaken = context.wrap_bio(incoming, outgoing)
    flight = b""
    while True:
        try:
            shaken.do_handshake()
        except ssl.SSLWantReadError:
            client.sendall(outgoing.read())
            data = client.recv(65536)
            if not data:
                raise ConnectionResetError from None
            flight += data
            incoming.write(data)
        else:
            break
    client.sendall(outgoing.read())
    lines = [line.split() for line in log.read_text().splitlines() if not line.startswith("#")]
    # A ServerHello's random stands behind the headers of its record and message, and its version.
    return {label: [bytes.fromhex(each) for each in values] for label, *values in lines} | {"server": [flight[11:43]]}


def keys_13(client: socket.socket, folder: Path) -> Keys13:
    """Shake hands, and take over."""
    return Keys13(shake(client, ssl.TLSVersion.TLSv1_3, folder)["CLIENT_TRAFFIC_SECRET_0"][1])


def keys_12(client: socket.socket, folder: Path) -> Keys12:
    """Shake hands, and take over."""
    found = shake(client, ssl.TLSVersion.TLSv1_2, folder)
    client_random, master = found["CLIENT_RANDOM"]
    return Keys12(master, client_random, found["server"][0])
