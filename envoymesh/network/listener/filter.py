"""The contract of listener filters: what looks at an accepted connection before its filter chain is known.

Envoy's `Network::ListenerFilter`. Filters are asked one after the other; each may hold the connection until it has seen
enough of its first bytes, take some of these for itself, and say what it has learnt. This module must not know which
filters there are.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from envoymesh.network.api import Address, ProxiedConnection


class ListenerFilterStatus(enum.Enum):
    """What becomes of a connection after a filter saw it."""

    CONTINUE = "continue"  # the next filter's turn
    STOP = "stop"  # more bytes are wanted
    CLOSE = "close"  # the connection is refused


class AcceptedSocket:
    """What is known of an accepted connection.

    Attributes:
        local_address, remote_address: its addresses; a filter may restore others.
        direct_local_address, direct_remote_address: what they were when it was accepted.
        transport_protocol: ``tls`` where that was found; empty is not known, and counts as ``raw_buffer``.
        server_name: what a TLS client asks for (SNI), lower case.
        application_protocols: what it offers (ALPN), or what was found to be spoken.
        dynamic_metadata: what filters leave for access logs, by their names; None is nothing.
        proxied: what a PROXY protocol header said.
        peeked: whether the first bytes were looked at.
    """

    __slots__ = (
        "application_protocols",
        "direct_local_address",
        "direct_remote_address",
        "dynamic_metadata",
        "local_address",
        "peeked",
        "proxied",
        "remote_address",
        "server_name",
        "transport_protocol",
    )

    def __init__(self, local: Address | None, remote: Address | None) -> None:
        self.local_address = self.direct_local_address = local
        self.remote_address = self.direct_remote_address = remote
        self.transport_protocol = ""
        self.server_name = ""
        self.application_protocols: tuple[str, ...] = ()
        self.dynamic_metadata: dict[str, dict[str, Any]] | None = None
        self.proxied: ProxiedConnection | None = None
        self.peeked = False

    @property
    def has_other_addresses(self) -> bool:
        """Whether a filter has restored others."""
        return (self.local_address, self.remote_address) != (self.direct_local_address, self.direct_remote_address)


class ListenerFilter(ABC):
    """One filter of one connection."""

    __slots__ = ()

    def on_accept(self, accepted: AcceptedSocket) -> ListenerFilterStatus:
        """The filter's turn has come. A filter that wants bytes answers STOP, which is the default."""
        return ListenerFilterStatus.STOP

    @abstractmethod
    def on_data(self, accepted: AcceptedSocket, buffer: bytearray) -> ListenerFilterStatus:
        """All bytes that have come and that no filter took; what is deleted of them, nobody behind sees.

        It is called for the first time as soon as there is any, and after STOP whenever more have come.
        """


ListenerFilterFactory = Callable[[], ListenerFilter]
"""Makes the filter of one connection; made once from settings."""
