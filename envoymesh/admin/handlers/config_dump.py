"""/config_dump, /init_dump and /certs: what is in force, what is still waited for, and the certificates loaded.

It must not show a secret, wait for anything, read a file, or know a message's fields.
"""

from http import HTTPStatus

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import BARE_TEXT, JSON, Preparation, Request, Response
from envoymesh.admin.proto.answers import certs_json, init_dump_json
from envoymesh.admin.proto.dump import DumpError, DumpRequest, dump_json

_ENDPOINTS_AT = 2
"""Endpoints stand behind bootstrap and clusters."""


def config_dump(context: AdminParts, request: Request) -> Preparation:
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


def init_dump(context: AdminParts, request: Request) -> Response:
    """The unready targets by manager; `mask=listener` takes only the listeners'."""
    mask = request.params.get("mask", "")
    targets = {name: names for name, names in context.unready_targets().items() if mask in ("", name)}
    return Response(init_dump_json(targets), content_type=JSON)


def certs(context: AdminParts, _request: Request) -> Response:
    """Every TLS context's certificates."""
    return Response(certs_json(context.certificates()), content_type=JSON)


ENDPOINTS = (
    Endpoint("/certs", "print certs on machine", certs),
    Endpoint(
        "/config_dump",
        "dump current Envoy configs",
        config_dump,
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
    ),
    Endpoint(
        "/init_dump",
        "dump current Envoy init manager information (experimental)",
        init_dump,
        parameters=(
            Parameter(
                ParameterKind.STRING,
                "mask",
                "The desired component to dump unready targets. The mask is parsed as a Protobuf::FieldMask. For "
                "example, get the unready targets of all listeners with /init_dump?mask=listener`",
            ),
        ),
    ),
)
