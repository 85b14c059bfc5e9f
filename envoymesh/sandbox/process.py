"""One local process: started with its output in a log file, signalled, and never left behind.

It must not know which service it belongs to, nor restart anything.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from envoymesh.sandbox.errors import SandboxError

PR_SET_PDEATHSIG = 1
# Loaded before any fork: a child between fork and exec should not load libraries.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: the words, the whole environment, the working folder, and the file that takes stdout and stderr."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path


class Process(Protocol):
    """A running process."""

    @property
    def pid(self) -> int:
        """The process's id."""

    async def wait(self) -> int:
        """Wait for the end. Returns the exit code, or minus the number of the signal that ended it."""

    def send_signal(self, number: int) -> None:
        """Send a signal; harmless when the process has ended."""


Spawn = Callable[[Command], Awaitable[Process]]
"""Starts a process."""


class LocalProcess:
    """A child of this process, in a session of its own: a Ctrl-C at the terminal does not reach it."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    def __repr__(self) -> str:
        return f"LocalProcess({self.pid})"

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._child.pid

    async def wait(self) -> int:
        """Wait for the end."""
        return await self._child.wait()

    def send_signal(self, number: int) -> None:
        """Send a signal to the process; SIGKILL also to all that it started."""
        try:
            if number == signal.SIGKILL:
                os.killpg(self.pid, number)
            else:
                self._child.send_signal(number)
        except ProcessLookupError:
            # It has ended meanwhile, which is what a signal is for.
            return


async def spawn(command: Command) -> LocalProcess:
    """Start a process. Errors: SandboxError when the program cannot be run."""
    supervisor = os.getpid()
    with command.log.open("ab") as log:
        try:
            child = await asyncio.create_subprocess_exec(
                *command.words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=command.folder,
                env=dict(command.environment),
                start_new_session=True,
                preexec_fn=(lambda: _die_with(supervisor)) if _LIBC else None,
            )
        except OSError as error:
            raise SandboxError(f"cannot run {command.words[0]}: {error.strerror}") from None
    return LocalProcess(child)


def _die_with(supervisor: int) -> None:
    """In the child: be killed when the supervisor ends, however it ends (prctl(2), PR_SET_PDEATHSIG)."""
    assert _LIBC is not None
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        os._exit(1)
