"""/config_dump: the configuration that is in force. It must not show a secret, nor know a message's fields."""

from http import HTTPStatus

from envoymesh.admin.context import AdminContext
from envoymesh.admin.dump.config import DumpError, DumpRequest, dump_json
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import BARE_TEXT, JSON, Preparation, Request, Response

_ENDPOINTS_AT = 2
"""Endpoints stand behind bootstrap and clusters."""


def handle(context: AdminContext, request: Request) -> Preparation:
    """Every dump, or what `resource`, `mask` and `name_regex` leave of them."""
    wanted = DumpRequest(
        resource=request.params.get("resource", ""),
        mask=request.params.get("mask", ""),
        name_regex=request.params.get("name_regex", ""),
    )
    makers = list(context.config_dumps)
    if request.flag("include_eds"):
        makers.insert(_ENDPOINTS_AT, context.endpoint_dump)
    try:
        body = yield from dump_json([make() for make in makers], wanted)
        return Response(body, content_type=JSON)
    except DumpError as error:
        status = HTTPStatus.NOT_FOUND if error.is_absent else HTTPStatus.BAD_REQUEST
        return Response(str(error), status, BARE_TEXT)


ENDPOINT = Endpoint(
    "/config_dump",
    "dump current Envoy configs",
    handle,
    parameters=(
        Parameter(ParameterKind.STRING, "resource", "The resource to dump"),
        Parameter(
            ParameterKind.STRING,
            "mask",
            "The mask to apply. When both resource and mask are specified, the mask is applied to every element in "
            "the desired repeated field so that only a subset of fields are returned. The mask is parsed as a "
            "Protobuf::FieldMask",
        ),
        Parameter(
            ParameterKind.STRING,
            "name_regex",
            "Dump only the currently loaded configurations whose names match the specified regex. Can be used with "
            "both resource and mask query parameters.",
        ),
        Parameter(
            ParameterKind.BOOLEAN,
            "include_eds",
            "Dump currently loaded configuration including EDS. See the response definition for more information",
        ),
    ),
    shows_counts=True,  # with include_eds the hosts, which workers find
)
