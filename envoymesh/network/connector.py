"""Makes upstream connections: one task for each, which ends when the transport is up or the attempt failed.

It must not know pools or hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket

from envoymesh.network.api import Address, ClientTls, CloseType, ConnectionHandler
from envoymesh.network.connection import TcpConnection, as_protocol
from envoymesh.network.dispatcher import LoopDispatcher
from envoymesh.network.tls import TlsContext
from envoymesh.network.tls_connection import TlsConnection

GRACE = 0.001
"""Seconds between the looks at a connection whose time is up: one pass of a busy loop."""
LOOKS = 10
"""How many looks it gets: more than the passes that TCP, the transport and a TLS handshake take."""


class _ConnectLimit:
    """Ends an attempt whose time is up.

    A busy loop fires its timers before it looks at its sockets, so a timer alone says nothing of the peer: the answer
    may lie there unread. The attempt ends only when a few more passes of the loop brought nothing.
    """

    __slots__ = ("_connection", "_looks")

    def __init__(self, connection: TcpConnection, seconds: float) -> None:
        self._connection = connection
        self._looks = LOOKS
        connection.limit_connect(seconds, self._expired)

    def _expired(self) -> None:
        if self._looks:
            self._looks -= 1
            self._connection.limit_connect(GRACE, self._expired)
            return
        self._connection.close(CloseType.NO_FLUSH, "connect_timeout")


class LoopConnector:
    """Implements `envoymesh.network.api.Connector`.

    Args:
        dispatcher: the worker's dispatcher.
    """

    __slots__ = ("_attempts", "_dispatcher")

    def __init__(self, dispatcher: LoopDispatcher) -> None:
        self._dispatcher = dispatcher
        # The loop itself holds its tasks only weakly.
        self._attempts: set[asyncio.Task[None]] = set()

    def connect(
        self,
        address: Address,
        handler: ConnectionHandler,
        *,
        connect_timeout: float,
        buffer_limit: int,
        tls: ClientTls | None = None,
        source_address: Address | None = None,
    ) -> TcpConnection:
        """Begin to connect; returns at once. `connect_timeout` seconds are for TCP and the TLS handshake together."""
        connection = self._make(buffer_limit, tls)
        connection.remote_address = address
        connection.set_handler(handler)
        _ConnectLimit(connection, connect_timeout)
        task = self._dispatcher.loop.create_task(self._attempt(connection, address, source_address))
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)
        connection.abandon = task.cancel
        return connection

    def _make(self, buffer_limit: int, tls: ClientTls | None) -> TcpConnection:
        if tls is None:
            return TcpConnection(self._dispatcher, buffer_limit)
        if not isinstance(tls, TlsContext):
            raise TypeError(f"not made by envoymesh.network.tls: {tls!r}")
        return TlsConnection(self._dispatcher, buffer_limit, tls, tls.sni)

    async def _attempt(self, connection: TcpConnection, address: Address, source: Address | None) -> None:
        sock = None
        try:
            sock, reason = await self._tcp(address, source)
            if reason:
                connection.connect_failed(reason)
                return
            made, sock = sock, None
            await self._dispatcher.loop.create_connection(lambda: as_protocol(connection), sock=made)
        except OSError as error:
            connection.connect_failed(f"immediate connect error: {os.strerror(error.errno or 0)}")
        finally:
            if sock is not None:
                sock.close()

    async def _tcp(self, address: Address, source: Address | None) -> tuple[socket.socket, str]:
        """A socket that is connected, or one that is not and why."""
        sock = socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((source.host, source.port))
            code = sock.connect_ex((address.host, address.port))
            if code in (errno.EINPROGRESS, errno.EAGAIN):
                await self._writable(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                return sock, f"delayed connect error: {os.strerror(code)}" if code else ""
        except BaseException:
            sock.close()
            raise
        # The loopback refuses within the call; Envoy, whose own call comes back earlier, names that delayed too.
        how = "delayed" if code == errno.ECONNREFUSED else "immediate"
        return sock, f"{how} connect error: {os.strerror(code)}" if code else ""

    async def _writable(self, sock: socket.socket) -> None:
        loop = self._dispatcher.loop
        ready = loop.create_future()
        loop.add_writer(sock, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            with contextlib.suppress(OSError):
                loop.remove_writer(sock)
