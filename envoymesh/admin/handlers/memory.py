"""/memory: the process's memory. It must not measure it (process_memory.py does)."""

from envoymesh.admin.config import memory_json
from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import JSON, Request, Response


def handle(context: AdminContext, _request: Request) -> Response:
    """Bytes, as strings, by the names of envoy.admin.v3.Memory."""
    return Response(memory_json(context.memory()), content_type=JSON)


ENDPOINT = Endpoint("/memory", "print current allocation/heap usage", handle, shows_counts=True)
