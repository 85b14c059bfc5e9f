"""What parent and worker say to each other, and its framing: a length of four bytes, then a pickle.

Both ends are the same program, and the socket pair between them has no name: nobody else can write to it, which is why
pickle is safe here. It must not do any I/O.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from envoymesh.config.source import Contents
from envoymesh.options import Options
from envoymesh.server.workers.snapshot import Snapshot
from envoymesh.upstream.health.told import HostKey

Sockets = tuple[tuple[int, ...], ...]
"""For each listener, the descriptors of its sockets, one for each address."""

_LENGTH = struct.Struct("!I")


class Verb(StrEnum):
    """What a worker can be told to do."""

    FAIL_HEALTH_CHECK = "fail_health_check"  # (fail: bool)
    START_DRAIN = "start_drain"
    GIVE_BACK = "give_back"  # (owner: int) accept no more from this worker's sockets, which were lent
    STOP_LISTENERS = "stop_listeners"  # (inbound_only: bool)
    REOPEN_LOGS = "reopen_logs"
    RESET_COUNTERS = "reset_counters"
    MODIFY_RUNTIME = "modify_runtime"  # (values: Mapping[str, str])
    SET_LOG_LEVELS = "set_log_levels"  # (levels by component: Mapping[str, str])
    ENABLE_LOOKUPS = "enable_lookups"  # (wanted: bool)
    CLEAR_LOOKUPS = "clear_lookups"
    TELL_HEALTH = "tell_health"  # (cluster: str, hosts: Mapping[HostKey, HostHealth])
    KEEP_REQUESTS = "keep_requests"  # for some seconds
    PROFILE_CPU = "profile_cpu"  # (wanted: bool)
    DRAIN_AND_STOP = "drain_and_stop"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Command:
    """Parent to worker: do this. It is not answered."""

    verb: Verb
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Parent to worker, first of all: who it is and what to run.

    Attributes:
        index: 0 to concurrency - 1.
        bootstrap: the checked Bootstrap message, serialised.
        contents: what the files and variables that the bootstrap names held when it was checked.
        logs: descriptors of the log files that the parent has open, by path.
        sockets: for each listener the descriptors of its bound sockets, one for each address; none: it has stopped.
        commands: what the other workers were told since they started.
    """

    index: int
    options: Options
    bootstrap: bytes
    sockets: Sockets
    contents: Contents = field(default_factory=dict)
    logs: Mapping[str, int] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True, slots=True)
class Lend:
    """Parent to worker: accept also from this socket of another worker, which does not serve now.

    Attributes:
        owner: the other worker.
        listener: the socket's listener, by its place among all.
        descriptor: travels beside the message, and has another number where it arrives.
    """

    owner: int
    listener: int
    descriptor: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Parent to worker: say that your loop runs."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Worker to parent: it runs."""


@dataclass(frozen=True, slots=True)
class Started:
    """Worker to parent: it accepts connections."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Worker to parent: it cannot start, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Parent to worker: answer with what you have counted; questions are numbered from 1."""

    number: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Worker to parent: the answer to one question, or a part of it; the parts come in order, and add up."""

    number: int
    snapshot: Snapshot
    last: bool = True


@dataclass(frozen=True, slots=True)
class HostFailed:
    """Worker to parent: a response said that its host is to be failed (`x-envoy-immediate-health-check-fail`)."""

    cluster: str
    host: HostKey


@dataclass(frozen=True, slots=True)
class ClusterUsed:
    """Worker to parent: the first request has gone to a cluster whose hosts are checked."""

    cluster: str


Message = Command | Start | Lend | Ping | Pong | Started | Failed | Ask | Answer | HostFailed | ClusterUsed


def encode(message: Message) -> bytes:
    """A message as a frame."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


class FrameReader:
    """Takes bytes as they come, gives messages as they become whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def wanted(self) -> int:
        """How many bytes to read, for the next message at most; who reads no more leaves those after it."""
        have = len(self._buffer)
        if have < _LENGTH.size:
            return _LENGTH.size - have
        return _LENGTH.size + int(_LENGTH.unpack_from(self._buffer)[0]) - have

    def feed(self, data: bytes) -> list[Message]:
        """The messages that these bytes complete."""
        buffer = self._buffer
        buffer += data
        messages: list[Message] = []
        begin = 0
        while len(buffer) - begin >= _LENGTH.size:
            end = begin + _LENGTH.size + _LENGTH.unpack_from(buffer, begin)[0]
            if len(buffer) < end:
                break
            messages.append(pickle.loads(memoryview(buffer)[begin + _LENGTH.size : end].tobytes()))
            begin = end
        del buffer[:begin]
        return messages
