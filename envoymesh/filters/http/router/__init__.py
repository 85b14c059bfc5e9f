"""The router filter (envoy.filters.http.router): from a matched route to an upstream host and back."""

from envoymesh.filters.http.router.filter import RouterFilter
from envoymesh.filters.http.router.settings import RouterFilterConfig
from envoymesh.filters.http.router.stats import RouterStats

__all__ = ["RouterFilter", "RouterFilterConfig", "RouterStats"]
