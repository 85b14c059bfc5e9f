"""/help: the list of endpoints. It must not know any of them by name."""

from collections.abc import Sequence

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import Request, Response


def text(endpoints: Sequence[Endpoint]) -> str:
    """The help text of these endpoints."""
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.path)
    return "admin commands are:\n" + "".join(endpoint.help_lines() for endpoint in ordered)


def endpoint(endpoints: Sequence[Endpoint]) -> Endpoint:
    """/help over a list that may still grow."""

    def handle(_context: AdminContext, _request: Request) -> Response:
        return Response(text(endpoints))

    return Endpoint("/help", "print out list of admin commands", handle)
