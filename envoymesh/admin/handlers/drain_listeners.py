"""/drain_listeners: stop taking connections. It must not time the drain: the server does."""

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import OK, Request, Response


def handle(context: AdminContext, request: Request) -> Response:
    """Begin the drain and say OK."""
    context.server.drain_listeners(
        graceful=request.flag("graceful"),
        inbound_only=request.flag("inboundonly"),
        skip_exit=request.flag("skip_exit"),
    )
    return OK


ENDPOINT = Endpoint(
    "/drain_listeners",
    "drain listeners",
    handle,
    mutates=True,
    parameters=(
        Parameter(
            ParameterKind.BOOLEAN,
            "graceful",
            "When draining listeners, enter a graceful drain period prior to closing listeners. This behaviour and "
            "duration is configurable via server options or CLI",
        ),
        Parameter(
            ParameterKind.BOOLEAN,
            "skip_exit",
            "When draining listeners, drain the connections but never stop the listeners. The graceful parameter has "
            "no effect when this is set, since the drain period only delays stopping the listeners",
        ),
        Parameter(
            ParameterKind.BOOLEAN,
            "inboundonly",
            "Drains all inbound listeners. traffic_direction field in envoy_v3_api_msg_config.listener.v3.Listener is "
            "used to determine whether a listener is inbound or outbound.",
        ),
    ),
)
