"""The recording upstreams of a pair: HTTP/1 of the integration harness, HTTP/2 on raw frames, bytes by a script.

All record what reached them in order, an unfinished request too, and let go of all connections between cases.
They must not know what tests expect.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from hyperframe.frame import Frame

from tests.integration.harness import Address, Answer, Peer, Request, Step, Until, Upstream, Wait, read_request
from tests.integration.outcomes import mask
from tests.parity import frames
from tests.parity.frames import Transcript


@dataclass
class TracingPeer(Peer):
    """A peer that keeps what came for the request that is being read."""

    since: bytearray = field(default_factory=bytearray)

    def more(self) -> bool:
        before = len(self.buffer)
        came = super().more()
        self.since += self.buffer[before:]
        return came


class Recorder(Upstream):
    """An HTTP/1 upstream; `seen` has each request as text."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        super().__init__(answers)
        self.seen: list[str] = []

    def _serve(self, peer: Peer) -> None:
        tracing = TracingPeer(peer.socket)
        try:
            while (got := self._read(tracing)) is not None:
                self.seen.append(show_request(got))
                self._answer_for(got.path)(tracing, got)
        except OSError:
            pass  # the proxy went away, or the answer closed the connection: both are what tests look at
        finally:
            self._sockets.discard(peer.socket)
            peer.socket.close()

    def _read(self, peer: TracingPeer) -> Request | None:
        peer.since.clear()
        got = None
        try:
            got = read_request(peer)
        finally:
            if got is None and peer.since:
                self.seen.append("unfinished\n" + text(bytes(peer.since)))
        return got

    def drop(self) -> None:
        """Let go of every connection."""
        for each in list(self._sockets):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already


def text(data: bytes) -> str:
    """Bytes for people, masked."""
    return mask(data).decode("latin-1").replace("\r\n", "\n")


def _tail(trailers: bytes) -> bytes:
    return b"\r\n[trailers] " + trailers if trailers else b""


def show_request(got: Request) -> str:
    """A request as the upstream got it."""
    return text(got.head + b"\r\n\r\n" + (b"[chunked] " if got.chunked else b"") + got.body + _tail(got.trailers))


@dataclass
class Http2Peer:
    """One HTTP/2 connection to the upstream."""

    socket: socket.socket
    transcript: Transcript = field(default_factory=Transcript)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)


Http2Answer = Callable[[Http2Peer, int], None]
"""Answers a stream of a peer."""


class Http2Recorder(Recorder):
    """An HTTP/2 upstream; `seen` has each connection's frames as text. Answers by path prefix."""

    def __init__(self, answers: Mapping[str, Http2Answer]) -> None:
        super().__init__({})
        self._by_prefix = sorted(answers.items(), key=lambda item: -len(item[0]))

    def _serve(self, peer: Peer) -> None:
        connection = Http2Peer(peer.socket)
        try:
            self._frames(connection, peer)
        except OSError:
            pass  # the proxy went away, or the answer closed the connection: both are what tests look at
        finally:
            self.seen.append(connection.transcript.text())
            self._sockets.discard(peer.socket)
            peer.socket.close()

    def _frames(self, connection: Http2Peer, peer: Peer) -> None:
        while len(peer.buffer) < len(frames.PREFACE):
            if not peer.more():
                return
        del peer.buffer[: len(frames.PREFACE)]
        connection.send(frames.settings() + frames.frame(frames.SETTINGS, frames.ACK))
        while True:
            found, used = frames.split(peer.buffer)
            del peer.buffer[:used]
            for each in found:
                if self.handles(connection, each):
                    continue
                connection.transcript.add(each)
                if "END_STREAM" in each.flags:
                    self._answer_stream(connection, each.stream_id)
            if not peer.more():
                return

    def handles(self, connection: Http2Peer, each: Frame) -> bool:
        """Whether a subclass has dealt with a frame, which then is not shown."""
        return False

    def _answer_stream(self, connection: Http2Peer, stream: int) -> None:
        path = connection.transcript.value(stream, b":path").decode("latin-1")
        next(answer for prefix, answer in self._by_prefix if path.startswith(prefix))(connection, stream)


class Refusing:
    """An upstream that refuses connections: a port bound and not listened at, so that nobody else gets it meanwhile."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._bound = socket.socket()
        self._bound.bind(("127.0.0.1", 0))
        self.address: Address = self._bound.getsockname()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bound.close()

    def drop(self) -> None:
        """There is nothing to let go of."""


class TcpRecorder(Recorder):
    """An upstream of bytes: each connection takes the steps of the script; `seen` has what came over each, and its end.

    Steps are the client's: bytes to send, `Until`, `Wait`, `ShutdownWrite`. After the last it reads until the other
    side is done, and closes.
    """

    def __init__(self, *script: Step) -> None:
        super().__init__({})
        self._script = script

    def _serve(self, peer: Peer) -> None:
        end = "FIN"
        try:
            for step in self._script:
                self._take(step, peer)
            while peer.more():
                pass
        except OSError:
            end = "RST"
        finally:
            self.seen.append(text(bytes(peer.buffer)) + f"\n{end}")
            self._sockets.discard(peer.socket)
            peer.socket.close()

    def _take(self, step: Step, peer: Peer) -> None:
        if isinstance(step, bytes):
            peer.send(step)
        elif isinstance(step, Until):
            while step.data not in peer.buffer and peer.more():
                pass
        elif isinstance(step, Wait):
            time.sleep(step.seconds)
        else:
            peer.socket.shutdown(socket.SHUT_WR)
