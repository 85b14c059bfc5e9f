"""Makes upstream connections: one task for each, which ends when the transport is up or the attempt failed.

It must not know pools or hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket

from envoymesh.network.api import Address, ClientTls, CloseType, ConnectionHandler, PipeAddress
from envoymesh.network.connection.sockets import family_of, socket_name
from envoymesh.network.connection.tcp_connection import TcpConnection, as_protocol
from envoymesh.network.loop.dispatcher import GRACE, LOOKS, LoopDispatcher
from envoymesh.network.loop.shortage import LOCAL_ERRORS, Shortage
from envoymesh.network.tls.tls_connection import TlsConnection
from envoymesh.network.tls.tls_context import TlsContext


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


class _LocalFailureError(Exception):
    """We cannot even try: `str()` is what Envoy says then."""


class LoopConnector:
    """Implements `envoymesh.network.api.Connector`.

    Args:
        dispatcher: the worker's dispatcher.
        shortage: hears what this machine had not left for an attempt; by default one of its own.
    """

    __slots__ = ("_attempts", "_dispatcher", "_shortage")

    def __init__(self, dispatcher: LoopDispatcher, shortage: Shortage | None = None) -> None:
        self._dispatcher = dispatcher
        self._shortage = shortage or Shortage(dispatcher)
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
            raise TypeError(f"not made by envoymesh.network.tls.tls_context: {tls!r}")
        return TlsConnection(self._dispatcher, buffer_limit, tls, tls.sni)

    async def _attempt(self, connection: TcpConnection, address: Address, source: Address | None) -> None:
        sock = None
        try:
            sock, reason = await self._tcp(address, source)
            if reason:
                connection.connect_failed(reason)
                return
            made, sock = sock, None
            loop = self._dispatcher.loop
            create = loop.create_unix_connection if isinstance(address, PipeAddress) else loop.create_connection
            await create(lambda: as_protocol(connection), sock=made)
        except _LocalFailureError as error:
            connection.connect_failed(str(error), local=True)
        except OSError as error:
            connection.connect_failed(f"immediate connect error: {os.strerror(error.errno or 0)}")
        finally:
            if sock is not None:
                sock.close()

    async def _tcp(self, address: Address, source: Address | None) -> tuple[socket.socket, str]:
        """A socket that is connected, or one that is not and why. Errors: _LocalFailureError."""
        sock = self._socket(address, source)
        try:
            name = socket_name(address)
            code = sock.connect_ex(name)
            if code == errno.EINPROGRESS:
                # A peer on this machine has answered by now: asking again is one call in place of watching the socket.
                code = sock.connect_ex(name)
                if code == errno.EALREADY:
                    await self._writable(sock)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                return sock, f"delayed connect error: {os.strerror(code)}" if code else ""
            if code in LOCAL_ERRORS:
                raise self._local_failure(_immediate(code, address), address, code)
        except BaseException:
            sock.close()
            raise
        # The loopback refuses within the call; Envoy, whose own call comes back earlier, names that delayed too.
        if code == errno.ECONNREFUSED and not isinstance(address, PipeAddress):
            return sock, f"delayed connect error: {os.strerror(code)}"
        return sock, _immediate(code, address) if code else ""

    def _socket(self, address: Address, source: Address | None) -> socket.socket:
        # Both loops turn Nagle's delay off when they take the socket over.
        try:
            sock = socket.socket(family_of(address), socket.SOCK_STREAM)
        except OSError as error:
            raise self._local_failure("socket creation failure", address, error.errno or 0) from error
        sock.setblocking(False)
        if source is not None:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(socket_name(source))
            except OSError as error:
                sock.close()
                code = error.errno or 0
                raise self._local_failure(f"failed to bind to {source}: {os.strerror(code)}", address, code) from error
        return sock

    def _local_failure(self, text: str, address: Address, code: int) -> _LocalFailureError:
        self._shortage.note(f"cannot connect to {address}", OSError(code, ""))
        return _LocalFailureError(text)

    async def _writable(self, sock: socket.socket) -> None:
        loop = self._dispatcher.loop
        ready = loop.create_future()
        loop.add_writer(sock, lambda: None if ready.done() else ready.set_result(None))
        try:
            await ready
        finally:
            with contextlib.suppress(OSError):
                loop.remove_writer(sock)


def _immediate(code: int, address: Address) -> str:
    """What Envoy says where the call itself fails."""
    return f"immediate connect error: {os.strerror(code)}|remote address:{address}"
