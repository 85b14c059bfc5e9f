"""/python: users' filters and loggers: which file and class serves, and what is wrong with the file as it is now."""

import json

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import JSON, Request, Response


def python_files(context: AdminParts, request: Request) -> Response:
    """A list of them, as JSON."""
    return Response(json.dumps({"python": context.python_files()}, indent=1) + "\n", content_type=JSON)


ENDPOINTS = (
    Endpoint("/python", "list the filters and loggers in Python, and faults in their files", python_files, hidden=True),
)
