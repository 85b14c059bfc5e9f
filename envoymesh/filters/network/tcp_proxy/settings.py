"""Settings of `tcp_proxy`: plain values, made by `config.py` once, never changed.

Field names are those of envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy. Times are seconds; 0 is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from envoymesh.access_loggers import AccessLog


@dataclass(frozen=True, slots=True)
class TcpProxySettings:
    """What one `tcp_proxy` was configured to do.

    Args:
        clusters: names, each with its weight.
        backoff: shortest and longest pause between attempts to connect; None makes none.
        connect_on_data: the upstream connection is begun when the peer has sent something.
        max_early_data_bytes: how much of what comes before the upstream is there is kept; None does not read before.
        max_downstream_connection_duration_jitter: largest share of the duration that is added to it by chance.
    """

    clusters: Sequence[tuple[str, int]]
    idle_timeout: float = 3600.0
    max_connect_attempts: int = 1
    backoff: tuple[float, float] | None = None
    connect_on_data: bool = False
    max_early_data_bytes: int | None = None
    max_downstream_connection_duration: float = 0.0
    max_downstream_connection_duration_jitter: float = 0.0
    access_logs: Sequence[AccessLog] = ()
    access_log_flush_interval: float = 0.0
    flush_access_log_on_connected: bool = False

    def cluster(self, random: float) -> str:
        """The name of one of the clusters, by weight; `random` is from 0 to 1."""
        clusters = self.clusters
        left = random * sum([weight for _, weight in clusters])
        for name, weight in clusters:
            if left < weight:
                return name
            left -= weight
        return clusters[-1][0]
