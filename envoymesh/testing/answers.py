"""What a fake upstream is asked, and what it answers: plain values. It must not send anything."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from envoymesh.testing.errors import TestingError

REFUSED_STREAM: Final = 7
"""HTTP/2 (RFC 9113, section 7): nothing has been done, the request may be sent again."""


@dataclass(frozen=True)
class Request:
    """A request as a fake got it, with its whole body.

    Args:
        path: the target, with its query.
        headers: in order, names in lower case; `header` gives one.
        host: which of the fake's hosts got it, from 0.
        protocol: ``HTTP/1.1`` or ``HTTP/2``.
    """

    method: str
    path: str
    authority: str
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    host: int = 0
    protocol: str = "HTTP/1.1"

    def header(self, name: str, default: str | None = None) -> str | None:
        """The first value of a header, by its name in any case."""
        return next((value for key, value in self.headers if key == name.lower()), default)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """A response.

    Args:
        delay: seconds before its head is sent.
        pieces: how many pieces the body is sent in.
        pause: seconds before each piece but the first: a slow body.
        cut: the connection (with HTTP/2 the stream) is reset when the first half of the body is out.
        trailers: sent after the body.
    """

    status: int = 200
    body: bytes | str = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    pieces: int = 1
    pause: float = 0.0
    cut: bool = False
    trailers: Mapping[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body

    def split(self) -> list[bytes]:
        """The body in its pieces; none is empty."""
        content = self.content
        size = max(1, -(-len(content) // max(1, self.pieces)))
        return [content[start : start + size] for start in range(0, len(content), size)]


@dataclass(frozen=True)
class Reset:
    """No response: the connection is reset, or with HTTP/2 the stream.

    Args:
        delay: seconds before.
        code: HTTP/2's error code; 7, REFUSED_STREAM, may be retried by ``refused-stream``.
    """

    delay: float = 0.0
    code: int = REFUSED_STREAM


class Refusal(Enum):
    """What a host does that is not there."""

    REFUSE = "refuse"


REFUSE: Final = Refusal.REFUSE
"""A host that refuses connections."""

Answer = Reply | Reset
Plain = Reply | Reset | int | str | bytes | Mapping[str, Any] | tuple[int, str | bytes]
"""What stands for an answer: a status, a body (200), what becomes JSON (200), or a status and a body."""
Handler = Callable[[Request], Plain | Awaitable[Plain]]
Behaviour = Plain | Handler | Refusal | list[Plain]


@dataclass(frozen=True)
class Hosts:
    """A cluster's hosts, each with a behaviour of its own."""

    behaviours: tuple[Behaviour, ...]


def hosts(*behaviours: Behaviour) -> Hosts:
    """A cluster of so many hosts: `hosts(REFUSE, 200)`. Errors: TestingError for none."""
    if not behaviours:
        raise TestingError("hosts() needs a behaviour for each host: hosts(200, 503)")
    return Hosts(behaviours)


def as_answer(value: Any) -> Answer:
    """What a value stands for. Errors: TestingError."""
    if isinstance(value, Reply | Reset):
        return value
    if isinstance(value, bool) or value is REFUSE:
        raise TestingError(
            f"{value!r} is no answer to a request"
            + (": a system refuses connections before there is one. Use hosts(REFUSE, ...)" if value is REFUSE else "")
        )
    if isinstance(value, int):
        return Reply(value)
    if isinstance(value, str | bytes):
        return Reply(body=value)
    if isinstance(value, Mapping):
        return Reply(body=json.dumps(value), headers={"content-type": "application/json"})
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], int):
        return Reply(value[0], value[1])
    raise TestingError(f"{value!r} is no answer: give a status, a body, a mapping, Reply(...) or Reset(...)")


class Script:
    """Answers in turn, whichever host is asked; the last one stays. Safe to use from several threads."""

    def __init__(self, answers: Sequence[Plain]) -> None:
        if not answers:
            raise TestingError("a list of answers needs at least one")
        self._answers = [as_answer(each) for each in answers]
        self._next = 0
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Answer:
        """The next answer."""
        with self._lock:
            answer = self._answers[self._next]
            self._next = min(self._next + 1, len(self._answers) - 1)
        return answer


def as_handler(behaviour: Any) -> Handler | Refusal:
    """A behaviour as a function, or REFUSE. Errors: TestingError."""
    if behaviour is REFUSE or (callable(behaviour) and not inspect.isclass(behaviour)):
        return behaviour
    if isinstance(behaviour, list):
        return Script(behaviour)
    answer = as_answer(behaviour)
    return lambda request: answer
