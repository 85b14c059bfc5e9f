"""HTTP/1: both codecs, the head parser, the chunked decoder, request targets.

The grammar writes messages as text: what is framed rightly, then what almost is.
"""

from __future__ import annotations

import itertools
from typing import Any

import httptools
from hypothesis import strategies as st

from envoymesh.errors import CodecProtocolError
from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.http.http1 import Http1Settings
from envoymesh.http.http1.chunked import ChunkedDecoder
from envoymesh.http.http1.head import HeadParser, field_bytes, parse_trailers
from envoymesh.http.http1.settings import HeadersWithUnderscoresAction
from envoymesh.http.http1.target import is_valid_authority, parse_target
from tests.fuzz.driver import Http1ClientSide, Http1ServerSide, deliver
from tests.fuzz.target import Target, mutated, same_however_cut
from tests.unit.http.http1.recorders import Message, answer

# Grammar

OPTIONS = st.integers(0, 255).map(lambda number: bytes([number]))
"""The first byte of an input chooses settings and what the codec's owner does; the rest is from the peer."""

METHODS = st.sampled_from(b"GET GET GET POST POST PUT HEAD CONNECT OPTIONS PATCH PRI QUERY BREW".split())
TARGETS = st.sampled_from(
    b"/ /a/b?c=d * http://h/p?q HTTPS://u@h:80 h:443 [::1]:1 //x /%zz /\xc3\xa9 /#f ws://h/ http://[::1 http://h:99999/"
    b" http:/// ?x :0 a:b:c".split()
)
VERSIONS = st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/0.9", b"http/1.1", b""])
TOKENS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\n ", b"\t", b" ", b"\0", b":", b";", b",", b"\x80", b"0\r\n\r\n", b"0",
    b"ffffffffffffffff", b"Host: a\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"_", b"\x0b",
    b"Connection: close\r\n", b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", b"Expect: 100-continue\r\n", b"+", b"-1",
]  # fmt: skip
ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b" \r\n", b"\r\n ", b"\r\r\n"])
COLONS = st.sampled_from([b": "] * 8 + [b":", b" : ", b":\t", b": \t "])
FIELDS = st.sampled_from([
    (b"Host", b"a.test"), (b"host", b"[::1]:80"), (b"Host", b""), (b"Host", b"a b"), (b"Connection", b"close"),
    (b"Connection", b"keep-alive"), (b"Connection", b"Upgrade, HTTP2-Settings"), (b"Upgrade", b"websocket"),
    (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABk"), (b"Proxy-Connection", b"close, x"), (b"x_y", b"1"),
    (b"Cookie", b"a=b"), (b"Accept", b""), (b"X-Long", b"v" * 90), (b"Expect", b"100-continue"), (b"Trailer", b"x"),
    (b"Content-Length", b"0"), (b"Content-Length", b"3"), (b"Content-Length", b"+3"), (b"Content-Length", b"2, 2"),
    (b"Content-Length", b"9" * 18), (b"Content-Length", b"9" * 19), (b"Transfer-Encoding", b"chunked"),
    (b"Transfer-Encoding", b"CHUNKED"), (b"Transfer-Encoding", b"gzip, chunked"), (b"Transfer-Encoding", b"chunked "),
    (b"X", b"\xff"), (b"X", b"a\x00b"), (b"", b"x"), (b"X", b"tab\there"), (b"Keep-Alive", b"timeout=5"),
])  # fmt: skip


@st.composite
def lines(draw: Any, most: int = 5) -> bytes:
    """Header or trailer lines."""
    fields = draw(st.lists(FIELDS, max_size=most))
    return b"".join(name + draw(COLONS) + value + draw(ENDS) for name, value in fields)


@st.composite
def chunks(draw: Any) -> bytes:
    """A chunked body, with its trailers."""
    out = b""
    for body in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)):
        size = draw(st.sampled_from([b"%x", b"%X", b"0%x", b"000000000000%x"])) % len(body)
        extension = draw(st.sampled_from([b"", b"", b";a", b";a=b", b';a="\x80"', b" ;a", b";\r"]))
        out += size + extension + b"\r\n" + body + draw(ENDS)
    return out + b"0\r\n" + draw(st.just(b"") | lines(3)) + b"\r\n"


@st.composite
def bodies(draw: Any) -> tuple[bytes, bytes]:
    """A framing field's line, and a body that fits it."""
    kind = draw(st.sampled_from(["none", "none", "length", "chunked", "short"]))
    if kind == "none":
        return b"", b""
    if kind == "chunked":
        return b"Transfer-Encoding: chunked\r\n", draw(chunks())
    body = draw(st.binary(max_size=20))
    return b"Content-Length: %d\r\n" % (len(body) + (kind == "short")), body


@st.composite
def requests(draw: Any) -> bytes:
    """One request, mostly well-formed."""
    blank = draw(st.sampled_from([b""] * 8 + [b"\r\n", b"\r\n\r\n", b"\n", b"\r"]))
    start = draw(METHODS) + b" " + draw(TARGETS) + b" " + draw(VERSIONS) + draw(ENDS)
    framing, body = draw(bodies())
    host = draw(st.sampled_from([b"Host: a\r\n"] * 6 + [b""]))
    return blank + start + host + draw(lines(3)) + framing + b"\r\n" + body


@st.composite
def responses(draw: Any) -> bytes:
    """One response, mostly well-formed."""
    status = draw(st.sampled_from(b"200 200 200 100 101 103 204 304 404 500 099 1000 0 2x0".split()))
    reason = draw(st.sampled_from([b" OK", b" ", b"", b" \xff"]))
    start = draw(st.sampled_from([b"HTTP/1.1 "] * 5 + [b"HTTP/1.0 ", b"HTTP/2 ", b""])) + status + reason
    framing, body = draw(bodies())
    return start + draw(ENDS) + draw(lines(3)) + framing + b"\r\n" + body


def pipelined(one: Any) -> Any:
    return st.lists(one, min_size=1, max_size=3).map(b"".join)


# Checks


def settings_of(options: int) -> Http1Settings:
    """What the bits of the first byte choose."""
    small = bool(options & 64)
    return Http1Settings(
        max_request_headers_kb=1 if small else 60,
        max_response_headers_kb=1 if small else 80,
        max_headers_count=3 if small else 100,
        accept_http_10=bool(options & 4),
        default_host_for_http_10=b"default" if options & 4 else b"",
        allow_chunked_length=bool(options & 8),
        allow_absolute_url=not options & 16,
        proper_case_words=bool(options & 16),
        enable_trailers=bool(options & 16),
        headers_with_underscores_action=HeadersWithUnderscoresAction(options >> 5 & 1),
    )


def _answer_and_close(message: Message) -> None:
    message.encoder.encode_headers(ResponseHeaders(200, [(b"connection", b"close")]), False)
    message.encoder.encode_data(b"bye", True)


_ANSWERS = [(answer(), "end"), (answer(), "headers"), (None, "end"), (_answer_and_close, "end")]


def check_server(data: bytes) -> None:
    """Bytes of a client."""
    options, data = (data[0], data[1:]) if data else (0, b"")

    def run(pieces: list[bytes]) -> Any:
        hook, at = _ANSWERS[options & 3]
        side = Http1ServerSide(hook, at, settings_of(options), 100 if options & 8 else 0)
        outcome = side.outcome(deliver(side, pieces, bool(options & 128)))
        for message in side.requests:
            if message.headers is not None:
                field_bytes(message.encoder.head)
        return outcome

    same_however_cut(data, run)


def check_client(data: bytes) -> None:
    """Bytes of an upstream, in answer to one request."""
    options, data = (data[0], data[1:]) if data else (0, b"")
    method = (b"GET", b"HEAD", b"POST", b"CONNECT")[options & 3]
    upgrade = [(b"connection", b"upgrade"), (b"upgrade", b"websocket")] if options & 32 else []

    def run(pieces: list[bytes]) -> Any:
        side = Http1ClientSide(settings_of(options))
        request = RequestHeaders(method, b"/", b"h:1", b"http", list(upgrade))
        side.message.encoder.encode_headers(request, method in (b"GET", b"HEAD") and not upgrade)
        outcome = side.outcome(deliver(side, pieces, bool(options & 128)))
        if side.message.ended and side.codec.can_take_stream:
            assert side.told.count("complete") == 1, "a connection is used again before its answer is complete"
        return outcome

    same_however_cut(data, run)


def check_head(data: bytes) -> None:
    """A message's head, and what is behind it."""
    options, data = (data[0], data[1:]) if data else (0, b"")
    kind = httptools.HttpResponseParser if options & 1 else httptools.HttpRequestParser

    def run(pieces: list[bytes]) -> Any:
        parser = HeadParser(kind, 10_000, 5, bool(options & 2))
        taken = 0
        try:
            for piece in pieces:
                pos = 0
                while pos < len(piece) and not parser.complete:
                    after = parser.feed(piece, pos)
                    assert pos < after <= len(piece)
                    taken += after - pos
                    pos = after
        except CodecProtocolError as error:
            return (error.details, error.status)
        if not parser.complete:
            return "unfinished"
        if parser.url and parser.version not in ("1.0", "1.1"):
            return ("refused", parser.version)  # whatever is behind it
        return (taken, parser.fields, parser.raw, parser.method, parser.url, parser.status, parser.version)

    same_however_cut(data, run)


def check_trailers(data: bytes) -> None:
    """A trailer section: whole lines, up to an empty one."""
    whole = [line + b"\n" for line in data.split(b"\n")[:-1]]
    lines = list(itertools.takewhile(lambda line: line != b"\r\n", whole))
    try:
        fields = parse_trailers(b"".join(lines), 5)
    except CodecProtocolError:
        return
    assert len(fields) <= 5
    for name, value in fields:
        assert name == name.lower()
        assert not {b"\r"[0], b"\n"[0], 0} & set(name + value), "a line break or NUL in a trailer"


def check_chunked(data: bytes) -> None:
    """A chunked body, and what is behind it."""

    def run(pieces: list[bytes]) -> Any:
        decoder = ChunkedDecoder(200, 5)
        body = b""
        taken = 0
        try:
            for piece in pieces:
                if not decoder.done:
                    found, pos = decoder.feed(piece, 0)
                    assert pos == len(piece) or decoder.done
                    body += found
                    taken += pos
        except CodecProtocolError as error:
            return (error.details, error.status)
        return (body, taken, decoder.done, decoder.trailers)

    outcome = same_however_cut(data, run)
    assert len(outcome) == 2 or len(outcome[0]) <= len(data)


def check_target(data: bytes) -> None:
    """A method and a request target that does not begin with a slash."""
    method, _, url = data.partition(b" ")
    for absolute in (False, True):
        try:
            target = parse_target(method, url, absolute)
        except CodecProtocolError:
            continue
        assert target.authority is None or is_valid_authority(target.authority)
        assert target.scheme in (b"", b"http", b"https")
        if target.scheme:
            assert target.path[:1] in (b"/", b"?"), target
        if method == b"CONNECT":
            assert target.authority == url


REQUESTS = mutated(pipelined(requests()), TOKENS)
RESPONSES = mutated(pipelined(responses()), TOKENS)

TARGETS_HERE = [
    Target("http1-server", check_server, st.tuples(OPTIONS, REQUESTS).map(b"".join)),
    Target("http1-client", check_client, st.tuples(OPTIONS, RESPONSES).map(b"".join)),
    Target("http1-head", check_head, st.tuples(OPTIONS, REQUESTS | RESPONSES).map(b"".join)),
    Target("http1-trailers", check_trailers, mutated(lines(), TOKENS)),
    Target("http1-chunked", check_chunked, mutated(chunks(), TOKENS)),
    Target("http1-target", check_target, mutated(st.tuples(METHODS, st.just(b" "), TARGETS).map(b"".join), TOKENS)),
]
