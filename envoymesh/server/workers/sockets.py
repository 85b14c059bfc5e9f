"""The listening sockets of all workers, bound by the parent before any of them starts.

With SO_REUSEPORT each worker has its own socket on the same port, and the kernel spreads connections over them; else
(`enable_reuse_port: false`, a Unix domain socket, or a system that does not spread) all accept from one. The parent
keeps every socket open, so that a worker that dies leaves its queue to the others; what is closed must therefore be
closed here as well.
"""

from __future__ import annotations

import socket
import sys

from envoymesh.errors import BindError
from envoymesh.network.api import PipeAddress
from envoymesh.network.connection.sockets import listening_socket
from envoymesh.network.listener.tcp_listener import TcpListener

SPREADS = sys.platform == "linux"
"""Whether SO_REUSEPORT spreads connections; elsewhere the last socket that was bound gets them all."""


class WorkerSockets:
    """Sockets of one bound listener: `of(index)` are a worker's, one for each address.

    Errors: BindError, and nothing is left open.
    """

    def __init__(self, listener: TcpListener, workers: int, *, spreads: bool = SPREADS) -> None:
        self._listener = listener
        self._more: list[list[socket.socket]] = []
        pipes = any(isinstance(address, PipeAddress) for address in listener.addresses)
        self._shared = pipes or not (listener.settings.reuse_port and spreads)
        if self._shared:
            return
        try:
            for _ in range(1, workers):
                self._more.append([])
                self._bind_again(self._more[-1])
        except BindError:
            self.close()
            raise

    def _bind_again(self, sockets: list[socket.socket]) -> None:
        settings = self._listener.settings
        compatible = [settings.ipv4_compat, *(compat for _, compat in settings.additional_addresses)]
        # bound_sockets is empty without bind_to_port, and so are the copies.
        for address, compat, _ in zip(self._listener.addresses, compatible, self._listener.bound_sockets, strict=False):
            sockets.append(listening_socket(address, ipv4_compat=compat, reuse_port=True, freebind=settings.freebind))

    def of(self, index: int) -> tuple[int, ...]:
        """The descriptors for one worker; none once the listener has stopped."""
        own = self._listener.bound_sockets if self._shared or not index else self._more[index - 1]
        return tuple(sock.fileno() for sock in own)

    def own(self, index: int) -> tuple[int, ...]:
        """The descriptors that nobody else accepts from; none where all share theirs."""
        return () if self._shared else self.of(index)

    def close(self) -> None:
        """Close the parent's copies; the first worker's are the listener's own, which closes them itself."""
        for sockets in self._more:
            for sock in sockets:
                sock.close()
            sockets.clear()
