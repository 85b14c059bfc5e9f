"""envoy.extensions.filters.network.echo.v3.Echo -> factory of echo filters. The message has no fields."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.filters.network.context import NetworkFilterContext
from envoymesh.filters.network.echo.filter import EchoFilterFactory


def echo_filter_factory(reader: Reader, context: NetworkFilterContext) -> EchoFilterFactory:
    """Nothing is to be read."""
    return EchoFilterFactory()
