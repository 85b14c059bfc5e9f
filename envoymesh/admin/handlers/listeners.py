"""/listeners: each listener and where it is bound, as text or JSON. It must not list the admin's own."""

from envoymesh.admin.config import listeners_json
from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import JSON, Request, Response


def handle(context: AdminContext, request: Request) -> Response:
    """A line for each address of each listener, or one JSON message."""
    listeners = context.listeners()
    if request.params.get("format") == "json":
        return Response(listeners_json(listeners), content_type=JSON)
    lines = (
        f"{listener.name}::{address}\n"
        for listener in listeners
        for address in (listener.local_address, *listener.additional_local_addresses)
    )
    return Response(lines)


ENDPOINT = Endpoint(
    "/listeners",
    "print listener info",
    handle,
    parameters=(Parameter(ParameterKind.ENUM, "format", "File format to use", ("text", "json")),),
)
