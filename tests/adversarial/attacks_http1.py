"""Attacks of HTTP/1 clients: on parsing, on memory, on connections."""

from __future__ import annotations

import itertools
import selectors
import socket
import time
from collections.abc import Iterator

from tests.adversarial.attack import Attack, Flood, Ground, bytewise, forever, once

GET = b"GET /good HTTP/1.1\r\nHost: a.com\r\n\r\n"
REDIRECT = b"GET /redirect HTTP/1.1\r\nHost: a.com\r\n\r\n"
CHUNKED = b"POST /sink HTTP/1.1\r\nHost: a.com\r\nTransfer-Encoding: chunked\r\n\r\n"
BIG = b"GET /hostile/big HTTP/1.1\r\nHost: a.com\r\n\r\n"
EXPECTING = b"POST /sink HTTP/1.1\r\nHost: a.com\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"
LATE = 0.8
"""Seconds after which a connection came late: the kernel asks anew after one."""


def _post(path: str, length: int) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a.com\r\nContent-Length: %d\r\n\r\n" % (path.encode(), length)


def _fields(count: int, size: int) -> bytes:
    return b"".join(b"x-%d: %b\r\n" % (number, b"v" * size) for number in range(count))


def _head(fields: bytes, path: bytes = b"/good") -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a.com\r\n%b\r\n" % (path, fields)


def _upload() -> Iterator[bytes]:
    return itertools.chain([_post("/hostile/unread", 1 << 40)], itertools.repeat(b"x" * 65536))


def _websocket(manner: str) -> bytes:
    path = f"/hostile/{manner}".encode()
    return b"GET %b HTTP/1.1\r\nHost: a.com\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n" % path


def _tunnel() -> Iterator[bytes]:
    return itertools.chain([_websocket("deaf-tunnel")], itertools.repeat(b"x" * 65536))


def connection_flood(ground: Ground, together: int = 600) -> None:
    """So many connections begun in one moment, each asking once; then all of them anew."""
    while not ground.over:
        begun = time.monotonic()
        with selectors.DefaultSelector() as selector:
            opened = [_begin(ground, selector) for _ in range(together)]
            try:
                while selector.get_map() and not ground.over:
                    for key, events in selector.select(0.05):
                        _go_on(ground, selector, key.fileobj, events, time.monotonic() - begun)  # type: ignore[arg-type]
            finally:
                if time.monotonic() - begun > LATE:
                    ground.done["late"] += len(selector.get_map())
                for each in opened:
                    each.close()


def _begin(ground: Ground, selector: selectors.BaseSelector) -> socket.socket:
    ground.done["connections"] += 1
    made = socket.socket()
    made.setblocking(False)
    made.connect_ex(ground.addresses["plain"])
    selector.register(made, selectors.EVENT_WRITE)
    return made


def _go_on(ground: Ground, selector: selectors.BaseSelector, client: socket.socket, events: int, age: float) -> None:
    try:
        if events & selectors.EVENT_WRITE:
            ground.done["sent"] += client.send(GET)
            ground.done["late"] += age > LATE
            selector.modify(client, selectors.EVENT_READ)
        else:
            ground.done["received"] += len(client.recv(65536))
            selector.unregister(client)
    except OSError:
        selector.unregister(client)
        ground.done["ended by the proxy"] += 1


HTTP1 = (
    Attack("blank-lines", "64 KiB of blank lines before each request, 4 connections",
           Flood(forever(b"\r\n" * 32768 + GET))),
    Attack("blank-lines-bytewise", "blank lines, two bytes at a time", Flood(forever(b"\r\n"))),
    Attack("pipelined-redirects", "pipelined requests for a redirect, 1 MiB at a time",
           Flood(forever(REDIRECT * (1048576 // len(REDIRECT))), connections=1)),
    Attack("pipelined-redirects-unread", "the same, answers never read",
           Flood(forever(REDIRECT * 1000), connections=4, reads=False)),
    Attack("pipelined-requests", "thousands of pipelined requests in one piece, 4 connections",
           Flood(forever(GET * 2000))),
    Attack("pipelined-requests-unread", "the same, answers never read",
           Flood(forever(GET * 2000), reads=False)),
    Attack("slow-heads", "200 heads, a byte each every 50 ms",
           Flood(forever(b"x", b"GET /good HTTP/1.1\r\nHost: a.com\r\nx: "), connections=200, pause=0.05)),
    Attack("slow-bodies", "200 bodies, a byte each every 50 ms",
           Flood(forever(b"x", _post("/sink", 1 << 20)), connections=200, pause=0.05)),
    Attack("header-bomb", "heads of 90 fields and 54 KiB", Flood(forever(_head(_fields(90, 600))))),
    Attack("header-count", "heads of 5,000 fields", Flood(forever(_head(_fields(5000, 1))))),
    Attack("endless-head", "a head without end, 64 KiB at a time",
           Flood(forever(b"x" * 65536, b"GET /good HTTP/1.1\r\nx: "))),
    Attack("head-bytewise", "heads of 50 KiB, a byte a packet",
           Flood(lambda: itertools.cycle(bytewise(_head(_fields(80, 600)))()))),
    Attack("fields-bytewise", "heads of 90 short fields, a byte a packet",
           Flood(lambda: itertools.cycle(bytewise(_head(_fields(90, 1)))()))),
    Attack("crooked-paths", "paths of 50 KiB of dots, slashes and percent signs",
           Flood(forever(_head(b"", b"/" + b"a/..//%2e./" * 4600 + b"good")))),
    Attack("one-byte-chunks", "a body of one-byte chunks, 64 KiB at a time",
           Flood(forever(b"1\r\nx\r\n" * 10922, CHUNKED))),
    Attack("chunk-size-bytewise", "the digits of chunk sizes, a byte a packet",
           Flood(lambda: itertools.chain([CHUNKED], itertools.cycle(bytewise(b"0000000000000001\r\nx\r\n")())))),
    Attack("chunk-extension-bytewise", "a chunk extension without end, a byte a packet",
           Flood(lambda: itertools.chain([CHUNKED, b"1;"], itertools.repeat(b"x")))),
    Attack("chunk-extension", "a chunk extension without end, 64 KiB at a time",
           Flood(forever(b"x" * 65536, CHUNKED + b"1;"))),
    Attack("endless-trailers", "trailers without end", Flood(forever(b"x: y\r\n" * 10000, CHUNKED + b"0\r\n"))),
    Attack("half-closed", "a request and a FIN on each connection, anew and anew",
           Flood(once(GET), connections=32, then="half-close")),
    Attack("half-closed-unread", "400 half-closed connections that do not read a large answer",
           Flood(once(BIG), connections=400, reads=False, then="half-close", receive_buffer=4096)),
    Attack("resets", "a request and a RST on each connection, anew and anew",
           Flood(once(GET), connections=32, then="reset")),
    Attack("garbage", "connections that send no HTTP at all", Flood(once(b"\x00\xff" * 512), connections=16)),
    Attack("silent", "1,000 connections that send nothing", Flood(once(), connections=1000)),
    Attack("connection-flood", "600 connections in one moment, anew and anew", connection_flood),
    Attack("big-body-unread", "16 large answers through the proxy, never read",
           Flood(once(BIG), connections=16, reads=False, receive_buffer=4096)),
    Attack("upload-unread", "16 uploads without end to an upstream that does not read",
           Flood(_upload, connections=16)),
    Attack("tunnels-unread", "16 WebSockets whose upstream never ends and whose clients never read",
           Flood(once(_websocket("tunnel")), connections=16, reads=False, receive_buffer=4096)),
    Attack("tunnels-deaf", "16 WebSockets whose clients never end and whose upstream does not read",
           Flood(_tunnel, connections=16)),
    Attack("expect-continue", "pipelined requests that expect 100-continue",
           Flood(forever(EXPECTING * 500))),
)  # fmt: skip
