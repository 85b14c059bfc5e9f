"""Accepts on one listening socket, a bounded number of connections in each turn of the loop.

Own accepting in place of the loop's server. uvloop's takes one connection a turn, so a burst waits behind everybody's
requests, and at the limit of open files it closes what waits in the queue; asyncio's takes as many as the backlog is
long, while nobody is served, and makes a task for each. The rules here:
- What one turn does not take, the next one does: the socket is watched level-triggered.
- Out of descriptors or memory, nothing is accepted for RETRY seconds; connections wait in the system's queue.
- Before the socket is closed, every connection in the system's queue is accepted.

This module must not know what is done with a connection.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from envoymesh.network.connection.sockets import address_of, let_no_one_in
from envoymesh.network.loop.dispatcher import LoopDispatcher
from envoymesh.network.loop.shortage import Shortage

RETRY: Final = 0.1
"""Seconds until the next try after the system refused to accept."""

_THEIRS: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.EPERM,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
    }
)
"""What accept(2) says of a connection that is gone already, or that a firewall forbids: the next one may be well."""


class Acceptor:
    """Accepts on one socket.

    Args:
        dispatcher: the worker's.
        sock: bound, and not blocking.
        new_protocol: makes the protocol of an accepted connection.
        limit: connections accepted in one turn at most.
        on_turn: hears after each turn how many were accepted.
        shortage: hears of failures.
    """

    __slots__ = (
        "_closed",
        "_dispatcher",
        "_ending",
        "_limit",
        "_new_protocol",
        "_on_turn",
        "_opening",
        "_shortage",
        "_sock",
        "_timer",
        "_watching",
    )

    def __init__(
        self,
        dispatcher: LoopDispatcher,
        sock: socket.socket,
        new_protocol: Callable[[], asyncio.Protocol],
        limit: int,
        on_turn: Callable[[int], None],
        shortage: Shortage,
    ) -> None:
        self._dispatcher = dispatcher
        self._sock = sock
        self._new_protocol = new_protocol
        self._on_turn = on_turn
        self._shortage = shortage
        self._limit = limit
        self._opening = 0
        self._watching = False
        self._ending = False
        self._closed = False
        self._timer = dispatcher.create_timer(self._watch)

    def listen(self, backlog: int) -> None:
        """Begin, with a queue as long as `backlog` (or shorter, see listen(2)).

        Raises:
            OSError: the system refuses.
        """
        self._sock.listen(backlog)
        self._watch()

    @property
    def idle(self) -> bool:
        """Whether it is closed, and each connection that it has accepted has its protocol."""
        return self._closed and not self._opening

    def end(self) -> None:
        """Let no one in any more, accept what waits, then close: at once, or within the next turns of the loop."""
        if self._ending or self._closed:
            return
        self._ending = True
        let_no_one_in(self._sock)
        self._timer.disable()
        self._watch()
        self._take_turn()

    def close(self) -> None:
        """Close at once: connections that wait in the queue are reset."""
        if self._closed:
            return
        self._closed = True
        self._timer.disable()
        self._unwatch()
        self._sock.close()

    def _watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._dispatcher.loop.add_reader(self._sock.fileno(), self._take_turn)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self._dispatcher.loop.remove_reader(self._sock.fileno())

    def _take_turn(self) -> None:
        accepted = 0
        try:
            for _ in range(self._limit):
                sock = self._accept()
                if sock is not None:
                    accepted += 1
                    self._open(sock)
        except BlockingIOError:
            if self._ending:
                self.close()
        except OSError as error:
            self._unwatch()
            self._timer.enable(RETRY)
            self._shortage.note(f"cannot accept connections on {self!r}", error)
        # The last look at an empty queue before the close does not count as a turn.
        if accepted or not self._ending:
            self._on_turn(accepted)

    def _accept(self) -> socket.socket | None:
        """One connection; None if its client has gone. Errors: BlockingIOError (nobody waits), OSError (a shortage)."""
        try:
            return self._sock.accept()[0]
        except OSError as error:
            if error.errno in _THEIRS:
                return None
            raise

    # A connection between the system's accept and its protocol's connection_made.

    def _open(self, sock: socket.socket) -> None:
        """Make a transport of an accepted socket.

        The loop's function for that is a coroutine, which is run here step by step: it waits only once, for
        connection_made, and a task for it makes accepting 10% slower.
        """
        opening = self._dispatcher.loop.connect_accepted_socket(self._new_protocol, sock)
        self._opening += 1
        try:
            made = opening.send(None)
        except Exception as error:  # noqa: BLE001 one connection's failure is not the others'
            self._opened()
            sock.close()
            self._dispatcher.report(f"accepting on {self!r}", error)
            return
        made.add_done_callback(lambda _: self._finish(opening))

    def _finish(self, opening: Coroutine[Any, Any, Any]) -> None:
        self._opened()
        # An error was told to the transport's protocol, and reported by the loop, already.
        with suppress(StopIteration, Exception):
            opening.send(None)

    def _opened(self) -> None:
        self._opening -= 1

    def __repr__(self) -> str:
        try:
            name = self._sock.getsockname()
        except OSError:
            return "Acceptor(closed)"
        if not isinstance(name, tuple):
            return str(address_of(name))
        return f"{name[0]}:{name[1]}" if ":" not in name[0] else f"[{name[0]}]:{name[1]}"
