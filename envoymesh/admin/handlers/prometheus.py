"""/stats/prometheus: the stats for a Prometheus server. It must not write a stat itself (the stats room does)."""

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import Request, Response, bad_request
from envoymesh.admin.stats_query import InvalidQueryError, selection_of
from envoymesh.stats.prometheus import write_prometheus

USED_ONLY = Parameter(
    ParameterKind.BOOLEAN, "usedonly", "Only include stats that have been written by system since restart"
)
FILTER = Parameter(ParameterKind.STRING, "filter", "Regular expression (Google re2) for filtering stats")
INVERT_FILTER = Parameter(ParameterKind.BOOLEAN, "invert_filter", "Invert the filter regex")


def handle(context: AdminContext, request: Request) -> Response:
    """The stats that the parameters choose."""
    try:
        return Response(write_prometheus(context.store, selection_of(request)))
    except (InvalidQueryError, ValueError) as error:
        return bad_request(str(error))


ENDPOINT = Endpoint(
    "/stats/prometheus",
    "print server stats in prometheus format",
    handle,
    parameters=(
        USED_ONLY,
        Parameter(
            ParameterKind.BOOLEAN,
            "text_readouts",
            "Render text_readouts as new gaugues with value 0 (increases Prometheus data size)",
        ),
        FILTER,
        INVERT_FILTER,
        Parameter(ParameterKind.ENUM, "histogram_buckets", "Histogram bucket display mode", ("cumulative", "summary")),
    ),
    shows_counts=True,
)
