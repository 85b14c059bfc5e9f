"""BindConfig and UpstreamConnectionOptions -> `UpstreamSocketSettings`: how a cluster's connections are made."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Final

from envoymesh.config.reader import Reader
from envoymesh.network.api import Address, SocketOption, SourceAddress, UpstreamSocketSettings
from envoymesh.network.connection.sockets import ip_literal

DEFAULT_SELECTOR: Final = "envoy.config.upstream.local_address_selector.v3.DefaultLocalAddressSelector"
_FREEBIND: Final = 15  # IP_FREEBIND of Linux, which the socket module does not name
_IPV6_FREEBIND: Final = 78
_KEEPALIVE: Final = (
    ("keepalive_probes", socket.TCP_KEEPCNT),
    ("keepalive_time", socket.TCP_KEEPIDLE),
    ("keepalive_interval", socket.TCP_KEEPINTVL),
)


@dataclass(frozen=True, slots=True)
class BindSettings:
    """One BindConfig.

    Args:
        sources: addresses with the options of their own, or None where those of the whole count.
        freebind: None where it is unset.
    """

    sources: tuple[tuple[Address, tuple[SocketOption, ...] | None], ...] = ()
    freebind: bool | None = None
    socket_options: tuple[SocketOption, ...] = ()


def read_bind_config(reader: Reader | None, whose: str) -> BindSettings | None:
    """Read a BindConfig. Errors: ConfigError; `whose` names it in there: ``Bootstrap`` or ``Cluster NAME``."""
    if reader is None:
        return None
    _check_selector(reader)
    extra = reader.repeated("extra_source_addresses")
    additional = reader.repeated("additional_source_addresses")
    source = reader.message_("source_address")
    _check_sources(reader, whose, source is not None, extra, additional)
    more = [(_read_address(each.required("address")), _read_override(each)) for each in extra]
    more += [(_read_address(each), None) for each in additional]
    sources = () if source is None else ((_read_address(source), None), *more)
    if len(sources) == 2 and sources[0][0].is_ipv6 == sources[1][0].is_ipv6:
        raise reader.error(
            "source_address",
            f"{whose}'s upstream binding config has two same IP version source addresses. Only two different IP "
            "version source addresses can be supported in BindConfig's source_address and "
            "extra_source_addresses/additional_source_addresses fields",
        )
    return BindSettings(
        sources,
        reader.boolean("freebind") if reader.has("freebind") else None,
        tuple(_read_option(each) for each in reader.repeated("socket_options")),
    )


def _check_selector(reader: Reader) -> None:
    selector = reader.message_("local_address_selector")
    if selector is not None:
        # A name for people; nothing depends on it.
        selector.accept("name")
        config = selector.any_("typed_config")
        if config is None or config.type_name != DEFAULT_SELECTOR:
            raise selector.error("typed_config", "only the default local address selector is supported by envoymesh")


def _check_sources(reader: Reader, whose: str, has_source: bool, extra: list[Reader], additional: list[Reader]) -> None:
    if extra and additional:
        raise reader.error(
            "extra_source_addresses",
            "Can't specify both `extra_source_addresses` and `additional_source_addresses` in the "
            f"{whose}'s upstream binding config",
        )
    more = extra or additional
    if more and not has_source:
        raise reader.error(
            "source_address",
            f"{whose}'s upstream binding config has extra/additional source addresses but no source_address. "
            "Extra/additional addresses cannot be specified if source_address is not set.",
        )
    if len(more) > 1:
        raise reader.error(
            "extra_source_addresses",
            f"{whose}'s upstream binding config has more than one extra/additional source addresses. Only one "
            "extra/additional source can be supported in BindConfig's extra_source_addresses/"
            "additional_source_addresses field",
        )


def _read_address(reader: Reader) -> Address:
    """Read an envoy.config.core.v3.SocketAddress that is an IP address; port 0 is any."""
    if reader.enum("protocol") != "TCP":
        raise reader.error("protocol", "only TCP is supported (value: UDP)")
    reader.refuse("named_port")
    host = reader.string("address")
    try:
        return Address(ip_literal(host), reader.integer("port_value"))
    except (ValueError, OSError):
        raise reader.error("address", f"malformed IP address: {host}") from None


def _read_override(reader: Reader) -> tuple[SocketOption, ...] | None:
    options = reader.message_("socket_options")
    return None if options is None else tuple(_read_option(each) for each in options.repeated("socket_options"))


def _read_option(reader: Reader) -> SocketOption:
    # A text for people; nothing depends on it.
    reader.accept("description")
    value = reader.bytes_("buf_value") if reader.which("value") == "buf_value" else reader.integer("int_value")
    return SocketOption(reader.integer("level"), reader.integer("name"), value, reader.enum("state"))


def read_upstream_sockets(cluster: Reader, bootstrap: BindSettings | None) -> UpstreamSocketSettings:
    """Read how a cluster's connections are made. Errors: ConfigError with the field's path.

    Args:
        bootstrap: `cluster_manager.upstream_bind_config`, in whose place the cluster's own stands.
    """
    bind = read_bind_config(cluster.message_("upstream_bind_config"), f"Cluster {cluster.string('name')}")
    options = cluster.message_("upstream_connection_options")
    own, common = bind or BindSettings(), bootstrap or BindSettings()
    whole = own.socket_options or common.socket_options
    keepalive = _read_keepalive(options.message_("tcp_keepalive")) if options is not None else ()
    free = common.freebind if own.freebind is None else own.freebind
    family, count = _read_happy_eyeballs(options)
    return UpstreamSocketSettings(
        sources=tuple(
            SourceAddress(address, (*_freebind(free, address), *keepalive, *(whole if each is None else each)))
            for address, each in (bind or common).sources
        ),
        options=(*keepalive, *whole),
        first_family=family,
        first_family_count=count,
    )


def _freebind(free: bool | None, address: Address) -> tuple[SocketOption, ...]:
    if not free:
        return ()
    if address.is_ipv6:
        return (SocketOption(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1),)
    return (SocketOption(socket.IPPROTO_IP, _FREEBIND, 1),)


def _read_keepalive(reader: Reader | None) -> tuple[SocketOption, ...]:
    if reader is None:
        return ()
    values = [(option, reader.integer(field)) for field, option in _KEEPALIVE if reader.has(field)]
    return (
        SocketOption(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *(SocketOption(socket.IPPROTO_TCP, option, value) for option, value in values),
    )


def _read_happy_eyeballs(options: Reader | None) -> tuple[str, int]:
    """Read which family a host of several addresses is tried with first (V4, V6 or empty), and how often."""
    if options is None:
        return "", 1
    # It would only be shown in places that this proxy does not have.
    options.accept("set_local_interface_name_on_upstream_connections")
    config = options.message_("happy_eyeballs_config")
    if config is None:
        return "", 1
    family = config.enum("first_address_family_version")
    return "" if family == "DEFAULT" else family, config.integer("first_address_family_count", 1)
