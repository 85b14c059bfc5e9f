"""/stats/recentlookups and its switches: which stats were lately looked up by name. It must not look one up."""

from envoymesh.admin import messages
from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import Request, Response

_NOT_ENABLED = "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n"


def show(context: AdminContext, _request: Request) -> Response:
    """The names with their counts, and how many look-ups there were."""
    lookups = context.store.lookups
    text = _NOT_ENABLED
    if lookups.enabled:
        rows = "".join(f"{count:8d} {name}\n" for count, name in lookups.counts())
        text = f"   Count Lookup\n{rows}"
    return Response(f"{text}\ntotal: {lookups.total}\n")


def enable(context: AdminContext, _request: Request) -> Response:
    """Remember names from now on."""
    context.store.lookups.enable(True)
    return messages.OK


def disable(context: AdminContext, _request: Request) -> Response:
    """Remember none."""
    context.store.lookups.enable(False)
    return messages.OK


def clear(context: AdminContext, _request: Request) -> Response:
    """Begin to count anew."""
    context.store.lookups.clear()
    return messages.OK


SHOW = Endpoint("/stats/recentlookups", "Show recent stat-name lookups", show, shows_counts=True)
CLEAR = Endpoint("/stats/recentlookups/clear", "clear list of stat-name lookups and counter", clear, mutates=True)
DISABLE = Endpoint(
    "/stats/recentlookups/disable", "disable recording of reset stat-name lookup names", disable, mutates=True
)
ENABLE = Endpoint(
    "/stats/recentlookups/enable", "enable recording of reset stat-name lookup names", enable, mutates=True
)
