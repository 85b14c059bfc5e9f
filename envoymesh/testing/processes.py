"""A proxy's process, ours or the real Envoy's, as a handle. It must not know what the proxy serves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoymesh.testing.errors import TestingError


@dataclass(frozen=True)
class Outputs:
    """Where a process writes."""

    stdout: Path
    stderr: Path


class Template:
    """The process that proxies are forked from (`envoymesh.testing.template`), for as long as the tests run.

    It is in a session of its own: Ctrl-C is for the tests, which end what they have started.

    Args:
        configuration: a file whose modules it imports beforehand; None, where another program is to be run.
    """

    def __init__(self, configuration: Path | None) -> None:
        command = [sys.executable, "-m", "envoymesh.testing.template", *([str(configuration)] if configuration else [])]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._lock = threading.Lock()

    def start(self, words: Sequence[str], folder: Path, outputs: Outputs, program: Path | None = None) -> Handle:
        """A proxy with these words after the program's name. Errors: TestingError.

        Args:
            program: what to run instead of ours.
        """
        given = {
            "program": None if program is None else str(program),
            "words": list(words),
            "folder": str(folder),
            "environment": dict(os.environ),
            "stdout": str(outputs.stdout),
            "stderr": str(outputs.stderr),
        }
        return Handle(self, self.ask({"start": given}))

    def ask(self, command: dict[str, Any]) -> Any:
        """One command and its answer. Errors: TestingError where the process has gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(command) + "\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline()
            except OSError:
                line = ""
        if not line:
            raise TestingError(f"the process that proxies are forked from has ended ({self._process.poll()})")
        return json.loads(line)

    def close(self) -> None:
        """End it, and what is left of its children."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass  # it has ended before
        self._process.stdout.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Handle:
    """A process that a Template has forked."""

    def __init__(self, template: Template, pid: int) -> None:
        self.pid = pid
        self._template = template

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        code: int | None = self._template.ask({"pid": self.pid})
        return code

    def wait(self) -> int:
        """The exit code, once it has ended."""
        code: int = self._template.ask({"pid": self.pid, "wait": True})
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing where it has ended."""
        self._template.ask({"pid": self.pid, "signal": int(number)})

    def stop(self) -> None:
        """End it at once, and wait until it has."""
        self.send_signal(signal.SIGKILL)
        self.wait()
