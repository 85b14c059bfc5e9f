"""Listener filters are found by the type of their message, and asked one after the other."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.filters.listener.factory_context import ListenerFilterFactoryContext
from envoymesh.filters.listener.proxy_protocol.filter import ProxyProtocolFilter
from envoymesh.filters.listener.registry import LISTENER_FILTERS, read_listener_filters
from envoymesh.filters.listener.tls_inspector.filter import TlsInspector
from envoymesh.network.listener.filter import AcceptedSocket, ListenerFilterStatus
from envoymesh.stats import Store

PACKAGE = "envoy.extensions.filters.listener."
CONTEXT = ListenerFilterFactoryContext(Store().scope(""))


def reader(kind: str, **fields: Any) -> Reader:
    """A ListenerFilter with a message of this type."""
    message_class(kind)
    config = {"name": "f", "typed_config": {"@type": f"type.googleapis.com/{kind}", **fields}}
    return Reader(json_format.ParseDict(config, message_class("envoy.config.listener.v3.ListenerFilter")()), "at")


def test_found_by_their_messages() -> None:
    kinds = [PACKAGE + "proxy_protocol.v3.ProxyProtocol", PACKAGE + "tls_inspector.v3.TlsInspector"]
    made = [make() for make in read_listener_filters([reader(kind) for kind in kinds], CONTEXT)]
    assert [type(each) for each in made] == [ProxyProtocolFilter, TlsInspector]
    assert sorted(LISTENER_FILTERS) == kinds


def test_refused() -> None:
    with pytest.raises(ConfigError, match=r"at\.typed_config: this listener filter is not supported \(value: .*Router"):
        read_listener_filters([reader("envoy.extensions.filters.http.router.v3.Router")], CONTEXT)
    empty = Reader(message_class("envoy.config.listener.v3.ListenerFilter")(name="x"), "at")
    with pytest.raises(ConfigError, match=r"not supported \(value: x\)"):
        read_listener_filters([empty], CONTEXT)


def test_what_the_inspector_finds() -> None:
    store = Store()
    (make,) = read_listener_filters(
        [reader(PACKAGE + "tls_inspector.v3.TlsInspector")], ListenerFilterFactoryContext(store.scope(""))
    )
    accepted, plain = AcceptedSocket(None, None), make()
    assert plain.on_accept(accepted) is ListenerFilterStatus.STOP
    assert plain.on_data(accepted, bytearray(b"\x16\x03")) is ListenerFilterStatus.STOP
    assert plain.on_data(accepted, bytearray(b"\x16\x03\x01\x00\x05GET /")) is ListenerFilterStatus.CONTINUE
    assert (accepted.transport_protocol, accepted.server_name) == ("", "")
    assert {each.name for each in store.counters.ordered() if each.value} == {"tls_inspector.tls_not_found"}
