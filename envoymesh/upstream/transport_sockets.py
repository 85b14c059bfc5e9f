"""How a host is connected to: TLS or plain TCP, by the host's metadata (Envoy's `TransportSocketMatcherImpl`).

This module must not make contexts, nor connect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from envoymesh.metadata import Metadata, found
from envoymesh.network.api import ClientTls
from envoymesh.stats.primitives import Counter
from envoymesh.upstream.settings import EndpointSettings, ProxyProtocolSettings

TransportSocket = Mapping[str, ClientTls]
"""What the connector needs for TLS, by what a pool speaks; empty for plain TCP."""

_KEY: Final = ("envoy.transport_socket_match",)


class TransportSocketMatch:
    """One of a cluster's `transport_socket_matches`, or its `transport_socket`.

    Args:
        match: what the metadata must have; empty matches every host.
        total_match_count: hosts that were made with it.
        proxy_protocol: what connections begin with, or None.
    """

    __slots__ = ("match", "name", "proxy_protocol", "socket", "total_match_count")

    def __init__(
        self,
        name: str,
        match: Mapping[str, Any],
        socket: TransportSocket,
        total_match_count: Counter,
        proxy_protocol: ProxyProtocolSettings | None = None,
    ) -> None:
        self.proxy_protocol = proxy_protocol
        self.name = name
        self.match = match
        self.socket = socket
        self.total_match_count = total_match_count

    def matches(self, kind: str, metadata: Metadata | None) -> bool:
        """Whether metadata of a kind have all of it."""
        if not self.match:
            return True
        labels = found(metadata, kind, _KEY) or {}
        return all(name in labels and labels[name] == value for name, value in self.match.items())


class TransportSocketMatcher:
    """A cluster's transport sockets.

    Args:
        default: taken where nothing matches.
        matches: asked in their order, with a host's own metadata, and then with its locality's.
    """

    __slots__ = ("_default", "_matches")

    def __init__(self, default: TransportSocketMatch, matches: Sequence[TransportSocketMatch] = ()) -> None:
        self._default = default
        self._matches = tuple(matches)

    def resolve(self, endpoint: EndpointSettings) -> TransportSocketMatch:
        """The transport socket of hosts of an endpoint."""
        kinds = ("UPSTREAM_HOST", endpoint.metadata), ("LOCALITY", endpoint.locality_metadata)
        for kind, metadata in kinds if self._matches else ():
            for match in self._matches:
                if match.matches(kind, metadata):
                    return match
        return self._default

    def is_own(self, match: TransportSocketMatch) -> bool:
        """Whether it is the cluster's own `transport_socket`, which any name may be given to a match beside."""
        return match is self._default

    def all(self) -> tuple[TransportSocketMatch, ...]:
        """All of them, the default last."""
        return (*self._matches, self._default)
