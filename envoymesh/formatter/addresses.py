"""Commands that show addresses: whole, without the port (or a network of them), and the port alone.

It must not resolve or change anything.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Final

from envoymesh.formatter.context import FormatterContext, JsonText, Operator, Value, as_latin1
from envoymesh.formatter.parse import Syntax
from envoymesh.network.api import Address

_NO_PORT: Final = JsonText("", "null")
"""The port of a Unix domain socket, as Envoy writes it."""

_Find = Callable[[FormatterContext], Address | None]


def _upstream_local(context: FormatterContext) -> Address | None:
    connection = context.info.upstream_connection
    return None if connection is None else connection.local_address


def _upstream_remote(context: FormatterContext) -> Address | None:
    connection = context.info.upstream_connection
    return None if connection is None else connection.remote_address


def _direct_remote(context: FormatterContext) -> Address | None:
    connection = context.info.downstream
    return connection.remote_address if connection.direct_addresses is None else connection.direct_addresses[1]


def _direct_local(context: FormatterContext) -> Address | None:
    connection = context.info.downstream
    return connection.local_address if connection.direct_addresses is None else connection.direct_addresses[0]


_FINDS: Mapping[str, _Find] = {
    "UPSTREAM_LOCAL": _upstream_local,
    "UPSTREAM_REMOTE": _upstream_remote,
    "DOWNSTREAM_REMOTE": lambda context: context.info.trusted_remote,
    "DOWNSTREAM_DIRECT_REMOTE": _direct_remote,
    "DOWNSTREAM_LOCAL": lambda context: context.info.downstream.local_address,
    "DOWNSTREAM_DIRECT_LOCAL": _direct_local,
}


def _whole(find: _Find) -> Operator:
    def show(context: FormatterContext) -> Value:
        address = find(context)
        return None if address is None else as_latin1(str(address))

    return show


def _port(find: _Find) -> Operator:
    def show(context: FormatterContext) -> Value:
        address = find(context)
        if address is None:
            return None
        return address.port if address.ip else _NO_PORT

    return show


def _tried(show: Callable[[Address], str]) -> Operator:
    """``..._ATTEMPTED``: for a connection every host that was tried; for a request only the host of its last try, if it
    got a stream, since each try begins Envoy's list anew."""

    def tried(context: FormatterContext) -> Value:
        info = context.info
        if info.connections_tried is not None:
            return as_latin1(",".join(show(address) for address, _, _ in info.connections_tried)) or None
        if info.upstream_connection is None or info.upstream_host is None:
            return None
        return as_latin1(show(info.upstream_host))

    return tried


def _without_port(find: _Find) -> Callable[[str], Operator]:
    """``%..._WITHOUT_PORT%``, and ``(24)`` for the network that the address is in."""

    def make(argument: str) -> Operator:
        if not argument.isdigit():
            return lambda context: None if (address := find(context)) is None else as_latin1(address.host)
        prefix = int(argument)

        def network(context: FormatterContext) -> Value:
            address = find(context)
            return None if address is None else _network(address.ip, prefix) if address.ip else ""

        return network

    return make


def _network(host: str, prefix: int) -> str | None:
    try:
        return str(ipaddress.ip_network(f"{host}/{prefix}", strict=False))
    except ValueError:
        return None


ADDRESSES: Mapping[str, Operator] = {
    "UPSTREAM_HOST": _whole(lambda context: context.info.upstream_host),
    "UPSTREAM_HOSTS_ATTEMPTED": _tried(str),
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT": _tried(lambda address: address.host),
    **{f"{name}_ADDRESS": _whole(find) for name, find in _FINDS.items()},
    **{f"{name}_PORT": _port(find) for name, find in _FINDS.items()},
}

MASKED_ADDRESSES: Mapping[str, tuple[Syntax, Callable[[str], Operator]]] = {
    f"{name}_ADDRESS_WITHOUT_PORT": (Syntax.OPTIONAL, _without_port(find)) for name, find in _FINDS.items()
}
