"""What makes one request's connections differ from another's, beyond host and protocol.

Envoy's hash key of a pool, and its `TransportSocketOptions`. This module must not know pools.
"""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple

from envoymesh.http.headers import RequestHeaders
from envoymesh.network.api import Connection, ProxiedConnection, SocketOption
from envoymesh.upstream.authority import host_of
from envoymesh.upstream.settings import ClusterSettings


class PoolOptions(NamedTuple):
    """The options of one request; most have the default ones.

    Args:
        priority: ``DEFAULT`` or ``HIGH``, whose circuit breakers count.
        socket_options: set on its sockets after the cluster's own.
        upgrade: what an HTTP/1 connection is upgraded to, or empty.
        downstream: the id of the client's connection, which does not share; 0 shares with all.
        server_name: what TLS asks for in place of what is configured, or empty.
        subject_alt_names: names of which the host's certificate must have one.
        proxied: what a PROXY protocol header says of the client; None where there is none, or no client.
    """

    priority: str = "DEFAULT"
    socket_options: tuple[SocketOption, ...] = ()
    upgrade: str = ""
    downstream: int = 0
    server_name: str = ""
    subject_alt_names: tuple[str, ...] = ()
    proxied: ProxiedConnection | None = None

    @property
    def without_tlvs(self) -> PoolOptions:
        """The same without the extensions of a PROXY protocol header."""
        proxied = self.proxied
        return self if proxied is None or not proxied.tlvs else self._replace(proxied=proxied._replace(tlvs=()))


DEFAULT_OPTIONS: Final = PoolOptions()
HIGH_PRIORITY: Final = PoolOptions("HIGH")


class RequestSeparator:
    """Says which requests of a cluster may share connections; there is one only where not all may."""

    __slots__ = ("_by_downstream", "_proxies", "_sans", "_sni", "_sni_header")

    def __init__(self, settings: ClusterSettings) -> None:
        self._by_downstream: bool = settings.pool_per_downstream_connection
        self._sni: bool = settings.auto_sni
        self._sans: bool = settings.auto_san_validation
        self._sni_header: bytes = settings.auto_sni_header
        self._proxies: bool = sends_proxy_protocol(settings)

    def options(self, headers: RequestHeaders | None, client: Connection | None, priority: str) -> PoolOptions | None:
        """A request's options; None are the default ones.

        Args:
            headers: as they came to the router; None where bytes are proxied.
            client: the connection that it came over, or None.
        """
        name = self._name(headers) if headers is not None and (self._sni or self._sans) else ""
        options = PoolOptions(
            priority=priority,
            downstream=client.id if client is not None and self._by_downstream else 0,
            server_name="" if not self._sni or _is_ip(name) else name,
            subject_alt_names=(name,) if self._sans and name else (),
            proxied=proxied_connection(client) if client is not None and self._proxies else None,
        )
        return None if options == DEFAULT_OPTIONS else options

    def _name(self, headers: RequestHeaders) -> str:
        """The name that a request is for: of its authority, or of `override_auto_sni_header`."""
        value = headers.joined(self._sni_header) if self._sni_header else None
        return host_of((value or headers.authority or b"").decode("latin-1"))


def separator_for(settings: ClusterSettings) -> RequestSeparator | None:
    """What separates a cluster's requests, if anything does."""
    # Where nothing is secured the names of requests are of no interest, and must not cut pools up.
    secured = settings.tls or any(each.tls for each in settings.tls_matches)
    named = secured and (settings.auto_sni or settings.auto_san_validation)
    if named or settings.pool_per_downstream_connection or sends_proxy_protocol(settings):
        return RequestSeparator(settings)
    return None


def sends_proxy_protocol(settings: ClusterSettings) -> bool:
    """Whether any of a cluster's connections begin with a PROXY protocol header."""
    return settings.proxy_protocol is not None or any(each.proxy_protocol is not None for each in settings.tls_matches)


def proxied_connection(client: Connection) -> ProxiedConnection | None:
    """What a PROXY protocol header says of a client; None where its addresses are not known."""
    if client.proxied is not None:
        return client.proxied
    source, destination = client.remote_address, client.local_address
    return None if source is None or destination is None else ProxiedConnection(source, destination)


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
