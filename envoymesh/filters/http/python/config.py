"""envoymesh.http.PythonFilter (a TypedStruct) -> factory of user's filters; the same type in routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envoymesh.api import HttpFilter
from envoymesh.config.reader import Reader
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.filters.http.python.filter import (
    PythonFilter,
    Surroundings,
    check_class,
    class_of_functions,
    filter_class,
)
from envoymesh.http.filter import FilterChainFactoryCallbacks, FilterFactory
from envoymesh.router.config import RouteFactoryContext
from envoymesh.scripting.config import read_route_settings, read_script
from envoymesh.scripting.script import Kind, Loaded, RouteSettings, Script, ScriptError

KIND = Kind(HttpFilter, ("on_request", "on_response"), class_of_functions, check_class)


class PythonFilterFactory:
    """Adds a user's filter to streams: each gets what the file is at its beginning."""

    def __init__(self, script: Script, surroundings: Surroundings) -> None:
        self._script = script
        self._surroundings = surroundings
        self._loaded: Loaded | None = None
        self._class: type[PythonFilter] = PythonFilter

    def __call__(self, callbacks: FilterChainFactoryCallbacks) -> None:
        loaded = self._script.current
        if loaded is not self._loaded:
            self._loaded, self._class = loaded, filter_class(loaded.cls)
        callbacks.add_filter(self._class(self._surroundings, loaded))

    def check_routes(self, found: Sequence[Any], reader: Reader) -> None:
        """Check what routes say of the filter against its class. Errors: ConfigError."""
        for settings in found:
            if isinstance(settings, RouteSettings):
                try:
                    self._script.check_route(settings)
                except ScriptError as error:
                    raise reader.error("", error.message) from error


def python_filter_factory(reader: Reader, context: HttpFilterFactoryContext) -> FilterFactory:
    """Read a filter: `file`, `class`, `config`. Errors: ConfigError."""
    script, _ = read_script(reader, KIND, context.scripts)
    scope = context.scope.scope("python.")
    return PythonFilterFactory(script, Surroundings(context.clusters, context.client, scope))


def read_python_route(reader: Reader, context: RouteFactoryContext) -> RouteSettings:
    """Read a route's `config`. Errors: ConfigError."""
    return read_route_settings(reader)
