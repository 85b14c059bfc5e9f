"""Which headers are joined where they come twice."""

from __future__ import annotations

from envoymesh.http.headers import HeaderMap
from envoymesh.http.inline_headers import INLINE_REQUEST_HEADERS, INLINE_RESPONSE_HEADERS, join_inline


def test_known_names_are_joined_where_the_first_one_stands() -> None:
    fields = [(b"via", b"a"), (b"x", b"1"), (b"x", b"2"), (b"via", b""), (b"accept", b"z"), (b"via", b"b, c")]
    headers = HeaderMap(fields)
    join_inline(headers, INLINE_REQUEST_HEADERS)
    assert headers.fields == [(b"via", b"a,b, c"), (b"x", b"1"), (b"x", b"2"), (b"accept", b"z")]
    assert headers.get(b"via") == b"a,b, c"


def test_what_must_not_be_joined() -> None:
    for name in (b"set-cookie", b"www-authenticate", b"cookie", b"content-length", b"host", b"connection"):
        assert name not in INLINE_REQUEST_HEADERS | INLINE_RESPONSE_HEADERS
    headers = HeaderMap([(b"set-cookie", b"a"), (b"set-cookie", b"b")])
    join_inline(headers, INLINE_RESPONSE_HEADERS)
    assert headers.fields == [(b"set-cookie", b"a"), (b"set-cookie", b"b")]
