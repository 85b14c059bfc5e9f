"""A TCP listener: binds, accepts, finds each connection its filter chain, and hands it over when it is usable.

Order of an accepted connection: connection limit, then (with the tls_inspector listener filter) its first bytes, then
the filter chain, then the TLS handshake, then `on_accept`. A connection counts in downstream_cx_* from the moment its
filter chain is known; before that it counts in downstream_pre_cx_active. This module must not know what filters do.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from envoymesh.errors import BindError
from envoymesh.network.api import Address, CloseType, EndedConnection, PipeAddress, Timer
from envoymesh.network.connection.sockets import address_of, end_with_reset, listening_socket, remote_address_of
from envoymesh.network.connection.tcp_connection import TcpConnection, as_protocol
from envoymesh.network.listener.accepting import Accepted, Inspected
from envoymesh.network.listener.acceptor import Acceptor
from envoymesh.network.listener.filter import AcceptedSocket
from envoymesh.network.listener.filter_chain_match import ConnectionFacts, find_filter_chain
from envoymesh.network.listener.handshaking import Handshaking
from envoymesh.network.loop.dispatcher import LoopDispatcher
from envoymesh.network.loop.shortage import Shortage
from envoymesh.network.settings import FilterChainMatch, FilterChainSettings, ListenerSettings
from envoymesh.network.stats import ListenerStats, SslStats
from envoymesh.network.tls.tls_connection import TlsConnection
from envoymesh.network.tls.tls_context import TlsContext, downstream_context
from envoymesh.runtime import NO_LIMIT, RuntimeNumber

OnAccept = Callable[[TcpConnection, FilterChainSettings], None]
"""Called with a usable connection (TLS handshake done) and its filter chain; it sets the connection's handler."""

HANDSHAKE_TIMEOUT = 3600.0
"""Seconds for a handshake where transport_socket_connect_timeout is not set: in Envoy the connection manager's idle
timeout, 1 h, ends a handshake that never does."""


class TcpListener:
    """One listener, on each of its addresses.

    Args:
        dispatcher: the worker's dispatcher.
        settings: what to listen on and for.
        on_accept: gets each usable connection.
        stats: the listener's.
        ssl_stats: the listener's ssl. stats, shared by its filter chains; None if no chain has TLS.
        shortage: is told when the system has no descriptor or memory left; by default one of its own.

    Raises:
        ConfigError: a filter chain's TLS cannot be set up.
    """

    __slots__ = (
        "_acceptors",
        "_contexts",
        "_dispatcher",
        "_lent",
        "_on_accept",
        "_open",
        "_shortage",
        "_sockets",
        "_unconditional",
        "addresses",
        "connection_limit",
        "global_limit_reached",
        "on_ended",
        "on_handshake_failed",
        "settings",
        "stats",
    )

    def __init__(
        self,
        dispatcher: LoopDispatcher,
        settings: ListenerSettings,
        on_accept: OnAccept,
        stats: ListenerStats,
        ssl_stats: SslStats | None = None,
        shortage: Shortage | None = None,
    ) -> None:
        self.settings = settings
        self.stats = stats
        # The addresses as bound, port 0 replaced; as configured before `bind` and without bind_to_port.
        self.addresses: list[Address] = [settings.address, *(address for address, _ in settings.additional_addresses)]
        # envoy.resource_limits.listener.NAME.connection_limit
        self.connection_limit = RuntimeNumber("", NO_LIMIT, None)
        self.global_limit_reached: Callable[[], bool] = lambda: False
        # Called for a connection that ended before its TLS handshake was done; True where the peer ended it.
        self.on_handshake_failed: Callable[[FilterChainSettings, bool], None] = lambda chain, remote: None
        # Called at each connection's end, for the access log; None without one.
        self.on_ended: Callable[[EndedConnection], None] | None = None
        self._dispatcher = dispatcher
        self._on_accept = on_accept
        self._open: dict[TcpConnection, float] = {}
        self._sockets: list[socket.socket] = []
        self._shortage = shortage or Shortage(dispatcher)
        self._acceptors: list[Acceptor] = []
        self._lent: dict[int, list[Acceptor]] = {}
        self._contexts = {
            id(chain): downstream_context(chain.tls, ssl_stats) for chain in self._chains() if chain.tls is not None
        }
        only = settings.filter_chains[0] if len(settings.filter_chains) == 1 else None
        self._unconditional = only if only is not None and only.match == FilterChainMatch() else None

    def _chains(self) -> list[FilterChainSettings]:
        default = self.settings.default_filter_chain
        return [*self.settings.filter_chains, *([default] if default is not None else [])]

    # Binding, listening, closing.

    def bind(self) -> None:
        """Take the addresses; nothing is accepted before `listen`.

        Raises:
            BindError: an address is not to be had; those taken are given back.
        """
        settings = self.settings
        if not settings.bind_to_port:
            return
        wanted = [(settings.address, settings.ipv4_compat), *settings.additional_addresses]
        try:
            for address, ipv4_compat in wanted:
                self._sockets.append(
                    listening_socket(
                        address, ipv4_compat=ipv4_compat, reuse_port=settings.reuse_port, freebind=settings.freebind
                    )
                )
        except BindError:
            for sock in self._sockets:
                sock.close()
            self._sockets.clear()
            raise
        self.addresses = [_bound(address, sock) for (address, _), sock in zip(wanted, self._sockets, strict=True)]

    def adopt(self, sockets: Sequence[socket.socket]) -> None:
        """Take sockets that another process bound, one for each address and in their order, in place of `bind`.

        None at all is the listener after `stop_accepting`.
        """
        self._sockets = list(sockets)
        for index, sock in enumerate(sockets):
            self.addresses[index] = _bound(self.addresses[index], sock)

    @property
    def bound_sockets(self) -> Sequence[socket.socket]:
        """The sockets between `bind` and `listen`, one for each address."""
        return self._sockets

    def listen(self) -> None:
        """Begin to accept.

        Raises:
            BindError: the system refuses, as where another process listens already.
        """
        for sock, address in zip(self._sockets, self.addresses, strict=False):  # none without bind_to_port
            self._acceptors.append(self._accept_from(sock, address))
        self._sockets.clear()

    def _accept_from(self, sock: socket.socket, address: Address) -> Acceptor:
        settings = self.settings
        limit = settings.max_connections_to_accept_per_socket_event
        record = self.stats.connections_accepted_per_socket_event.record
        acceptor = Acceptor(self._dispatcher, sock, lambda: Accepted(self), limit, record, self._shortage)
        try:
            acceptor.listen(settings.tcp_backlog_size)
        except OSError as error:
            raise BindError(f"cannot listen on '{address}': {error.strerror}") from error
        return acceptor

    def listen_for(self, owner: int, sock: socket.socket) -> None:
        """Accept from a socket of another process as well, until `stop_listening_for`; `owner` stands for it.

        Raises:
            BindError: the system refuses.
        """
        sock.setblocking(False)
        self._lent.setdefault(owner, []).append(self._accept_from(sock, self.addresses[0]))

    def stop_listening_for(self, owner: int) -> None:
        """Close the sockets of `listen_for`; the owner still has them, and who waits in their queues waits on."""
        for acceptor in self._lent.pop(owner, ()):
            acceptor.close()

    def stop_accepting(self) -> None:
        """Close the listening sockets, once what waits in their queues is accepted; connections live on."""
        for lent in self._lent.values():
            self._acceptors.extend(lent)
        self._lent.clear()
        for acceptor in self._acceptors:
            acceptor.end()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()

    def close(self) -> None:
        """Stop accepting, and close every connection at once."""
        for owner in list(self._lent):
            self.stop_listening_for(owner)
        for acceptor in self._acceptors:
            acceptor.close()
        self.stop_accepting()
        for connection in list(self._open):
            connection.close(CloseType.NO_FLUSH, "listener_closed")

    @property
    def active_connections(self) -> int:
        """Connections with a filter chain that are not closed."""
        return len(self._open)

    @property
    def is_drained(self) -> bool:
        """Whether nothing is left after `stop_accepting`: no open connection, and none that is still being accepted."""
        return not (self._open or self.stats.downstream_pre_cx_active.value) and all(
            acceptor.idle for acceptor in self._acceptors
        )

    @property
    def tls_contexts(self) -> list[TlsContext]:
        """The TLS of each filter chain that has it, in their order."""
        return list(self._contexts.values())

    # A new connection's way.

    def admit(self, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """Say who reads the new connection, which has just been accepted; None if it was turned away."""
        if len(self._open) >= self.connection_limit.value:
            self.stats.downstream_cx_overflow.inc()
        elif not self.settings.ignore_global_conn_limit and self.global_limit_reached():
            self.stats.downstream_global_cx_overflow.inc()
        elif self.settings.listener_filters:
            return Inspected(self, transport, _accepted(transport))
        else:
            connection = self.start_connection(transport, None, self.now())
            return None if connection is None else as_protocol(connection)
        transport.close()
        return None

    def now(self) -> float:
        """The time now."""
        return self._dispatcher.now()

    def start_connection(
        self, transport: asyncio.Transport, accepted: AcceptedSocket | None, since: float, data: bytes = b""
    ) -> TcpConnection | None:
        """Choose the filter chain and make the connection; None, and the transport is closed, if no chain matches.

        Without listener filters `accepted` is None, and only made where a chain is to be chosen.
        """
        chain = self._unconditional
        if chain is None:
            known = accepted or _accepted(transport)
            chain = self._find_chain(known)
            if chain is None:
                self._turn_away(transport, known, since)
                return None
        limit = self.settings.per_connection_buffer_limit_bytes
        connection: TcpConnection
        context = self._contexts.get(id(chain))
        if context is None:
            connection = TcpConnection(self._dispatcher, limit)
        else:
            connection = TlsConnection(self._dispatcher, limit, context)
            self._limit_handshake(connection, chain)
            connection.set_handler(Handshaking(self, connection, chain))
        connection.filter_chain_name = chain.name
        connection.metadata = chain.metadata
        connection.listener_name = self.settings.name
        self._count_open(connection, since)
        transport.set_protocol(as_protocol(connection))
        connection.connection_made(transport)
        if accepted is not None:
            connection.requested_server_name = accepted.server_name
            _hand_on(accepted, connection)
        if context is None:
            self.hand_over(connection, chain)
        if data:
            connection.data_received(data)
        return connection

    def _turn_away(self, transport: asyncio.Transport, accepted: AcceptedSocket, since: float) -> None:
        """No chain matches."""
        self.stats.no_filter_chain_match.inc()
        self.on_unmatched_end(accepted, since, unmatched=True)
        if accepted.peeked:
            end_with_reset(transport)  # Envoy's filters only peek: bytes that nobody read make RST of a close
        transport.close()

    def hand_over(self, connection: TcpConnection, chain: FilterChainSettings) -> None:
        """Give a usable connection to whoever runs the chain's filters."""
        try:
            self._on_accept(connection, chain)
        except Exception as error:  # noqa: BLE001 one connection's failure is not the listener's
            self._dispatcher.report(f"accepting {connection!r}", error)
            connection.close(CloseType.NO_FLUSH, "unexpected_exception")

    def _limit_handshake(self, connection: TcpConnection, chain: FilterChainSettings) -> None:
        """Run transport_socket_connect_timeout."""
        seconds = chain.transport_socket_connect_timeout

        def timed_out() -> None:
            if seconds:
                self.stats.downstream_cx_transport_socket_connect_timeout.inc()
            connection.close(CloseType.NO_FLUSH, "transport_socket_timeout")

        connection.limit_connect(seconds or HANDSHAKE_TIMEOUT, timed_out)

    def limit_inspection(self, callback: Callable[[], None]) -> Timer | None:
        """Run listener_filters_timeout for one connection; None when it is 0."""
        seconds = self.settings.listener_filters_timeout
        if not seconds:
            return None
        timer = self._dispatcher.create_timer(callback)
        timer.enable(seconds)
        return timer

    def _find_chain(self, accepted: AcceptedSocket) -> FilterChainSettings | None:
        local, remote = accepted.local_address, accepted.remote_address
        if local is None or remote is None:
            return None
        facts = ConnectionFacts(
            local,
            remote,
            accepted.server_name,
            accepted.transport_protocol or "raw_buffer",
            accepted.application_protocols,
            accepted.direct_remote_address,
        )
        return find_filter_chain(self.settings.filter_chains, self.settings.default_filter_chain, facts)

    def on_unmatched_end(self, accepted: AcceptedSocket, since: float, unmatched: bool = False) -> None:
        """A connection that never got a filter chain is over: tell who logs."""
        if self.on_ended is None:
            return
        connection = TcpConnection(self._dispatcher, 0)
        connection.id = 0
        connection.listener_name = self.settings.name
        connection.metadata = self.settings.metadata
        connection.requested_server_name = accepted.server_name
        connection.local_address, connection.remote_address = accepted.local_address, accepted.remote_address
        _hand_on(accepted, connection)
        try:
            self.on_ended(EndedConnection(connection, since, unmatched))
        except Exception as error:  # noqa: BLE001 the transport is still to be closed
            self._dispatcher.report(f"the access log of {self.settings.name}", error)

    def _count_open(self, connection: TcpConnection, since: float) -> None:
        stats = self.stats
        stats.downstream_cx_total.inc()
        stats.downstream_cx_active.inc()
        stats.worker.downstream_cx_total.inc()
        stats.worker.downstream_cx_active.inc()
        self._open[connection] = since
        connection.start_time = since
        connection.on_closed = self._count_closed

    def _count_closed(self, connection: TcpConnection) -> None:
        stats = self.stats
        stats.downstream_cx_destroy.inc()
        stats.downstream_cx_active.dec()
        stats.worker.downstream_cx_active.dec()
        opened = self._open.pop(connection)
        stats.downstream_cx_length_ms.record(int((self._dispatcher.now() - opened) * 1000))
        if self.on_ended is not None:
            self.on_ended(EndedConnection(connection, opened))

    def __repr__(self) -> str:
        return f"TcpListener({self.settings.name} at {', '.join(map(str, self.addresses))}, {len(self._open)} open)"


def _accepted(transport: asyncio.Transport) -> AcceptedSocket:
    local = address_of(transport.get_extra_info("sockname"))
    return AcceptedSocket(local, remote_address_of(transport, local))


def _hand_on(accepted: AcceptedSocket, connection: TcpConnection) -> None:
    """Give a connection what listener filters have found."""
    connection.proxied = accepted.proxied
    connection.listener_metadata = accepted.dynamic_metadata
    if accepted.has_other_addresses:
        connection.local_address, connection.remote_address = accepted.local_address, accepted.remote_address
        connection.direct_addresses = accepted.direct_local_address, accepted.direct_remote_address


def _bound(address: Address, sock: socket.socket) -> Address:
    """The address that was asked for, with the port that the system chose."""
    return address if isinstance(address, PipeAddress) else Address(address.host, sock.getsockname()[1])
