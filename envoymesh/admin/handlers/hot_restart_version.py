"""/hot_restart_version: which processes could take over from this one. It must not start one."""

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import Request, Response


def handle(context: AdminContext, _request: Request) -> Response:
    """The version, without an end of line."""
    return Response(context.hot_restart_version)


ENDPOINT = Endpoint("/hot_restart_version", "print the hot restart compatibility version", handle)
