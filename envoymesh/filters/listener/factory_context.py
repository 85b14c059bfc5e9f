"""What the settings of listener filters may refer to. It must not hold anything of one connection."""

from __future__ import annotations

from dataclasses import dataclass

from envoymesh.stats import Scope


@dataclass(frozen=True, slots=True)
class ListenerFilterFactoryContext:
    """What the settings of a filter in `listener_filters` may refer to.

    Args:
        scope: the root of all stats, for as in Envoy those of listener filters are not the listener's.
    """

    scope: Scope
