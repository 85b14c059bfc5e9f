"""What `local_reply_config` makes of local replies. It must not decide that there is one, nor send it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from envoymesh.access_loggers.filters import LogFilter
from envoymesh.formatter import Formatter, FormatterContext
from envoymesh.formatter.body import BodyFormat
from envoymesh.router.header_parser import HeaderParser

DEFAULT_FORMAT: Final = BodyFormat(Formatter("%LOCAL_REPLY_BODY%"))
"""Where no `body_format` is configured."""


NO_HEADERS_TO_ADD: Final = HeaderParser()


@dataclass(frozen=True, slots=True)
class ResponseMapper:
    """HttpConnectionManager's ResponseMapper; what is None stays as it is.

    Args:
        wanted: which replies it is for.
        headers: what it adds.
    """

    wanted: LogFilter
    status: int | None = None
    body: bytes | None = None
    body_format: BodyFormat | None = None
    headers: HeaderParser = NO_HEADERS_TO_ADD


@dataclass(frozen=True, slots=True)
class MappedReply:
    """A local reply behind its mapping.

    Args:
        content_type: of the body, empty for text/plain.
        message: the body as a grpc-message: without the line feed that ends JSON.
    """

    status: int
    body: bytes
    content_type: bytes
    message: bytes


@dataclass(frozen=True, slots=True)
class LocalReplyMapping:
    """HttpConnectionManager's LocalReplyConfig: the first mapper that wants a reply changes it."""

    mappers: Sequence[ResponseMapper]
    body_format: BodyFormat = DEFAULT_FORMAT

    def rewrite(self, context: FormatterContext, status: int, body: bytes) -> MappedReply:
        """Change a reply, whose headers are the context's response."""
        info, response = context.info, context.response
        assert response is not None
        # Filters and formats look for the status here.
        before, info.response_code = info.response_code, status
        chosen = self.body_format
        mapper = next((each for each in self.mappers if each.wanted(context)), None)
        if mapper is not None:
            body = body if mapper.body is None else mapper.body
            mapper.headers.evaluate_headers(response, context)
            if mapper.status is not None:
                status = response.status = info.response_code = mapper.status
            chosen = mapper.body_format or chosen
        body = chosen.format(context, body)
        info.response_code = before
        return MappedReply(status, body, chosen.content_type, body[:-1] if chosen.ends_line else body)
