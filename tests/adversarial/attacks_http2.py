"""Attacks of HTTP/2 clients: frames that are cheap to send, header blocks that grow, windows that never open."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.adversarial.attack import Attack, Flood, Script, bytewise, forever
from tests.parity import frames
from tests.parity.frames import CONTINUATION, DATA, HEADERS, PADDED, PING, PRIORITY, Field, frame, hello

HELLO = hello()
BATCH = 500
CANCEL = 8


def _request(path: str = "/good", *more: Field) -> list[Field]:
    return frames.request("GET", path, *more)


def _post(path: str = "/sink") -> list[Field]:
    return frames.request("POST", path)


def _ids() -> Iterator[int]:
    return iter(range(1, 1 << 31, 2))


def _streams(path: str = "/good", after: bytes = b"") -> Script:
    """A batch of requests a piece, each followed by a frame whose stream id is put into `after`."""

    def script() -> Iterator[bytes]:
        yield HELLO
        ids = _ids()
        while True:
            yield b"".join(_asked(path, after, each) for each in itertools.islice(ids, 100))

    return script


def _asked(path: str, after: bytes, stream: int) -> bytes:
    return frames.headers(_request(path), stream) + _for(after, stream)


def _for(template: bytes, stream: int) -> bytes:
    return template[:5] + stream.to_bytes(4, "big") + template[9:] if template else b""


def _windows(size: int) -> bytes:
    """A client whose streams have this window, and whose connection has as much as there is."""
    return frames.PREFACE + frames.settings((4, size)) + frames.window_update((1 << 31) - 1 - 65535)


def _held(windows: bytes, path: str, count: int) -> Script:
    """So many requests whose answers wait for a window, or for somebody who reads."""
    asked = b"".join(frames.headers(_request(path), each) for each in itertools.islice(_ids(), count))
    return lambda: [windows + asked]


def _tiny_windows() -> Iterator[bytes]:
    """One stream whose window opens by a byte at a time."""
    yield frames.PREFACE + frames.settings((4, 0)) + frames.headers(_request("/hostile/big"), 1)
    yield from itertools.repeat(frames.window_update(1, 1) * BATCH)


def _body(piece: bytes, path: str = "/sink") -> Script:
    """A request whose body is the piece, again and again."""
    return forever(piece, HELLO + frames.headers(_post(path), 1, end=False))


def _blocks(block: bytes, repeated: bytes = b"") -> Script:
    """Requests whose header block is given; `repeated` is that of all but the first."""

    def script() -> Iterator[bytes]:
        yield HELLO
        for number, stream in enumerate(_ids()):
            yield _in_frames(repeated if number and repeated else block, stream)

    return script


def _in_frames(block: bytes, stream: int) -> bytes:
    parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    last = len(parts) - 1
    return b"".join(
        frame(CONTINUATION if at else HEADERS, (0 if at else 1) | (4 if at == last else 0), stream, part)
        for at, part in enumerate(parts)
    )


def _distinct_blocks() -> Iterator[bytes]:
    """Blocks of one-byte references to the static table, each another, each as large as CONTINUATION lets it be."""
    yield HELLO
    for number, stream in enumerate(_ids()):
        # :method, :scheme, :path and :authority stand in front; number makes the block another one.
        yield _in_frames(b"\x82\x86\x84\x81" + b"\x90" * 200_000 + b"\x91" * (number % 64 + 1), stream)


def _table_churn() -> Iterator[bytes]:
    """The table's size goes to nothing and back before each request."""
    yield HELLO
    block = b"\x20\x3f\xe1\x1f" * 2000 + frames.block(_request())
    for stream in _ids():
        yield _in_frames(block, stream)


def _fields(count: int, size: int) -> list[Field]:
    return [(f"x-{number}", "v" * size) for number in range(count)]


def _uploads() -> Iterator[bytes]:
    streams = range(1, 40, 2)
    yield HELLO + b"".join(frames.headers(_post("/hostile/unread"), each, end=False) for each in streams)
    # Both proxies' default window would let each connection send 24 MiB.
    yield from itertools.islice(itertools.cycle(frames.data(b"x" * 16000, each, end=False) for each in streams), 700)


UNFINISHED = HELLO + frame(HEADERS, 0, 1, frames.block(_request()))
BOMB = frames.block(_request()) + b"\x40" + frames.block([("bomb", "b" * 3900)])[1:]
"""Puts an entry of nearly 4 KiB into the table; what follows refers to it by one byte."""
CRUMBS: list[Field] = [("cookie", f"c{number}=v") for number in range(90)]

HTTP2 = (
    Attack("rapid-reset", "requests that are reset at once",
           Flood(_streams(after=frames.rst(CANCEL)))),
    Attack("rapid-reset-redirects", "the same for a redirect",
           Flood(_streams(path="/redirect", after=frames.rst(CANCEL)))),
    Attack("made-you-reset", "requests followed by a frame that makes the proxy reset them",
           Flood(_streams(after=frame(frames.WINDOW_UPDATE, 0, 1, bytes(4))))),
    Attack("ping", "PING", Flood(forever(frame(PING, 0, 0, bytes(8)) * BATCH, HELLO))),
    Attack("ping-unread", "PING, answers never read",
           Flood(forever(frame(PING, 0, 0, bytes(8)) * BATCH, HELLO), reads=False)),
    Attack("settings", "SETTINGS", Flood(forever(frames.settings() * BATCH, HELLO))),
    Attack("settings-entries", "SETTINGS with 2,700 entries each",
           Flood(forever(frames.settings(*[(4, 65535)] * 2700), HELLO))),
    Attack("settings-windows", "SETTINGS that move the window of 25 open streams, 2,700 times each",
           Flood(lambda: itertools.chain(_held(_windows(0), "/hostile/big", 25)(),
                                         itertools.repeat(frames.settings(*[(4, 0), (4, 1)] * 1350))))),
    Attack("continuation", "CONTINUATION without end",
           Flood(forever(frame(CONTINUATION, 0, 1, b"x" * 1000), UNFINISHED))),
    Attack("continuation-empty", "empty CONTINUATION without end",
           Flood(forever(frame(CONTINUATION, 0, 1), UNFINISHED))),
    Attack("empty-data", "empty DATA", Flood(_body(frame(DATA, 0, 1) * BATCH))),
    Attack("one-byte-data", "DATA of one byte", Flood(_body(frames.data(b"x", end=False) * BATCH))),
    Attack("two-byte-data-kept", "DATA of two bytes, kept for another try",
           Flood(_body(frames.data(b"xy", end=False) * BATCH, "/kept"))),
    Attack("padding", "DATA that is padding only", Flood(_body(frame(DATA, PADDED, 1, b"\xff" + bytes(255)) * 60))),
    Attack("unknown-frames", "frames of an unknown type, empty", Flood(forever(frame(0xEE) * BATCH, HELLO))),
    Attack("unknown-frames-large", "frames of an unknown type, 16 KiB",
           Flood(forever(frame(0xEE, 0, 0, bytes(16384)) * 4, HELLO))),
    Attack("priority", "PRIORITY", Flood(forever(frame(PRIORITY, 0, 1, b"\x00\x00\x00\x03\x00") * BATCH, HELLO))),
    Attack("window-update", "WINDOW_UPDATE", Flood(forever(frames.window_update(1) * BATCH, HELLO))),
    Attack("goaway", "GOAWAY", Flood(forever(frames.goaway(0, 0) * BATCH, HELLO))),
    Attack("zero-windows", "5 large answers on each of 4 connections, windows of nothing",
           Flood(_held(_windows(0), "/hostile/big", 5))),
    Attack("tiny-windows", "a large answer, its window opened by a byte at a time", Flood(_tiny_windows)),
    Attack("large-windows-unread", "10 large answers on each of 2 connections, largest windows, never read",
           Flood(_held(_windows((1 << 31) - 1), "/hostile/big", 10), connections=2, reads=False, receive_buffer=4096)),
    Attack("redirects-unread", "redirects without pause, answers never read",
           Flood(_streams(path="/redirect"), reads=False)),
    Attack("many-streams", "more requests at once than may be, to an upstream that does not answer",
           Flood(_held(HELLO, "/hostile/silent", 400), connections=4)),
    Attack("header-bomb-2", "header lists of 54 KiB",
           Flood(_blocks(frames.block(_request("/redirect", *_fields(90, 600)))))),
    Attack("hpack-bomb", "blocks whose one-byte references stand for 4 KiB each",
           Flood(_blocks(BOMB, frames.block(_request()) + b"\xbe" * 60000))),
    Attack("hpack-references", "blocks of 200,000 one-byte references, each another",
           Flood(_distinct_blocks)),
    Attack("hpack-table", "thousands of changes of the table's size in a block", Flood(_table_churn)),
    Attack("cookie-crumbs", "cookies in 90 crumbs", Flood(_blocks(frames.block(_request("/redirect", *CRUMBS))))),
    Attack("cookie-crumbs-many", "cookies in 9,000 crumbs",
           Flood(_blocks(frames.block(_request("/redirect", *CRUMBS * 100))))),
    Attack("block-bytewise", "a header block, a byte a packet",
           Flood(lambda: itertools.chain([HELLO], bytewise(frames.headers(_request("/good", *_fields(90, 160))))()))),
    Attack("upload-unread-2", "bodies of 11 MB in 20 streams to an upstream that does not read",
           Flood(_uploads, connections=1)),
)  # fmt: skip
