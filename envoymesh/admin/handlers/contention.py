"""/contention: there is one thread and no mutex to trace. It must not claim otherwise."""

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import Request, Response

_DISABLED = "Mutex contention tracing is not enabled. To enable, run Envoy with flag --enable-mutex-tracing."


def handle(_context: AdminContext, _request: Request) -> Response:
    """The answer of a server that doesn't trace."""
    return Response(_DISABLED)


ENDPOINT = Endpoint("/contention", "dump current Envoy mutex contention stats (if enabled)", handle)
