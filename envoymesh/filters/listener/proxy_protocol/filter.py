"""The proxy_protocol filter: takes a connection's PROXY protocol header, and restores the addresses that it names.

It must not decide what the addresses are good for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from envoymesh.filters.listener.proxy_protocol.header import (
    HeaderError,
    ProxyHeader,
    could_begin,
    read_version_1,
    read_version_2,
    version_of,
)
from envoymesh.filters.listener.proxy_protocol.stats import (
    ProxyProtocolErrorStats,
    ProxyProtocolPrefixStats,
    ProxyProtocolVersionStats,
)
from envoymesh.network.api import ProxiedConnection, Tlv
from envoymesh.network.listener.filter import AcceptedSocket, ListenerFilter, ListenerFilterStatus
from envoymesh.network.proxy_protocol import V1_START, V2_SIGNATURE

NAMESPACE: Final = "envoy.filters.listener.proxy_protocol"
"""Of dynamic metadata, where a rule names none."""

_NO_UTF8: Final = re.compile("\ufffd")


@dataclass(frozen=True, slots=True)
class ProxyProtocolFilterSettings:
    """One envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.

    Args:
        rules: by the type of an extension, the name space and key of the metadata that it becomes.
        passes_all: every extension is kept for an upstream's header.
        passes: those of these types are.
    """

    stats: ProxyProtocolPrefixStats
    errors: ProxyProtocolErrorStats
    allow_requests_without_proxy_protocol: bool = False
    allow_v1: bool = True
    allow_v2: bool = True
    rules: Mapping[int, tuple[str, str]] | None = None
    passes_all: bool = False
    passes: frozenset[int] = frozenset()


class ProxyProtocolFilter(ListenerFilter):
    """One connection."""

    __slots__ = ("_settings",)

    def __init__(self, settings: ProxyProtocolFilterSettings) -> None:
        self._settings = settings

    def on_data(self, accepted: AcceptedSocket, buffer: bytearray) -> ListenerFilterStatus:
        """Take the header, when it is whole."""
        settings, data = self._settings, bytes(buffer)
        if settings.allow_requests_without_proxy_protocol and not self._may_be_header(data):
            settings.stats.not_found_allowed.inc()
            return ListenerFilterStatus.CONTINUE
        version = 0
        try:
            version = version_of(data)
            if version == 0:
                return ListenerFilterStatus.STOP
            if not (settings.allow_v1 if version == 1 else settings.allow_v2):
                return self._deny(version)
            header = read_version_1(data) if version == 1 else read_version_2(data)
        except HeaderError:
            return self._fail(version)
        if header is None:
            return ListenerFilterStatus.STOP
        self._take(accepted, header)
        del buffer[: header.length]
        self._stats_of(version).found.inc()
        return ListenerFilterStatus.CONTINUE

    def _may_be_header(self, data: bytes) -> bool:
        settings = self._settings
        return (settings.allow_v2 and could_begin(data, V2_SIGNATURE)) or (
            settings.allow_v1 and could_begin(data, V1_START)
        )

    def _stats_of(self, version: int) -> ProxyProtocolVersionStats:
        return self._settings.stats.v1 if version == 1 else self._settings.stats.v2

    def _deny(self, version: int) -> ListenerFilterStatus:
        stats = self._stats_of(version)
        stats.found.inc()
        stats.disallowed.inc()
        return ListenerFilterStatus.CLOSE

    def _fail(self, version: int) -> ListenerFilterStatus:
        settings = self._settings
        (self._stats_of(version).error if version else settings.stats.not_found_disallowed).inc()
        settings.errors.downstream_cx_proxy_proto_error.inc()
        return ListenerFilterStatus.CLOSE

    def _take(self, accepted: AcceptedSocket, header: ProxyHeader) -> None:
        self._note_metadata(accepted, header.tlvs)
        settings = self._settings
        passed = tuple(each for each in header.tlvs if settings.passes_all or each[0] in settings.passes)
        source = header.source or accepted.remote_address
        destination = header.destination or accepted.local_address
        if source is not None and destination is not None:
            accepted.proxied = ProxiedConnection(source, destination, passed)
        if header.source is not None:
            accepted.remote_address = header.source
            accepted.local_address = header.destination

    def _note_metadata(self, accepted: AcceptedSocket, tlvs: tuple[Tlv, ...]) -> None:
        rules = self._settings.rules or {}
        for kind, value in tlvs:
            if kind in rules:
                namespace, key = rules[kind]
                if accepted.dynamic_metadata is None:
                    accepted.dynamic_metadata = {}
                # The first of a type counts, and what is no UTF-8 is shown as Envoy shows it.
                text = _NO_UTF8.sub("!", value.decode("utf-8", "replace"))
                accepted.dynamic_metadata.setdefault(namespace, {}).setdefault(key, text)
