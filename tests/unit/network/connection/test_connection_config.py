"""How a cluster's connections are made, as read: own addresses, socket options, several addresses of a host."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.network.api import Address, SocketOption, SourceAddress, UpstreamSocketSettings
from envoymesh.network.connection.config import read_bind_config, read_upstream_sockets

DEFAULT_SELECTOR = "envoy.config.upstream.local_address_selector.v3.DefaultLocalAddressSelector"
KEEPALIVE = SocketOption(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
FREEBIND = SocketOption(socket.IPPROTO_IP, 15, 1)
FREEBIND6 = SocketOption(socket.IPPROTO_IPV6, 78, 1)
OPTION = {"level": 1, "name": 2, "int_value": 3, "description": "for people"}


def read(bootstrap: dict[str, Any] | None = None, **fields: Any) -> UpstreamSocketSettings:
    """Of a cluster named `c`; nothing may be left unread."""
    message_class(DEFAULT_SELECTOR)
    bind = None
    if bootstrap is not None:
        reader = Reader(json_format.ParseDict(bootstrap, message_class("envoy.config.core.v3.BindConfig")()), "")
        bind = read_bind_config(reader, "Bootstrap")
        reader.finish()
    message = json_format.ParseDict({"name": "c", **fields}, message_class("envoy.config.cluster.v3.Cluster")())
    reader = Reader(message, "")
    settings = read_upstream_sockets(reader, bind)
    reader.finish()
    return settings


def at(host: str, port: int = 0) -> dict[str, Any]:
    return {"address": host, "port_value": port}


def source(host: str, *options: SocketOption, port: int = 0) -> SourceAddress:
    return SourceAddress(Address(host, port), options)


def test_without_any_settings() -> None:
    assert read() == UpstreamSocketSettings()


def test_source_addresses() -> None:
    assert read(upstream_bind_config={"source_address": at("127.0.0.2", 99)}).sources == (source("127.0.0.2", port=99),)
    both = {"source_address": at("::1"), "additional_source_addresses": [at("127.0.0.2")]}
    assert read(upstream_bind_config=both).sources == (source("::1"), source("127.0.0.2"))


def test_a_clusters_own_bind_config_replaces_the_bootstraps() -> None:
    bootstrap = {"source_address": at("127.0.0.2"), "socket_options": [OPTION], "freebind": True}
    option = SocketOption(1, 2, 3)
    assert read(bootstrap).sources == (source("127.0.0.2", FREEBIND, option),)
    # As in Envoy, options and freebind are looked for in the bootstrap one by one.
    assert read(bootstrap, upstream_bind_config={}) == UpstreamSocketSettings(options=(option,))
    own = {"source_address": at("::1"), "socket_options": [{**OPTION, "name": 9}]}
    assert read(bootstrap, upstream_bind_config=own).sources == (source("::1", FREEBIND6, SocketOption(1, 9, 3)),)
    assert read(bootstrap, upstream_bind_config={**own, "freebind": False}).sources[0].options == (
        SocketOption(1, 9, 3),
    )


def test_an_extra_source_address_may_have_options_of_its_own() -> None:
    whole = {"source_address": at("::1"), "socket_options": [OPTION]}
    with_own = {"address": at("127.0.0.2"), "socket_options": {"socket_options": [{**OPTION, "name": 9}]}}
    settings = read(upstream_bind_config={**whole, "extra_source_addresses": [with_own]})
    assert settings.sources == (
        source("::1", SocketOption(1, 2, 3)), source("127.0.0.2", SocketOption(1, 9, 3)),
    )  # fmt: skip
    plain = read(upstream_bind_config={**whole, "extra_source_addresses": [{"address": at("127.0.0.2")}]})
    assert plain.sources[1].options == (SocketOption(1, 2, 3),)


def test_an_option_of_bytes_in_another_state() -> None:
    option = {"level": 1, "name": 2, "buf_value": "AAE=", "state": "STATE_BOUND"}
    assert read(upstream_bind_config={"socket_options": [option]}).options == (
        SocketOption(1, 2, b"\0\1", "STATE_BOUND"),
    )


def test_keepalive() -> None:
    assert read(upstream_connection_options={"tcp_keepalive": {}}).options == (KEEPALIVE,)
    all_three = {"keepalive_probes": 3, "keepalive_time": 4, "keepalive_interval": 5}
    assert read(upstream_connection_options={"tcp_keepalive": all_three}).options == (
        KEEPALIVE,
        SocketOption(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
        SocketOption(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 4),
        SocketOption(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    )
    bound = read(upstream_bind_config={"source_address": at("::1")}, upstream_connection_options={"tcp_keepalive": {}})
    assert bound.sources == (source("::1", KEEPALIVE),)


def test_the_order_of_several_addresses() -> None:
    config = {"first_address_family_version": "V6", "first_address_family_count": 2}
    settings = read(upstream_connection_options={"happy_eyeballs_config": config})
    assert (settings.first_family, settings.first_family_count) == ("V6", 2)
    default = read(upstream_connection_options={"happy_eyeballs_config": {}})
    assert (default.first_family, default.first_family_count) == ("", 1)


def test_the_default_selector_may_be_named() -> None:
    selector = {"name": "x", "typed_config": {"@type": f"type.googleapis.com/{DEFAULT_SELECTOR}"}}
    settings = read(upstream_bind_config={"source_address": at("::1"), "local_address_selector": selector})
    assert settings.sources == (source("::1"),)


@pytest.mark.parametrize(
    ("bind", "where", "why"),
    [
        (
            {
                "source_address": at("::1"),
                "extra_source_addresses": [{"address": at("127.0.0.1")}],
                "additional_source_addresses": [at("127.0.0.1")],
            },
            "extra_source_addresses",
            "Can't specify both `extra_source_addresses` and `additional_source_addresses` in the Cluster c's upstream",
        ),
        (
            {"additional_source_addresses": [at("::1")]},
            "source_address",
            "Cluster c's upstream binding config has extra/additional source addresses but no source_address.",
        ),
        (
            {"source_address": at("::1"), "additional_source_addresses": [at("127.0.0.1"), at("127.0.0.2")]},
            "extra_source_addresses",
            "Cluster c's upstream binding config has more than one extra/additional source addresses.",
        ),
        (
            {"source_address": at("127.0.0.1"), "additional_source_addresses": [at("127.0.0.2")]},
            "source_address",
            "Cluster c's upstream binding config has two same IP version source addresses.",
        ),
        (
            {"local_address_selector": {"name": "s"}},
            "local_address_selector.typed_config",
            "only the default local address selector is supported by envoymesh",
        ),
        ({"source_address": at("name")}, "source_address.address", "malformed IP address: name"),
        ({"source_address": {**at("::1"), "protocol": "UDP"}}, "source_address.protocol", "only TCP is supported"),
    ],
)
def test_refused(bind: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(upstream_bind_config=bind)
    assert caught.value.path == f"upstream_bind_config.{where}"
    assert caught.value.message.startswith(why)
