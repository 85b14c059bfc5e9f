"""The SNI cluster filter (envoy.filters.network.sni_cluster): the requested server name names the cluster.

It must not look at bytes: a listener filter has found the name.
"""

from __future__ import annotations

from envoymesh.filters.network.filter import FilterStatus, NetworkFilter
from envoymesh.filters.network.tcp_proxy.filter import CLUSTER_KEY
from envoymesh.http.stream_info import TextState


class SniClusterFilter(NetworkFilter):
    """One connection."""

    __slots__ = ()

    def on_new_connection(self) -> FilterStatus:
        """Leave the name for `tcp_proxy`."""
        name = self.read_callbacks.connection.requested_server_name
        if name:
            self.read_callbacks.stream_info.set_filter_state(CLUSTER_KEY, TextState(name))
        return FilterStatus.CONTINUE
