"""The router filter (envoy.filters.http.router): from a matched route to an upstream host and back."""

from envoymesh.filters.router.filter import RouterFilter
from envoymesh.filters.router.settings import RouterFilterConfig
from envoymesh.filters.router.stats import RouterStats

__all__ = ["RouterFilter", "RouterFilterConfig", "RouterStats"]
