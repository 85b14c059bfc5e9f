"""/stats: every stat as text, JSON, HTML or for Prometheus. It must not write a stat itself (the stats room does)."""

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.handlers import prometheus, stats_html
from envoymesh.admin.messages import JSON, Request, Response, bad_request
from envoymesh.admin.stats_query import InvalidQueryError, selection_of
from envoymesh.stats.json_writer import write_json
from envoymesh.stats.text import write_text

_FORMATS = ("html", "active-html", "json", "prometheus", "text")


def handle(context: AdminContext, request: Request) -> Response:
    """The stats that the parameters choose, in the format that they name."""
    format_ = request.params.get("format") or "text"
    if format_ not in _FORMATS:
        return bad_request(f"usage: /stats?format=({'|'.join(_FORMATS)})\n\n")
    if format_ == "prometheus":
        return prometheus.handle(context, request)
    try:
        selection = selection_of(request)
    except InvalidQueryError as error:
        return bad_request(str(error))
    if format_ == "json":
        return Response(write_json(context.store, selection), content_type=JSON)
    if format_ == "text":
        return Response(write_text(context.store, selection))
    if format_ == "active-html":
        return stats_html.active_page(request, ENDPOINT)
    return stats_html.stats_page(context, request, ENDPOINT, selection)


ENDPOINT = Endpoint(
    "/stats",
    "print server stats",
    handle,
    parameters=(
        prometheus.USED_ONLY,
        prometheus.FILTER,
        prometheus.INVERT_FILTER,
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
