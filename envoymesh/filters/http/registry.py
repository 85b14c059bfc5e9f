"""The one list of HTTP filters: message type -> its name, and what reads its settings, also those of routes.

A new filter is one more line here; nothing registers itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from envoymesh.config.reader import Reader
from envoymesh.filters.http.explanation import Explain
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.filters.when_used import when_used
from envoymesh.http.filter import FilterFactory
from envoymesh.router.config import RouteFactoryContext

_log = logging.getLogger("envoymesh.config")


@dataclass(frozen=True, slots=True)
class HttpFilter:
    """One kind of filter.

    Args:
        name: its well-known name, for ``/server_info``.
        read: its message in `http_filters` -> what adds it to a chain. Errors: ConfigError.
        route_type, read_route: its message in `typed_per_filter_config`, and that one's reader, where it has one.
        is_terminal: it ends a chain; exactly one must, as its last.
        explain: says what it would do with a request; None where it does not say yet.
    """

    name: str
    read: Callable[[Reader, HttpFilterFactoryContext], FilterFactory]
    route_type: str = ""
    read_route: Callable[[Reader, RouteFactoryContext], Any] | None = None
    is_terminal: bool = False
    explain: Explain | None = None


FILTERS: dict[str, HttpFilter] = {
    "envoy.extensions.filters.http.buffer.v3.Buffer": HttpFilter(
        "envoy.filters.http.buffer",
        when_used("http.buffer.config", "buffer_filter_factory"),
        "envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
        when_used("http.buffer.config", "read_buffer_route"),
        explain=when_used("http.buffer.explain", "explain_buffer"),
    ),
    "envoy.extensions.filters.http.cors.v3.Cors": HttpFilter(
        "envoy.filters.http.cors",
        when_used("http.cors.config", "cors_filter_factory"),
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        when_used("http.cors.config", "read_cors_route"),
        explain=when_used("http.cors.explain", "explain_cors"),
    ),
    "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig": HttpFilter(
        "envoy.filters.http.dynamic_forward_proxy",
        when_used("http.dynamic_forward_proxy.config", "dynamic_forward_proxy_filter_factory"),
        "envoy.extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig",
        when_used("http.dynamic_forward_proxy.config", "read_dynamic_forward_proxy_route"),
        explain=when_used("http.dynamic_forward_proxy.explain", "explain_dynamic_forward_proxy"),
    ),
    "envoy.extensions.filters.http.health_check.v3.HealthCheck": HttpFilter(
        "envoy.filters.http.health_check",
        when_used("http.health_check.config", "health_check_filter_factory"),
        explain=when_used("http.health_check.explain", "explain_health_check"),
    ),
    "envoy.extensions.filters.http.router.v3.Router": HttpFilter(
        "envoy.filters.http.router",
        when_used("http.router.config", "router_filter_factory"),
        is_terminal=True,
        explain=when_used("http.router.explain", "explain_router"),
    ),
    "envoymesh.http.PythonFilter": HttpFilter(
        "envoymesh.http.python",
        when_used("http.python.config", "python_filter_factory"),
        "envoymesh.http.PythonFilter",
        when_used("http.python.config", "read_python_route"),
        explain=when_used("http.python.explain", "explain_python"),
    ),
}


def read_route_filter_config(name: str, reader: Reader, optional: bool, context: RouteFactoryContext) -> Any:
    """Read a filter's message in `typed_per_filter_config`: the message's type says which filter's it is, as in Envoy.

    Gives None for a message that is no filter's where the filter is optional. Errors: ConfigError, in Envoy's words.
    """
    for each in FILTERS.values():
        if each.route_type == reader.type_name and each.read_route is not None:
            return each.read_route(reader, context)
    found = FILTERS.get(reader.type_name)
    if found is not None and found.route_type:
        raise reader.error("", f"the filter {name} takes a {found.route_type} here, not a {reader.type_name}")
    if optional:
        _log.warning("%s: the optional filter %s has no settings of type %s", reader.path, name, reader.type_name)
        reader.json()  # an optional filter that does not exist: its message is accepted, and has no effect
        return None
    if found is not None:
        raise reader.error("", f"The filter {name} doesn't support virtual host or route specific configurations")
    raise reader.error("", f"Didn't find a registered implementation for '{name}' with type URL: '{reader.type_name}'")
