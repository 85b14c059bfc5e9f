"""`envoymesh proxy --filter FILE`: a user's filter in front of each router of a bootstrap that does not name it.

This module must not read the file.
"""

from __future__ import annotations

from typing import Any, Final

from envoymesh.config.load import LoadedBootstrap
from envoymesh.config.messages import message_class
from envoymesh.config.wellknown import OWN_TYPES

_MANAGER: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_HOST: Final = "type.googleapis.com/"


def add_python_filter(loaded: LoadedBootstrap, file: str) -> None:
    """Change the bootstrap's message: every connection manager gets the filter, as the last one before its router."""
    for listener in loaded.message.static_resources.listeners:
        chains = [*listener.filter_chains]
        if listener.HasField("default_filter_chain"):
            chains.append(listener.default_filter_chain)
        for network_filter in (each for chain in chains for each in chain.filters):
            if network_filter.typed_config.type_url == _HOST + _MANAGER:
                _add(network_filter.typed_config, file)


def _add(packed: Any, file: str) -> None:
    manager: Any = message_class(_MANAGER)()
    packed.Unpack(manager)
    filters = [*manager.http_filters]
    if not filters:
        return  # the connection manager's reader says what is missing
    struct: Any = message_class("xds.type.v3.TypedStruct")()
    struct.type_url = f"{_HOST}{OWN_TYPES}http.PythonFilter"
    struct.value.fields["file"].string_value = file
    del manager.http_filters[:]
    manager.http_filters.extend(filters[:-1])
    manager.http_filters.add(name=file).typed_config.Pack(struct)
    manager.http_filters.append(filters[-1])
    packed.Pack(manager)
