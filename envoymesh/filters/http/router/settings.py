"""What all streams of one router filter share. It must not act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envoymesh.filters.http.router.stats import RouterStats
from envoymesh.runtime import RuntimeNumber, RuntimeShare
from envoymesh.upstream.client import AsyncClient
from envoymesh.upstream.cluster_manager import ClusterManager


@dataclass(frozen=True, slots=True)
class RouterFilterConfig:
    """envoy.extensions.filters.http.router.v3.Router.

    Args:
        client: sends mirrored requests.
        random: uniform in [0, 1), for back-off.
        base_retry_backoff: milliseconds, where a retry policy has no interval of its own.
        use_retry: the share of retries that are allowed (runtime key ``upstream.use_retry``).
        dynamic_stats: count responses by code, and their times, for each cluster.
    """

    clusters: ClusterManager
    client: AsyncClient
    stats: RouterStats
    random: Callable[[], float]
    base_retry_backoff: RuntimeNumber
    use_retry: RuntimeShare
    dynamic_stats: bool = True
    suppress_envoy_headers: bool = False
    respect_expected_rq_timeout: bool = False
