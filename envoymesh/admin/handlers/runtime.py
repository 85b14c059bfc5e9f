"""/runtime: the runtime's values, layer by layer. It must not change any (runtime_modify.py)."""

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.json_text import pretty
from envoymesh.admin.messages import JSON, Request, Response


def handle(context: AdminContext, _request: Request) -> Response:
    """Every key with its value in each layer and the one that counts, the highest that is set."""
    snapshot = context.runtime.snapshot()
    entries = {
        key: {"final_value": next((value for value in reversed(values) if value), ""), "layer_values": list(values)}
        for key, values in snapshot.entries.items()
    }
    return Response(pretty({"entries": entries, "layers": list(snapshot.layers)}), content_type=JSON)


ENDPOINT = Endpoint("/runtime", "print runtime values", handle)
