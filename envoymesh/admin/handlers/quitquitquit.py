"""/quitquitquit: exit the server. It must not exit before the answer is written."""

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import OK, Request, Response


def handle(context: AdminContext, _request: Request) -> Response:
    """Ask for the exit and say OK."""
    context.server.shutdown()
    return OK


ENDPOINT = Endpoint("/quitquitquit", "exit the server", handle, mutates=True)
