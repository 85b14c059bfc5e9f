"""However the bytes are cut, the same comes out: own client to own server, byte by byte and in random chunks."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from envoymesh.errors import CodecProtocolError
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.http2 import Http2Settings
from tests.support.http2 import ClientSide, Events, ServerSide, pump

SMALL = Http2Settings(initial_stream_window_size=2000)
NAMES = st.sampled_from([b"x-a", b"x-b", b"accept", b"user-agent", b"grpc-timeout"])
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30).map(str.encode)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
BODY = st.lists(st.binary(min_size=1, max_size=3000), max_size=3)
MESSAGE = st.tuples(FIELDS, BODY, st.none() | st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=3))


def encode_rest(encoder: object, body: list[bytes], trailers: list[tuple[bytes, bytes]] | None) -> None:
    for left, piece in zip(range(len(body) - 1, -1, -1), body, strict=True):
        encoder.encode_data(piece, trailers is None and not left)  # type: ignore[attr-defined]
    if trailers is not None:
        encoder.encode_trailers(HeaderMap(trailers))  # type: ignore[attr-defined]


@given(st.lists(st.tuples(MESSAGE, MESSAGE), min_size=1, max_size=4), st.integers(1, 5000))
def test_exchange(exchanges: list[tuple[tuple, tuple]], chunk: int) -> None:
    def answer(request: Events) -> None:
        fields, body, trailers = exchanges[int(request.headers.path[1:])][1]
        request.encoder.encode_headers(ResponseHeaders(200, list(fields)), not body and trailers is None)
        encode_rest(request.encoder, body, trailers)

    client, server = ClientSide(SMALL), ServerSide(answer, SMALL)
    pump(client, server, chunk)
    streams = []
    for number, ((fields, body, trailers), _) in enumerate(exchanges):
        headers = RequestHeaders(b"POST", b"/%d" % number, b"a", b"http", list(fields))
        stream = client.request(headers, not body and trailers is None)
        encode_rest(stream.encoder, body, trailers)
        streams.append(stream)
    pump(client, server, chunk)
    for number, (sent, received) in enumerate(exchanges):
        request = next(r for r in server.requests if r.headers.path == b"/%d" % number)
        for events, (fields, body, trailers) in ((request, sent), (streams[number], received)):
            assert events.headers.fields == fields
            assert events.body == b"".join(body)
            assert (events.trailers.fields if events.trailers else None) == trailers
            assert events.ended
            assert events.reset is None
            assert events.above == 0
    assert client.completed == len(exchanges)
    assert not client.codec.streams
    assert not server.codec.streams


@given(st.binary(max_size=400), st.data())
def test_any_bytes_give_the_same_however_cut(noise: bytes, data: st.DataObject) -> None:
    client = ClientSide()
    client.request(RequestHeaders(b"GET", b"/", b"a", b"http"))
    stream = client.wire.take() + noise
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    outcomes = []
    for pieces in ([0, len(stream)], [0, *cuts, len(stream)], list(range(len(stream) + 1))):
        server = ServerSide()
        error = ""
        for start, stop in pairwise(pieces):
            try:
                server.codec.dispatch(stream[start:stop])
            except CodecProtocolError as caught:
                error = repr(caught)
        outcomes.append((error, server.wire.take(), [request.log for request in server.requests]))
    assert outcomes[0] == outcomes[1] == outcomes[2]
