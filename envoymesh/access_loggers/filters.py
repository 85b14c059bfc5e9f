"""Which requests are logged (envoy.config.accesslog.v3.AccessLogFilter): functions of a request, made once.

They must not log, and must not know where their settings come from.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envoymesh.formatter import FormatterContext
from envoymesh.formatter.headers import grpc_status
from envoymesh.formatter.metadata import dynamic_value
from envoymesh.http.headers import RequestHeaders
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.runtime import RuntimeNumber

if TYPE_CHECKING:
    from envoymesh.matching.values import ValueMatcher

LogFilter = Callable[[FormatterContext], bool]

COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "EQ": operator.eq,
    "GE": operator.ge,
    "LE": operator.le,
    "NE": operator.ne,
}


def status_code_filter(comparison: str, limit: RuntimeNumber) -> LogFilter:
    """`status_code_filter`; a request without a response compares as 0."""
    compare = COMPARISONS[comparison]
    return lambda context: compare(context.info.logged_code, limit.value)


def duration_filter(comparison: str, limit: RuntimeNumber) -> LogFilter:
    """`duration_filter`, in milliseconds."""
    compare = COMPARISONS[comparison]
    return lambda context: compare(int((context.now - context.info.start_time + 1e-9) * 1000), limit.value)


def response_flag_filter(flags: int) -> LogFilter:
    """`response_flag_filter`: requests that have one of these bits of `ResponseFlag`; 0 takes those with any flag."""
    return lambda context: bool(context.info.flags & flags if flags else context.info.flags)


def header_filter(matcher: HeaderMatcher) -> LogFilter:
    """`header_filter`; a request that was refused before its headers were read counts as one without headers."""
    return lambda context: matcher.matches(_NO_HEADERS if context.request is None else context.request)


_NO_HEADERS = RequestHeaders(b"", b"")


def grpc_status_filter(statuses: frozenset[int], exclude: bool) -> LogFilter:
    """`grpc_status_filter`; as in Envoy a response that is not gRPC counts by the status its HTTP status stands for."""
    return lambda context: ((2 if (status := grpc_status(context)) is None else status) in statuses) != exclude


def metadata_filter(namespace: str, path: Sequence[str], value: ValueMatcher, default: bool) -> LogFilter:
    """`metadata_filter`: whether dynamic metadata fits; `default` where there is none at the path."""

    def wanted(context: FormatterContext) -> bool:
        present, found = dynamic_value(context, namespace, path)
        return value.matches(found) if present else default

    return wanted


def log_type_filter(types: frozenset[str], exclude: bool) -> LogFilter:
    """`log_type_filter`."""
    return lambda context: (context.log_type in types) != exclude


def and_filter(filters: Sequence[LogFilter]) -> LogFilter:
    """`and_filter`: asked in order, until one says no."""
    return lambda context: all(each(context) for each in filters)


def or_filter(filters: Sequence[LogFilter]) -> LogFilter:
    """`or_filter`: asked in order, until one says yes."""
    return lambda context: any(each(context) for each in filters)


def not_health_check_filter(context: FormatterContext) -> bool:
    """`not_health_check_filter`: what the health check filter has not marked."""
    return not context.info.health_check


def constant_filter(answer: bool) -> LogFilter:
    """A filter that gives every request the same answer: it asks for something that never happens here."""
    return lambda context: answer


@dataclass(frozen=True, slots=True)
class RuntimeFilter:
    """`runtime_filter`: a share of requests, the same ones at every proxy that sees their x-request-id.

    Args:
        numerator, denominator: the share.
        independent: chance decides, not the request id.
        random: from 0 to 1.
    """

    numerator: RuntimeNumber
    denominator: int
    independent: bool
    random: Callable[[], float]

    def __call__(self, context: FormatterContext) -> bool:
        """Whether the request is one of the share."""
        return self._place(context) < self.numerator.value

    def _place(self, context: FormatterContext) -> int:
        denominator = self.denominator
        request_id = b"" if self.independent or context.request is None else context.request.get(b"x-request-id") or b""
        try:
            # UuidUtils::uuidModBy: the first eight digits.
            return int(request_id[:8], 16) % denominator if len(request_id) >= 36 else int(self.random() * denominator)
        except ValueError:
            return int(self.random() * denominator)
