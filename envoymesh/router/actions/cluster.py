"""Routes that forward (envoy.config.route.v3.RouteAction): their settings. They must not know the router filter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from envoymesh.matching.tree.match_tree import MatchTree
from envoymesh.metadata import MatchCriteria
from envoymesh.router.actions.durations import GrpcTimeout, StreamDuration
from envoymesh.router.actions.rewrites import Rewrites
from envoymesh.router.cors import CorsPolicy
from envoymesh.router.retry import RetryPolicy

# What most configurations do not have is not imported: nothing here makes such an object.
if TYPE_CHECKING:
    from envoymesh.router.actions.hash_policy import HashPolicy
    from envoymesh.router.actions.internal_redirects import InternalRedirectPolicy
    from envoymesh.router.actions.weighted import WeightedClusters
    from envoymesh.router.mirror import MirrorPolicy
    from envoymesh.router.rate_limits.descriptors import RateLimit

NO_UPGRADES: Final[dict[bytes, bool]] = {}


@dataclass(frozen=True, slots=True)
class ConnectConfig:
    """RouteAction.UpgradeConfig.ConnectConfig: what CONNECT asks for is a connection to the cluster.

    Args:
        allow_post: POST asks for one, too.
    """

    allow_post: bool = False


@dataclass(frozen=True, slots=True)
class ClusterAction:
    """`route`: send the request to a cluster. What is None is not configured.

    Args:
        cluster: its name; empty where the request decides: `cluster_header`, `weighted` or `cluster_matcher` says how.
        timeout: seconds for the whole response; 0 is no limit (`RouteAction.timeout`, default 15 s).
        idle_timeout: seconds without progress, replaces the connection manager's; None leaves that in force.
        flush_timeout: seconds that a complete response waits for an HTTP/2 client to take it; None as well.
        cluster_not_found_status: answer when the cluster does not exist.
        cluster_header: the header (in lower case) that names the cluster.
        cluster_matcher: a tree whose actions are clusters' names (the cluster specifier `matcher`).
        metadata_match: what a host's metadata should have, where the cluster has subsets.
        grpc_timeout: the deprecated `max_grpc_timeout` and `grpc_timeout_offset`.
        high_priority: whose circuit breakers count, and so with whom connections are shared.
        include_virtual_host_rate_limits: those of the virtual host count too, where the route has its own.
        hedges: a try that takes too long goes on beside the next one (`hedge_on_per_try_timeout`).
        upgrades: whether it takes an upgrade, by its kind in lower case; ``connect`` is CONNECT.
        connect: tunnels end here, and their bytes go to the cluster.
    """

    cluster: str
    timeout: float = 15.0
    idle_timeout: float | None = None
    cluster_not_found_status: int = 503
    retry: RetryPolicy | None = None
    cors: CorsPolicy | None = None
    cluster_header: bytes = b""
    weighted: WeightedClusters | None = None
    rewrites: Rewrites | None = None
    stream_duration: StreamDuration | None = None
    grpc_timeout: GrpcTimeout | None = None
    internal_redirect: InternalRedirectPolicy | None = None
    hash_policy: HashPolicy | None = None
    mirrors: Sequence[MirrorPolicy] = ()
    metadata_match: MatchCriteria | None = None
    rate_limits: Sequence[RateLimit] = ()
    include_virtual_host_rate_limits: bool = False
    high_priority: bool = False
    hedges: bool = False
    flush_timeout: float | None = None
    cluster_matcher: MatchTree | None = None
    upgrades: Mapping[bytes, bool] = field(default_factory=lambda: NO_UPGRADES)
    connect: ConnectConfig | None = None

    @property
    def named_clusters(self) -> list[tuple[str, str]]:
        """Each cluster that the settings name, and what Envoy calls it where it does not exist."""
        if self.weighted is not None:
            return [(each.cluster, "weighted cluster") for each in self.weighted.entries if each.cluster]
        return [(self.cluster, "cluster")] if self.cluster else []
