"""What an HTTP/1 stream says of its bytes on the wire; the figures are the real Envoy's (tests/parity)."""

from __future__ import annotations

import pytest

from envoymesh.http.headers import HeaderMap, ResponseHeaders
from envoymesh.http.http1.head import field_bytes
from tests.unit.http.http1.recorders import Client, Message, Server, answer

GET = b"GET /tea HTTP/1.1\r\nHost: a.com\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (GET, 12),
        (b"\r\nGET / HTTP/1.1\r\nhost:a\r\nx-a:   b \t\r\nx-b:\r\n\r\n", 21),
        (b"GET / HTTP/1.1\r\n\r\n", 3),
    ],
)
def test_fields_of_a_head_as_it_came(raw: bytes, expected: int) -> None:
    assert field_bytes(raw) == expected


@pytest.mark.parametrize("pieces", [[GET], [GET[:10], GET[10:]], [bytes([byte]) for byte in GET]])
def test_a_request_and_its_answer(pieces: list[bytes]) -> None:
    server = Server(answer(fields=[(b"x-a", b"b")]))
    server.feed(*pieces)
    meter = server.requests[0].encoder
    assert (meter.wire_bytes_received, meter.header_bytes_received) == (len(GET), 12)
    assert meter.wire_bytes_sent == len(server.wire.out)
    assert meter.header_bytes_sent == len(b"content-length: 2\r\nx-a: b\r\n")
    assert meter.decompressed_header_bytes_received == 12
    assert meter.decompressed_header_bytes_sent == meter.header_bytes_sent


def test_pipelined_bytes_count_at_each_turn() -> None:
    server = Server(answer())
    server.feed(GET + GET + GET)
    assert [message.encoder.wire_bytes_received for message in server.requests] == [102, 68, 34]


def test_a_request_that_waits_counts_what_was_held() -> None:
    server = Server()
    server.feed(GET + GET)
    answer()(server.requests[0])
    server.resume()
    assert [message.encoder.wire_bytes_received for message in server.requests] == [68, 34]


def test_empty_lines_before_a_request_are_its_own() -> None:
    server = Server(answer())
    server.feed(b"\r\n\r\n" + GET)
    assert server.requests[0].encoder.wire_bytes_received == len(GET) + 4


def test_what_was_not_understood_has_no_header_bytes() -> None:
    server = Server()
    bad = b"GET /tea HTTP/1.1\r\nhost: a\r\nx a: b\r\n\r\n"
    assert server.feed(bad)
    meter = server.requests[0].encoder
    assert (meter.wire_bytes_received, meter.header_bytes_received) == (len(bad), 0)


def test_trailers_count_where_they_are_passed_on() -> None:
    chunked = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-t: 1\r\n\r\n"
    counted, dropped = Server(answer(), enable_trailers=True), Server(answer())
    counted.feed(chunked)
    dropped.feed(chunked)
    head = 8 + 27
    assert counted.requests[0].encoder.header_bytes_received - head == 7
    assert dropped.requests[0].encoder.header_bytes_received == head
    assert counted.requests[0].encoder.decompressed_header_bytes_received == head


def test_trailers_that_are_sent() -> None:
    def reply(message: Message) -> None:
        message.encoder.encode_headers(ResponseHeaders(200), False)
        message.encoder.encode_data(b"abc", False)
        message.encoder.encode_trailers(HeaderMap([(b"x-t", b"1")]))

    server = Server(reply, enable_trailers=True)
    server.feed(GET)
    meter = server.requests[0].encoder
    assert meter.wire_bytes_sent == len(server.wire.out)
    assert meter.header_bytes_sent == len(b"transfer-encoding: chunked\r\nx-t: 1\r\n")
    assert meter.decompressed_header_bytes_sent == meter.header_bytes_sent


def test_interim_responses_count_again_at_the_next_head_where_they_come_in() -> None:
    client = Client()
    message = client.request()
    early = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    client.feed(early, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    meter = message.encoder
    assert (meter.header_bytes_received, meter.decompressed_header_bytes_received) == (26, 34)

    def reply(message: Message) -> None:
        message.encoder.encode_1xx_headers(ResponseHeaders(103, [(b"link", b"a")]))
        answer(body=b"")(message)

    server = Server(reply)
    server.feed(GET)
    sent = server.requests[0].encoder
    assert (sent.header_bytes_sent, sent.decompressed_header_bytes_sent) == (9 + 19, 9 + 19)


def test_a_connection_begins_to_count_anew_for_each_request() -> None:
    client = Client()
    first = client.request(path=b"/a")
    client.feed(HEAD, b"ok")
    second = client.request(path=b"/bb")
    client.feed(HEAD + b"ok")
    assert [each.encoder.wire_bytes_received for each in (first, second)] == [len(HEAD) + 2] * 2
    assert [each.encoder.wire_bytes_sent for each in (first, second)] == [28, 29]
    assert first.encoder.header_bytes_sent == len(b"host: h\r\n")
