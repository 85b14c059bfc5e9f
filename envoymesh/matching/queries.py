"""Matchers of query parameters (envoy.config.route.v3.QueryParameterMatcher), and how a query is taken apart."""

from __future__ import annotations

from dataclasses import dataclass

from envoymesh.matching.strings import BytesMatcher, quoted


@dataclass(frozen=True, slots=True)
class QueryParameterMatcher:
    """envoy.config.route.v3.QueryParameterMatcher; `value` None matches presence."""

    name: bytes
    value: BytesMatcher | None = None
    present: bool = True

    def matches(self, parameters: dict[bytes, bytes]) -> bool:
        """Whether the parameters (first value by name) fit."""
        found = parameters.get(self.name)
        if self.value is None:
            return (found is not None) == self.present
        return found is not None and self.value.matches(found)

    def why_not(self, parameters: dict[bytes, bytes]) -> str:
        """Why the parameters do not fit, for people; empty where they do."""
        if self.matches(parameters):
            return ""
        name, found = self.name.decode("latin-1"), parameters.get(self.name)
        shown = f"there is no query parameter {name}" if found is None else f"the query has {name}={quoted(found)}"
        return shown if self.value is None else f"{shown}, and the route wants {self.value.describe()}"


def parse_query(path: bytes) -> dict[bytes, bytes]:
    """First value of each query parameter, undecoded (Envoy's QueryParamsMulti::parseQueryString)."""
    _, _, query = path.partition(b"?")
    found: dict[bytes, bytes] = {}
    for pair in query.partition(b"#")[0].split(b"&"):
        name, _, value = pair.partition(b"=")
        found.setdefault(name, value)
    return found
