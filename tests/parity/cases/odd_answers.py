"""Answers of upstreams that are no model: lines without CR, answers before the request's end."""

from __future__ import annotations

import signal
import threading
import time
from functools import partial

from tests.integration.exchanges import get, message
from tests.integration.harness import (
    Answer,
    Peer,
    Request,
    Until,
    Wait,
    catch_all,
    http_listener,
    static_cluster,
    to_cluster,
)
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of
from tests.parity.steps import CaseStep, Change, Signal, UntilSeen
from tests.parity.upstreams import Recorder, text

AREA = "odd answers"


def sends(*pieces: bytes, end: bool = False) -> Answer:
    """These bytes, piece by piece."""

    def answer(peer: Peer, request: Request) -> None:
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(0.05)
            peer.send(piece)
        if end:
            peer.close()

    return answer


ANSWERS: dict[str, Answer] = {
    "/lf": sends(b"HTTP/1.1 200 OK\nx-a: b\ncontent-length: 3\n\nabc"),
    "/mixed": sends(b"HTTP/1.1 200 OK\r\nx-a: b\ncontent-length: 3\r\n\nabc"),
    "/crlf-end": sends(b"HTTP/1.1 200 OK\nx-a: b\ncontent-length: 3\n\r\nabc"),
    "/crlf-start": sends(b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 3\n\nabc"),
    "/empty-line-in-body": sends(b"HTTP/1.1 200 OK\ncontent-length: 7\n\na\r\n\r\nbc"),
    "/pieces": sends(b"HTTP/1.1 200 OK\nx-a", b": b\ncontent-length: 3\n", b"\nabc"),
    "/cut-line": sends(b"HTTP/1.1 200 OK\r\nx-a: b\r", b"\ncontent-length: 3\n", b"\nabc"),
    "/interim": sends(b"HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"),
    "/chunked": sends(b"HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n3\r\nabc\r\n0\r\n\r\n"),
    "/chunk-lines": sends(b"HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n3\nabc\n0\n\n"),
    "/chunk-size": sends(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"),
    "/chunk-end": sends(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n"),
    "/last-chunk": sends(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\n"),
    "/last-chunk-lf": sends(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\n\n"),
    "/no-fields": sends(b"HTTP/1.1 204 No Content\n\n"),
    "/to-the-end": sends(b"HTTP/1.1 200 OK\n\nabc", end=True),
    "/continued": sends(b"HTTP/1.1 200 OK\nx-a: b\n c\ncontent-length: 0\n\n"),
    "/bare-cr": sends(b"HTTP/1.1 200 OK\nx-a: b\rx-c: d\ncontent-length: 0\n\n"),
    "/two": sends(b"HTTP/1.1 200 OK\ncontent-length: 1\n\naHTTP/1.1 200 OK\ncontent-length: 1\n\nb"),
}


class Refuser(Recorder):
    """Reads a request's head, answers when it is told to, and closes without reading on: what is left unread makes a
    reset of the close."""

    def __init__(self, answer: bytes, at_once: bool = False) -> None:
        super().__init__({})
        self._answer = answer
        self._at_once = at_once
        self._told = threading.Semaphore(0)

    def answer(self) -> None:
        """Answer now, and close."""
        self._told.release()
        time.sleep(0.2)

    def _serve(self, peer: Peer) -> None:
        while b"\r\n\r\n" not in peer.buffer and peer.more():
            pass
        if peer.buffer:
            self.seen.append(text(bytes(peer.buffer).partition(b"\r\n\r\n")[0]))
            if self._at_once or self._told.acquire(timeout=5):
                peer.send(self._answer)
                time.sleep(0.1 if self._at_once else 0)
        self._sockets.discard(peer.socket)
        peer.socket.close()


TOO_LARGE = b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 4\r\n\r\nlong"
ENDLESS = b"HTTP/1.1 413 Payload Too Large\r\n\r\nlong"
METHODS = (
    "ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE M-SEARCH NOTIFY OPTIONS "
    "PATCH POST PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK "
    "UNSUBSCRIBE QUERY PRI DESCRIBE ANNOUNCE SETUP PLAY RECORD get FOO"
)


def _configuration(places: Places) -> Json:
    names = ("odd", "refuses", "refuses-at-once", "refuses-endlessly")
    listeners = [http_listener(name, catch_all(to_cluster(name))) for name in names]
    return bootstrap_of(listeners, [static_cluster(name, places[name]) for name in names])


SETUP = Setup(
    "odd-answers",
    _configuration,
    {
        "odd": partial(Recorder, {"/": sends(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), **ANSWERS}),
        "refuses": partial(Refuser, TOO_LARGE),
        "refuses-at-once": partial(Refuser, TOO_LARGE, at_once=True),
        "refuses-endlessly": partial(Refuser, ENDLESS),
    },
)


def case(name: str, *steps: CaseStep, on: str = "odd") -> Case:
    return Case(AREA, name, steps, on, setup=SETUP)


def _refused(name: str, on: str, *body: CaseStep) -> Case:
    """The answer and the upstream's end arrive while the proxy stands still, behind another piece of the body."""
    begins = message("POST /", "content-length: 300000", body=b"a" * 10)
    stands = (Signal(signal.SIGSTOP), *body, Wait(0.1), Change(on, Refuser.answer), Signal(signal.SIGCONT))
    return case(name, begins, UntilSeen(on), Wait(0.1), *stands, on=on)


CASES = [
    *[case(path[1:], get(path)) for path in ANSWERS],
    case("query with a type", message("QUERY /method", "content-type: a/b", "content-length: 3", body=b"abc")),
    case("query without a body", message("QUERY /method", "content-type: a/b")),
    *[case(f"method {method}", message(f"{method} /method")) for method in METHODS.split()],
    case(
        "refused before the body comes",
        message("POST /", "content-length: 300000", body=b"a" * 10),
        Until(b"long"),
        b"a" * 1000,
        on="refuses-at-once",
    ),
    _refused("refused while the body comes", "refuses", b"a" * 1000),
    _refused("refused while the body comes, until the end", "refuses-endlessly", b"a" * 1000),
]
