"""The tls_inspector: holds a connection until its first bytes tell whether they are TLS. It takes none of them."""

from __future__ import annotations

from envoymesh.network.listener.client_hello import ClientHello, ClientHelloReader
from envoymesh.network.listener.filter import AcceptedSocket, ListenerFilter, ListenerFilterStatus
from envoymesh.network.stats import TlsInspectorStats


class TlsInspector(ListenerFilter):
    """One connection."""

    __slots__ = ("_reader", "_seen", "_stats")

    def __init__(self, stats: TlsInspectorStats) -> None:
        self._stats = stats
        self._reader = ClientHelloReader()
        self._seen = 0  # bytes that the reader has

    def on_data(self, accepted: AcceptedSocket, buffer: bytearray) -> ListenerFilterStatus:
        """Look for a ClientHello."""
        hello = self._reader.feed(bytes(buffer[self._seen :]))
        self._seen = len(buffer)
        if hello is None:
            return ListenerFilterStatus.STOP
        self._count(hello)
        if hello.too_large:
            return ListenerFilterStatus.CLOSE
        if hello.is_tls:
            accepted.transport_protocol = "tls"
            accepted.server_name = hello.server_name
            accepted.application_protocols = hello.application_protocols
        return ListenerFilterStatus.CONTINUE

    def _count(self, hello: ClientHello) -> None:
        stats = self._stats
        stats.bytes_processed.record(self._seen)
        if hello.too_large:
            stats.client_hello_too_large.inc()
        if not hello.is_tls:
            stats.tls_not_found.inc()
            return
        stats.tls_found.inc()
        (stats.sni_found if hello.server_name else stats.sni_not_found).inc()
        (stats.alpn_found if hello.application_protocols else stats.alpn_not_found).inc()
