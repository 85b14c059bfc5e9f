"""What the HTTP/2 upstream answers, by path: good, odd and forbidden frames."""

from __future__ import annotations

import time

from tests.parity.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PING,
    PUSH_PROMISE,
    Field,
    block,
    data,
    frame,
    goaway,
    headers,
    rst,
    settings,
    window_update,
)
from tests.parity.upstreams import Http2Answer, Http2Peer

OK: tuple[Field, ...] = ((":status", "200"), ("content-type", "text/plain"), ("content-length", "2"))


def sends(*parts: object, pause: float = 0.0, close: bool = False) -> Http2Answer:
    """An answer of these frames: bytes, or functions of the stream."""

    def answer(peer: Http2Peer, stream: int) -> None:
        for index, part in enumerate(parts):
            if index and pause:
                time.sleep(pause)
            peer.send(part(stream) if callable(part) else part)  # type: ignore[arg-type]
        if close:
            time.sleep(0.05 if parts else 0.0)
            peer.socket.close()

    return answer


def head(*fields: Field, end: bool = False) -> object:
    """HEADERS."""
    return lambda stream: headers(fields, stream, end)


def body(content: bytes, end: bool = True) -> object:
    """DATA."""
    return lambda stream: data(content, stream, end)


def reset(code: int) -> object:
    """RST_STREAM."""
    return lambda stream: rst(code, stream)


def ok(*more: Field) -> Http2Answer:
    """200 with a body and these fields."""
    return sends(head(*OK, *more), body(b"hi"))


def wrong_head(*fields: Field) -> Http2Answer:
    """A head that is forbidden, then a body."""
    return sends(head(*fields), body(b"hi"))


STATUS = (":status", "200")

HTTP2_ANSWERS: dict[str, Http2Answer] = {
    "/": ok(("date", "Mon, 06 Jul 2020 06:20:00 GMT"), ("server", "up"), ("x-envoy-upstream-service-time", "77")),
    "/2/trailers": sends(head(STATUS), body(b"hi", end=False), head(("x-t", "1"), end=True)),
    "/2/204": sends(head((":status", "204"), end=True)),
    "/2/304": sends(head((":status", "304"), ("content-length", "5"), end=True)),
    "/2/head": sends(head(STATUS, ("content-length", "5"), end=True)),
    "/2/no-length": sends(head(STATUS), body(b"hi")),
    "/2/empty-data": sends(head(STATUS), body(b"")),
    "/2/only-head": sends(head(STATUS, end=True)),
    "/2/pieces": sends(head(STATUS), body(b"he", end=False), body(b"llo"), pause=0.03),
    "/2/padded": sends(head(STATUS), lambda s: frame(DATA, 9, s, b"\x02hi\0\0")),
    "/2/no-status": wrong_head(("x-a", "b")),
    "/2/two-status": wrong_head(STATUS, STATUS),
    "/2/bad-status": wrong_head((":status", "abc")),
    "/2/status-99": wrong_head((":status", "99")),
    "/2/status-600": wrong_head((":status", "600")),
    "/2/status-1000": wrong_head((":status", "1000")),
    "/2/101": wrong_head((":status", "101")),
    "/2/late-status": wrong_head(("x-a", "b"), STATUS),
    "/2/path-in-response": wrong_head(STATUS, (":path", "/")),
    "/2/upper-case": wrong_head(STATUS, ("X-A", "b")),
    "/2/space-in-name": wrong_head(STATUS, ("x a", "b")),
    "/2/empty-name": wrong_head(STATUS, ("", "b")),
    "/2/cr-in-value": wrong_head(STATUS, ("x-a", "b\rc")),
    "/2/nul-in-value": wrong_head(STATUS, ("x-a", "b\0c")),
    "/2/blank-value": ok(("x-a", " b ")),
    "/2/empty-value": ok(("x-a", "")),
    "/2/latin": ok(("x-a", "\xe9")),
    "/2/connection": wrong_head(STATUS, ("connection", "close")),
    "/2/keep-alive": wrong_head(STATUS, ("keep-alive", "5")),
    "/2/proxy-connection": wrong_head(STATUS, ("proxy-connection", "close")),
    "/2/transfer-encoding": wrong_head(STATUS, ("transfer-encoding", "chunked")),
    "/2/upgrade": wrong_head(STATUS, ("upgrade", "h2c")),
    "/2/te": wrong_head(STATUS, ("te", "gzip")),
    "/2/host": ok(("host", "a")),
    "/2/underscore": ok(("x_a", "b")),
    "/2/cookies": ok(("set-cookie", "a=1"), ("set-cookie", "b=2")),
    "/2/twice": ok(("x-a", "1"), ("x-b", "2"), ("x-a", "3")),
    "/2/long-length": sends(head(STATUS, ("content-length", "5")), body(b"hi")),
    "/2/short-length": sends(head(STATUS, ("content-length", "1")), body(b"hi")),
    "/2/two-lengths": wrong_head(STATUS, ("content-length", "2"), ("content-length", "2")),
    "/2/bad-length": wrong_head(STATUS, ("content-length", "x")),
    "/2/100": sends(head((":status", "100")), head(*OK), body(b"hi")),
    "/2/103": sends(head((":status", "103"), ("link", "a")), head(*OK), body(b"hi")),
    "/2/100-end": sends(head((":status", "100"), end=True)),
    "/2/reset-refused": sends(reset(7)),
    "/2/reset-cancel": sends(reset(8)),
    "/2/reset-internal": sends(reset(2)),
    "/2/reset-none": sends(reset(0)),
    "/2/reset-http11": sends(reset(13)),
    "/2/late-reset": sends(head(STATUS), body(b"hi", end=False), reset(2), pause=0.03),
    "/2/late-reset-none": sends(head(STATUS), body(b"hi", end=False), reset(0), pause=0.03),
    "/2/early-reset": sends(head(*OK), body(b"hi"), reset(0)),
    "/2/goaway": sends(goaway(0, 0)),
    "/2/goaway-error": sends(goaway(0, 2)),
    "/2/goaway-later": sends(lambda s: goaway(s, 0), head(*OK), body(b"hi")),
    "/2/close": sends(close=True),
    "/2/late-close": sends(head(STATUS), body(b"hi", end=False), close=True),
    "/2/data-first": sends(body(b"hi")),
    "/2/second-head": sends(head(STATUS), head(("x-a", "b")), body(b"hi")),
    "/2/status-in-trailers": sends(head(STATUS), body(b"hi", end=False), head((":status", "200"), end=True)),
    "/2/upper-trailers": sends(head(STATUS), body(b"hi", end=False), head(("X-T", "1"), end=True)),
    "/2/after-end": sends(head(*OK), body(b"hi"), body(b"more")),
    "/2/idle-stream": sends(data(b"hi", 99)),
    "/2/even-stream": sends(headers((STATUS,), 2)),
    "/2/push": sends(lambda s: frame(PUSH_PROMISE, END_HEADERS, s, b"\0\0\0\x02" + block([(":method", "GET")]))),
    "/2/garbage": sends(b"garbage garbage garbage"),
    "/2/large-frame": sends(frame(DATA, 0, 1, b"x" * 20000)),
    "/2/unknown-frame": sends(frame(77, 0, 0, b"abc"), head(*OK), body(b"hi")),
    "/2/ping": sends(frame(PING, 0, 0, b"12345678"), head(*OK), body(b"hi")),
    "/2/short-ping": sends(frame(PING, 0, 0, b"123")),
    "/2/settings": sends(settings((3, 1), (4, 100)), head(*OK), body(b"hi")),
    "/2/bad-settings": sends(settings((4, 0xFFFFFFFF))),
    "/2/push-settings": sends(settings((2, 1))),
    "/2/no-window": sends(window_update(0)),
    "/2/no-stream-window": sends(lambda s: window_update(0, s)),
    "/2/large-window": sends(window_update(0x7FFFFFFF)),
    "/2/bad-block": sends(lambda s: frame(HEADERS, END_HEADERS, s, b"\xff\xff\xff\xff\xff\xff")),
    "/2/lone-continuation": sends(lambda s: frame(CONTINUATION, END_HEADERS, s, block([STATUS]))),
    "/2/broken-block": sends(lambda s: frame(HEADERS, 0, s, block([STATUS])) + frame(PING, 0, 0, b"12345678")),
    "/2/large-head": ok(("x-big", "v" * 40000)),
    "/2/huge-head": ok(("x-big", "v" * 90000)),
    "/2/many-fields": ok(*((f"x-{n}", "1") for n in range(110))),
    "/2/slow": sends(),
}
