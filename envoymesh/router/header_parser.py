"""Header mutations of a route configuration: `request_headers_to_add` and the like (Envoy's `HeaderParser`).

Values are formats of the formatter room, compiled once. It must not know which level of the configuration comes first:
`RouteTable` puts the parsers of a route in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from envoymesh.formatter import Formatter, FormatterContext
from envoymesh.http.headers import HeaderField, HeaderMap

SINGLE_HEADERS = frozenset({
    b"accept", b"accept-encoding", b"access-control-allow-credentials", b"access-control-allow-headers",
    b"access-control-allow-methods", b"access-control-allow-origin", b"access-control-allow-private-network",
    b"access-control-expose-headers", b"access-control-max-age", b"access-control-request-headers",
    b"access-control-request-method", b"access-control-request-private-network", b"age", b"authorization",
    b"cache-control", b"content-encoding", b"content-type", b"date", b"etag", b"expires", b"grpc-accept-encoding",
    b"grpc-message", b"grpc-timeout", b"if-match", b"if-modified-since", b"if-none-match", b"if-range",
    b"if-unmodified-since", b"last-modified", b"location", b"origin", b"pragma", b"proxy-status", b"referer",
    b"server", b"user-agent", b"vary", b"via", b"x-client-trace-id", b"x-envoy-attempt-count",
    b"x-envoy-decorator-operation", b"x-envoy-degraded", b"x-envoy-downstream-service-cluster",
    b"x-envoy-downstream-service-node", b"x-envoy-expected-rq-timeout-ms", b"x-envoy-external-address",
    b"x-envoy-force-trace", b"x-envoy-immediate-health-check-fail", b"x-envoy-internal", b"x-envoy-ip-tags",
    b"x-envoy-is-timeout-retry", b"x-envoy-original-host", b"x-envoy-original-path", b"x-envoy-ratelimited",
    b"x-envoy-upstream-alt-stat-name", b"x-envoy-upstream-canary", b"x-envoy-upstream-healthchecked-cluster",
    b"x-envoy-upstream-rq-timeout-ms", b"x-envoy-upstream-service-time", b"x-forwarded-client-cert",
    b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-request-id",
})  # fmt: skip
"""Names that Envoy keeps one field of (its O(1) headers): what is appended joins with a comma."""


@dataclass(frozen=True, slots=True)
class HeaderToAdd:
    """envoy.config.core.v3.HeaderValueOption.

    Args:
        value: bytes, or the format that gives them.
        action: the name of a HeaderAppendAction.
    """

    name: bytes
    value: bytes | Formatter
    action: str = "APPEND_IF_EXISTS_OR_ADD"
    keep_empty_value: bool = False

    def field(self, context: FormatterContext) -> HeaderField | None:
        """The field, or None where its value is empty and not to be kept."""
        value = self.value if isinstance(self.value, bytes) else self.value.format(context)
        return (self.name, value) if value or self.keep_empty_value else None


@dataclass(frozen=True, slots=True)
class HeaderParser:
    """The mutations of one level: removals, then overwriting, then appending.

    Each looks at the headers as they were before all of them.
    """

    to_add: Sequence[HeaderToAdd] = ()
    to_remove: Sequence[bytes] = ()

    def __bool__(self) -> bool:
        return bool(self.to_add or self.to_remove)

    def evaluate_headers(self, headers: HeaderMap, context: FormatterContext) -> None:
        """Change the headers."""
        for name in self.to_remove:
            headers.remove(name)
        overwritten: list[HeaderField] = []
        added: list[HeaderField] = []
        for each in self.to_add:
            field = each.field(context)
            if field is None:
                continue
            exists = each.name in headers
            if each.action == "APPEND_IF_EXISTS_OR_ADD" or (each.action == "ADD_IF_ABSENT" and not exists):
                added.append(field)
            elif each.action == "OVERWRITE_IF_EXISTS_OR_ADD" or (each.action == "OVERWRITE_IF_EXISTS" and exists):
                overwritten.append(field)
        for name, value in overwritten:
            headers.remove(name)
            headers.add(name, value)
        for name, value in added:
            _append(headers, name, value)


def _append(headers: HeaderMap, name: bytes, value: bytes) -> None:
    present = headers.get(name) if name in SINGLE_HEADERS else None
    if present is None:
        headers.add(name, value)
    else:
        headers.set(name, present + b"," + value)


@dataclass(frozen=True, slots=True)
class HeaderParsers:
    """The mutations of one level for both directions."""

    request: HeaderParser = HeaderParser()
    response: HeaderParser = HeaderParser()


NO_HEADER_PARSERS = HeaderParsers()
