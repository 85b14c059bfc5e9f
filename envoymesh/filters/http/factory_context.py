"""What filters' settings may refer to. It must not hold anything of one request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envoymesh.network.api import Dispatcher
from envoymesh.runtime import RuntimeReader
from envoymesh.scripting.script import Scripts
from envoymesh.stats import Scope
from envoymesh.upstream.client import AsyncClient
from envoymesh.upstream.cluster_manager import ClusterManager


@dataclass(frozen=True, slots=True)
class HttpFilterFactoryContext:
    """What the settings of a filter in `http_filters` may refer to.

    Args:
        client: sends requests from inside.
        scope: the connection manager's stats, ``http.<stat_prefix>.``.
        random: uniform in [0, 1).
        runtime: gives filters their keys.
        health_check_failed: whether ``/healthcheck/fail`` was asked for.
        service_cluster: this proxy's own (`node.cluster`).
        scripts: watches users' files; None where nobody does.
    """

    clusters: ClusterManager
    client: AsyncClient
    dispatcher: Dispatcher
    scope: Scope
    random: Callable[[], float]
    runtime: RuntimeReader
    health_check_failed: Callable[[], bool] = lambda: False
    service_cluster: str = ""
    scripts: Scripts | None = None
