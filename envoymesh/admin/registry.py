"""The one list of endpoints, and the way from a request to an answer. It must not know a filter or a socket."""

from collections.abc import Callable, Sequence
from http import HTTPStatus

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.guard import refusal
from envoymesh.admin.handlers import (
    clusters,
    config_dump,
    explain,
    listeners,
    logs,
    pages,
    profiling,
    python_files,
    requests,
    runtime,
    server,
    stats,
)
from envoymesh.admin.messages import Preparation, Request, Response

_SUBJECTS = (clusters, config_dump, explain, listeners, logs, profiling, python_files, requests, runtime, server, stats)


def all_endpoints() -> list[Endpoint]:
    """Every endpoint, by path. The home page and help show those that are not hidden, themselves included."""
    every: list[Endpoint] = [endpoint for subject in _SUBJECTS for endpoint in subject.ENDPOINTS]
    listed = [endpoint for endpoint in every if not endpoint.hidden]
    listed += (pages.home_endpoint(listed), pages.help_endpoint(listed))
    return sorted([*listed, *(each for each in every if each.hidden)], key=lambda endpoint: endpoint.path)


class Admin:
    """Answers admin requests."""

    def __init__(self, context: AdminParts, endpoints: Sequence[Endpoint] | None = None) -> None:
        self._context = context
        self._endpoints = all_endpoints() if endpoints is None else endpoints
        self._by_path = {endpoint.path: endpoint for endpoint in self._endpoints}

    def shows_counts(self, request: Request) -> bool:
        """Whether the answer shows what workers count."""
        endpoint = self._by_path.get(request.path)
        return endpoint is not None and endpoint.shows_counts

    def prepare(self, request: Request, then: Callable[[], None]) -> bool:
        """Get ready what the answer needs, then call back; False where nothing has to be, and nobody is called."""
        endpoint = self._by_path.get(request.path)
        if endpoint is None or endpoint.prepare is None or not self._context.allows(request.target or request.path):
            return False
        endpoint.prepare(self._context, then)
        return True

    def changes(self, request: Request) -> bool:
        """Whether the request changes something."""
        endpoint = self._by_path.get(request.path)
        return endpoint is not None and endpoint.mutates

    def refused(self, request: Request) -> Response | None:
        """The 403 for a request that somebody's browser was made to send (guard.py)."""
        reason = refusal(request.sender, self.changes(request))
        return Response(reason, HTTPStatus.FORBIDDEN) if reason else None

    def handle(self, request: Request) -> Response | Preparation:
        """The answer to a request that is not refused: the handler's, 403, 404 with the help, or 405."""
        if not self._context.allows(request.target or request.path):
            return Response(f"request to path {request.target} not allowed", HTTPStatus.FORBIDDEN)
        endpoint = self._by_path.get(request.path)
        if endpoint is None:
            listed = [each for each in self._endpoints if not each.hidden]
            return Response(f"invalid path. {pages.help_text(listed)}", HTTPStatus.NOT_FOUND)
        if endpoint.mutates and request.method != "POST":
            return Response(f"Method {request.method} not allowed, POST required.", HTTPStatus.METHOD_NOT_ALLOWED)
        return endpoint.handler(self._context, request)
