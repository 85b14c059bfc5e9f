"""Attacks on TLS: handshakes begun, slowed and broken off, records of a byte, keys changed without end."""

from __future__ import annotations

import itertools
import select
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.adversarial.attack import Attack, Flood, Ground, bytewise, forever, once, tls
from tests.adversarial.attacks_http1 import BIG, GET, REDIRECT
from tests.adversarial.tls_records import HANDSHAKE, keys_12, keys_13

KEY_UPDATE = b"\x18\x00\x00\x01\x01"
"""A handshake message: change your keys too (RFC 8446 section 4.6.3)."""


def _client_hello() -> bytes:
    """What a client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="a.example.com")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


HELLO = _client_hello()


def handshakes(ground: Ground) -> None:
    """Whole handshakes, one after the other, without a request."""
    while not ground.over:
        try:
            with tls(ground.connect("tls"), "http/1.1"):
                ground.done["sent"] += len(HELLO)
        except OSError:
            ground.done["ended by the proxy"] += 1


def one_byte_records(ground: Ground) -> None:
    """Requests, a record and a packet for each byte."""
    with tls(ground.connect("tls"), "http/1.1") as client:
        for byte in itertools.cycle(GET):
            if ground.over:
                return
            client.sendall(bytes([byte]))
            ground.done["sent"] += 1
            if byte == GET[0] and select.select([client], [], [], 0)[0]:
                ground.done["received"] += len(client.recv(65536))


def key_updates(ground: Ground) -> None:
    """Each record asks for new keys in return; the answers are read."""

    def begin(client: socket.socket, folder: Path) -> Callable[[], bytes]:
        keys = keys_13(client, folder)

        def one() -> bytes:
            record = keys.record(HANDSHAKE, KEY_UPDATE)
            keys.update()
            return record

        return one

    _pour(ground, begin)


def renegotiations(ground: Ground) -> None:
    """Each record asks for a new handshake; the answers are read."""

    def begin(client: socket.socket, folder: Path) -> Callable[[], bytes]:
        keys = keys_12(client, folder)
        return lambda: keys.record(HANDSHAKE, HELLO[5:])

    _pour(ground, begin)


def _pour(ground: Ground, begin: Callable[[socket.socket, Path], Callable[[], bytes]]) -> None:
    """A handshake, then records as fast as they are taken; a connection that ends is made anew."""
    with tempfile.TemporaryDirectory() as folder:
        while not ground.over:
            with ground.connect("tls") as client:
                try:
                    _pour_into(ground, client, begin(client, Path(folder)))
                except OSError:
                    ground.done["ended by the proxy"] += 1


def _pour_into(ground: Ground, client: socket.socket, one: Callable[[], bytes]) -> None:
    client.setblocking(False)
    waiting = memoryview(b"")
    while not ground.over:
        waiting = waiting or memoryview(b"".join(one() for _ in range(50)))
        readable, writable, _ = select.select([client], [client], [], 0.05)
        if readable:
            data = client.recv(1 << 18)
            ground.done["received"] += len(data)
            if not data:
                raise ConnectionResetError
        if writable:
            sent = client.send(waiting)
            ground.done["sent"] += sent
            waiting = waiting[sent:]


def _record_of_hello() -> Iterator[bytes]:
    """The hello in records of a byte."""
    for byte in HELLO[5:]:
        yield b"\x16\x03\x01\x00\x01" + bytes([byte])


TLS = (
    Attack("tls-hellos", "client hellos, and no more of the handshake",
           Flood(once(HELLO), listener="tls", connections=16, then="reset")),
    Attack("tls-handshakes", "whole handshakes, one after the other", handshakes),
    Attack("tls-slow-hellos", "200 hellos, a byte each every 20 ms",
           Flood(bytewise(HELLO), listener="tls", connections=200, pause=0.02)),
    Attack("tls-hello-records", "hellos in records of a byte",
           Flood(_record_of_hello, listener="tls", connections=16, then="close")),
    Attack("tls-inspected-hellos", "the same where the hello is inspected first",
           Flood(_record_of_hello, listener="inspected", connections=16, then="close")),
    Attack("tls-inspected-bytewise", "hellos, a byte a packet, where they are inspected",
           Flood(bytewise(HELLO), listener="inspected", connections=16, then="close")),
    Attack("tls-silent", "1,000 connections that begin no handshake", Flood(once(), listener="tls", connections=1000)),
    Attack("tls-garbage", "bytes that are no TLS", Flood(once(b"\x16\x03\x01\xff\xff" + b"x" * 65536), listener="tls",
                                                        connections=16, then="close")),
    Attack("tls-one-byte-records", "requests in records of a byte", one_byte_records),
    Attack("tls-key-updates", "a change of keys asked for in each record", key_updates),
    Attack("tls-renegotiations", "a new handshake asked for in each record (TLS 1.2)", renegotiations),
    Attack("tls-redirects-unread", "pipelined redirects over TLS, answers never read",
           Flood(forever(REDIRECT * 100), listener="tls", alpn="http/1.1", reads=False)),
    Attack("tls-big-body-unread", "16 large answers over TLS, never read",
           Flood(once(BIG), listener="tls", alpn="http/1.1", connections=16, reads=False, receive_buffer=4096)),
)  # fmt: skip
