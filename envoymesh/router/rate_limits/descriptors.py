"""Rate limits (envoy.config.route.v3.RateLimit): the descriptors of a request, for filters that ask a limiter.

Pure functions of a request's facts; this module must not limit anything.
"""

from __future__ import annotations

import ipaddress
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mypy_extensions import trait

from envoymesh.formatter import Formatter, FormatterContext
from envoymesh.http.headers import RequestHeaders
from envoymesh.matching.headers import HeaderMatcher, all_match, request_header_values
from envoymesh.matching.queries import QueryParameterMatcher, parse_query

UNITS: Final = frozenset({"UNKNOWN", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR"})
"""Names of envoy.type.v3.RateLimitUnit."""


class Override(NamedTuple):
    """A limit in the place of the limiter's own; `unit` is a name of envoy.type.v3.RateLimitUnit."""

    requests_per_unit: int
    unit: str


@dataclass(frozen=True, slots=True)
class Descriptor:
    """envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.

    Args:
        entries: keys and values.
        hits: how many requests this one counts for; None leaves that to the filter.
    """

    entries: Sequence[tuple[bytes, bytes]]
    override: Override | None = None
    hits: int | None = None


@dataclass(slots=True)
class RequestFacts:
    """What actions look at.

    Args:
        local_cluster: the proxy's own (`--service-cluster`).
        cluster: the cluster that the route leads to.
        context: of the request, whose headers are there.
        route_metadata: of the route alone, by namespace.
    """

    local_cluster: str
    cluster: str
    context: FormatterContext
    headers: RequestHeaders
    route_metadata: Mapping[str, Any]


Entry = tuple[bytes, bytes]

SKIPPED: Final[Entry] = (b"", b"")
"""What an action gives that adds no entry and lets the others go on."""


@trait
class Action:
    """One entry of a descriptor."""

    __slots__ = ()

    @abstractmethod
    def entry(self, facts: RequestFacts) -> Entry | None:
        """Key and value, SKIPPED for no entry, or None: then there is no descriptor."""


@dataclass(frozen=True, slots=True)
class SourceCluster(Action):
    """`source_cluster`."""

    def entry(self, facts: RequestFacts) -> Entry | None:
        """The proxy's own cluster."""
        return b"source_cluster", facts.local_cluster.encode()


@dataclass(frozen=True, slots=True)
class DestinationCluster(Action):
    """`destination_cluster`."""

    def entry(self, facts: RequestFacts) -> Entry | None:
        """The route's cluster."""
        return b"destination_cluster", facts.cluster.encode()


@dataclass(frozen=True, slots=True)
class RequestHeader(Action):
    """`request_headers`: a header's first value."""

    name: bytes
    key: bytes
    skip_if_absent: bool = False

    def entry(self, facts: RequestFacts) -> Entry | None:
        """The value."""
        values = request_header_values(facts.headers, self.name)
        if not values:
            return SKIPPED if self.skip_if_absent else None
        return self.key, values[0]


@dataclass(frozen=True, slots=True)
class QueryParameter(Action):
    """`query_parameters`: a parameter's first value."""

    name: bytes
    key: bytes
    skip_if_absent: bool = False

    def entry(self, facts: RequestFacts) -> Entry | None:
        """The value."""
        value = parse_query(facts.headers.path).get(self.name)
        if value is None:
            return SKIPPED if self.skip_if_absent else None
        return self.key, value


@dataclass(frozen=True, slots=True)
class RemoteAddress(Action):
    """`remote_address`: the client's, as x-forwarded-for may tell it."""

    def entry(self, facts: RequestFacts) -> Entry | None:
        """The address without its port."""
        host = _remote_host(facts)
        return (b"remote_address", host.encode()) if host else None


@dataclass(frozen=True, slots=True)
class MaskedRemoteAddress(Action):
    """`masked_remote_address`: the network of the client; `v4` and `v6` are lengths of masks in bits."""

    v4: int = 32
    v6: int = 128

    def entry(self, facts: RequestFacts) -> Entry | None:
        """The network in CIDR notation."""
        host = _remote_host(facts)
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return None
        length = self.v4 if address.version == 4 else self.v6
        network = ipaddress.ip_network((address, length), strict=False)
        return b"masked_remote_address", str(network).encode()


def _remote_host(facts: RequestFacts) -> str:
    remote = facts.context.info.trusted_remote
    return "" if remote is None else remote.host


@dataclass(frozen=True, slots=True)
class GenericKey(Action):
    """`generic_key`: what the configuration says."""

    value: bytes
    key: bytes = b"generic_key"

    def entry(self, facts: RequestFacts) -> Entry | None:
        """The configured value."""
        return self.key, self.value


@dataclass(frozen=True, slots=True)
class HeaderValueMatch(Action):
    """`header_value_match`: a fixed value, where the headers fit (or, without `expect_match`, do not)."""

    value: bytes
    headers: Sequence[HeaderMatcher]
    key: bytes = b"header_match"
    expect_match: bool = True

    def entry(self, facts: RequestFacts) -> Entry | None:
        """The configured value."""
        return (self.key, self.value) if all_match(self.headers, facts.headers) is self.expect_match else None


@dataclass(frozen=True, slots=True)
class QueryParameterValueMatch(Action):
    """`query_parameter_value_match`: a fixed value, where the parameters fit (or do not)."""

    value: bytes
    parameters: Sequence[QueryParameterMatcher]
    key: bytes = b"query_match"
    expect_match: bool = True

    def entry(self, facts: RequestFacts) -> Entry | None:
        """The configured value."""
        present = parse_query(facts.headers.path)
        fits = all(matcher.matches(present) for matcher in self.parameters)
        return (self.key, self.value) if fits is self.expect_match else None


@dataclass(frozen=True, slots=True)
class MetadataValue(Action):
    """`metadata`: a text in the request's or the route's metadata.

    Args:
        path: keys below the namespace.
        of_route: the route's, else what filters have left.
    """

    key: bytes
    namespace: str
    path: Sequence[str]
    default: bytes = b""
    of_route: bool = False
    skip_if_absent: bool = False

    def entry(self, facts: RequestFacts) -> Entry | None:
        """The text, or the default."""
        dynamic = facts.context.info.dynamic_metadata
        found = metadata_value(facts.route_metadata if self.of_route else dynamic, self.namespace, self.path)
        value = found.encode() if isinstance(found, str) and found else self.default
        if value:
            return self.key, value
        return SKIPPED if self.skip_if_absent else None


def metadata_value(spaces: Mapping[str, Any] | None, namespace: str, path: Sequence[str]) -> Any:
    """What stands at a path, or None."""
    found: Any = None if spaces is None else spaces.get(namespace)
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


@dataclass(frozen=True, slots=True)
class LimitOverride:
    """`limit` with `dynamic_metadata`: where a filter may have left a limit."""

    namespace: str
    path: Sequence[str]

    def find(self, context: FormatterContext) -> Override | None:
        """The limit, where it is one."""
        found = metadata_value(context.info.dynamic_metadata, self.namespace, self.path)
        if not isinstance(found, Mapping):
            return None
        count, unit = found.get("requests_per_unit"), found.get("unit")
        if isinstance(count, int | float) and not isinstance(count, bool) and unit in UNITS:
            return Override(int(count), str(unit))
        return None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One entry of `rate_limits`.

    Args:
        stage: filters act on those of their own stage alone.
        enabled: asked for each request (`disable_key`); None is always.
        hits: `hits_addend.number`.
        hits_format: `hits_addend.format`, which gives a number.
        apply_on_stream_done: it counts when the stream is over, not when it begins.
    """

    stage: int
    actions: Sequence[Action]
    enabled: Callable[[], bool] | None = None
    limit: LimitOverride | None = None
    hits: int | None = None
    hits_format: Formatter | None = None
    apply_on_stream_done: bool = False

    def descriptor(self, facts: RequestFacts) -> Descriptor | None:
        """The descriptor of a request, or None where an action says that there is none."""
        entries: list[Entry] = []
        for action in self.actions:
            entry = action.entry(facts)
            if entry is None:
                return None
            if entry[0]:
                entries.append(entry)
        override = None if self.limit is None else self.limit.find(facts.context)
        return Descriptor(entries, override, self._hits(facts.context))

    def _hits(self, context: FormatterContext) -> int | None:
        if self.hits_format is None:
            return self.hits
        text = self.hits_format.format(context)
        return int(text) if text.isdigit() and len(text) < 10 else None


def descriptors(limits: Sequence[RateLimit], stage: int, on_stream_done: bool, facts: RequestFacts) -> list[Descriptor]:
    """The descriptors that a request has at a stage, when it begins or when it is over."""
    wanted = [each for each in limits if each.stage == stage and each.apply_on_stream_done is on_stream_done]
    enabled = [each for each in wanted if each.enabled is None or each.enabled()]
    return [made for each in enabled if (made := each.descriptor(facts)) is not None]
