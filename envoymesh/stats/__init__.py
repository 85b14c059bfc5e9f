"""Stats: the counters, gauges, histograms and text readouts of one process, and their writers.

A stat is made once, as a field of a `@stats_struct` class created under a scope; the hot path then does `stats.x.inc()`
and builds no string. This room must not know who counts what, nor how the admin serves it.
"""

from envoymesh.stats.histogram import Histogram, Unit
from envoymesh.stats.primitives import Counter, Gauge, TextReadout
from envoymesh.stats.store import Scope, Store, sanitize
from envoymesh.stats.struct import ConstantStats, Named, StatsStruct, stats_struct

__all__ = [
    "ConstantStats",
    "Counter",
    "Gauge",
    "Histogram",
    "Named",
    "Scope",
    "StatsStruct",
    "Store",
    "TextReadout",
    "Unit",
    "sanitize",
    "stats_struct",
]
