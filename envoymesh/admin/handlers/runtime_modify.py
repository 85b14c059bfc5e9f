"""/runtime_modify: change the admin layer of the runtime. It must not know what a key does."""

from http import HTTPStatus

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import OK, Request, Response, bad_request

_USAGE = """usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN
       or send the parameters as form values
use an empty value to remove a previously added override"""


def handle(context: AdminContext, request: Request) -> Response:
    """Set the keys that the request gives."""
    if not request.params:
        return bad_request(_USAGE)
    if not context.runtime.has_admin_layer:
        return Response("No admin layer specified", HTTPStatus.SERVICE_UNAVAILABLE)
    context.runtime.modify(request.params)
    return OK


ENDPOINT = Endpoint(
    "/runtime_modify",
    "Adds or modifies runtime values as passed in query parameters. To delete a previously added key, use an empty "
    "string as the value. Note that deletion only applies to overrides added via this endpoint; values loaded from "
    "disk can be modified via override but not deleted. E.g. ?key1=value1&key2=value2...",
    handle,
    mutates=True,
)
