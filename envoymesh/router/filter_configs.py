"""Settings of HTTP filters in routes (`typed_per_filter_config`), resolved for each route when it is loaded.

This module does not know what the settings mean, only their levels: route configuration, virtual host, route, and for
one of its variants a weighted cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class FilterConfig:
    """What one level says of one filter (envoy.config.route.v3.FilterConfig, or the filter's own message alone).

    Args:
        settings: what the filter's reader made of its message, None where there is none.
        disabled: the filter takes no part; where it is not, a filter that is disabled in `http_filters` does.
    """

    settings: Any = None
    disabled: bool = False


FilterConfigs = Mapping[str, FilterConfig]
"""One level, by the filters' names in `http_filters`."""

NO_FILTER_CONFIGS: Final[FilterConfigs] = {}


def settings_by_filter(levels: Sequence[FilterConfigs]) -> dict[str, tuple[Any, ...]]:
    """Each filter's settings of all levels; `levels` and the result go from the least to the most specific."""
    found: dict[str, tuple[Any, ...]] = {}
    for level in levels:
        for name, config in level.items():
            if config.settings is not None:
                found[name] = (*found.get(name, ()), config.settings)
    return found


def disabled_by_filter(levels: Sequence[FilterConfigs]) -> dict[str, bool]:
    """Whether each filter is disabled: the most specific level that names it decides."""
    return {name: config.disabled for level in levels for name, config in level.items()}
