"""What tests of the network share: an event loop with a listener, a connector and handlers to wait on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import trustme

from envoymesh.filters.listener.tls_inspector.filter import TlsInspector
from envoymesh.network.api import Address, CloseType, ConnectionEvent
from envoymesh.network.connection.connector import LoopConnector
from envoymesh.network.listener.tcp_listener import TcpListener
from envoymesh.network.loop.dispatcher import LoopDispatcher, new_event_loop
from envoymesh.network.settings import (
    CertificateSettings,
    CommonTlsSettings,
    DownstreamTlsSettings,
    FilterChainMatch,
    FilterChainSettings,
    ListenerSettings,
)
from envoymesh.network.stats import ListenerStats, SslStats, TlsInspectorStats
from envoymesh.stats import Store
from tests.support.fakes import RecordingHandler

LOOPS = {"uvloop": new_event_loop, "asyncio": asyncio.new_event_loop}


class Watcher(RecordingHandler):
    """A handler whose test can wait for what it records."""

    def __init__(self) -> None:
        super().__init__()
        self._waits: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self.connection: Any = None
        self.chain: Any = None
        self.order: list[str] = []

    def on_data(self, data: bytes) -> int:
        taken = super().on_data(data)
        self._note("data")
        return taken

    def on_eof(self) -> None:
        super().on_eof()
        self._note("eof")

    def on_event(self, event: ConnectionEvent) -> None:
        super().on_event(event)
        self._note(event.name)

    def on_above_write_buffer_high_watermark(self) -> None:
        super().on_above_write_buffer_high_watermark()
        self._note("above")

    def on_below_write_buffer_low_watermark(self) -> None:
        super().on_below_write_buffer_low_watermark()
        self._note("below")

    async def until(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Wait for a condition on what was recorded."""
        if not condition():
            future = asyncio.get_running_loop().create_future()
            self._waits.append((condition, future))
            await asyncio.wait_for(future, timeout)

    async def until_event(self, event: ConnectionEvent) -> None:
        await self.until(lambda: event in self.events)

    async def until_closed(self) -> None:
        await self.until(lambda: bool(self.events) and self.events[-1] is not ConnectionEvent.CONNECTED)

    def _note(self, what: str) -> None:
        self.order.append(what)
        for condition, future in self._waits:
            if not future.done() and condition():
                future.set_result(None)


INSPECTING: tuple[Any, ...] = ("tls_inspector",)
"""The listener filters of a listener with the tls_inspector, whose stats are the `Net`'s."""


class Net:
    """What a test needs on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.dispatcher = LoopDispatcher(loop)
        self.connector = LoopConnector(self.dispatcher)
        self.store = Store()
        self.expected_errors = 0
        self.accepted: asyncio.Queue[Watcher] = asyncio.Queue()
        self.listener_stats = ListenerStats.create(self.store.scope("listener.test."))
        self.ssl_stats = SslStats(self.store.scope("listener.test."))
        self.inspector_stats = TlsInspectorStats.create(self.store.scope("tls_inspector."))
        self._listeners: list[TcpListener] = []
        self._servers: list[asyncio.Server] = []
        self._clients: list[Any] = []
        self.at_end: list[Callable[[], None]] = []

    async def listen(self, settings: ListenerSettings, on_accept: Callable[..., None] | None = None) -> TcpListener:
        if settings.listener_filters == INSPECTING:
            settings = replace(settings, listener_filters=(lambda: TlsInspector(self.inspector_stats),))
        listener = TcpListener(
            self.dispatcher,
            settings,
            on_accept or self.on_accept,
            self.listener_stats,
            self.ssl_stats,
        )
        listener.bind()
        listener.listen()
        self._listeners.append(listener)
        return listener

    def on_accept(self, connection: Any, chain: FilterChainSettings) -> None:
        watcher = Watcher()
        watcher.connection = connection
        watcher.chain = chain
        connection.set_handler(watcher)
        self.accepted.put_nowait(watcher)

    async def next_accepted(self) -> Watcher:
        return await asyncio.wait_for(self.accepted.get(), 10.0)

    async def peer_server(self, serve: Callable[..., Awaitable[None]], **options: Any) -> Address:
        """An asyncio streams server, as the upstream peer."""
        options.setdefault("host", "127.0.0.1")
        server = await asyncio.start_server(serve, port=0, **options)
        self._servers.append(server)
        return Address(*server.sockets[0].getsockname()[:2])

    def connect(self, address: Address, **options: Any) -> tuple[Any, Watcher]:
        watcher = Watcher()
        options = {"connect_timeout": 10.0, "buffer_limit": 1024 * 1024} | options
        connection = self.connector.connect(address, watcher, **options)
        watcher.connection = connection
        self._clients.append(connection)
        return connection, watcher

    async def pair(self, settings: ListenerSettings | None = None, **options: Any) -> tuple[Any, Watcher, Any, Watcher]:
        """Both ends of a connection through our own listener: client, its handler, server, its handler."""
        listener = await self.listen(settings or plain_listener())
        client, client_handler = self.connect(listener.addresses[0], **options)
        server_handler = await self.next_accepted()
        await client_handler.until_event(ConnectionEvent.CONNECTED)
        return client, client_handler, server_handler.connection, server_handler

    async def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for server in self._servers:
            server.close()
        for client in self._clients:
            client.close(CloseType.NO_FLUSH)
        for each in self.at_end:
            each()
        # What was closed ends in the next turns of the loop.
        for _ in range(5):
            await asyncio.sleep(0)


def plain_listener(**fields: Any) -> ListenerSettings:
    chain = FilterChainSettings("plain", FilterChainMatch(), ())
    return ListenerSettings(
        **({"name": "test", "address": Address("127.0.0.1", 0), "filter_chains": (chain,)} | fields)
    )


def tls_chain(certificate: CertificateSettings, *, name: str = "tls", match: Any = None, **fields: Any) -> Any:
    common = CommonTlsSettings(certificates=(certificate,), **fields.pop("common", {}))
    timeout = fields.pop("transport_socket_connect_timeout", None)
    return FilterChainSettings(name, match or FilterChainMatch(), (), DownstreamTlsSettings(common, **fields), timeout)


def settings_of(cert: trustme.LeafCert) -> CertificateSettings:
    chain = b"".join(blob.bytes() for blob in cert.cert_chain_pems)
    return CertificateSettings(chain, cert.private_key_pem.bytes())
