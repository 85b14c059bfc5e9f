"""/certs: the certificates that are loaded. It must not read a file or a key."""

from envoymesh.admin.config import certs_json
from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import JSON, Request, Response


def handle(context: AdminContext, _request: Request) -> Response:
    """Every TLS context's certificates."""
    return Response(certs_json(context.certificates()), content_type=JSON)


ENDPOINT = Endpoint("/certs", "print certs on machine", handle)
