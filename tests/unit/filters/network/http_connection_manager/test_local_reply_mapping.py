"""`local_reply_config`: what the first mapper that wants a reply makes of it, and what every reply's format does."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.access_loggers.filters import constant_filter, status_code_filter
from envoymesh.filters.network.http_connection_manager.local_reply import make_local_reply
from envoymesh.filters.network.http_connection_manager.local_reply_mapping import (
    LocalReplyMapping,
    MappedReply,
    ResponseMapper,
)
from envoymesh.formatter import Formatter, FormatterContext
from envoymesh.formatter.body import BodyFormat
from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.router.header_parser import HeaderParser, HeaderToAdd
from envoymesh.runtime import RuntimeNumber
from tests.support.logged import full

GET = RequestHeaders(b"GET", b"/", b"a")
GRPC = RequestHeaders(b"POST", b"/", b"a", fields=[(b"content-type", b"application/grpc")])
EVERY = constant_filter(True)


def of_status(status: int) -> Any:
    return status_code_filter("EQ", RuntimeNumber("", status, None))


def text(template: str, content_type: bytes = b"", ends_line: bool = False) -> BodyFormat:
    return BodyFormat(Formatter(template), content_type, ends_line)


def reply(
    mapping: LocalReplyMapping, status: int = 404, body: bytes = b"gone", request: RequestHeaders = GET, **given: bytes
) -> tuple[ResponseHeaders, bytes]:
    """A reply whose filter had given it these headers."""
    context = full(response_code=None)

    def rewrite(headers: ResponseHeaders, status: int, body: bytes) -> MappedReply:
        context.response = headers
        return mapping.rewrite(context, status, body)

    def modify(headers: ResponseHeaders) -> None:
        for name, value in given.items():
            headers.set(name.replace("_", "-").encode(), value)

    made = make_local_reply(status, body, request, modify, rewrite)
    assert context.info.response_code is None, "nothing has been sent"
    return made


def test_without_mappers_a_reply_stays() -> None:
    headers, body = reply(LocalReplyMapping(()))
    assert (headers.status, body) == (404, b"gone")
    assert headers.fields == [(b"content-length", b"4"), (b"content-type", b"text/plain")]


def test_the_first_mapper_that_wants_it() -> None:
    mapping = LocalReplyMapping(
        [
            ResponseMapper(of_status(500), 1, b"no"),
            ResponseMapper(of_status(404), 299, b"yes"),
            ResponseMapper(EVERY, 2),
        ]
    )
    headers, body = reply(mapping)
    assert (headers.status, body) == (299, b"yes")
    assert reply(mapping, 500)[0].status == 1
    assert reply(mapping, 403)[0].status == 2


def test_formats_see_what_mappers_made() -> None:
    seen = text("%LOCAL_REPLY_BODY%,%RESPONSE_CODE%,%RESP(:STATUS)%,%RESP(X-ADDED)%")
    added = HeaderParser([HeaderToAdd(b"x-added", Formatter("%RESPONSE_CODE%"))])
    headers, body = reply(LocalReplyMapping([ResponseMapper(EVERY, 299, b"new", headers=added)], seen))
    assert body == b"new,299,299,404"
    assert (headers.get(b"x-added"), headers.get(b"content-length")) == (b"404", b"15")


def test_a_mappers_own_format() -> None:
    mapping = LocalReplyMapping([ResponseMapper(of_status(404), body_format=text("own", b"a/b"))], text("all", b"c/d"))
    headers, body = reply(mapping)
    assert (body, headers.get(b"content-type")) == (b"own", b"a/b")
    headers, body = reply(mapping, 403)
    assert (body, headers.get(b"content-type")) == (b"all", b"c/d")


@pytest.mark.parametrize(
    ("body_format", "mapper", "expected"),
    [
        (text("%LOCAL_REPLY_BODY%", b"f/1"), ResponseMapper(EVERY), b"g/1"),
        (text("%LOCAL_REPLY_BODY%", b"f/1"), ResponseMapper(EVERY, body=b"other"), b"f/1"),
        (text("changed"), ResponseMapper(EVERY), b"text/plain"),
        (
            text("changed", b"f/1"),
            ResponseMapper(EVERY, headers=HeaderParser([HeaderToAdd(b"content-type", b"m/1", "OVERWRITE_IF_EXISTS")])),
            b"m/1",
        ),
    ],
)
def test_the_type_of_a_body_that_had_one(body_format: BodyFormat, mapper: ResponseMapper, expected: bytes) -> None:
    headers, _ = reply(LocalReplyMapping([mapper], body_format), content_type=b"g/1")
    assert headers.get(b"content-type") == expected


def test_a_body_may_be_emptied() -> None:
    headers, body = reply(LocalReplyMapping([ResponseMapper(EVERY, body=b"")]))
    assert (body, headers.fields) == (b"", [])


def test_grpc_gets_the_new_status_and_message() -> None:
    mapping = LocalReplyMapping([ResponseMapper(EVERY, 503)], text("{%LOCAL_REPLY_BODY%}\n", ends_line=True))
    headers, body = reply(mapping, request=GRPC)
    assert (headers.status, body) == (200, b"")
    assert (headers.get(b"grpc-status"), headers.get(b"grpc-message")) == (b"14", b"{gone}")
    assert reply(LocalReplyMapping((), text("a\n")), request=GRPC)[0].get(b"grpc-message") == b"a%0A"


def test_a_grpc_status_of_its_own() -> None:
    headers, _ = make_local_reply(504, b"late", GRPC, grpc_status=4)
    assert headers.get(b"grpc-status") == b"4"


def test_filters_see_the_request() -> None:
    seen: list[FormatterContext] = []

    def wanted(context: FormatterContext) -> bool:
        seen.append(context)
        return False

    reply(LocalReplyMapping([ResponseMapper(wanted)]), 418)
    assert [(each.info.response_code_details, each.request is not None) for each in seen] == [("via_upstream", True)]
