"""Requests out, responses in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envoymesh.errors import CodecProtocolError
from envoymesh.http.codec import ClientCodecCallbacks, StreamResetReason
from envoymesh.http.headers import HeaderMap
from tests.support.stand_ins import stands_for
from tests.unit.http.http1.recorders import Client, Message, split

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def response(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK", body: bytes = b"") -> bytes:
    return line + b"\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def test_requests_and_responses_take_turns_on_one_connection() -> None:
    client = Client()
    for i in range(3):
        assert client.codec.can_take_stream
        message = client.request(path=b"/%d" % i)
        assert not client.codec.can_take_stream
        assert client.wire.take() == b"GET /%d HTTP/1.1\r\nhost: h\r\n\r\n" % i
        assert client.feed(OK) == ""
        assert message.seen()[:3] == ((200, ((b"content-length", b"2"),)), [], b"ok")
        assert message.ended
        assert client.completed == i + 1


def sent(
    method: bytes, fields: list[tuple[bytes, bytes]], *body: bytes, end: bool = False, path: bytes = b"/"
) -> bytes:
    client = Client()
    encoder = client.request(method, fields, end_stream=end, path=path).encoder
    for i, piece in enumerate(body):
        encoder.encode_data(piece, i == len(body) - 1)
    return client.wire.out


def test_framing_of_requests() -> None:
    chunked = b"transfer-encoding: chunked\r\n\r\n"
    assert sent(b"GET", [(b"a", b"b")], end=True) == b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n\r\n"
    assert sent(b"DELETE", [], end=True) == b"DELETE / HTTP/1.1\r\nhost: h\r\n\r\n"
    assert sent(b"POST", [], end=True) == b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"
    assert sent(b"OPTIONS", [], end=True, path=b"*") == b"OPTIONS * HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n"
    assert sent(b"GET", [], b"ab", b"") == b"GET / HTTP/1.1\r\nhost: h\r\n" + chunked + b"2\r\nab\r\n0\r\n\r\n"
    length = [(b"content-length", b"2")]
    assert sent(b"PUT", length, b"a", b"b") == b"PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nab"
    upgrade = [(b"connection", b"keep-alive, Upgrade"), (b"upgrade", b"websocket")]
    assert sent(b"GET", upgrade, b"raw").endswith(b"upgrade: websocket\r\n\r\nraw")
    assert sent(b"CONNECT", [], b"raw") == b"CONNECT h HTTP/1.1\r\nhost: h\r\n\r\nraw"


def test_foreign_framing_fields_are_not_sent() -> None:
    fields = [(b"host", b"x"), (b"transfer-encoding", b"chunked"), (b"a", b"b")]
    assert sent(b"GET", fields, end=True) == b"GET / HTTP/1.1\r\nhost: h\r\na: b\r\n\r\n"


@pytest.mark.parametrize("body", [(b"abc",), (b"a",), (b"ab", b"GET /admin HTTP/1.1\r\n\r\n")])
def test_a_body_never_becomes_the_next_request(body: tuple[bytes, ...]) -> None:
    client = Client()
    message = client.request(b"POST", [(b"content-length", b"2")], end_stream=False)
    for i, piece in enumerate(body):
        message.encoder.encode_data(piece, i == len(body) - 1)
    assert message.resets == [StreamResetReason.PROTOCOL_ERROR]
    assert client.wire.resets == 1
    assert client.reset == 1
    assert b"c" not in client.wire.out.partition(b"\r\n\r\n")[2]
    assert b"admin" not in client.wire.out
    assert not client.codec.can_take_stream


def test_trailers_out() -> None:
    client = Client(enable_trailers=True)
    encoder = client.request(b"POST", end_stream=False).encoder
    encoder.encode_data(b"a", False)
    encoder.encode_trailers(HeaderMap([(b"t", b"v")]))
    assert client.wire.out.endswith(b"1\r\na\r\n0\r\nt: v\r\n\r\n")


LATER = {
    "length": (b"GET", OK),
    "chunked": (b"GET", response(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n3;x\r\nabc\r\n0\r\nt: v\r\n\r\n")),
    "interim": (b"GET", response(line=b"HTTP/1.1 100 Continue") + response(b"a: b", line=b"HTTP/1.1 103 E") + OK),
    "head": (b"HEAD", response(b"Content-Length: 2")),
    "head chunked": (b"HEAD", response(b"Transfer-Encoding: chunked")),
    "204": (b"GET", response(line=b"HTTP/1.1 204 No Content")),
    "204 with 0": (b"GET", response(b"content-length: 0", line=b"HTTP/1.1 204 No Content")),
    "304": (b"GET", response(b"Content-Length: 5", line=b"HTTP/1.1 304 Not Modified")),
    "no reason": (b"GET", response(b"Content-Length: 2", line=b"HTTP/1.1 200", body=b"ok")),
    "close": (b"GET", response(b"Content-Length: 2", b"Connection: close", body=b"ok")),
    "http/1.0": (b"GET", response(b"Content-Length: 2", line=b"HTTP/1.0 200 OK", body=b"ok")),
    "http/1.0 keep-alive": (b"GET", response(b"Connection: keep-alive", b"Content-Length: 0", line=b"HTTP/1.0 200 OK")),
    "excess": (b"GET", OK + b"x"),
    "excess after head": (b"HEAD", OK),
    "bad chunk": (b"GET", response(b"Transfer-Encoding: chunked", body=b"zz\r\n")),
    "tunnel": (b"CONNECT", response(body=b"raw\r\n\r\nHTTP/1.1")),
    "until close": (b"GET", response(body=b"some more")),
}


def play(method: bytes, pieces: list[bytes]) -> tuple[object, ...]:
    client = Client(enable_trailers=True)
    message = client.request(method, end_stream=method != b"CONNECT")
    error = client.feed(*pieces)
    if not error:
        client.codec.on_eof()
    return (message.seen(), error, client.completed, client.codec.can_take_stream)


@pytest.mark.parametrize("name", LATER)
def test_one_byte_at_a_time_is_the_same(name: str) -> None:
    method, data = LATER[name]
    whole = play(method, [data])
    assert play(method, [data[i : i + 1] for i in range(len(data))]) == whole
    assert whole[0][0], "no response at all"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(LATER)), st.lists(st.integers(0, 400), max_size=12))
def test_random_pieces_are_the_same(name: str, cuts: list[int]) -> None:
    method, data = LATER[name]
    assert play(method, split(data, cuts)) == play(method, [data])


REUSE = {
    "length",
    "chunked",
    "interim",
    "head",
    "head chunked",
    "204",
    "204 with 0",
    "304",
    "no reason",
    "http/1.0 keep-alive",
}


@pytest.mark.parametrize("name", LATER)
def test_which_connections_can_be_used_again(name: str) -> None:
    method, data = LATER[name]
    client = Client()
    client.request(method, end_stream=method != b"CONNECT")
    client.feed(data)
    assert client.codec.can_take_stream is (name in REUSE)


REFUSED = {
    "two lengths": response(b"Content-Length: 2", b"Content-Length: 2", body=b"ok"),
    "length and chunked": response(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "gzip": response(b"Transfer-Encoding: gzip"),
    "gzip, chunked": response(b"Transfer-Encoding: gzip, chunked"),
    "204 with a length": response(b"Content-Length: 2", line=b"HTTP/1.1 204 No Content", body=b"ok"),
    "204, chunked": response(b"Transfer-Encoding: chunked", line=b"HTTP/1.1 204 No Content", body=b"0\r\n\r\n"),
    "103 with a length": response(b"Content-Length: 2", line=b"HTTP/1.1 103 Early Hints", body=b"ok"),
    "status abc": response(line=b"HTTP/1.1 abc OK"),
    "status 99": response(line=b"HTTP/1.1 99 OK"),
    "status 099": response(line=b"HTTP/1.1 099 OK"),
    "status 1000": response(line=b"HTTP/1.1 1000 OK"),
    "HTTP/2.0": response(line=b"HTTP/2.0 200 OK"),
    "empty line first": b"\r\n" + OK,
    "name with a space": response(b"a b: c"),
    "NUL": response(b"a: \0"),
    "obs-fold": response(b"a: b", b" c"),
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "head over 80 KiB": response(b"a: " + b"a" * 81920),
    "101 fields": response(*[b"a: b"] * 101),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("in_parts", [False, True], ids=["whole", "in parts"])
def test_malformed_responses_end_the_connection(name: str, in_parts: bool) -> None:
    data = REFUSED[name]
    client = Client()
    message = client.request()
    step = max(1, len(data) // 300) if in_parts else len(data)
    assert client.feed(*[data[i : i + step] for i in range(0, len(data), step)]).startswith("http1.")
    assert message.headers is None
    assert client.completed == 0
    client.codec.reset_all_streams(StreamResetReason.PROTOCOL_ERROR, "")
    assert message.resets == [StreamResetReason.PROTOCOL_ERROR]
    assert client.reset == 1
    assert not client.codec.can_take_stream


def test_a_large_head_within_the_limit() -> None:
    client = Client()
    message = client.request()
    assert client.feed(response(b"a: " + b"a" * 70000, b"Content-Length: 0")) == ""
    assert message.ended


def test_bytes_without_a_request_are_an_error() -> None:
    idle = Client()
    assert idle.feed(OK) == "http1.codec_error"
    assert not idle.codec.can_take_stream
    unsent = Client()
    message = unsent.begin()
    assert unsent.feed(OK) == "http1.codec_error"
    assert message.headers is None


def test_excess_bytes_are_never_the_next_answer() -> None:
    client = Client()

    class Pool(stands_for(ClientCodecCallbacks)):
        """Takes the connection for a waiting request as soon as it is free."""

        can_take_stream = True

        def on_stream_complete(self) -> None:
            self.can_take_stream = client.codec.can_take_stream

    pool = Pool()
    client.codec._callbacks = pool
    client.request()
    assert client.feed(OK + OK) == "http1.codec_error"
    assert not pool.can_take_stream


def test_a_peer_that_closes_says_so_in_the_head() -> None:
    for head, notices in ((b"connection: close\r\n", 1), (b"", 0), (b"content-length: 1\r\n", 0)):
        client = Client()
        client.request()
        client.feed(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nx")
        assert client.close_notices == notices


def test_what_a_reset_cuts() -> None:
    for data, cut in (
        (b"", False),
        (b"HTTP/1.1 2", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", False),
        (b"HTTP/1.1 200 OK\r\n\r\na", False),
    ):
        client = Client()
        client.request()
        client.feed(data)
        assert client.codec.is_amid_message is cut, data


@pytest.mark.parametrize("name", ["length", "chunked"])
def test_eof_in_a_response_is_an_error(name: str) -> None:
    data = LATER[name][1]
    for cut in range(1, len(data)):
        client = Client()
        message = client.request()
        assert client.feed(data[:cut]) == ""
        with pytest.raises(CodecProtocolError):
            client.codec.on_eof()
        assert not message.ended


def test_eof_before_a_response_is_left_to_the_owner() -> None:
    client = Client()
    message = client.request()
    client.codec.on_eof()
    assert not message.ended
    assert not client.codec.can_take_stream
    client.codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, "")
    assert message.resets == [StreamResetReason.CONNECTION_TERMINATION]


def test_upgrade() -> None:
    client = Client()
    fields = [(b"connection", b"upgrade"), (b"upgrade", b"websocket")]
    message = client.request(fields=fields, end_stream=False)
    client.feed(response(b"Connection: Upgrade", b"Upgrade: websocket", line=b"HTTP/1.1 101 S", body=b"abc"), b"HTTP")
    assert (message.headers.status, message.body, message.ended) == (101, b"abcHTTP", False)
    client.wire.take()
    message.encoder.encode_data(b"xyz", False)
    assert client.wire.out == b"xyz"
    assert not client.codec.has_connect
    assert not client.codec.is_amid_message
    client.codec.on_eof()
    assert not message.ended  # a tunnel is cut by it, which is for the owner to do
    client.codec.reset_all_streams(StreamResetReason.CONNECTION_TERMINATION, "")
    assert message.resets == [StreamResetReason.CONNECTION_TERMINATION]
    assert not client.codec.can_take_stream


@pytest.mark.parametrize("line", [b"HTTP/1.1 403 Forbidden", b"HTTP/1.1 200 OK"])
def test_the_fields_of_an_upgrade_make_a_tunnel(line: bytes) -> None:
    client = Client()
    message = client.request(fields=[(b"connection", b"upgrade"), (b"upgrade", b"foo")], end_stream=False)
    client.feed(response(b"Content-Length: 2", b"Connection: x, Upgrade", b"Upgrade: foo", line=line, body=b"more"))
    assert (message.body, message.ended) == (b"more", False)


@pytest.mark.parametrize(("line", "raw"), [(b"HTTP/1.1 201 S", True), (b"HTTP/1.1 403 S", False)])
def test_connect(line: bytes, raw: bool) -> None:
    client = Client()
    message = client.request(method=b"CONNECT", end_stream=False)
    assert client.codec.has_connect
    assert client.wire.take().startswith(b"CONNECT ")
    client.feed(response(b"Content-Length: 2", line=line, body=b"no"))
    assert (message.body, message.ended) == (b"no", not raw)


def test_a_refused_upgrade_is_an_ordinary_response() -> None:
    client = Client()
    message = client.request(fields=[(b"connection", b"upgrade"), (b"upgrade", b"websocket")], end_stream=False)
    client.feed(response(b"Content-Length: 2", line=b"HTTP/1.1 403 Forbidden", body=b"no"))
    assert message.seen()[2:5] == (b"no", None, True)
    assert not client.codec.can_take_stream


def test_101_that_nobody_asked_for_has_no_body() -> None:
    client = Client()
    message = client.request()
    assert client.feed(response(line=b"HTTP/1.1 101 S", body=b"raw")) == "http1.codec_error"
    assert (message.headers.status, message.ended, message.body) == (101, True, b"")


def test_an_early_response_makes_the_connection_single_use() -> None:
    client = Client()
    message = client.request(b"POST", [(b"content-length", b"4")], end_stream=False)
    message.encoder.encode_data(b"ab", False)
    client.feed(OK)
    assert message.ended
    assert client.completed == 0
    message.encoder.encode_data(b"cd", True)
    assert client.completed == 1
    assert not client.codec.can_take_stream


def reset(message: Message) -> None:
    message.encoder.reset_stream(StreamResetReason.LOCAL_RESET)


@pytest.mark.parametrize("hook", ["on_headers", "on_data"])
def test_reset_from_within(hook: str) -> None:
    client = Client()
    message = client.request()
    setattr(message, hook, reset)
    assert client.feed(response(b"Content-Length: 4", body=b"ab"), b"cd") == ""
    assert message.resets == [StreamResetReason.LOCAL_RESET]
    assert not message.ended
    assert (client.reset, client.wire.resets, client.completed) == (1, 1, 0)
    assert not client.codec.can_take_stream


def test_reset_at_the_very_end_is_too_late() -> None:
    client = Client()
    message = client.request()
    message.on_end = reset
    assert client.feed(OK) == ""
    assert message.resets == []
    assert (client.reset, client.completed) == (0, 1)


def test_read_disable_is_taken_back_at_the_end() -> None:
    client = Client()
    message = client.request()
    message.encoder.read_disable(True)
    client.feed(OK)
    assert client.wire.disabled == 0


def test_trailers_in() -> None:
    data = LATER["chunked"][1]
    client = Client()
    dropped = client.request()
    client.feed(data)
    assert dropped.seen()[2:5] == (b"okabc", None, True)
    client = Client(enable_trailers=True)
    passed = client.request()
    client.feed(data)
    assert passed.seen()[2:5] == (b"okabc", [(b"t", b"v")], True)
