"""/stats in every format, /stats/prometheus, /stats/recentlookups with its switches, and /reset_counters.

It must not write a stat itself (the stats room does), look one up by name, or reset what is no counter.
"""

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.handlers import stats_html
from envoymesh.admin.messages import JSON, OK, Request, Response, bad_request
from envoymesh.admin.stats_query import InvalidQueryError, selection_of
from envoymesh.stats.json_writer import write_json
from envoymesh.stats.prometheus import write_prometheus
from envoymesh.stats.text import write_text

_FORMATS = ("html", "active-html", "json", "prometheus", "text")
_NOT_ENABLED = "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n"

_USED_ONLY = Parameter(
    ParameterKind.BOOLEAN, "usedonly", "Only include stats that have been written by system since restart"
)
_FILTER = Parameter(ParameterKind.STRING, "filter", "Regular expression (Google re2) for filtering stats")
_INVERT_FILTER = Parameter(ParameterKind.BOOLEAN, "invert_filter", "Invert the filter regex")


def stats(context: AdminParts, request: Request) -> Response:
    """The stats that the parameters choose, in the format that they name."""
    format_ = request.params.get("format") or "text"
    if format_ not in _FORMATS:
        return bad_request(f"usage: /stats?format=({'|'.join(_FORMATS)})\n\n")
    if format_ == "prometheus":
        return prometheus(context, request)
    try:
        selection = selection_of(request)
    except InvalidQueryError as error:
        return bad_request(str(error))
    if format_ == "json":
        return Response(write_json(context.store, selection), content_type=JSON)
    if format_ == "text":
        return Response(write_text(context.store, selection))
    if format_ == "active-html":
        return stats_html.active_page(request, _STATS)
    return stats_html.stats_page(context, request, _STATS, selection)


def prometheus(context: AdminParts, request: Request) -> Response:
    """The stats that the parameters choose."""
    try:
        return Response(write_prometheus(context.store, selection_of(request)))
    except (InvalidQueryError, ValueError) as error:
        return bad_request(str(error))


def recent_lookups(context: AdminParts, _request: Request) -> Response:
    """The names with their counts, and how many look-ups there were."""
    lookups = context.store.lookups
    text = _NOT_ENABLED
    if lookups.enabled:
        rows = "".join(f"{count:8d} {name}\n" for count, name in lookups.counts())
        text = f"   Count Lookup\n{rows}"
    return Response(f"{text}\ntotal: {lookups.total}\n")


def enable_recent_lookups(context: AdminParts, _request: Request) -> Response:
    """Remember names from now on."""
    context.store.lookups.enable(True)
    return OK


def disable_recent_lookups(context: AdminParts, _request: Request) -> Response:
    """Remember none."""
    context.store.lookups.enable(False)
    return OK


def clear_recent_lookups(context: AdminParts, _request: Request) -> Response:
    """Begin to count anew."""
    context.store.lookups.clear()
    return OK


def reset_counters(context: AdminParts, _request: Request) -> Response:
    """Reset and say OK."""
    context.store.reset_counters()
    return OK


_STATS = Endpoint(
    "/stats",
    "print server stats",
    stats,
    parameters=(
        _USED_ONLY,
        _FILTER,
        _INVERT_FILTER,
        Parameter(ParameterKind.ENUM, "format", "Format to use", ("html", "active-html", "text", "json")),
        Parameter(
            ParameterKind.ENUM,
            "type",
            "Stat types to include.",
            ("All", "Counters", "Histograms", "Gauges", "TextReadouts"),
        ),
        Parameter(
            ParameterKind.ENUM,
            "histogram_buckets",
            "Histogram bucket display mode",
            ("cumulative", "disjoint", "detailed", "summary"),
        ),
    ),
    shows_counts=True,
)
ENDPOINTS = (
    _STATS,
    Endpoint(
        "/stats/prometheus",
        "print server stats in prometheus format",
        prometheus,
        parameters=(
            _USED_ONLY,
            Parameter(
                ParameterKind.BOOLEAN,
                "text_readouts",
                "Render text_readouts as new gaugues with value 0 (increases Prometheus data size)",
            ),
            _FILTER,
            _INVERT_FILTER,
            Parameter(
                ParameterKind.ENUM, "histogram_buckets", "Histogram bucket display mode", ("cumulative", "summary")
            ),
        ),
        shows_counts=True,
    ),
    Endpoint("/stats/recentlookups", "Show recent stat-name lookups", recent_lookups, shows_counts=True),
    Endpoint(
        "/stats/recentlookups/clear",
        "clear list of stat-name lookups and counter",
        clear_recent_lookups,
        mutates=True,
    ),
    Endpoint(
        "/stats/recentlookups/disable",
        "disable recording of reset stat-name lookup names",
        disable_recent_lookups,
        mutates=True,
    ),
    Endpoint(
        "/stats/recentlookups/enable",
        "enable recording of reset stat-name lookup names",
        enable_recent_lookups,
        mutates=True,
    ),
    Endpoint("/reset_counters", "reset all counters to zero", reset_counters, mutates=True),
)
