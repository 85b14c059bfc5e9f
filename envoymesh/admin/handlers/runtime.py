"""/runtime and /runtime_modify: the runtime layer by layer, and changes of its admin layer.

It must not know what a key does.
"""

from http import HTTPStatus

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.json_text import pretty
from envoymesh.admin.messages import JSON, OK, Request, Response, bad_request

_USAGE = """usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN
       or send the parameters as form values
use an empty value to remove a previously added override"""


def runtime(context: AdminParts, _request: Request) -> Response:
    """Every key with its value in each layer and the one that counts, the highest that is set."""
    snapshot = context.runtime.snapshot()
    entries = {
        key: {"final_value": next((value for value in reversed(values) if value), ""), "layer_values": list(values)}
        for key, values in snapshot.entries.items()
    }
    return Response(pretty({"entries": entries, "layers": list(snapshot.layers)}), content_type=JSON)


def runtime_modify(context: AdminParts, request: Request) -> Response:
    """Set the keys that the request gives."""
    if not request.params:
        return bad_request(_USAGE)
    if not context.runtime.has_admin_layer:
        return Response("No admin layer specified", HTTPStatus.SERVICE_UNAVAILABLE)
    context.runtime.modify(request.params)
    return OK


ENDPOINTS = (
    Endpoint("/runtime", "print runtime values", runtime),
    Endpoint(
        "/runtime_modify",
        "Adds or modifies runtime values as passed in query parameters. To delete a previously added key, use an empty "
        "string as the value. Note that deletion only applies to overrides added via this endpoint; values loaded from "
        "disk can be modified via override but not deleted. E.g. ?key1=value1&key2=value2...",
        runtime_modify,
        mutates=True,
    ),
)
