"""The PROXY protocol's header before everything else on upstream connections (Envoy's `UpstreamProxyProtocolSocket`).

This module must not write: the network does, when TCP is connected.
"""

from __future__ import annotations

from envoymesh.network.api import Address, ConnectionPreface, ProxiedConnection, Tlv
from envoymesh.network.proxy_protocol import version_1, version_2, version_2_local
from envoymesh.stats.primitives import Counter
from envoymesh.upstream.settings import ProxyProtocolSettings


class ProxyProtocolPreface(ConnectionPreface):
    """What the connections of one pool begin with.

    Args:
        proxied: the client's connection; None where there is none, as of a health check.
        sent: counts the header's bytes.
        too_long: counts headers whose extensions had no room.
    """

    __slots__ = ("_proxied", "_sent", "_settings", "_too_long")

    def __init__(
        self, settings: ProxyProtocolSettings, proxied: ProxiedConnection | None, sent: Counter, too_long: Counter
    ) -> None:
        self._settings = settings
        self._proxied = proxied
        self._sent = sent
        self._too_long = too_long

    def preface(self, local: Address | None, remote: Address | None) -> bytes:
        """The header."""
        data = self._version_1(local, remote) if self._settings.version == 1 else self._version_2()
        self._sent.add(len(data))
        return data

    def _version_1(self, local: Address | None, remote: Address | None) -> bytes:
        """Without a client, version 1 tells of the upstream connection itself."""
        proxied = self._proxied
        if proxied is not None:
            return version_1(proxied.source, proxied.destination)
        return b"" if local is None or remote is None else version_1(local, remote)

    def _version_2(self) -> bytes:
        proxied = self._proxied
        if proxied is None:
            return version_2_local()
        data, fits = version_2(proxied.source, proxied.destination, self._tlvs(proxied))
        if not fits:
            self._too_long.inc()
        return data

    def _tlvs(self, proxied: ProxiedConnection) -> list[Tlv]:
        """Those that are added, then those of the client's own header that are passed on and not replaced."""
        settings = self._settings
        added = dict(reversed(settings.added))  # of two of a type the first counts
        found = [(kind, added[kind]) for kind in dict(settings.added)]
        for kind, value in proxied.tlvs:
            if kind not in added and (settings.passes_all or kind in settings.passes):
                found.append((kind, value))
        return found
