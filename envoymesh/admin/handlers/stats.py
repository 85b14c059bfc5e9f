"""/stats: every stat as text, JSON, HTML or for Prometheus. It must not write a stat itself (the stats room does)."""

from html import escape

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.handlers import prometheus
from envoymesh.admin.html import page, parameter_row
from envoymesh.admin.messages import HTML, JSON, Request, Response, bad_request
from envoymesh.admin.stats_query import InvalidQueryError, selection_of
from envoymesh.stats.json_writer import write_json
from envoymesh.stats.selection import Selection
from envoymesh.stats.text import write_text

_FORMATS = ("html", "active-html", "json", "prometheus", "text")
_REFRESH_SECONDS = 5


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
    return Response(_html(context, request, selection), content_type=HTML)


def _html(context: AdminContext, request: Request, selection: Selection) -> str:
    rows = "".join(
        parameter_row(ENDPOINT, parameter, 1, "<tr class='gray'>", _present(request, parameter))
        for parameter in ENDPOINT.parameters
    )
    active = request.params["format"] == "active-html"
    return page(
        "\n<form action='stats' method='get' id='stats' class='home-form'></form>\n"
        f"<table class='home-table'>\n{rows}</table>\n<button form='stats'>stats</button>\n"
        f"<pre>\n{escape(write_text(context.store, selection))}</pre>\n",
        head=f"  <meta http-equiv='refresh' content='{_REFRESH_SECONDS}'>\n" if active else "",
    )


def _present(request: Request, parameter: Parameter) -> str:
    if parameter.kind is ParameterKind.BOOLEAN:
        return "checked" if request.flag(parameter.name) else ""
    return request.params.get(parameter.name, "")


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
)
