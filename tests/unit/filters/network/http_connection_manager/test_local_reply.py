"""Local replies, plain and gRPC."""

import pytest

from envoymesh.filters.network.http_connection_manager.local_reply import make_local_reply, percent_encode
from envoymesh.http.headers import RequestHeaders

GET = RequestHeaders(b"GET", b"/", b"a")


def request(method: bytes = b"POST", kind: bytes = b"application/grpc") -> RequestHeaders:
    return RequestHeaders(method, b"/", b"a", fields=[(b"content-type", kind)])


def test_a_body_is_text() -> None:
    headers, body = make_local_reply(503, b"no", GET)
    assert (headers.status, body) == (503, b"no")
    assert headers.fields == [(b"content-length", b"2"), (b"content-type", b"text/plain")]


@pytest.mark.parametrize("of", [GET, None])
def test_no_body_has_no_headers(of: RequestHeaders | None) -> None:
    headers, body = make_local_reply(404, b"", of)
    assert (headers.status, headers.fields, body) == (404, [], b"")


def test_head_keeps_the_length_and_drops_the_body() -> None:
    headers, body = make_local_reply(418, b"tea", request(b"HEAD", b"text/plain"))
    assert headers.get(b"content-length") == b"3"
    assert body == b""


def test_headers_may_be_changed() -> None:
    headers, _ = make_local_reply(301, b"", GET, lambda h: h.set(b"location", b"/x"))
    assert headers.fields == [(b"location", b"/x")]
    headers, _ = make_local_reply(301, b"", request(), lambda h: h.set(b"location", b"/x"))
    assert headers.get(b"location") == b"/x"


@pytest.mark.parametrize(
    ("status", "expected"), [(400, 13), (401, 16), (403, 7), (404, 12), (429, 14), (503, 14), (504, 14), (418, 2)]
)
def test_grpc_gets_a_status(status: int, expected: int) -> None:
    headers, body = make_local_reply(status, b"50% \xe9", request(kind=b"application/grpc+proto"))
    assert (headers.status, body) == (200, b"")
    assert headers.fields == [
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % expected),
        (b"grpc-message", b"50%25 %E9"),
    ]


def test_grpc_web_is_not_grpc() -> None:
    assert make_local_reply(404, b"", request(kind=b"application/grpc-web"))[0].status == 404


def test_percent_encoding() -> None:
    assert percent_encode(b"a b~\n%") == b"a b~%0A%25"
