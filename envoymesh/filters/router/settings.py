"""What all streams of one router filter share. It must not act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envoymesh.filters.router.stats import RouterStats
from envoymesh.upstream.api import ClusterManager


@dataclass(frozen=True, slots=True)
class RouterFilterConfig:
    """envoy.extensions.filters.http.router.v3.Router.

    Args:
        random: uniform in [0, 1), for back-off.
    """

    clusters: ClusterManager
    stats: RouterStats
    random: Callable[[], float]
    suppress_envoy_headers: bool = False
    respect_expected_rq_timeout: bool = False
