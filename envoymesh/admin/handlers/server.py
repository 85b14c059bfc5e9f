"""The server itself: what it is, whether it is ready, what health checks hear, and its exit.

/server_info, /ready, /hot_restart_version, /healthcheck/fail, /healthcheck/ok and /quitquitquit. It must not read a
clock, decide what ready means, or exit before the answer is written.
"""

from http import HTTPStatus

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import JSON, OK, Request, Response
from envoymesh.admin.proto.answers import server_info_json
from envoymesh.admin.views import ServerState


def server_info(context: AdminParts, _request: Request) -> Response:
    """One envoy.admin.v3.ServerInfo message: version, state, uptimes, command line and node."""
    return Response(server_info_json(context), content_type=JSON)


def ready(context: AdminParts, _request: Request) -> Response:
    """The server's state as a word: 200 when LIVE, else 503."""
    state = context.server.state
    status = HTTPStatus.OK if state is ServerState.LIVE else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(f"{state.name}\n", status)


def hot_restart_version(context: AdminParts, _request: Request) -> Response:
    """Which processes could take over from this one, without an end of line."""
    return Response(context.hot_restart_version)


def fail_health_check(context: AdminParts, _request: Request) -> Response:
    """Fail health checks of this server from now on."""
    context.server.fail_health_check(True)
    return OK


def pass_health_check(context: AdminParts, _request: Request) -> Response:
    """Pass health checks again."""
    context.server.fail_health_check(False)
    return OK


def leave(context: AdminParts, _request: Request) -> Response:
    """Ask for the exit and say OK."""
    context.server.shutdown()
    return OK


ENDPOINTS = (
    Endpoint("/healthcheck/fail", "cause the server to fail health checks", fail_health_check, mutates=True),
    Endpoint("/healthcheck/ok", "cause the server to pass health checks", pass_health_check, mutates=True),
    Endpoint("/hot_restart_version", "print the hot restart compatibility version", hot_restart_version),
    Endpoint("/quitquitquit", "exit the server", leave, mutates=True),
    Endpoint("/ready", "print server state, return 200 if LIVE, otherwise return 503", ready),
    Endpoint("/server_info", "print server version/status information", server_info),
)
