"""What handles an accepted connection during its TLS handshake. It must not decide anything: that is the listener's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoymesh.network.api import ConnectionEvent
from envoymesh.network.connection.no_handler import NoHandler
from envoymesh.network.connection.tcp_connection import TcpConnection
from envoymesh.network.settings import FilterChainSettings

if TYPE_CHECKING:
    from envoymesh.network.listener.accepting import Accepting


class Handshaking(NoHandler):
    """The handler of a connection during its TLS handshake.

    Args:
        listener: who accepted it.
        connection: the connection.
        chain: its filter chain.
    """

    __slots__ = ("_chain", "_connection", "_listener")

    def __init__(self, listener: Accepting, connection: TcpConnection, chain: FilterChainSettings) -> None:
        self._listener = listener
        self._connection = connection
        self._chain = chain

    def on_event(self, event: ConnectionEvent) -> None:
        """CONNECTED: the handshake is done. Any other is the end."""
        if event is ConnectionEvent.CONNECTED:
            self._listener.hand_over(self._connection, self._chain)
        else:
            self._listener.on_handshake_failed(self._chain, event is ConnectionEvent.REMOTE_CLOSE)
