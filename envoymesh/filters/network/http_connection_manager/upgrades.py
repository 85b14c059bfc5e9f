"""Which upgrades a connection manager takes, and by which filters they pass (`upgrade_configs`).

A CONNECT request counts as an upgrade of the kind ``connect``. This module must not look at requests.
"""

from __future__ import annotations

from collections.abc import Mapping

from envoymesh.http.filter_manager.filter_plan import FilterChainFactory


class UpgradeKind:
    """An entry of `upgrade_configs`.

    Args:
        enabled: whether it is taken where a route does not say otherwise.
        filters: those of its own, or None for the ones that all requests pass.
    """

    __slots__ = ("enabled", "filters")

    def __init__(self, enabled: bool, filters: FilterChainFactory | None) -> None:
        self.enabled = enabled
        self.filters = filters


def upgrade_filters(
    kinds: Mapping[bytes, UpgradeKind], name: bytes, of_route: Mapping[bytes, bool], others: FilterChainFactory
) -> FilterChainFactory | None:
    """The filters for an upgrade, or None where it is not taken.

    Args:
        kinds: `upgrade_configs`, by `upgrade_type` in lower case.
        name: what `Upgrade` asks for, in lower case; ``connect`` for CONNECT.
        of_route: what the route takes and refuses, which comes first (`RouteAction.upgrade_configs`).
        others: the filters of all other requests.
    """
    kind = kinds.get(name)
    wanted = of_route.get(name)
    if wanted is None:
        wanted = kind is not None and kind.enabled
    if not wanted:
        return None
    return others if kind is None or kind.filters is None else kind.filters
