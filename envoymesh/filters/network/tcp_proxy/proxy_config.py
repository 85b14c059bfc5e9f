"""What all connections of one `tcp_proxy` share. It must not hold anything of one connection but that it is there."""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.filters.network.tcp_proxy.settings import TcpProxySettings
from envoymesh.filters.network.tcp_proxy.stats import TcpProxyStats
from envoymesh.network.api import Connection, Dispatcher
from envoymesh.upstream.cluster_manager import ClusterManager


class TcpProxyConfig:
    """What all connections of one `tcp_proxy` share.

    Args:
        random: uniform in [0, 1).
    """

    __slots__ = ("clusters", "connections", "dispatcher", "random", "settings", "stats")

    def __init__(
        self,
        *,
        settings: TcpProxySettings,
        stats: TcpProxyStats,
        clusters: ClusterManager,
        dispatcher: Dispatcher,
        random: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.stats = stats
        self.clusters = clusters
        self.dispatcher = dispatcher
        self.random = random
        self.connections: set[Connection] = set()

    def backoff(self, attempts: int) -> float:
        """Seconds until the next attempt to connect, after so many (Envoy's `JitteredExponentialBackOffStrategy`)."""
        if self.settings.backoff is None:
            return 0.0
        base, longest = self.settings.backoff
        return self.random() * float(min(base * 2 ** min(attempts - 1, 60), longest))

    def sample_buffers(self) -> None:
        """Set the gauges of buffered bytes."""
        waiting = [each.buffered for each in self.connections]
        self.stats.downstream_cx_rx_bytes_buffered.set(sum(received for received, _ in waiting))
        self.stats.downstream_cx_tx_bytes_buffered.set(sum(written for _, written in waiting))
