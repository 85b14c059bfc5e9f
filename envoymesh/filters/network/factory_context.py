"""What the settings of network filters may refer to. It must not hold anything of one connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envoymesh.access_loggers.config import AccessLogFactoryContext
from envoymesh.filters.network.http_connection_manager.config import ConnectionManagerFactoryContext
from envoymesh.filters.network.http_connection_manager.manager_configs import ConnectionManagerConfigs
from envoymesh.network.api import Dispatcher
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Scope, Store
from envoymesh.upstream.cluster_manager import ClusterManager


@dataclass(frozen=True, slots=True)
class NetworkFilterFactoryContext:
    """What the settings of a filter in a filter chain may refer to.

    Args:
        store: of all stats; a filter's own are named after its `stat_prefix`.
        listener_scope: the listener's stats, ``listener.<address>.``.
        clusters: those of the bootstrap, all of which are there.
        drain_close: whether the listener's connections should end where they can.
        buffer_limit: the listener's per_connection_buffer_limit_bytes.
        random: uniform in [0, 1).
        runtime: gives filters their keys.
        access_logs: what access logs need.
        http: what connection managers share.
        http_config: what their settings need.
    """

    dispatcher: Dispatcher
    store: Store
    listener_scope: Scope
    clusters: ClusterManager
    drain_close: Callable[[], bool]
    buffer_limit: int
    random: Callable[[], float]
    runtime: RuntimeReader
    access_logs: AccessLogFactoryContext
    http: ConnectionManagerConfigs
    http_config: ConnectionManagerFactoryContext
