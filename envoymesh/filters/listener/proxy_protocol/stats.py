"""Stats of the proxy_protocol filter, by Envoy's names."""

from __future__ import annotations

from typing import Annotated

from envoymesh.stats import Counter, Named, StatsStruct, stats_struct


@stats_struct
class ProxyProtocolErrorStats(StatsStruct):
    """Of the root scope, for all such filters together."""

    downstream_cx_proxy_proto_error: Counter


@stats_struct
class ProxyProtocolVersionStats(StatsStruct):
    """``proxy_proto.[<stat_prefix>.]versions.<version>.``"""

    disallowed: Counter
    error: Counter
    found: Counter


@stats_struct
class ProxyProtocolPrefixStats(StatsStruct):
    """``proxy_proto.[<stat_prefix>.]``"""

    not_found_allowed: Counter
    not_found_disallowed: Counter
    v1: Annotated[ProxyProtocolVersionStats, Named("versions.v1.")]
    v2: Annotated[ProxyProtocolVersionStats, Named("versions.v2.")]
