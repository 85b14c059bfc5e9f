"""What operators look at: one object for all loggers of a request (Envoy's `Formatter::Context` and its `StreamInfo`).

It must not act, and has no value that is not there already.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo

Value = str | int | None
"""What an operator gives; None where there is nothing. Text is bytes as Latin-1: it becomes those bytes again."""


NOT_SET: Final = "NotSet"
"""The type of lines of a listener's connection, and of what is no log."""

OF_CONNECTIONS: Final = frozenset({NOT_SET, "TcpUpstreamConnected", "TcpPeriodic", "TcpConnectionEnd"})
"""Types of lines that are about a connection, and are written when it is known how that ended, if it has."""


@dataclass(slots=True)
class FormatterContext:
    """One moment of a request.

    Args:
        now: monotonic seconds of the dispatcher, which ``%DURATION%`` counts to.
        log_type: what ``%ACCESS_LOG_TYPE%`` says (envoy.data.accesslog.v3.AccessLogType).
        local_reply_body: what ``%LOCAL_REPLY_BODY%`` says, which only formats of bodies see.
    """

    info: StreamInfo
    request: RequestHeaders | None
    response: ResponseHeaders | None
    trailers: HeaderMap | None
    now: float
    log_type: str = NOT_SET
    local_reply_body: bytes = b""


class JsonText(str):
    """What is neither text nor a number, as JSON: in a JSON format it is written as it is, without quotes.

    Attributes:
        whole: the whole text where `self` was cut: as in Envoy a JSON format prints it uncut.
    """

    whole: str

    def __new__(cls, text: str, whole: str | None = None) -> Self:
        """`whole` is given where `text` was cut from it."""
        made = super().__new__(cls, text)
        made.whole = text if whole is None else whole
        return made


Operator = Callable[[FormatterContext], Value]


def as_latin1(text: str) -> str:
    """Configured text in the form operators give it: its UTF-8 bytes as Latin-1."""
    return text if text.isascii() else text.encode().decode("latin-1")


def value_of(plain: Any) -> Value:
    """A plain value as an operator gives it: text as it is, all else as JSON; None for None."""
    return as_latin1(plain) if isinstance(plain, str) else json_of(plain)


def json_of(plain: Any) -> JsonText | None:
    """A plain value, text too, as JSON; None for None."""
    if plain is None:
        return None
    text = json.dumps(_whole_numbers(plain), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return JsonText(as_latin1(text))


def _whole_numbers(value: Any) -> Any:
    """Metadata knows one kind of number: a whole one is written without a fraction."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole_numbers(inner) for key, inner in value.items()}
    return [_whole_numbers(inner) for inner in value] if isinstance(value, list | tuple) else value
