"""Stats of the CORS filter, under ``http.<stat_prefix>.cors.``."""

from __future__ import annotations

from envoymesh.stats import Counter, StatsStruct, stats_struct


@stats_struct
class CorsStats(StatsStruct):
    """Requests with an origin, by whether it was allowed."""

    origin_invalid: Counter
    origin_valid: Counter
