"""envoymesh.network.PythonFilter (a TypedStruct) -> factory of user's network filters."""

from __future__ import annotations

from envoymesh.api import NetworkFilter
from envoymesh.config.reader import Reader
from envoymesh.filters.network.factory_context import NetworkFilterFactoryContext
from envoymesh.filters.network.filter import FilterFactory, FilterManager
from envoymesh.filters.network.python.filter import PythonNetworkFilter, check_class
from envoymesh.scripting.config import read_script
from envoymesh.scripting.script import Kind

KIND = Kind(NetworkFilter, check=check_class)


def python_network_filter_factory(reader: Reader, context: NetworkFilterFactoryContext) -> FilterFactory:
    """Read a filter: `file`, `class`, `config`. Errors: ConfigError."""
    script, _ = read_script(reader, KIND, context.access_logs.scripts)
    scope = context.listener_scope.scope("python.")

    def add(manager: FilterManager) -> None:
        loaded = script.current
        made = PythonNetworkFilter(loaded, scope)
        if loaded.cls.on_write is NetworkFilter.on_write:  # type: ignore[attr-defined]  # KIND says it is one
            manager.add_read_filter(made)
        else:
            manager.add_filter(made)

    return add
