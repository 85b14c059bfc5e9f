"""Settings of load balancing policies: plain values, made once by `upstream/lb/config.py`. Times are seconds.

One class a policy; which class it is says which balancer is made of it. This module must not pick hosts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from envoymesh.metadata import MatchCriteria
from envoymesh.runtime import RuntimeDouble

DEFAULT_MAGLEV_TABLE_SIZE: Final = 65537

OVERRIDE_HOST_STATUS: Final = frozenset({"UNKNOWN", "HEALTHY", "DEGRADED"})
"""Hosts that a filter may choose for a request, where `override_host_status` is unset."""


@dataclass(frozen=True, slots=True)
class ZoneAwareSettings:
    """LocalityLbConfig.ZoneAwareLbConfig; what is here counts where the cluster manager has a local cluster.

    Args:
        routing_enabled: share of requests, 0 to 1.
        min_cluster_size: healthy hosts that there must be.
        force_local_zone_min_size: healthy local hosts with which all stays in this zone; 0 does not force it.
        by_weight: localities count by the weights of their hosts instead of their number (`locality_basis`).
    """

    routing_enabled: float = 1.0
    min_cluster_size: int = 6
    fail_traffic_on_panic: bool = False
    force_local_zone_min_size: int = 0
    by_weight: bool = False


@dataclass(frozen=True, slots=True)
class LocalitySettings:
    """How localities count: by their weights, or so that traffic stays in this proxy's own zone."""

    weighted: bool = False
    zone_aware: ZoneAwareSettings = field(default_factory=ZoneAwareSettings)


@dataclass(frozen=True, slots=True)
class SlowStartSettings:
    """SlowStartConfig: how the weight of a new host grows.

    Args:
        window: seconds until its weight is the full one; 0 is no slow start.
        aggression: the larger, the faster at the beginning; 1 is linear.
        min_weight_percent: what a host begins with at least, as a share, 0 to 1.
    """

    window: float = 0.0
    aggression: RuntimeDouble | None = None
    min_weight_percent: float = 0.1


@dataclass(frozen=True, slots=True)
class LbSettings:
    """What all policies that this proxy carries out have in common."""


@dataclass(frozen=True, slots=True)
class RoundRobinSettings(LbSettings):
    """ROUND_ROBIN."""

    locality: LocalitySettings = field(default_factory=LocalitySettings)
    slow_start: SlowStartSettings = field(default_factory=SlowStartSettings)


ROUND_ROBIN: Final = RoundRobinSettings()
"""What a cluster does that says nothing of it: shared, since most clusters do."""


@dataclass(frozen=True, slots=True)
class LeastRequestSettings(LbSettings):
    """LEAST_REQUEST.

    Args:
        active_request_bias: how much active requests count where weights differ; None is 1.
        full_scan: compare all hosts instead of `choice_count` of them.
    """

    locality: LocalitySettings = field(default_factory=LocalitySettings)
    slow_start: SlowStartSettings = field(default_factory=SlowStartSettings)
    choice_count: int = 2
    active_request_bias: RuntimeDouble | None = None
    full_scan: bool = False


@dataclass(frozen=True, slots=True)
class RandomSettings(LbSettings):
    """RANDOM."""

    locality: LocalitySettings = field(default_factory=LocalitySettings)


@dataclass(frozen=True, slots=True)
class RingHashSettings(LbSettings):
    """RING_HASH.

    Args:
        hash_balance_factor: percent of the mean load that a host may have; 0 is no bound.
    """

    minimum_ring_size: int = 1024
    maximum_ring_size: int = 8 * 1024 * 1024
    murmur_hash2: bool = False
    use_hostname_for_hashing: bool = False
    hash_balance_factor: int = 0
    locality_weighted: bool = False


@dataclass(frozen=True, slots=True)
class MaglevSettings(LbSettings):
    """MAGLEV; `table_size` is a prime number."""

    table_size: int = DEFAULT_MAGLEV_TABLE_SIZE
    use_hostname_for_hashing: bool = False
    hash_balance_factor: int = 0
    locality_weighted: bool = False


@dataclass(frozen=True, slots=True)
class ClusterProvidedSettings(LbSettings):
    """CLUSTER_PROVIDED: the cluster's type picks."""


@dataclass(frozen=True, slots=True)
class SubsetSelectorSettings:
    """LbSubsetSelector.

    Args:
        keys: sorted, each once.
        fallback_policy: NOT_DEFINED, NO_FALLBACK, ANY_ENDPOINT, DEFAULT_SUBSET or KEYS_SUBSET.
    """

    keys: tuple[str, ...]
    fallback_policy: str = "NOT_DEFINED"
    fallback_keys_subset: frozenset[str] = frozenset()
    single_host_per_subset: bool = False


@dataclass(frozen=True, slots=True)
class SubsetSettings(LbSettings):
    """Subsets of hosts by their metadata, each with a balancer of its own (`lb_subset_config`).

    Args:
        policy: of each subset.
        fallback_policy: NO_FALLBACK, ANY_ENDPOINT or DEFAULT_SUBSET.
        default_subset: metadata of the hosts of DEFAULT_SUBSET.
        fallback_list: FALLBACK_LIST, the `metadata_fallback_policy`.
    """

    policy: LbSettings
    selectors: Sequence[SubsetSelectorSettings] = ()
    fallback_policy: str = "NO_FALLBACK"
    default_subset: MatchCriteria = ()
    locality_weight_aware: bool = False
    scale_locality_weight: bool = False
    panic_mode_any: bool = False
    list_as_any: bool = False
    allow_redundant_keys: bool = False
    fallback_list: bool = False


@dataclass(frozen=True, slots=True)
class OverrideHostSource:
    """Where addresses stand: in a request header, or in the request's dynamic metadata."""

    header: bytes = b""
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OverrideHostSettings(LbSettings):
    """Hosts that the request names, and a policy for requests that name none."""

    sources: Sequence[OverrideHostSource]
    fallback: LbSettings


def wants_request(settings: LbSettings) -> bool:
    """Whether a policy asks for more of a request than which try it is: its hash, its criteria, its headers."""
    return isinstance(settings, RingHashSettings | MaglevSettings | SubsetSettings | OverrideHostSettings)
