"""/ready: the server's state as a word. It must not decide what ready means."""

from http import HTTPStatus

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import Request, Response
from envoymesh.admin.views import ServerState


def handle(context: AdminContext, _request: Request) -> Response:
    """200 when LIVE, else 503."""
    state = context.server.state
    status = HTTPStatus.OK if state is ServerState.LIVE else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(f"{state.name}\n", status)


ENDPOINT = Endpoint("/ready", "print server state, return 200 if LIVE, otherwise return 503", handle)
