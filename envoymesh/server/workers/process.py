"""One worker as its parent sees it: a process, a channel to it, and what is known of it. It decides nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from envoymesh.server.workers.channel import Channel
from envoymesh.server.workers.protocol import Answer, Message, Ping, Start
from envoymesh.server.workers.snapshot import Snapshot

STACK_SIGNAL = signal.SIGUSR2
"""Makes a worker write the stack of its threads into its pipe to the parent."""

_HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
_STATES = {"R": "running", "S": "sleeping", "D": "in uninterruptible sleep", "T": "stopped", "t": "traced"}


class WorkerProcess:
    """One worker, from its start to its end.

    Attributes:
        started: it accepts connections.
        late: it owes an admin request its figures; nobody waits for it again until it has spoken.
        owes: it has yet to answer a ping.
        silent: seconds for which it has owed an answer, counted while the parent itself ran.
        condemned: it is about to be killed because it hangs.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.process: subprocess.Popen[bytes] | None = None
        self.started = False
        self.late = False
        self.owes = False
        self.silent = 0.0
        self.condemned = False
        self.snapshot: Snapshot | None = None
        self._channel: Channel | None = None
        self._answers: dict[int, Snapshot] = {}
        self._answered = 0
        self._stacks = -1

    def spawn(self, start: Start) -> socket.socket:
        """Begin the process; gives the parent's end of its channel, on which `start` has yet to be sent."""
        ours, theirs = socket.socketpair()
        self._stacks, stacks = os.pipe()
        for end in (self._stacks, stacks):
            # Neither end may block: not the worker when nobody reads its stack, nor the parent when there is none.
            os.set_blocking(end, False)
        given = [descriptor for descriptors in start.sockets for descriptor in descriptors] + list(start.logs.values())
        # Signals are blocked until the worker ignores them: a Ctrl-C must not reach an interpreter that is starting.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "envoymesh.server.workers", str(theirs.fileno()), str(stacks)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), stacks, *given),
            )
        except OSError:
            ours.close()
            os.close(self._stacks)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            theirs.close()
            os.close(stacks)
        return ours

    def open_channel(
        self, ours: socket.socket, start: Start, on_message: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> None:
        """Send the start message, and listen to it."""
        self._channel = Channel(ours, on_message, on_lost)
        self._channel.send(start)

    def send(self, message: Message) -> None:
        """Send a message; a worker that has not started yet obeys when it has."""
        if self._channel is not None:
            self._channel.send(message)

    def take(self, answer: Answer) -> bool:
        """Keep an answer, or a part of one. Returns whether it is complete; then it is the worker's `snapshot`."""
        whole = self._answers.setdefault(answer.number, answer.snapshot)
        if whole is not answer.snapshot:
            whole.add(answer.snapshot)
        if answer.last:
            del self._answers[answer.number]
            if answer.number >= self._answered:  # of two answers under way at once the later may be complete first
                self._answered, self.snapshot = answer.number, whole
        return answer.last

    # Whether it is alive

    def ping(self) -> None:
        """Ask it for a sign of life."""
        self.owes = True
        self.send(Ping())

    def heard(self) -> None:
        """It has said something."""
        self.owes = False
        self.silent = 0.0

    def ask_stack(self) -> None:
        """Have it write its stack, if it can."""
        self.last_stack()
        if self.process is not None:
            self.process.send_signal(STACK_SIGNAL)

    def last_stack(self) -> str:
        """What it has written of its stack since it was last read; empty where it could not."""
        try:
            return os.read(self._stacks, 1 << 16).decode(errors="replace").rstrip()
        except OSError:
            return ""

    def system_state(self) -> str:
        """What the system says that it does, such as ``stopped, in do_signal_stop``; empty where it does not say."""
        pid = self.process.pid if self.process is not None else 0
        state = _text(f"/proc/{pid}/stat").rpartition(") ")[2][:1]
        where = _text(f"/proc/{pid}/wchan").strip("0\n")
        return ", in ".join(filter(None, (_STATES.get(state, state), where)))

    # Its end

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()

    def reap(self) -> int:
        """Make sure that the process is gone; its exit code, negative for a signal."""
        assert self.process is not None
        # Its channel has ended, so it is ending by itself or cannot be told to: do not wait for it.
        self.process.kill()
        os.close(self._stacks)
        return self.process.wait()

    def __repr__(self) -> str:
        return f"worker {self.index} (pid {self.process.pid if self.process else 'none'})"


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""  # this system does not tell, or not this user
