"""The one list of listener filters: message type -> its name, and what reads its settings.

A new filter is one more line here; nothing registers itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from envoymesh.config.reader import Reader
from envoymesh.filters.listener.factory_context import ListenerFilterFactoryContext
from envoymesh.filters.listener.proxy_protocol.config import proxy_protocol_filter_factory
from envoymesh.filters.listener.tls_inspector.config import tls_inspector_filter_factory
from envoymesh.network.listener.filter import ListenerFilterFactory

_PACKAGE = "envoy.extensions.filters.listener."


@dataclass(frozen=True, slots=True)
class ListenerFilterKind:
    """One kind of filter.

    Args:
        name: its well-known name, for ``/server_info``.
        read: its message -> what makes it for each connection. Errors: ConfigError.
    """

    name: str
    read: Callable[[Reader, ListenerFilterFactoryContext], ListenerFilterFactory]


LISTENER_FILTERS: dict[str, ListenerFilterKind] = {
    _PACKAGE + "proxy_protocol.v3.ProxyProtocol": ListenerFilterKind(
        "envoy.filters.listener.proxy_protocol", proxy_protocol_filter_factory
    ),
    _PACKAGE + "tls_inspector.v3.TlsInspector": ListenerFilterKind(
        "envoy.filters.listener.tls_inspector", tls_inspector_filter_factory
    ),
}


def read_listener_filters(
    filters: Sequence[Reader], context: ListenerFilterFactoryContext
) -> tuple[ListenerFilterFactory, ...]:
    """Read the filters of a listener, but for those that are refused, which is noted (`Reader.attempt`).

    Args:
        filters: envoy.config.listener.v3.ListenerFilter each.
    """
    made = [each.attempt(partial(_read_filter, context)) for each in filters]
    return tuple(each for each in made if each is not None)


def _read_filter(context: ListenerFilterFactoryContext, reader: Reader) -> ListenerFilterFactory:
    name, config = reader.string("name"), reader.any_("typed_config")
    kind = LISTENER_FILTERS.get(config.type_name) if config is not None else None
    if kind is None or config is None:
        what = name if config is None else config.type_name
        raise reader.error("typed_config", f"this listener filter is not supported (value: {what})")
    return kind.read(config, context)
