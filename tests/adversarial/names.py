"""A name server whose one answer a test changes: the addresses of replicas. It must not know what they are."""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType
from typing import Self

from tests.integration.harness import Address

_A, _RESPONSE = 1, 0x8180


class Names:
    """Answers every question for an IPv4 address with the same addresses, and others with none.

    Attributes:
        address: where it listens.
        hosts: what it answers, now.
    """

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address: Address = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            asked, sender = self._socket.recvfrom(2048)
            if not asked:
                return
            self._socket.sendto(self._answer(asked), sender)

    def _answer(self, asked: bytes) -> bytes:
        """RFC 1035 section 4.1; the question comes first after the header of twelve bytes."""
        end = asked.index(b"\0", 12) + 5
        (kind,) = struct.unpack_from(">H", asked, end - 4)
        hosts = self.hosts if kind == _A else []
        records = b"".join(struct.pack(">HHHIH4s", 0xC00C, _A, 1, 0, 4, socket.inet_aton(host)) for host in hosts)
        return asked[:2] + struct.pack(">HHHHH", _RESPONSE, 1, len(hosts), 0, 0) + asked[12:end] + records
