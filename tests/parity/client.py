"""A client of a case: it takes the steps, reads all the while, and says how the connection was at the end.

It must not decide when a case is over: the pair does, by comparing two of these.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from pathlib import Path

from tests.integration.harness import Address, ShutdownWrite, Step, Until, Wait
from tests.parity.case import Case

TICK = 0.02
LIMIT = 8.0


class Client:
    """One connection. `received` and `end` (open, FIN, RST, or a TLS failure) grow while it runs."""

    def __init__(self, case: Case, address: Address | Path, certificates: Path) -> None:
        self.case = case
        self.received = bytearray()
        self.end = "open"
        self.handshake = ""
        self.stepped = False
        self.last = time.monotonic()
        self._address = address
        self._certificates = certificates
        self._socket: socket.socket = _connected(address)
        self._closing = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Close the connection, whatever it does."""
        self._closing = True
        self._thread.join()
        self._socket.close()

    @property
    def text(self) -> str:
        """What came, as the case shows it."""
        return self.handshake + self.case.show(bytes(self.received))

    def _run(self) -> None:
        try:
            if self.case.tls is not None:
                self._shake_hands()
            for step in self.case.steps:
                self._take(step)
            self._step_over()
            while self._read():
                pass
        except ssl.SSLError as error:
            self._finish(f"TLS {error.reason}")
        except (ConnectionError, BrokenPipeError):
            self._finish("RST")
        self.stepped = True

    def _step_over(self) -> None:
        self.stepped = True
        self.last = time.monotonic()

    def _finish(self, end: str) -> None:
        self.end = end
        self.last = time.monotonic()

    def _shake_hands(self) -> None:
        assert self.case.tls is not None
        context = self.case.tls.context(str(self._certificates))
        wrapped = context.wrap_socket(self._socket, server_hostname=self.case.tls.server_name)
        self._socket = wrapped
        certificate = wrapped.getpeercert(binary_form=True) or b""
        cipher = wrapped.cipher()
        self.handshake = (
            f"{wrapped.version()} {cipher[0] if cipher else None} alpn {wrapped.selected_alpn_protocol()}"
            f" certificate of {len(certificate)} bytes\n"
        )

    def _take(self, step: Step) -> None:
        if isinstance(step, bytes):
            self._send(step)
        elif isinstance(step, Wait):
            until = time.monotonic() + step.seconds
            while time.monotonic() < until and self._read():
                pass
            time.sleep(max(0.0, until - time.monotonic()))
        elif isinstance(step, Until):
            until = time.monotonic() + 2.0
            while step.data not in self.received and time.monotonic() < until and self._read():
                pass
        elif isinstance(step, ShutdownWrite):
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the proxy has closed already, which is what the case looks at

    def _send(self, data: bytes) -> None:
        self._socket.settimeout(LIMIT)
        try:
            self._socket.sendall(data)
        except (ConnectionError, BrokenPipeError):
            pass  # the proxy answered before it had read all: what it said can still be read

    def _read(self) -> bool:
        """Read for a moment; False when the connection is over."""
        self._socket.settimeout(TICK)
        try:
            data = self._socket.recv(262144)
        except TimeoutError:
            return not self._closing
        if not data:
            self._finish("FIN")
            return False
        self.received += data
        self.last = time.monotonic()
        return True


def _connected(address: Address | Path) -> socket.socket:
    if not isinstance(address, Path):
        return socket.create_connection(address, timeout=LIMIT)
    pipe = socket.socket(socket.AF_UNIX)
    pipe.settimeout(LIMIT)
    pipe.connect(str(address))
    return pipe
