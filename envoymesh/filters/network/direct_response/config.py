"""envoy.extensions.filters.network.direct_response.v3.Config -> factory of direct response filters."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.filters.network.direct_response.filter import DirectResponseFilterFactory
from envoymesh.filters.network.factory_context import NetworkFilterFactoryContext


def direct_response_filter_factory(reader: Reader, context: NetworkFilterFactoryContext) -> DirectResponseFilterFactory:
    """Read the answer. Errors: ConfigError for a file or variable that cannot be read."""
    return DirectResponseFilterFactory(reader.data_source("response"))
