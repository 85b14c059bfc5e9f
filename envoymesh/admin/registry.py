"""The one list of endpoints, and the way from a request to an answer. It must not know a filter or a socket."""

from collections.abc import Sequence
from http import HTTPStatus

from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.guard import refusal
from envoymesh.admin.handlers import (
    certs,
    clusters,
    config_dump,
    contention,
    drain_listeners,
    healthcheck,
    home,
    hot_restart_version,
    init_dump,
    listeners,
    logging,
    memory,
    profiling,
    prometheus,
    quitquitquit,
    ready,
    recent_lookups,
    reopen_logs,
    reset_counters,
    runtime,
    runtime_modify,
    server_info,
    stats,
)
from envoymesh.admin.handlers import help as help_handler
from envoymesh.admin.messages import Preparation, Request, Response

_PLAIN = (
    certs.ENDPOINT,
    clusters.ENDPOINT,
    config_dump.ENDPOINT,
    contention.ENDPOINT,
    drain_listeners.ENDPOINT,
    healthcheck.FAIL,
    healthcheck.OK,
    hot_restart_version.ENDPOINT,
    init_dump.ENDPOINT,
    listeners.ENDPOINT,
    logging.ENDPOINT,
    memory.ENDPOINT,
    *profiling.ENDPOINTS,
    prometheus.ENDPOINT,
    quitquitquit.ENDPOINT,
    ready.ENDPOINT,
    recent_lookups.CLEAR,
    recent_lookups.DISABLE,
    recent_lookups.ENABLE,
    recent_lookups.SHOW,
    reopen_logs.ENDPOINT,
    reset_counters.ENDPOINT,
    runtime.ENDPOINT,
    runtime_modify.ENDPOINT,
    server_info.ENDPOINT,
    stats.ENDPOINT,
)


def all_endpoints() -> list[Endpoint]:
    """Every endpoint, by path. The home page and help show this list, themselves included."""
    endpoints: list[Endpoint] = list(_PLAIN)
    endpoints += (home.endpoint(endpoints), help_handler.endpoint(endpoints))
    endpoints.sort(key=lambda endpoint: endpoint.path)
    return endpoints


class Admin:
    """Answers admin requests."""

    def __init__(self, context: AdminContext, endpoints: Sequence[Endpoint] | None = None) -> None:
        self._context = context
        self._endpoints = all_endpoints() if endpoints is None else endpoints
        self._by_path = {endpoint.path: endpoint for endpoint in self._endpoints}

    def shows_counts(self, request: Request) -> bool:
        """Whether the answer shows what workers count."""
        endpoint = self._by_path.get(request.path)
        return endpoint is not None and endpoint.shows_counts

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
            return Response(f"invalid path. {help_handler.text(self._endpoints)}", HTTPStatus.NOT_FOUND)
        if endpoint.mutates and request.method != "POST":
            return Response(f"Method {request.method} not allowed, POST required.", HTTPStatus.METHOD_NOT_ALLOWED)
        return endpoint.handler(self._context, request)
