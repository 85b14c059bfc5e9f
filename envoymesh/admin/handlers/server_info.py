"""/server_info: version, state, uptimes, command line and node. It must not read a clock or a flag itself."""

from envoymesh.admin.config import server_info_json
from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import JSON, Request, Response


def handle(context: AdminContext, _request: Request) -> Response:
    """One envoy.admin.v3.ServerInfo message."""
    return Response(server_info_json(context), content_type=JSON)


ENDPOINT = Endpoint("/server_info", "print server version/status information", handle)
