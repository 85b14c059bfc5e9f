"""What operators look at: one object for all loggers of a request (Envoy's `Formatter::Context` and its `StreamInfo`).

It must not act, and has no value that is not there already.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo

Value = str | int | None
"""What an operator gives; None where there is nothing. Text is bytes as Latin-1: it becomes those bytes again."""


NOT_SET: Final = "NotSet"
"""The type of lines of a connection, and of what is no log."""


@dataclass(slots=True)
class FormatterContext:
    """One moment of a request.

    Args:
        now: monotonic seconds of the dispatcher, which ``%DURATION%`` counts to.
        log_type: what ``%ACCESS_LOG_TYPE%`` says (envoy.data.accesslog.v3.AccessLogType).
    """

    info: StreamInfo
    request: RequestHeaders | None
    response: ResponseHeaders | None
    trailers: HeaderMap | None
    now: float
    log_type: str = NOT_SET


class JsonText(str):
    """What is neither text nor a number, as JSON: in a JSON format it is written as it is."""

    __slots__ = ()


Operator = Callable[[FormatterContext], Value]


def as_latin1(text: str) -> str:
    """Configured text in the form operators give it: its UTF-8 bytes as Latin-1."""
    return text if text.isascii() else text.encode().decode("latin-1")


def value_of(plain: Any) -> Value:
    """A plain value of a configuration as an operator gives it; None for None."""
    if plain is None:
        return None
    if isinstance(plain, str):
        return as_latin1(plain)
    return JsonText(as_latin1(json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))))
