"""Requests in, responses out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import HttpProtocol, StreamResetReason
from envoymesh.http.headers import HeaderMap, ResponseHeaders
from envoymesh.http.http1 import HeadersWithUnderscoresAction
from tests.unit.http.http1.recorders import Message, Server, answer, split

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def head(line: bytes = b"GET / HTTP/1.1", *fields: bytes) -> bytes:
    return line + b"\r\n" + HOST + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def post(*fields: bytes) -> bytes:
    return head(b"POST / HTTP/1.1", *fields)


def only(server: Server) -> Message:
    assert len(server.requests) == 1
    return server.requests[0]


def test_a_request_becomes_headers() -> None:
    server = Server()
    assert (
        server.feed(b"GET /a?b=c HTTP/1.1\r\nUser-Agent: x\r\nHost: a:80\r\nX-Empty:\r\nX-Pad:  b c \t\r\n\r\n") == ""
    )
    request = only(server)
    headers = request.headers
    assert (headers.method, headers.path, headers.authority, headers.scheme) == (b"GET", b"/a?b=c", b"a:80", b"")
    assert headers.fields == [(b"user-agent", b"x"), (b"x-empty", b""), (b"x-pad", b"b c")]
    assert request.ended
    assert request.encoder.protocol is HttpProtocol.HTTP11
    assert not request.encoder.close_connection_after_response


def test_content_length_and_hop_by_hop_fields_stay_and_transfer_encoding_goes() -> None:
    server = Server(answer())
    server.feed(post(b"Content-Length: 2", b"Connection: keep-alive", b"TE: trailers", b"Expect: 100-continue") + b"ab")
    server.feed(post(b"Transfer-Encoding: Chunked") + b"0\r\n\r\n")
    first, second = server.requests
    assert first.headers.fields == [
        (b"content-length", b"2"),
        (b"connection", b"keep-alive"),
        (b"te", b"trailers"),
        (b"expect", b"100-continue"),
    ]
    assert second.headers.fields == []


SEVERAL = {
    "plain": GET,
    "leading empty lines": b"\r\n\r\n\n" + GET,
    "content-length": post(b"Content-Length: 5") + b"hello",
    "content-length 0": post(b"Content-Length: 0"),
    "chunked": post(b"Transfer-Encoding: chunked") + b"5;a=b\r\nhello\r\nA\r\n, world!\r\n\r\n0\r\n\r\n",
    "trailers": post(b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\nX-T: v \r\nhost: b\r\n\r\n",
    "only trailers": post(b"Transfer-Encoding: chunked") + b"0\r\nx-t: v\r\n\r\n",
    "pipelined": GET
    + post(b"Content-Length: 3")
    + b"abc"
    + GET
    + post(b"Transfer-Encoding: chunked")
    + b"0\r\n\r\n"
    + GET,
    "pad": head(b"GET / HTTP/1.1", b"a:   b  \t", b"c:", b"d: \t "),
    "upgrade": head(b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: websocket") + b"raw\r\n\r\nbytes",
    "connect": b"CONNECT a:80 HTTP/1.1\r\nHost: b\r\n\r\nraw",
    "close": head(b"GET / HTTP/1.1", b"Connection: close") + GET,
    "error in the second": GET + b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "bad chunk": post(b"Transfer-Encoding: chunked") + b"1\r\naX\r\n",
    "bad trailer": post(b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\nx y: v\r\n\r\n",
}


def play(pieces: list[bytes]) -> tuple[object, ...]:
    server = Server(answer(), enable_trailers=True)
    error = server.feed(*pieces)
    # A body's bytes before an error may or may not have been delivered.
    seen = [message.seen() for message in server.requests]
    if error:
        seen = [(start, refused) for start, _, _, _, _, refused in seen]
    return (seen, error, server.wire.out, server.wire.disabled)


@pytest.mark.parametrize("name", SEVERAL)
def test_one_byte_at_a_time_is_the_same(name: str) -> None:
    data = SEVERAL[name]
    assert play([data[i : i + 1] for i in range(len(data))]) == play([data])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SEVERAL)), st.lists(st.integers(0, 400), max_size=12))
def test_random_pieces_are_the_same(name: str, cuts: list[int]) -> None:
    data = SEVERAL[name]
    assert play(split(data, cuts)) == play([data])


BAD_REQUEST = (400, b"Bad Request")
NOT_IMPLEMENTED = (501, b"Not Implemented")
UPGRADE_REQUIRED = (426, b"Upgrade Required")
TOO_LARGE = (431, b"Request Header Fields Too Large")
CODEC_ERROR = (*BAD_REQUEST, "http1.codec_error")
INVALID_CHARACTERS = (*BAD_REQUEST, "http1.invalid_characters")
HEADERS_TOO_LARGE = (*TOO_LARGE, "http1.headers_too_large")
INVALID_CODING = (*NOT_IMPLEMENTED, "http1.invalid_transfer_encoding")
INVALID_URL = (*BAD_REQUEST, "http1.invalid_url")
CHUNKED = b"Transfer-Encoding: chunked"

REFUSED = {
    "equal content-lengths": (post(b"Content-Length: 2", b"Content-Length: 2") + b"ab", CODEC_ERROR),
    "different content-lengths": (post(b"Content-Length: 2", b"Content-Length: 3") + b"ab", CODEC_ERROR),
    "list of content-lengths": (post(b"Content-Length: 2, 2") + b"ab", CODEC_ERROR),
    "content-length +2": (post(b"Content-Length: +2"), CODEC_ERROR),
    "content-length -2": (post(b"Content-Length: -2"), CODEC_ERROR),
    "content-length empty": (post(b"Content-Length:"), CODEC_ERROR),
    "content-length hex": (post(b"Content-Length: 0x2"), CODEC_ERROR),
    "content-length 1 2": (post(b"Content-Length: 1 2"), CODEC_ERROR),
    "content-length huge": (post(b"Content-Length: 99999999999999999999999"), CODEC_ERROR),
    "content-length of 19 digits": (post(b"Content-Length: 1000000000000000000"), CODEC_ERROR),
    "length and chunked": (
        post(b"Content-Length: 2", CHUNKED),
        (*BAD_REQUEST, "http1.content_length_and_chunked_not_allowed"),
    ),
    "chunked and length": (
        post(CHUNKED, b"Content-Length: 2"),
        (*BAD_REQUEST, "http1.content_length_and_chunked_not_allowed"),
    ),
    "gzip": (post(b"Transfer-Encoding: gzip"), INVALID_CODING),
    "gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked"), INVALID_CODING),
    "chunked, chunked": (post(b"Transfer-Encoding: chunked, chunked"), INVALID_CODING),
    "chunked twice": (post(CHUNKED, CHUNKED), INVALID_CODING),
    "xchunked": (post(b"Transfer-Encoding: xchunked"), INVALID_CODING),
    "no coding": (post(b"Transfer-Encoding:"), INVALID_CODING),
    "identity": (post(b"Transfer-Encoding: identity"), INVALID_CODING),
    "vertical tab in coding": (post(b"Transfer-Encoding: \x0bchunked"), INVALID_CHARACTERS),
    "two hosts": (head(b"GET / HTTP/1.1", b"host: b"), (*BAD_REQUEST, "http.invalid_authority")),
    "space in host": (b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", (*BAD_REQUEST, "http.invalid_authority")),
    "slash in host": (b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", (*BAD_REQUEST, "http.invalid_authority")),
    "utf-8 in host": (b"GET / HTTP/1.1\r\nhost: \xc3\xa4\r\n\r\n", (*BAD_REQUEST, "http.invalid_authority")),
    "space before colon": (head(b"GET / HTTP/1.1", b"foo : bar"), CODEC_ERROR),
    "space at line start": (b"GET / HTTP/1.1\r\n foo: bar\r\n" + HOST + b"\r\n", CODEC_ERROR),
    "obs-fold": (head(b"GET / HTTP/1.1", b"foo: bar", b" baz"), CODEC_ERROR),
    "obs-fold of an empty value": (head(b"GET / HTTP/1.1", b"foo:", b" baz"), INVALID_CHARACTERS),
    "no colon": (head(b"GET / HTTP/1.1", b"foo"), CODEC_ERROR),
    "no name": (head(b"GET / HTTP/1.1", b": foo"), CODEC_ERROR),
    "bad name": (head(b"GET / HTTP/1.1", b"f@o: a"), CODEC_ERROR),
    "utf-8 name": (head(b"GET / HTTP/1.1", b"f\xc3\xa4: a"), CODEC_ERROR),
    "bare LF": (b"GET / HTTP/1.1\nhost: a\n\n", CODEC_ERROR),
    "bare LF in a field": (b"GET / HTTP/1.1\r\nhost: a\nfoo: b\r\n\r\n", CODEC_ERROR),
    "bare LF at the end": (b"GET / HTTP/1.1\r\nhost: a\r\n\n", CODEC_ERROR),
    "bare CR": (head(b"GET / HTTP/1.1", b"foo: a\rb"), CODEC_ERROR),
    "NUL": (head(b"GET / HTTP/1.1", b"foo: a\0b"), INVALID_CHARACTERS),
    "control character": (head(b"GET / HTTP/1.1", b"foo: a\x01b"), INVALID_CHARACTERS),
    "DEL": (head(b"GET / HTTP/1.1", b"foo: a\x7fb"), INVALID_CHARACTERS),
    "utf-8 path": (head(b"GET /\xc3\xa4 HTTP/1.1"), CODEC_ERROR),
    "space in path": (head(b"GET /a b HTTP/1.1"), CODEC_ERROR),
    "relative path": (head(b"GET foo HTTP/1.1"), CODEC_ERROR),
    "query only": (head(b"GET ?a HTTP/1.1"), CODEC_ERROR),
    "GET *": (head(b"GET * HTTP/1.1"), INVALID_URL),
    "no path": (head(b"GET HTTP/1.1"), CODEC_ERROR),
    "tabs": (head(b"GET\t/\tHTTP/1.1"), CODEC_ERROR),
    "unknown method": (head(b"FOO / HTTP/1.1"), CODEC_ERROR),
    "method of another protocol": (head(b"DESCRIBE / HTTP/1.1"), CODEC_ERROR),
    "lower-case method": (head(b"get / HTTP/1.1"), CODEC_ERROR),
    "HTTP/1.0": (head(b"GET / HTTP/1.0"), (*UPGRADE_REQUIRED, "low_version")),
    "HTTP/1.0, chunked": (head(b"POST / HTTP/1.0", CHUNKED), (*UPGRADE_REQUIRED, "low_version")),
    "HTTP/0.9": (head(b"GET / HTTP/0.9"), (*UPGRADE_REQUIRED, "low_version")),
    "HTTP/0.9 without a version": (b"GET /\r\n\r\n", (*UPGRADE_REQUIRED, "low_version")),
    "HTTP/2.0": (head(b"GET / HTTP/2.0"), (*UPGRADE_REQUIRED, "low_version")),
    "HTTP/1.2": (head(b"GET / HTTP/1.2"), (*UPGRADE_REQUIRED, "low_version")),
    "HTTP/1.11": (head(b"GET / HTTP/1.11"), CODEC_ERROR),
    "http/1.1": (head(b"GET / http/1.1"), CODEC_ERROR),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CODEC_ERROR),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", CODEC_ERROR),
    "head over 60 KiB": (head(b"GET / HTTP/1.1", b"x: " + b"a" * 61440), HEADERS_TOO_LARGE),
    "head over 60 KiB without an end": (b"GET / HTTP/1.1\r\nx: " + b"a" * 61440, HEADERS_TOO_LARGE),
    "path over 60 KiB": (head(b"GET /" + b"a" * 61440 + b" HTTP/1.1"), HEADERS_TOO_LARGE),
    "101 fields": (head(b"GET / HTTP/1.1", *[b"x: 1"] * 100), (*TOO_LARGE, "http1.too_many_headers")),
    "absolute, ftp": (head(b"GET ftp://b.com/x HTTP/1.1"), (*BAD_REQUEST, "http1.invalid_scheme")),
    "absolute, no host": (head(b"GET http:///x HTTP/1.1"), INVALID_URL),
    "absolute, port": (head(b"GET http://b.com:999999/x HTTP/1.1"), INVALID_URL),
    "CONNECT without a port": (head(b"CONNECT a HTTP/1.1"), INVALID_URL),
    "CONNECT to a path": (head(b"CONNECT /a HTTP/1.1"), INVALID_URL),
    "CONNECT with a length": (
        head(b"CONNECT a:80 HTTP/1.1", b"Content-Length: 2"), (*BAD_REQUEST, "http1.body_disallowed"),
    ),
    "CONNECT, chunked": (head(b"CONNECT a:80 HTTP/1.1", CHUNKED), INVALID_CODING),
    "chunk size": (post(CHUNKED) + b"zz\r\n\r\n", CODEC_ERROR),
    "chunk size 0x": (post(CHUNKED) + b"0x2\r\nab\r\n0\r\n\r\n", CODEC_ERROR),
    "chunk size -1": (post(CHUNKED) + b"-1\r\nab\r\n0\r\n\r\n", CODEC_ERROR),
    "chunk size empty": (post(CHUNKED) + b"\r\nab\r\n0\r\n\r\n", CODEC_ERROR),
    "chunk size padded": (post(CHUNKED) + b"2 \r\nab\r\n0\r\n\r\n", CODEC_ERROR),
    "chunk size huge": (post(CHUNKED) + b"8000000000000000\r\nab\r\n", CODEC_ERROR),
    "chunk longer than it says": (post(CHUNKED) + b"2\r\nabc\r\n", CODEC_ERROR),
    "chunk with bare LF": (post(CHUNKED) + b"2\nab\n0\n\n", CODEC_ERROR),
    "chunk data with bare LF": (post(CHUNKED) + b"2\r\nab\n0\r\n\r\n", CODEC_ERROR),
    "chunk extension with CR": (post(CHUNKED) + b"2;a\rb\r\nab\r\n", CODEC_ERROR),
    "chunk extension long": (post(CHUNKED) + b"2;" + b"a" * 5000 + b"\r\nab\r\n", CODEC_ERROR),
    "chunk line without an end": (post(CHUNKED) + b"2;" + b"a" * 5000, CODEC_ERROR),
    "trailer name": (post(CHUNKED) + b"0\r\na b: c\r\n\r\n", CODEC_ERROR),
    "trailer with bare LF": (post(CHUNKED) + b"0\r\na: c\n\r\n", CODEC_ERROR),
    "trailer fold": (post(CHUNKED) + b"0\r\na: c\r\n d\r\n\r\n", CODEC_ERROR),
    "trailer NUL": (post(CHUNKED) + b"0\r\na: \0\r\n\r\n", INVALID_CHARACTERS),
    "trailers over 60 KiB": (post(CHUNKED) + b"0\r\na: " + b"a" * 61440, HEADERS_TOO_LARGE),
    "many long trailers": (post(CHUNKED) + b"0\r\n" + (b"a: " + b"a" * 5000 + b"\r\n") * 13, HEADERS_TOO_LARGE),
    "101 trailers": (post(CHUNKED) + b"0\r\n" + b"a: b\r\n" * 101 + b"\r\n", (*TOO_LARGE, "http1.too_many_headers")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("in_parts", [False, True], ids=["whole", "in parts"])
def test_malformed_requests_are_refused(name: str, in_parts: bool) -> None:
    data, expected = REFUSED[name]
    step = max(1, len(data) // 300) if in_parts else len(data)
    server = Server()
    error = server.feed(*[data[i : i + step] for i in range(0, len(data), step)])
    assert only(server).refused == expected
    assert error == expected[2]
    assert server.wire.out.startswith(b"HTTP/1.1 %d " % expected[0])


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_read_behind_an_error(name: str) -> None:
    data, _ = REFUSED[name]
    server = Server()
    assert server.feed(data)
    server.codec.dispatch(GET)
    assert len(server.requests) == 1


ACCEPTED = {
    "raw utf-8 value": head(b"GET / HTTP/1.1", b"foo: \xc3\xa4"),
    "odd path characters": head(b'GET /"<>\\^`{|} HTTP/1.1'),
    "100 fields": head(b"GET / HTTP/1.1", *[b"x: 1"] * 99),
    "a head of 60 KiB": head(b"GET / HTTP/1.1", b"x: " + b"a" * (61440 - len(GET) - 5)),
    "empty host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "PROPFIND": head(b"PROPFIND / HTTP/1.1"),
    "OPTIONS *": head(b"OPTIONS * HTTP/1.1"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_requests_are_let_in(name: str) -> None:
    server = Server()
    assert server.feed(ACCEPTED[name]) == ""
    assert only(server).ended


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (b"http://b.com:80/x?y=1", (b"http", b"b.com:80", b"/x?y=1")),
        (b"HTTPS://B.com", (b"https", b"B.com", b"/")),
        (b"http://u:p@b.com/x", (b"http", b"b.com", b"/x")),
        (b"http://b.com?x=1", (b"http", b"b.com", b"?x=1")),
        (b"http://[::1]:81/", (b"http", b"[::1]:81", b"/")),
    ],
)
def test_absolute_form(url: bytes, expected: tuple[bytes, bytes, bytes]) -> None:
    server = Server()
    server.feed(head(b"GET " + url + b" HTTP/1.1"))
    headers = only(server).headers
    assert (headers.scheme, headers.authority, headers.path) == expected
    literal = Server(allow_absolute_url=False)
    literal.feed(head(b"GET " + url + b" HTTP/1.1"))
    assert (only(literal).headers.scheme, only(literal).headers.path) == (b"", url)


def test_a_request_begins_with_its_first_byte() -> None:
    server = Server()
    server.feed(b"\r\n\r\n")
    assert not server.requests
    server.feed(b"GET / HT")
    assert only(server).headers is None
    server.feed(b"TP/1.1\r\nHost: a\r\n\r\n")
    assert only(server).headers.path == b"/"


def test_absent_host_is_left_to_others() -> None:
    server = Server()
    server.feed(b"GET / HTTP/1.1\r\n\r\n")
    assert only(server).headers.authority is None


@pytest.mark.parametrize(
    ("fields", "closes"),
    [
        ([], False),
        ([b"Connection: close"], True),
        ([b"Connection: keep-alive, Close"], True),
        ([b"Connection: keep-alive", b"Connection: close"], True),
        ([b"Proxy-Connection: close"], True),
        ([b"Connection: x-close"], False),
    ],
)
def test_requests_that_ask_for_a_close(fields: list[bytes], closes: bool) -> None:
    server = Server(answer())
    server.feed(head(b"GET / HTTP/1.1", *fields) + GET)
    assert server.requests[0].encoder.close_connection_after_response is closes
    assert len(server.requests) == (1 if closes else 2)


def test_http_10_where_it_is_allowed() -> None:
    server = Server(accept_http_10=True, default_host_for_http_10=b"d")
    server.feed(b"GET / HTTP/1.0\r\n\r\n")
    request = only(server)
    assert request.headers.authority == b"d"
    assert request.encoder.protocol is HttpProtocol.HTTP10
    assert request.encoder.close_connection_after_response
    request.encoder.encode_1xx_headers(ResponseHeaders(100))
    request.encoder.encode_headers(ResponseHeaders(200), False)
    request.encoder.encode_data(b"until", False)
    request.encoder.encode_data(b" close", True)
    assert server.wire.out == b"HTTP/1.0 200 OK\r\n\r\nuntil close"


def test_http_10_keep_alive_ends_with_a_body_of_unknown_length() -> None:
    server = Server(accept_http_10=True)
    server.feed(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    request = only(server)
    assert not request.encoder.close_connection_after_response
    request.encoder.encode_headers(ResponseHeaders(200), False)
    assert request.encoder.close_connection_after_response
    assert Server(accept_http_10=True).feed(head(b"POST / HTTP/1.0", CHUNKED)) == "http1.codec_error"


def test_headers_with_underscores() -> None:
    data = head(b"GET / HTTP/1.1", b"a_b: 1", b"c: 2", b"d_: 3")
    reject = Server(headers_with_underscores_action=HeadersWithUnderscoresAction.REJECT_REQUEST)
    assert reject.feed(data) == "http1.unexpected_underscore"
    assert reject.stats.requests_rejected_with_underscores_in_headers.value == 1
    drop = Server(headers_with_underscores_action=HeadersWithUnderscoresAction.DROP_HEADER)
    assert drop.feed(data) == ""
    assert only(drop).headers.fields == [(b"c", b"2")]
    assert drop.stats.dropped_headers_with_underscores.value == 2


def test_content_length_beside_chunked_where_it_is_allowed() -> None:
    server = Server(allow_chunked_length=True)
    assert server.feed(post(b"Content-Length: 9", CHUNKED) + b"2\r\nab\r\n0\r\n\r\n") == ""
    request = only(server)
    assert request.headers.fields == []
    assert (request.body, request.ended) == (b"ab", True)


def test_trailers_are_dropped_unless_enabled() -> None:
    data = post(CHUNKED) + b"2\r\nab\r\n0\r\nX-T: v\r\nContent-Length: 9\r\n\r\n"
    dropping = Server()
    dropping.feed(data)
    assert only(dropping).seen()[2:5] == (b"ab", None, True)
    passing = Server(enable_trailers=True)
    passing.feed(data)
    assert only(passing).seen()[2:5] == (b"ab", [(b"x-t", b"v")], True)


def test_an_upgrade_s_body_is_what_comes_whatever_its_head_says() -> None:
    server = Server()
    server.feed(post(CHUNKED, b"Connection: Upgrade", b"Upgrade: websocket") + b"2\r\nab\r\n0\r\n\r\n")
    request = only(server)
    assert (request.body, request.ended) == (b"2\r\nab\r\n0\r\n\r\n", False)
    assert request.headers.get(b"transfer-encoding") is None
    server = Server()
    server.feed(post(b"Content-Length: 1", b"Connection: Upgrade", b"Upgrade: websocket") + b"abc")
    assert (only(server).body, only(server).headers.get(b"content-length")) == (b"abc", b"1")


def test_connect_has_no_length() -> None:
    server = Server()
    server.feed(head(b"CONNECT a:80 HTTP/1.1", b"Content-Length: 0") + b"raw")
    assert (only(server).body, only(server).headers.fields) == (b"raw", [])


@pytest.mark.parametrize(
    ("upgrade", "connection", "fields"),
    [
        (b"foo", b"Upgrade", []),
        (b"bar/2, foo", b"Upgrade, keep-alive", [(b"connection", b"keep-alive")]),
        (b"foo, websocket", b"Upgrade", [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]),
        (b"websocket", b"Upgrade", [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]),
    ],
)
def test_ignored_upgrades(upgrade: bytes, connection: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    server = Server(ignores_upgrade=lambda name: name in (b"foo", b"bar/2"))
    server.feed(head(b"GET / HTTP/1.1", b"Connection: " + connection, b"Upgrade: " + upgrade))
    assert sorted(only(server).headers.fields) == fields
    assert only(server).ended is (b"websocket" not in upgrade)


def test_h2c_upgrades_are_taken_out() -> None:
    server = Server()
    server.feed(
        head(b"GET / HTTP/1.1", b"Connection: Upgrade, HTTP2-Settings, x", b"Upgrade: h2c", b"HTTP2-Settings: AAA")
    )
    request = only(server)
    assert request.ended
    assert request.headers.fields == [(b"connection", b"x")]


def test_pipelined_requests_are_held_and_answered_in_order() -> None:
    server = Server()
    server.feed(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % i for i in range(3)))
    for i in range(3):
        assert len(server.requests) == i + 1
        assert server.requests[i].headers.path == b"/%d" % i
        assert server.wire.disabled == (1 if i < 2 else 0)
        answer(body=b"%d" % i)(server.requests[i])
        assert len(server.requests) == i + 1, "the next request comes with the next dispatch"
        server.resume()
    assert [part[-1:] for part in server.wire.out.split(b"HTTP/1.1 200 OK")[1:]] == [b"0", b"1", b"2"]


def test_bytes_that_come_while_held_keep_their_order() -> None:
    server = Server()
    server.feed(GET + b"GET /2 HTT")
    server.feed(b"P/1.1\r\nHost: a\r\n\r\nGET /3")
    assert server.wire.disabled == 1
    answer()(server.requests[0])
    server.feed(b" HTTP/1.1\r\nHost: a\r\n\r\n")
    answer()(server.requests[1])
    server.resume()
    assert [request.headers.path for request in server.requests] == [b"/", b"/2", b"/3"]


def test_thousands_of_pipelined_requests_answered_at_once_do_not_recurse() -> None:
    server = Server(answer())
    assert server.feed(GET * 3000) == ""
    assert len(server.requests) == 3000
    assert server.wire.disabled == 0


def test_an_error_behind_a_held_request_waits_its_turn() -> None:
    server = Server()
    server.feed(GET + b"FOO")
    assert len(server.requests) == 1
    answer()(server.requests[0])
    with pytest.raises(CodecProtocolError):
        server.resume()
    assert server.requests[1].refused == CODEC_ERROR


def test_an_answer_before_the_requests_end_is_the_last() -> None:
    server = Server(answer(), at="headers")
    assert server.feed(post(b"Content-Length: 2"), b"ab" + GET) == ""
    assert len(server.requests) == 1
    assert server.requests[0].body == b""
    server.requests[0].encoder.reset_stream(StreamResetReason.LOCAL_RESET)
    assert server.wire.resets == 1


def test_a_response_that_says_close_is_the_last() -> None:
    server = Server(answer(fields=[(b"connection", b"close")]))
    server.feed(GET + GET)
    assert len(server.requests) == 1


def test_an_error_in_the_body_behind_the_response_headers_is_not_answered() -> None:
    server = Server()
    server.feed(post(CHUNKED))
    request = only(server)
    request.encoder.encode_headers(ResponseHeaders(200), False)
    assert server.feed(b"zz\r\n") == "http1.codec_error"
    assert request.refused is None


def test_reset_inside_decode_data() -> None:
    server = Server(lambda message: message.encoder.reset_stream(StreamResetReason.LOCAL_RESET), at="data")
    assert server.feed(post(b"Content-Length: 6") + b"ab", b"cd", b"ef" + GET) == ""
    request = only(server)
    assert request.resets == [StreamResetReason.LOCAL_RESET]
    assert (request.body, server.wire.resets) == (b"ab", 1)
    request.encoder.encode_headers(ResponseHeaders(200), True)
    assert server.wire.out == b""


def test_reset_all_streams_tells_the_stream_once() -> None:
    server = Server()
    server.feed(post(b"Content-Length: 6") + b"ab")
    for _ in range(2):
        server.codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, "gone")
    assert only(server).resets == [StreamResetReason.CONNECTION_TERMINATION]


def test_read_disable_is_passed_on_and_taken_back_at_the_end() -> None:
    server = Server()
    server.feed(post(b"Content-Length: 2") + b"a")
    encoder = only(server).encoder
    encoder.read_disable(True)
    encoder.read_disable(True)
    encoder.read_disable(False)
    assert server.wire.disabled == 1
    encoder.read_disable(False)
    server.feed(b"b")
    encoder.read_disable(True)
    answer()(only(server))
    assert server.wire.disabled == 0


def test_watermarks_reach_the_stream() -> None:
    server = Server()
    server.feed(GET)
    server.codec.on_above_write_buffer_high_watermark()
    assert only(server).above == 1
    server.codec.on_below_write_buffer_low_watermark()
    assert only(server).above == 0


def test_while_answers_are_not_read_no_request_begins() -> None:
    server = Server(answer())
    server.codec.on_above_write_buffer_high_watermark()
    server.feed(GET * 3)
    assert (server.requests, server.wire.disabled) == ([], 1)
    server.codec.on_below_write_buffer_low_watermark()
    server.resume()
    assert (len(server.requests), server.wire.disabled) == (3, 0)


def test_a_full_buffer_stops_what_is_pipelined() -> None:
    server = Server(answer())
    fills = answer()

    def fill(message: Message) -> None:
        server.codec.on_above_write_buffer_high_watermark()
        fills(message)

    server.hook = fill
    server.feed(GET * 3)
    assert (len(server.requests), server.wire.disabled) == (1, 1)
    server.hook = answer()
    server.codec.on_below_write_buffer_low_watermark()
    server.resume()
    assert (len(server.requests), server.wire.disabled) == (3, 0)


def test_a_head_that_has_begun_is_read_to_its_end_while_answers_are_not_read() -> None:
    server = Server(answer())
    server.feed(GET[:10])
    server.codec.on_above_write_buffer_high_watermark()
    server.feed(GET[10:] + GET)
    assert (len(server.requests), server.wire.disabled) == (1, 1)


def test_a_tunnel_is_bytes_both_ways_until_it_is_given_up() -> None:
    server = Server()
    server.feed(head(b"GET / HTTP/1.1", b"Connection: upgrade", b"Upgrade: websocket") + b"in")
    request = only(server)
    request.encoder.encode_headers(ResponseHeaders(101, [(b"upgrade", b"websocket")]), False)
    request.encoder.encode_data(b"out", False)
    assert server.wire.out == b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nout"
    server.feed(GET)
    assert (request.body, request.ended) == (b"in" + GET, False)
    server.codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, "")
    assert request.resets == [StreamResetReason.CONNECTION_TERMINATION]
    assert request.encoder.closed


def respond(method: bytes, headers: ResponseHeaders, *body: bytes, end: bool = False, **settings: object) -> bytes:
    server = Server(**settings)
    server.feed(head(method + (b" a:80" if method == b"CONNECT" else b" /") + b" HTTP/1.1"))
    encoder = only(server).encoder
    encoder.encode_headers(headers, end)
    for i, piece in enumerate(body):
        encoder.encode_data(piece, i == len(body) - 1)
    return server.wire.out


def test_framing_of_responses() -> None:
    ok, not_modified, empty = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 304 Not Modified\r\n", b"HTTP/1.1 204 No Content\r\n"
    length = [(b"content-length", b"2")]
    assert respond(b"GET", ResponseHeaders(200), end=True) == ok + b"content-length: 0\r\n\r\n"
    assert respond(b"GET", ResponseHeaders(200, length), b"ab") == ok + b"content-length: 2\r\n\r\nab"
    assert (
        respond(b"GET", ResponseHeaders(200, [(b"a", b"b")]), b"ab", b"", b"c")
        == ok + b"a: b\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )
    assert respond(b"GET", ResponseHeaders(200), b"") == ok + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    assert respond(b"HEAD", ResponseHeaders(200, length), end=True) == ok + b"content-length: 2\r\n\r\n"
    assert respond(b"HEAD", ResponseHeaders(200), end=True) == ok + b"transfer-encoding: chunked\r\n\r\n"
    assert respond(b"HEAD", ResponseHeaders(200, length), b"ab") == ok + b"content-length: 2\r\n\r\n"
    assert respond(b"GET", ResponseHeaders(304), end=True) == not_modified + b"\r\n"
    assert respond(b"GET", ResponseHeaders(304, length), end=True) == not_modified + b"content-length: 2\r\n\r\n"
    assert respond(b"GET", ResponseHeaders(204), end=True) == empty + b"\r\n"
    assert respond(b"GET", ResponseHeaders(204, length), b"ab") == empty + b"\r\n"
    assert respond(b"CONNECT", ResponseHeaders(200), b"a", b"b") == ok + b"\r\nab"
    assert respond(b"CONNECT", ResponseHeaders(200, length), b"abc", b"d") == ok + b"content-length: 2\r\n\r\nabcd"
    assert respond(b"GET", ResponseHeaders(101), end=True) == b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    assert respond(b"GET", ResponseHeaders(299), end=True).startswith(b"HTTP/1.1 299 Unknown\r\n")


def test_foreign_framing_fields_are_not_sent() -> None:
    fields = [(b"transfer-encoding", b"chunked"), (b"a", b"b"), (b"content-length", b"2"), (b"content-length", b"2")]
    out = respond(b"GET", ResponseHeaders(200, fields), b"ab")
    assert out == b"HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 2\r\n\r\nab"


@pytest.mark.parametrize("body", [(b"a",), (b"abc",), (b"ab", b"c"), (b"a", b"")])
def test_a_body_that_does_not_fit_its_length_ends_the_connection(body: tuple[bytes, ...]) -> None:
    server = Server()
    server.feed(GET)
    request = only(server)
    request.encoder.encode_headers(ResponseHeaders(200, [(b"content-length", b"2")]), False)
    for i, piece in enumerate(body):
        request.encoder.encode_data(piece, i == len(body) - 1)
    assert request.resets == [StreamResetReason.PROTOCOL_ERROR]
    assert server.wire.resets == 1
    assert b"abc" not in server.wire.out


def test_a_field_never_becomes_two_lines() -> None:
    out = respond(
        b"GET", ResponseHeaders(200, [(b"a", b"b\r\nset-cookie: x\r\n\r\nHTTP/1.1 200 OK"), (b"c\n", b"\0")]), end=True
    )
    assert out.count(b"\r\n") == out.count(b"\n") == 5


def test_proper_case() -> None:
    out = respond(b"GET", ResponseHeaders(200, [(b"x-foo2bar-b_c", b"v")]), end=True, proper_case_words=True)
    assert out == b"HTTP/1.1 200 OK\r\nX-Foo2bar-B_C: v\r\nContent-Length: 0\r\n\r\n"


def test_interim_responses_and_trailers_out() -> None:
    server = Server(enable_trailers=True)
    server.feed(GET)
    encoder = only(server).encoder
    encoder.encode_1xx_headers(ResponseHeaders(100))
    encoder.encode_1xx_headers(ResponseHeaders(103, [(b"link", b"a")]))
    encoder.encode_headers(ResponseHeaders(200), False)
    encoder.encode_data(b"a", False)
    encoder.encode_trailers(HeaderMap([(b"t", b"v")]))
    assert server.wire.out == (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Unknown\r\nlink: a\r\n\r\n"
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nt: v\r\n\r\n"
    )
    assert encoder.closed
    dropping = Server()
    dropping.feed(GET)
    encoder = only(dropping).encoder
    encoder.encode_headers(ResponseHeaders(200), False)
    encoder.encode_trailers(HeaderMap([(b"t", b"v")]))
    assert dropping.wire.out.endswith(b"\r\n\r\n0\r\n\r\n")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=4))
def test_garbage_is_refused_or_waited_for(data: bytes, cuts: list[int]) -> None:
    server = Server(answer())
    pieces = split(data, cuts) if data else []
    error = server.feed(*pieces)
    assert bool(error) == any(request.refused for request in server.requests)


TOKENS = [
    b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\n", HOST, b"\r\n", b"\n", b"\r", b" ", b"\t", b":",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: ", b"chunked", b"gzip, ", b"Content-Length: ", b"0\r\n\r\n",
    b"5\r\nhello\r\n", b"x: y\r\n", b"Connection: close\r\n", b"Upgrade: x\r\n", b"\0", b"GET http://b/ HTTP/1.0\r\n",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(TOKENS), max_size=14), st.lists(st.integers(0, 300), max_size=6))
def test_near_requests_are_the_same_in_pieces(tokens: list[bytes], cuts: list[int]) -> None:
    data = b"".join(tokens)
    if data:
        assert play(split(data, cuts)) == play([data])
