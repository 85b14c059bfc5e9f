"""Matchers of query parameters (envoy.config.route.v3.QueryParameterMatcher), and how a query is taken apart."""

from __future__ import annotations

from dataclasses import dataclass

from envoymesh.matching.strings import BytesMatcher


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


def parse_query(path: bytes) -> dict[bytes, bytes]:
    """First value of each query parameter, undecoded (Envoy's QueryParamsMulti::parseQueryString)."""
    _, _, query = path.partition(b"?")
    found: dict[bytes, bytes] = {}
    for pair in query.partition(b"#")[0].split(b"&"):
        name, _, value = pair.partition(b"=")
        found.setdefault(name, value)
    return found
