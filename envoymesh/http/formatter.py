"""Envoy's substitution format strings (``%START_TIME%`` and so on), compiled once.

A format becomes a list of texts and functions of a record; each operator is one small function in a table.
Unknown operators are refused when the format is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.router.matchers import request_header_value


@dataclass(slots=True)
class Record:
    """What operators look at."""

    info: StreamInfo
    request: RequestHeaders | None
    response: ResponseHeaders | None
    trailers: HeaderMap | None


Operator = Callable[[Record], str | None]

_COMMAND = re.compile(r"%%|%([A-Z_0-9]+)(?:\(([^)]*)\))?(?::(\d+))?%|%")


class Formatter:
    """A compiled text format.

    Errors: ValueError naming the command that is unknown or malformed, and its place.
    """

    __slots__ = ("_parts", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = _compile(text)

    def format(
        self,
        info: StreamInfo,
        request: RequestHeaders | None,
        response: ResponseHeaders | None,
        trailers: HeaderMap | None,
    ) -> bytes:
        """One line for a request; what is not known prints as ``-``."""
        record = Record(info, request, response, trailers)
        return "".join(
            [
                part if isinstance(part, str) else (value if (value := part(record)) is not None else "-")
                for part in self._parts
            ]
        ).encode("latin-1", "replace")


def _compile(text: str) -> list[str | Operator]:
    parts: list[str | Operator] = []
    end = 0
    for match in _COMMAND.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match[0] == "%%":
            parts.append("%")
        elif match[1] is None:
            raise ValueError(f"incorrect configuration: expected %...% at position {match.start()}")
        else:
            parts.append(_operator(match[1], match[2], match[3]))
    parts.append(text[end:])
    return [part for part in parts if part != ""]


def _operator(name: str, argument: str | None, length: str | None) -> Operator:
    if name in _HEADER_OPERATORS:
        if argument is None:
            raise ValueError(f"%{name}% needs a header name in parentheses")
        made = _HEADER_OPERATORS[name](argument)
    elif name == "START_TIME":
        made = _start_time(argument)
    elif name in _PLAIN_OPERATORS and argument is None:
        made = _PLAIN_OPERATORS[name]
    else:
        raise ValueError(f"%{name}% is not a command that envoymesh supports")
    return made if length is None else _cut(made, int(length))


def _cut(operator: Operator, length: int) -> Operator:
    def cut(record: Record) -> str | None:
        value = operator(record)
        return value if value is None else value[:length]

    return cut


def _names(argument: str) -> list[bytes]:
    """A header name and its alternative, ``A?B``."""
    return [name.lower().encode() for name in argument.split("?", 1)]


def _request_header(argument: str) -> Operator:
    names = _names(argument)

    def find(record: Record) -> str | None:
        if record.request is None:
            return None
        for name in names:
            value = request_header_value(record.request, name)
            # A request that was refused at once may have no scheme or path yet.
            if value is not None and (value or name[:1] != b":"):
                return value.decode("latin-1")
        return None

    return find


def _response_header(argument: str) -> Operator:
    names = _names(argument)
    if b":status" not in names:
        return _field(names, lambda record: record.response)
    return lambda record: None if record.response is None else f"{record.response.status:03d}"


def _trailer(argument: str) -> Operator:
    return _field(_names(argument), lambda record: record.trailers)


def _field(names: list[bytes], where: Callable[[Record], HeaderMap | None]) -> Operator:
    def find(record: Record) -> str | None:
        headers = where(record)
        if headers is None:
            return None
        for name in names:
            value = headers.get(name)
            if value is not None:
                return value.decode("latin-1")
        return None

    return find


_HEADER_OPERATORS: dict[str, Callable[[str], Operator]] = {
    "REQ": _request_header,
    "RESP": _response_header,
    "TRAILER": _trailer,
}


def _start_time(pattern: str | None) -> Operator:
    """``%START_TIME%`` in milliseconds, or by a strftime pattern with %f, %3f and %6f."""
    if pattern is None:
        return lambda record: _iso_milliseconds(record.info.start_wall_time)
    return lambda record: _strftime(record.info.start_wall_time, pattern)


def _iso_milliseconds(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _strftime(seconds: float, pattern: str) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    pattern = pattern.replace("%s", str(int(seconds))).replace("%3f", f"{moment.microsecond // 1000:03d}")
    return moment.strftime(pattern.replace("%6f", f"{moment.microsecond:06d}"))


def _milliseconds(start: float, end: float) -> str | None:
    return None if not start or not end else str(int((end - start) * 1000))


_PLAIN_OPERATORS: dict[str, Operator] = {
    "PROTOCOL": lambda r: r.info.protocol.value,
    "RESPONSE_CODE": lambda r: str(r.info.response_code or 0),
    "RESPONSE_CODE_DETAILS": lambda r: r.info.response_code_details or None,
    "RESPONSE_FLAGS": lambda r: r.info.flag_names(),
    "CONNECTION_TERMINATION_DETAILS": lambda r: r.info.termination_details or None,
    "BYTES_RECEIVED": lambda r: str(r.info.bytes_received),
    "BYTES_SENT": lambda r: str(r.info.bytes_sent),
    "DURATION": lambda r: _milliseconds(r.info.start_time, r.info.end_time),
    "REQUEST_DURATION": lambda r: _milliseconds(r.info.start_time, r.info.last_downstream_rx),
    "RESPONSE_DURATION": lambda r: _milliseconds(r.info.start_time, r.info.first_upstream_rx),
    "RESPONSE_TX_DURATION": lambda r: _milliseconds(r.info.first_upstream_rx, r.info.end_time),
    "UPSTREAM_HOST": lambda r: None if r.info.upstream_host is None else str(r.info.upstream_host),
    "UPSTREAM_CLUSTER": lambda r: r.info.upstream_cluster or None,
    # One word, as log readers expect of a field.
    "UPSTREAM_TRANSPORT_FAILURE_REASON": lambda r: r.info.upstream_failure_reason.replace(" ", "_") or None,
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": lambda r: str(r.info.attempt_count),
    "ROUTE_NAME": lambda r: r.info.route_name or None,
    "DOWNSTREAM_REMOTE_ADDRESS": lambda r: None if r.info.trusted_remote is None else str(r.info.trusted_remote),
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": lambda r: (
        None if r.info.trusted_remote is None else r.info.trusted_remote.host
    ),
    "DOWNSTREAM_LOCAL_ADDRESS": lambda r: str(r.info.downstream.local_address),
    "REQUESTED_SERVER_NAME": lambda r: r.info.downstream.requested_server_name or None,
    "CONNECTION_ID": lambda r: str(r.info.downstream.id),
    "STREAM_ID": lambda r: str(r.info.stream_id),
}
