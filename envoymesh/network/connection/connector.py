"""Makes upstream connections: one task for each, which ends when the transport is up or the attempt failed.

It must not know pools or hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from functools import partial
from typing import Final

from envoymesh.network.api import (
    DEFAULT_SOCKET,
    SOCKET_OPTION_FAILED,
    Address,
    ClientTls,
    CloseType,
    ConnectCounts,
    ConnectionHandler,
    ConnectionPreface,
    PipeAddress,
    SocketOption,
    SourceAddress,
    UpstreamSocketSettings,
)
from envoymesh.network.connection.happy_eyeballs import attempt_order, race
from envoymesh.network.connection.sockets import family_of, socket_name
from envoymesh.network.connection.tcp_connection import TcpConnection, as_protocol
from envoymesh.network.loop.dispatcher import GRACE, LOOKS, LoopDispatcher
from envoymesh.network.loop.shortage import LOCAL_ERRORS, Shortage
from envoymesh.network.tls.tls_connection import TlsConnection
from envoymesh.network.tls.tls_context import TlsContext

_BIND_ADDRESS_NO_PORT: Final = 24
"""Linux's IP_BIND_ADDRESS_NO_PORT: the port is chosen at connect(2), so that many peers can share one."""


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
    """An attempt failed on this side, before the peer was asked; `str()` is Envoy's text."""


class LoopConnector:
    """Implements `envoymesh.network.api.Connector`.

    Args:
        dispatcher: the worker's dispatcher.
        shortage: is told when this machine has no descriptor, port or memory left; by default one of its own.
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
        socket: UpstreamSocketSettings = DEFAULT_SOCKET,
        additional_addresses: tuple[Address, ...] = (),
        counts: ConnectCounts | None = None,
        preface: ConnectionPreface | None = None,
    ) -> TcpConnection:
        """Begin to connect; returns at once. `connect_timeout` seconds are for TCP and the TLS handshake together."""
        connection = self._make(buffer_limit, tls)
        connection.remote_address = address
        connection.preface = preface
        connection.set_handler(handler)
        _ConnectLimit(connection, connect_timeout)
        addresses: tuple[Address, ...] = (address,)
        if additional_addresses:
            addresses = attempt_order((address, *additional_addresses), socket)
        task = self._dispatcher.loop.create_task(self._attempt(connection, addresses, socket, counts))
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

    async def _attempt(
        self,
        connection: TcpConnection,
        addresses: tuple[Address, ...],
        settings: UpstreamSocketSettings,
        counts: ConnectCounts | None,
    ) -> None:
        sock = None
        try:
            if len(addresses) == 1:
                sock, reason = await self._tcp(addresses[0], settings, counts)
            else:
                first, *more = addresses
                attempts = [partial(self._tcp, first, settings, counts)]
                attempts += [partial(self._another, each, settings, counts) for each in more]
                winner, sock, reason = await race(attempts)
                connection.remote_address = addresses[winner]
            if reason:
                connection.connect_failed(reason)
                return
            made, sock = sock, None
            loop = self._dispatcher.loop
            create = loop.create_unix_connection if isinstance(addresses[0], PipeAddress) else loop.create_connection
            try:
                await create(lambda: as_protocol(connection), sock=made)
            finally:
                if connection.closed:
                    self._disown(made)
        except _LocalFailureError as error:
            if not str(error):
                connection.close_details = SOCKET_OPTION_FAILED
            connection.connect_failed(str(error), local=True)
        except OSError as error:
            connection.connect_failed(f"immediate connect error: {os.strerror(error.errno or 0)}")
        finally:
            if sock is not None:
                sock.close()

    def _disown(self, sock: socket.socket | None) -> None:
        """A connection that was closed while it began, or from within CONNECTED, has no descriptor any more.

        uvloop has closed it without telling the socket object, which would close it once more at its own end: by then
        it is somebody else's.
        """
        if sock is not None and type(self._dispatcher.loop).__module__.startswith("uvloop"):
            sock.detach()

    async def _another(
        self, address: Address, settings: UpstreamSocketSettings, counts: ConnectCounts | None
    ) -> tuple[socket.socket, str]:
        """`_tcp` to another address than the first."""
        if counts is not None:
            counts.more_attempts.inc()
        return await self._tcp(address, settings, counts)

    async def _tcp(
        self, address: Address, settings: UpstreamSocketSettings, counts: ConnectCounts | None
    ) -> tuple[socket.socket, str]:
        """A socket that is connected, or one that is not and why. Errors: _LocalFailureError."""
        sock = self._socket(address, settings, counts)
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
        # Over the loopback the refusal comes within the call; Envoy's call has returned by then, hence its "delayed".
        if code == errno.ECONNREFUSED and not isinstance(address, PipeAddress):
            return sock, f"delayed connect error: {os.strerror(code)}"
        return sock, _immediate(code, address) if code else ""

    def _socket(
        self, address: Address, settings: UpstreamSocketSettings, counts: ConnectCounts | None
    ) -> socket.socket:
        # Both loops turn Nagle's delay off when they take the socket over.
        try:
            sock = socket.socket(family_of(address), socket.SOCK_STREAM)
        except OSError as error:
            raise self._local_failure("socket creation failure", address, error.errno or 0) from error
        sock.setblocking(False)
        if settings is not DEFAULT_SOCKET:
            try:
                self._set_up(sock, address, settings, counts)
            except BaseException:
                sock.close()
                raise
        return sock

    def _set_up(
        self, sock: socket.socket, peer: Address, settings: UpstreamSocketSettings, counts: ConnectCounts | None
    ) -> None:
        """Bind, with the options that are to be set before and after that. Errors: _LocalFailureError."""
        source = _source_for(peer, settings)
        options = settings.options if source is None else source.options
        self._set_options(sock, options, "STATE_PREBIND")
        if source is not None:
            try:
                _bind(sock, source.address, peer)
            except OSError as error:
                if counts is not None:
                    counts.bind_errors.inc()
                code = error.errno or 0
                text = f"failed to bind to {source.address}: {os.strerror(code)}"
                raise self._local_failure(text, peer, code) from error
        self._set_options(sock, options, "STATE_BOUND")

    def _set_options(self, sock: socket.socket, options: tuple[SocketOption, ...], state: str) -> None:
        for option in options:
            if option.state == state:
                try:
                    sock.setsockopt(option.level, option.name, option.value)
                except OSError as error:
                    # As in Envoy nothing says why.
                    raise _LocalFailureError("") from error

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


def _source_for(peer: Address, settings: UpstreamSocketSettings) -> SourceAddress | None:
    """What to bind to for a peer; as in Envoy an address of the other family is better than none, and then fails."""
    for source in settings.sources:
        if source.address.is_ipv6 == peer.is_ipv6:
            return source
    return settings.sources[0] if settings.sources else None


def _bind(sock: socket.socket, address: Address, peer: Address) -> None:
    if isinstance(peer, PipeAddress) or address.is_ipv6 != peer.is_ipv6:
        # Python refuses such an address itself; these are the codes that the system would give.
        code = errno.EAFNOSUPPORT if address.is_ipv6 and peer.ip else errno.EINVAL
        raise OSError(code, os.strerror(code))
    if not address.port:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    sock.bind(socket_name(address))


def _immediate(code: int, address: Address) -> str:
    """Envoy's text for a connect call that fails itself."""
    return f"immediate connect error: {os.strerror(code)}|remote address:{address}"
