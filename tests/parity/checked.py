"""Hosts that are checked, and steps about them: what a check sent, what became of the host, what the event log says.

How often a host has been checked by some moment is chance, so an upstream's `seen` has what clients sent alone; checks
are kept from the start, and a case shows the first of them. This file must not know cases.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trustme

from tests.integration.harness import Peer, Request, read_request
from tests.parity import frames
from tests.parity.setup import says
from tests.parity.steps import LIMIT, Do
from tests.parity.upstreams import Http2Peer, Recorder, TracingPeer, show_request, text

if TYPE_CHECKING:
    from tests.parity.client import Client

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHECK = b"user-agent: Envoy/HC"


def answer(status: int = 200, body: bytes = b"ok", *headers: bytes, version: bytes = b"1.1") -> bytes:
    """An HTTP/1 answer to a check."""
    lines = [b"HTTP/%s %d X" % (version, status), b"content-length: %d" % len(body), *headers]
    return b"\r\n".join([*lines, b"", body])


class Checked(Recorder):
    """An HTTP/1 host. `checks` has each check with the number of its connection.

    Args:
        reply: what a check is answered with; empty is no answer at all.
        delay: seconds before the answer.
        close: whether the connection is closed after it.
        context: for TLS.
    """

    def __init__(
        self, reply: bytes = OK, *, delay: float = 0.0, close: bool = False, context: ssl.SSLContext | None = None
    ) -> None:
        super().__init__({"/": says("host")})
        self.reply = reply
        self.delay = delay
        self.close = close
        self.checks: list[str] = []
        self.connections = 0
        self._context = context
        self._used: set[socket.socket] = set()

    def _serve(self, peer: Peer) -> None:
        self.connections += 1
        number = self.connections
        try:
            tracing = TracingPeer(self._secured(peer.socket))
            while (got := self._read(tracing)) is not None:
                if CHECK in got.head or b"x-check" in got.head:
                    self.checks.append(f"connection {number}\n{self._shown(got, tracing)}")
                    if not self._reply(tracing):
                        return
                else:
                    self._used.add(tracing.socket)
                    self.seen.append(show_request(got))
                    self._answer_for(got.path)(tracing, got)
        except OSError:
            pass  # the proxy went away, or the answer closed the connection: both are what tests look at
        finally:
            self._sockets.discard(peer.socket)
            self._used.discard(peer.socket)
            peer.socket.close()

    def _read(self, peer: TracingPeer) -> Request | None:
        # Of what is no request nothing is kept: it may be a check's.
        return read_request(peer)

    def _secured(self, plain: socket.socket) -> socket.socket:
        if self._context is None:
            return plain
        secured = self._context.wrap_socket(plain, server_side=True)
        self._sockets.discard(plain)
        self._sockets.add(secured)
        return secured

    def _shown(self, got: Request, peer: Peer) -> str:
        alpn = f"alpn {peer.socket.selected_alpn_protocol()}\n" if isinstance(peer.socket, ssl.SSLSocket) else ""
        return alpn + show_request(got)

    def _reply(self, peer: Peer) -> bool:
        """Answer a check; False where the connection is to end."""
        time.sleep(self.delay)
        peer.send(self.reply)
        return not self.close

    def drop(self) -> None:
        """Let go of the connections that clients' requests came over."""
        for each in list(self._used):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already


def secured(*alpn: str, reply: bytes = OK) -> Checked:
    """A host that speaks TLS, and may choose a protocol."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("up.example.com").configure_cert(context)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return Checked(reply, context=context)


Http2Reply = Callable[[Http2Peer, int], None]


class Http2Checked(Recorder):
    """An HTTP/2 host; `checks` has each check's stream, as text.

    Args:
        reply: answers a stream of a peer.
    """

    def __init__(self, reply: Http2Reply) -> None:
        super().__init__({})
        self.reply = reply
        self.checks: list[str] = []
        self.connections = 0

    def _serve(self, peer: Peer) -> None:
        self.connections += 1
        connection = Http2Peer(peer.socket)
        try:
            self._frames(connection, peer, self.connections)
        except OSError:
            pass  # as above
        finally:
            self._sockets.discard(peer.socket)
            peer.socket.close()

    def _frames(self, connection: Http2Peer, peer: Peer, number: int) -> None:
        while len(peer.buffer) < len(frames.PREFACE):
            if not peer.more():
                return
        del peer.buffer[: len(frames.PREFACE)]
        connection.send(frames.settings() + frames.frame(frames.SETTINGS, frames.ACK))
        while True:
            found, used = frames.split(peer.buffer)
            del peer.buffer[:used]
            for each in found:
                connection.transcript.add(each)
                if "END_STREAM" in each.flags:
                    shown = _pseudo_headers_in_order(connection.transcript.text())
                    stream = shown.partition(f"stream {each.stream_id}\n")[2]
                    self.checks.append(f"connection {number} stream {each.stream_id}\n{stream}")
                    self.reply(connection, each.stream_id)
            if not peer.more():
                return

    def drop(self) -> None:
        """Checks keep their connections."""


def _pseudo_headers_in_order(shown: str) -> str:
    """Their order means nothing (RFC 9113 section 8.3), and is the codec's."""
    return re.sub(r"(?m)(?:^:[^\n]*\n)+", lambda found: "\n".join(sorted(found[0].splitlines())) + "\n", shown)


class Listens(Recorder):
    """A host of bytes; `checks` has what came over each connection by the time it was answered.

    Args:
        wait: bytes to wait for before the answer.
        pieces: the answer, sent one after the other.
        close: whether the connection is closed after it.
    """

    def __init__(self, *pieces: bytes, wait: bytes = b"", close: bool = False) -> None:
        super().__init__({})
        self.wait = wait
        self.pieces = pieces
        self.close = close
        self.checks: list[str] = []
        self.connections = 0

    def _serve(self, peer: Peer) -> None:
        self.connections += 1
        number = self.connections
        try:
            while True:
                while self.wait not in peer.buffer:
                    if not peer.more():
                        return
                self.checks.append(f"connection {number}\n{text(bytes(peer.buffer))}")
                peer.buffer.clear()
                for piece in self.pieces:
                    peer.send(piece)
                    time.sleep(0.03)
                if self.close:
                    return
                if not self.wait and not peer.more():
                    return
        except OSError:
            pass  # as above
        finally:
            self._sockets.discard(peer.socket)
            peer.socket.close()

    def drop(self) -> None:
        """Checks keep their connections."""


# Steps


def _until(client: Client, condition: Callable[[], object]) -> None:
    client.read_until(condition, LIMIT)


@dataclass(frozen=True)
class ShowChecks(Do):
    """Wait for so many checks of a host, and show the first of them."""

    upstream: str
    count: int = 1

    def take(self, client: Client) -> None:
        host: Any = client.side.upstreams[self.upstream]
        _until(client, lambda: len(host.checks) >= self.count)
        client.note("\n".join(host.checks[: self.count]))


@dataclass(frozen=True)
class UntilFlags(Do):
    """Wait until a cluster's hosts have these flags, sorted, and show those that they have, and who is healthy."""

    cluster: str
    flags: tuple[str, ...]

    def take(self, client: Client) -> None:
        _until(client, lambda: self._flags(client) == sorted(self.flags))
        client.note(f"flags: {self._flags(client)}")
        shown = ("membership_total", "membership_healthy", "membership_degraded", "membership_excluded")
        checks = ("health_check.healthy", "health_check.degraded")
        for name in (*shown, *checks):
            client.note(f"{name}: {client.side.stat(f'cluster.{self.cluster}.{name}')}")

    def _flags(self, client: Client) -> list[str]:
        found = client.side.admin_get(f"/clusters?filter=^{self.cluster}$")
        return sorted(re.findall(r"::health_flags::(\S+)", found))


def until_flags(cluster: str, *flags: str) -> UntilFlags:
    """As above, for one host or several; none is a healthy one."""
    return UntilFlags(cluster, flags or ("healthy",))


@dataclass(frozen=True)
class ShowEvents(Do):
    """Wait for so many lines of a cluster's event log, and show the first of them."""

    cluster: str
    count: int
    suffix: str = "events"

    def take(self, client: Client) -> None:
        path = client.side.folder / f"{self.cluster}.{self.suffix}"

        def lines() -> list[str]:
            return path.read_text().splitlines() if path.exists() else []

        _until(client, lambda: len(lines()) >= self.count)
        for line in lines()[: self.count]:
            shown = re.sub(r'"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"', '"timestamp":"TIME"', line)
            client.note(re.sub(r'"port_value":\d+', '"port_value":PORT', shown))
            json.loads(line)


@dataclass(frozen=True)
class Pace(Do):
    """Count a host's checks for some seconds, and show about how many came: in steps of a factor of three."""

    upstream: str
    seconds: float

    def take(self, client: Client) -> None:
        host: Any = client.side.upstreams[self.upstream]
        before = len(host.checks)
        client.read_until(lambda: False, self.seconds)
        came = len(host.checks) - before
        step = next(word for limit, word in ((1, "none"), (4, "few"), (100, "many")) if came < limit)
        client.note(f"checks in {self.seconds} s: {step}")


def plain(reply: bytes = OK, **more: Any) -> Callable[[], Checked]:
    """Makes a `Checked`."""
    return lambda: Checked(reply, **more)
