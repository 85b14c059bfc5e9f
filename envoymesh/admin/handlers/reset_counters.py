"""/reset_counters: every counter at zero. It must not touch gauges or histograms."""

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import OK, Request, Response


def handle(context: AdminContext, _request: Request) -> Response:
    """Reset and say OK."""
    context.store.reset_counters()
    return OK


ENDPOINT = Endpoint("/reset_counters", "reset all counters to zero", handle, mutates=True)
