"""/listeners and /drain_listeners: where listeners are bound, and how they are told to drain.

It must not list the admin's own listener, nor time a drain: the server does.
"""

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import JSON, OK, Request, Response
from envoymesh.admin.proto.answers import listeners_json


def listeners(context: AdminParts, request: Request) -> Response:
    """A line for each address of each listener, or one JSON message."""
    statuses = context.listeners()
    if request.params.get("format") == "json":
        return Response(listeners_json(statuses), content_type=JSON)
    lines = (
        f"{listener.name}::{address}\n"
        for listener in statuses
        for address in (listener.local_address, *listener.additional_local_addresses)
    )
    return Response(lines)


def drain_listeners(context: AdminParts, request: Request) -> Response:
    """Begin the drain and say OK."""
    context.server.drain_listeners(
        graceful=request.flag("graceful"),
        inbound_only=request.flag("inboundonly"),
        skip_exit=request.flag("skip_exit"),
    )
    return OK


ENDPOINTS = (
    Endpoint(
        "/drain_listeners",
        "drain listeners",
        drain_listeners,
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
                "When draining listeners, drain the connections but never stop the listeners. The graceful parameter "
                "has no effect when this is set, since the drain period only delays stopping the listeners",
            ),
            Parameter(
                ParameterKind.BOOLEAN,
                "inboundonly",
                "Drains all inbound listeners. traffic_direction field in envoy_v3_api_msg_config.listener.v3.Listener "
                "is used to determine whether a listener is inbound or outbound.",
            ),
        ),
    ),
    Endpoint(
        "/listeners",
        "print listener info",
        listeners,
        parameters=(Parameter(ParameterKind.ENUM, "format", "File format to use", ("text", "json")),),
    ),
)
