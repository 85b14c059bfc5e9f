"""What an HTTP/2 stream says of its bytes on the wire: whole frames, and fields without compression."""

from __future__ import annotations

from envoymesh.http.headers import HeaderMap, ResponseHeaders
from envoymesh.http.http2.frames import FrameType, frame
from tests.support.http2 import ClientSide, Events, ServerSide, frames_of, get, post, pump

RESPONSE = ResponseHeaders(200, [(b"x-a", b"b")])


def reply(request: Events) -> None:
    request.encoder.encode_headers(RESPONSE, False)
    request.encoder.encode_data(b"hello", True)


def test_a_request_and_its_answer() -> None:
    client, server = ClientSide(), ServerSide(reply)
    sent = client.request(post(b"/p"), end_stream=False)
    sent.encoder.encode_data(b"abc", False)
    sent.encoder.encode_trailers(HeaderMap([(b"x-t", b"1")]))
    pump(client, server)
    upstream, downstream = sent.encoder, server.requests[0].encoder
    for name in ("wire_bytes", "header_bytes", "decompressed_header_bytes"):
        assert getattr(upstream, f"{name}_sent") == getattr(downstream, f"{name}_received") > 0
        assert getattr(upstream, f"{name}_received") == getattr(downstream, f"{name}_sent") > 0
    assert upstream.wire_bytes_sent - upstream.header_bytes_sent == 9 + 3
    assert downstream.decompressed_header_bytes_received == len(b":methodPOST:schemehttp:path/p:authorityax-t1")
    assert downstream.decompressed_header_bytes_sent == len(b":status200x-ab")


def test_frames_of_a_block_count_whole() -> None:
    client = ClientSide()
    client.wire.take()
    stream = client.request(get(b"/", (b"x-long", b"v" * 40000))).encoder
    written = frames_of(client.wire.take())
    assert [each.name for each in written] == ["HEADERS", "CONTINUATION", "CONTINUATION"]
    assert stream.header_bytes_sent == sum(9 + len(each.payload) for each in written)


def test_a_reset_counts() -> None:
    client = ClientSide()
    client.codec.dispatch(frame(FrameType.SETTINGS, 0, 0, b""))
    stream = client.request(get()).encoder
    before = stream.wire_bytes_received
    client.codec.dispatch(frame(FrameType.RST_STREAM, 0, 1, bytes(4)))
    assert stream.wire_bytes_received - before == 13
