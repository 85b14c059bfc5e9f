"""envoy.extensions.filters.network.echo.v3.Echo -> factory of echo filters. The message has no fields."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.filters.network.echo.filter import EchoFilterFactory
from envoymesh.filters.network.factory_context import NetworkFilterFactoryContext


def echo_filter_factory(reader: Reader, context: NetworkFilterFactoryContext) -> EchoFilterFactory:
    """Nothing is to be read."""
    return EchoFilterFactory()
