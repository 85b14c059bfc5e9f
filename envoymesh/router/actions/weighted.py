"""Weighted clusters (envoy.config.route.v3.WeightedCluster): which entry a request takes. It must not know routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.metadata import MatchCriteria
from envoymesh.router.actions.hash_policy import HashPolicy
from envoymesh.router.filter_configs import FilterConfigs
from envoymesh.router.header_parser import NO_HEADER_PARSERS, HeaderParsers
from envoymesh.router.numbers import parse_number
from envoymesh.runtime import RuntimeNumber

SHARE_STEP: Final = 2**0.5 - 1
"""Its multiples, without their whole parts, are spread evenly, and differ from those of `runtime_fraction`."""


@dataclass(frozen=True, slots=True)
class WeightedEntry:
    """envoy.config.route.v3.WeightedCluster.ClusterWeight.

    Args:
        cluster: empty where `cluster_header` names it.
        header_parsers: applied before those of the route.
        metadata_match: put over the route's.
        host_rewrite: takes the host's place before the route's own rewrites do.
    """

    cluster: str
    weight: RuntimeNumber
    cluster_header: bytes = b""
    header_parsers: HeaderParsers = NO_HEADER_PARSERS
    filter_configs: FilterConfigs = field(default_factory=dict)
    host_rewrite: bytes = b""
    metadata_match: MatchCriteria | None = None


@dataclass(frozen=True, slots=True)
class WeightedClusters:
    """Entries, and what chooses among them.

    Args:
        start: from 0 to 1, where the requests' numbers begin.
        header_name: a header (in lower case) whose number decides instead of chance.
        hash_policy: the route's, where `use_hash_policy` says that it decides instead of chance.
    """

    entries: Sequence[WeightedEntry]
    start: float
    header_name: bytes = b""
    hash_policy: HashPolicy | None = None

    def pick(self, headers: RequestHeaders, info: StreamInfo) -> int:
        """The entry's place for a request, the same however often it is asked; -1 where the runtime has made all
        weights 0."""
        weights = [entry.weight.value for entry in self.entries]
        total = sum(weights)
        if not total:
            return -1
        chosen = self._number(headers, info)
        share = (self.start + info.stream_id * SHARE_STEP) % 1.0
        left = int(share * total) if chosen is None else chosen % total
        place = 0
        while left >= weights[place]:
            left -= weights[place]
            place += 1
        return place

    def _number(self, headers: RequestHeaders, info: StreamInfo) -> int | None:
        """What decides instead of chance, if anything does."""
        if self.header_name:
            values = headers.get_all(self.header_name)
            # As in Envoy several values count as none: each proxy on the way might take another one.
            number = parse_number(values[0]) if len(values) == 1 else None
            if number is not None:
                return number
        return None if self.hash_policy is None else self.hash_policy.generate_hash(headers, info, None)
