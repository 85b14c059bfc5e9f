"""/reopen_logs: after a rotation. It must not know which logs there are."""

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import OK, Request, Response


def handle(context: AdminContext, _request: Request) -> Response:
    """Reopen and say OK."""
    context.server.reopen_logs()
    return OK


ENDPOINT = Endpoint("/reopen_logs", "reopen access logs", handle, mutates=True)
