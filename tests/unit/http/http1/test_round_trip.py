"""Both codecs back to back: what one writes the other reads as it was meant."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from tests.unit.http.http1.recorders import Client, Message, Server, split

MIB = bytes(range(256)) * 4096
FRAMING = {
    "content-length",
    "transfer-encoding",
    "host",
    "connection",
    "proxy-connection",
    "upgrade",
    "te",
    "http2-settings",
}

names = st.from_regex(r"[a-z][a-z0-9\-]{0,12}", fullmatch=True).filter(lambda name: name not in FRAMING)
values = st.from_regex(r"([!-~\x80-\xff]([ -~]{0,10}[!-~])?)?", fullmatch=True).map(
    lambda value: value.encode("latin-1")
)
fields = st.lists(st.tuples(names.map(str.encode), values), max_size=6)
bodies = st.lists(st.binary(min_size=1, max_size=40), max_size=4)
paths = st.from_regex(r"/[a-zA-Z0-9/?=&%._~!$'()*+,;:@\-]{0,20}", fullmatch=True).map(str.encode)
cuts = st.lists(st.integers(0, 1000), max_size=8)


def send(encoder: object, headers: HeaderMap, body: list[bytes], trailers: list[tuple[bytes, bytes]]) -> None:
    encoder.encode_headers(headers, not body and not trailers)  # type: ignore[attr-defined]
    for i, piece in enumerate(body):
        encoder.encode_data(piece, i == len(body) - 1 and not trailers)  # type: ignore[attr-defined]
    if trailers:
        encoder.encode_trailers(HeaderMap(trailers))  # type: ignore[attr-defined]


def with_length(found: list[tuple[bytes, bytes]], body: list[bytes], wanted: bool) -> list[tuple[bytes, bytes]]:
    return [*found, (b"content-length", b"%d" % sum(map(len, body)))] if wanted else found


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_messages_survive_the_wire(data: st.DataObject) -> None:
    client = Client(enable_trailers=True)
    server = Server(enable_trailers=True)
    for turn in range(data.draw(st.integers(1, 3))):
        body, length = data.draw(bodies), data.draw(st.booleans())
        trailers = [] if length else data.draw(fields)
        method = data.draw(st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE"]))
        path, sent = data.draw(paths), with_length(data.draw(fields), body, length)
        message = client.begin()
        send(message.encoder, RequestHeaders(method, path, b"h:1", b"http", sent), body, trailers)
        assert server.feed(*split(client.wire.take(), data.draw(cuts))) == ""
        request = server.requests[turn]
        check(request, body, trailers, sent)
        assert (request.headers.method, request.headers.path, request.headers.authority) == (method, path, b"h:1")

        body, length = data.draw(bodies), data.draw(st.booleans())
        trailers = [] if length else data.draw(fields)
        status, sent = data.draw(st.sampled_from([200, 201, 404, 503])), with_length(data.draw(fields), body, length)
        send(request.encoder, ResponseHeaders(status, sent), body, trailers)
        assert client.feed(*split(server.wire.take(), data.draw(cuts))) == ""
        check(message, body, trailers, sent)
        assert message.headers.status == status
        assert client.completed == turn + 1
        assert client.codec.can_take_stream


def check(
    message: Message, body: list[bytes], trailers: list[tuple[bytes, bytes]], sent: list[tuple[bytes, bytes]]
) -> None:
    assert message.ended
    assert message.body == b"".join(body)
    assert (message.trailers.fields if message.trailers else []) == trailers
    added = [] if body or trailers or sent[-1:] == [(b"content-length", b"0")] else [(b"content-length", b"0")]
    assert message.headers.fields in (sent, sent + added)


def test_a_mebibyte_each_way_by_length_and_in_chunks() -> None:
    for found in ([(b"content-length", b"%d" % len(MIB))], []):
        client, server = Client(), Server()
        message = client.begin()
        send(message.encoder, RequestHeaders(b"PUT", b"/", b"h", b"http", list(found)), pieces(MIB, 65536), [])
        assert server.feed(*pieces(client.wire.take(), 20000)) == ""
        request = server.requests[0]
        assert request.body == MIB
        send(request.encoder, ResponseHeaders(200, list(found)), pieces(MIB, 30000), [])
        assert client.feed(*pieces(server.wire.take(), 65536)) == ""
        assert message.body == MIB
        assert client.codec.can_take_stream


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def test_a_small_exchange_takes_few_writes() -> None:
    client, server = Client(), Server()
    message = client.begin()
    send(message.encoder, RequestHeaders(b"GET", b"/", b"h"), [], [])
    server.feed(client.wire.take())
    send(server.requests[0].encoder, ResponseHeaders(200), [b"hello"], [])
    assert (client.wire.writes, server.wire.writes) == (1, 2)
