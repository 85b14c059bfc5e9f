"""ORIGINAL_DST clusters: each request says where it goes, and hosts are made as they are asked for.

Envoy's `extensions/clusters/original_dst`, as far as there is a header or metadata to say it: there is no listener
filter here that finds the destination of a redirected connection. This module must not resolve names.
"""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.network.api import Address, Dispatcher
from envoymesh.network.connection.sockets import ip_literal
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.api import make_host, set_priority
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.api import LoadBalancer
from envoymesh.upstream.settings import EndpointSettings

_MAX_PORT = 65535


class OriginalDst(LoadBalancer):
    """A cluster's hosts by their addresses; both its discovery and its balancer.

    Args:
        is_used: whether there are connections to a host, which then stays.
    """

    __slots__ = ("_dispatcher", "_hosts", "_info", "_is_used", "_known", "_recent", "_timer")

    def __init__(self, info: ClusterInfo, dispatcher: Dispatcher, is_used: Callable[[Host], bool]) -> None:
        self._info = info
        self._dispatcher = dispatcher
        self._is_used = is_used
        self._hosts = PrioritySet()
        self._known: dict[Address, Host] = {}
        self._recent: set[Address] = set()
        self._timer = dispatcher.create_timer(self._clean_up)

    def start(self, hosts: PrioritySet, on_initialised: Callable[[], None]) -> None:
        """Begin without hosts."""
        self._hosts = hosts
        self._timer.enable(self._info.settings.original_dst.cleanup_interval)
        on_initialised()

    def stop(self) -> None:
        """Nothing is cleaned up any more."""
        self._timer.disable()

    def _clean_up(self) -> None:
        """Drop the hosts that nobody asked for since the last time, and that no connection leads to."""
        keep = {
            address: host for address, host in self._known.items() if address in self._recent or self._is_used(host)
        }
        self._recent.clear()
        if len(keep) < len(self._known):
            self._known = keep
            set_priority(self._info, self._hosts, 0, keep.values())
        self._timer.enable(self._info.settings.original_dst.cleanup_interval)

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The host at the address that the request says, or None where it says none."""
        address = self._by_metadata(context) or self._by_header(context) if context is not None else None
        if address is None:
            return None
        port = self._info.settings.original_dst.port_override
        if port:
            address = Address(address.host, port)
        self._recent.add(address)
        host = self._known.get(address)
        if host is None:
            endpoint = EndpointSettings(address.host, address.port, hostname=f"{self._info.name}{address}")
            host = self._known[address] = make_host(self._info, address, endpoint)
            set_priority(self._info, self._hosts, 0, self._known.values())
        return host

    def _by_metadata(self, context: LoadBalancerContext) -> Address | None:
        key = self._info.settings.original_dst.metadata_key
        info = context.request_stream_info() if key else None
        value: object = info.dynamic_metadata if info is not None else None
        for part in key:
            value = value.get(part) if isinstance(value, dict) else None
        return self._parsed(value) if isinstance(value, str) else None

    def _by_header(self, context: LoadBalancerContext) -> Address | None:
        name = self._info.settings.original_dst.http_header
        headers = context.downstream_headers() if name else None
        value = headers.get(name) if headers is not None else None
        return None if value is None else self._parsed(value.decode("latin-1"))

    def _parsed(self, text: str) -> Address | None:
        address = parse_address(text)
        if address is None:
            self._info.stats.original_dst_host_invalid.inc()
        return address

    def peek_another_host(self, context: LoadBalancerContext | None) -> Host | None:
        """None: nobody knows where the next request goes."""
        return None

    def set_panic_threshold(self, percent: int) -> None:
        """Nothing: there is no panic here."""


def parse_address(text: str) -> Address | None:
    """The address of a text such as ``10.0.0.1:80`` or ``[::1]:80``; None where it is none."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return None
    if not colon or not port.isascii() or not port.isdigit() or int(port) > _MAX_PORT:
        return None
    try:
        return Address(ip_literal(host), int(port))
    except (ValueError, OSError):
        return None
