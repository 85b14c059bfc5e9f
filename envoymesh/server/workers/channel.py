"""One end of the socket pair between parent and worker, on an event loop. It must not know what messages mean.

It reads and writes the socket itself: messages may carry descriptors (SCM_RIGHTS), which asyncio's transports do not.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from envoymesh.server.workers.protocol import FrameReader, Lend, Message, encode

_AT_ONCE = 65536
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Channel:
    """Sends and receives messages; to be made inside the running loop.

    Args:
        sock: one end of a socket pair, which it takes over.
        on_message: gets each message.
        on_lost: called once, when the other process has ended or has closed its end.
    """

    def __init__(self, sock: socket.socket, on_message: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        sock.setblocking(False)
        self._sock: socket.socket | None = sock
        self._on_message = on_message
        self._on_lost = on_lost
        self._reader = FrameReader()
        self._descriptors: list[int] = []
        self._waiting: deque[tuple[memoryview, int | None]] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    def send(self, message: Message) -> None:
        """Send; to nobody once the other end is gone. The descriptor of a `Lend` may be closed after this call."""
        if self._sock is None:
            return
        descriptor = os.dup(message.descriptor) if isinstance(message, Lend) else None
        self._waiting.append((memoryview(encode(message)), descriptor))
        if len(self._waiting) == 1:
            self._write()

    def _write(self) -> None:
        while self._waiting and self._sock is not None:
            data, descriptor = self._waiting[0]
            try:
                if descriptor is None:
                    sent = self._sock.send(data)
                else:
                    sent = socket.send_fds(self._sock, [data], [descriptor])
                    os.close(descriptor)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._write)
                return
            except OSError:
                # A message is lost, so the channel cannot be used any more: end it, unless reading does so first.
                self._loop.call_soon(self._end)
                return
            if sent < len(data):
                self._waiting[0] = (data[sent:], None)
            else:
                self._waiting.popleft()
        if self._sock is not None:
            self._loop.remove_writer(self._sock)

    def _read(self) -> None:
        assert self._sock is not None
        try:
            data, descriptors, _, _ = socket.recv_fds(self._sock, _AT_ONCE, 16, _CLOEXEC)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._end()
            return
        self._descriptors += descriptors
        for message in self._reader.feed(data):
            # The system keeps a descriptor's place among the bytes: it has come with its message, or before it.
            whole = replace(message, descriptor=self._descriptors.pop(0)) if isinstance(message, Lend) else message
            self._on_message(whole)

    def _end(self) -> None:
        if self._sock is not None:
            self.close()
            self._on_lost()

    def close(self) -> None:
        """Close this end of the channel."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)
        sock.close()
        for descriptor in [*self._descriptors, *(each for _, each in self._waiting if each is not None)]:
            os.close(descriptor)
        self._descriptors.clear()
        self._waiting.clear()
