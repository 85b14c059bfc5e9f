"""envoy.extensions.filters.network.sni_cluster.v3.SniCluster -> factory of its filters. The message has no fields."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.filters.network.factory_context import NetworkFilterFactoryContext
from envoymesh.filters.network.filter import FilterFactory, FilterManager
from envoymesh.filters.network.sni_cluster.filter import SniClusterFilter


def sni_cluster_filter_factory(reader: Reader, context: NetworkFilterFactoryContext) -> FilterFactory:
    """Nothing is to be read."""

    def add(manager: FilterManager) -> None:
        manager.add_read_filter(SniClusterFilter())

    return add
