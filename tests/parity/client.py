"""A client of a case: it takes the steps, reads all the while, and says how its connections were at the end.

It must not decide when a case is over: the pair does, by comparing two of these.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.harness import Address, ShutdownWrite, Until, Wait
from tests.parity.case import Case
from tests.parity.steps import CaseStep, Do, until

if TYPE_CHECKING:
    from tests.parity.side import Side

TICK = 0.02
LIMIT = 8.0


class Connection:
    """One connection of a client. `received` and `end` (open, FIN, RST, or a TLS failure) grow while it is read."""

    def __init__(self, socket_: socket.socket) -> None:
        self.socket = socket_
        self.received = bytearray()
        self.end = "open"
        self.handshake = ""

    def read(self, seconds: float) -> bool:
        """Read for a moment; whether anything came, the end too."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(262144)
        except TimeoutError:
            return False
        except ssl.SSLError as error:
            self.end = f"TLS {error.reason}"
            return True
        except (ConnectionError, BrokenPipeError):
            self.end = "RST"
            return True
        if not data:
            self.end = "FIN"
        self.received += data
        return True

    def send(self, data: bytes) -> None:
        if self.end != "open":
            return
        self.socket.settimeout(LIMIT)
        try:
            self.socket.sendall(data)
        except ssl.SSLError as error:
            self.end = f"TLS {error.reason}"
        except (ConnectionError, BrokenPipeError):
            pass  # the proxy answered before it had read all: what it said can still be read

    def shake_hands(self, case: Case, certificates: Path) -> None:
        assert case.tls is not None
        try:
            wrapped = case.tls.context(str(certificates)).wrap_socket(self.socket, server_hostname=case.tls.server_name)
        except ssl.SSLError as error:
            self.end = f"TLS {error.reason}"
            return
        except (ConnectionError, BrokenPipeError):
            self.end = "RST"
            return
        self.socket = wrapped
        certificate = wrapped.getpeercert(binary_form=True) or b""
        cipher = wrapped.cipher()
        self.handshake = (
            f"{wrapped.version()} {cipher[0] if cipher else None} alpn {wrapped.selected_alpn_protocol()}"
            f" certificate of {len(certificate)} bytes\n"
        )


class Client:
    """A case's client, for one half of a pair. What it got grows while it runs."""

    def __init__(self, case: Case, side: Side, certificates: Path) -> None:
        self.case = case
        self.side = side
        self.stepped = False
        self.failure: BaseException | None = None
        self.last = time.monotonic()
        self.connections: list[Connection] = []
        self._certificates = certificates
        self._notes: list[str] = []
        self._closing = False
        self._open(case.listener)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """Close the connections, whatever they do."""
        self._closing = True
        self._thread.join()
        for each in self.connections:
            each.socket.close()
        if self.failure is not None:
            raise self.failure

    @property
    def text(self) -> str:
        """What came, as the case shows it: of each connection, where there are several."""
        shown = [each.handshake + self.case.show(bytes(each.received)) for each in self.connections]
        if len(shown) > 1:
            shown = [f"connection {at}:\n{each}\n" for at, each in enumerate(shown)]
        return "".join([*shown, *self._notes])

    @property
    def received(self) -> bytes:
        """All that came, of all connections."""
        return b"".join(each.received for each in self.connections)

    @property
    def end(self) -> str:
        """How each connection was at the end."""
        return ", ".join(each.end for each in self.connections)

    @property
    def over(self) -> bool:
        """Whether all connections have ended."""
        return all(each.end != "open" for each in self.connections)

    # What steps do

    def connect(self, listener: str) -> None:
        """Open another connection. Where none is taken it counts as one that was refused."""
        try:
            self._open(listener or self.case.listener)
        except ConnectionRefusedError:
            self.connections.append(Connection(socket.socket()))
            self.current = self.connections[-1]
            self.current.end = "refused"
            return
        if self.case.tls is not None:
            self.current.shake_hands(self.case, self._certificates)

    def use(self, number: int) -> None:
        """Go back to a connection."""
        self.current = self.connections[number]

    def note(self, text: str) -> None:
        """Show one more line."""
        self._notes.append(text.rstrip("\n") + "\n")
        self.last = time.monotonic()

    def read_until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Read until the condition holds; False when it does not within the time."""
        return until(condition, self._read, seconds)

    def _open(self, listener: str) -> None:
        self.current = Connection(_connected(self.side.address(listener)))
        self.connections.append(self.current)

    def _run(self) -> None:
        try:
            if self.case.tls is not None:
                self.current.shake_hands(self.case, self._certificates)
            for step in self.case.steps:
                self._take(step)
            self.stepped = True
            self.last = time.monotonic()
            while self._read():
                pass
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the case's, when the pair closes it
            self.failure = error
        self.stepped = True

    def _take(self, step: CaseStep) -> None:
        if isinstance(step, Do):
            step.take(self)
        elif isinstance(step, bytes):
            self.current.send(step)
        elif isinstance(step, Wait):
            self.read_until(lambda: False, step.seconds)
        elif isinstance(step, Until):
            connection = self.current
            self.read_until(lambda: step.data in connection.received or connection.end != "open", 2.0)
        elif isinstance(step, ShutdownWrite):
            try:
                self.current.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the proxy has closed already, which is what the case looks at

    def _read(self) -> bool:
        """Read from all connections for a moment; False when all are over, or the pair is done with them."""
        still = [each for each in self.connections if each.end == "open"]
        for each in still:
            if each.read(TICK / len(still)):
                self.last = time.monotonic()
        return not self.over and not self._closing


def _connected(address: Address | Path) -> socket.socket:
    if not isinstance(address, Path):
        return socket.create_connection(address, timeout=LIMIT)
    pipe = socket.socket(socket.AF_UNIX)
    pipe.settimeout(LIMIT)
    pipe.connect(str(address))
    return pipe
