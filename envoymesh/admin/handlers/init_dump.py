"""/init_dump: what the server still waits for before it serves. It must not wait for anything."""

from envoymesh.admin.config import init_dump_json
from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import JSON, Request, Response


def handle(context: AdminContext, request: Request) -> Response:
    """The unready targets by manager; `mask=listener` takes only the listeners'."""
    mask = request.params.get("mask", "")
    targets = {name: names for name, names in context.unready_targets().items() if mask in ("", name)}
    return Response(init_dump_json(targets), content_type=JSON)


ENDPOINT = Endpoint(
    "/init_dump",
    "dump current Envoy init manager information (experimental)",
    handle,
    parameters=(
        Parameter(
            ParameterKind.STRING,
            "mask",
            "The desired component to dump unready targets. The mask is parsed as a Protobuf::FieldMask. For example, "
            "get the unready targets of all listeners with /init_dump?mask=listener`",
        ),
    ),
)
