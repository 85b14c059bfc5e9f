"""envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector -> factory of its filters."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.filters.listener.factory_context import ListenerFilterFactoryContext
from envoymesh.filters.listener.tls_inspector.filter import TlsInspector
from envoymesh.network.listener.filter import ListenerFilterFactory
from envoymesh.network.stats import TlsInspectorStats


def tls_inspector_filter_factory(reader: Reader, context: ListenerFilterFactoryContext) -> ListenerFilterFactory:
    """Read a TlsInspector, of which nothing is supported but its being there. Errors: ConfigError."""
    stats = TlsInspectorStats.create(context.scope.scope("tls_inspector."))
    return lambda: TlsInspector(stats)
