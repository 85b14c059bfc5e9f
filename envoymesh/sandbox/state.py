"""The state folder of a running mesh: where everything lies, and who holds it. It must not know what the files mean."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from envoymesh.sandbox.errors import SandboxError

# sockaddr_un.sun_path has 104 bytes on some systems, 108 on Linux.
LONGEST_SOCKET_PATH = 103


class State:
    """Paths below one folder.

    token        what the page wants to see before it changes something
    lock         held by the supervisor as long as it lives
    control.sock where the supervisor takes commands
    supervisor.log   what a detached supervisor says
    generated/   what the services' generators made, kept from run to run
    replicas/    for each replica its hosts file and its adapted configurations
    logs/        what each replica wrote
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control = folder / "control.sock"
        self.supervisor_log = folder / "supervisor.log"
        self.generated = folder / "generated"
        self.replicas = folder / "replicas"
        self.logs = folder / "logs"
        self._token = folder / "token"
        self._lock = folder / "lock"

    def __repr__(self) -> str:
        return f"State({str(self.folder)!r})"

    def log(self, replica: str) -> Path:
        """The file that a replica's processes write to."""
        return self.logs / f"{replica}.log"

    @property
    def token(self) -> str:
        """The secret of this run, which only this user can read; empty where there is none."""
        try:
            return self._token.read_text(encoding="ascii")
        except OSError:
            return ""

    def acquire(self) -> int:
        """Take the folder for a new run, and clear it of the last one.

        Returns a descriptor that holds the lock until it is closed. Errors: SandboxError when a mesh runs here already,
        or the folder cannot be used.
        """
        if len(os.fsencode(self.control)) > LONGEST_SOCKET_PATH:
            raise SandboxError(
                f"{self.folder}: this path is too long for a socket in it; use --state-dir with a shorter one"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SandboxError(f"{self.folder}: cannot keep state here: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise SandboxError(f"a mesh runs already ({self.folder}); `envoymesh down` stops it") from None
        self._clear()
        return descriptor

    def is_held(self) -> bool:
        """Whether a supervisor holds the folder."""
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _clear(self) -> None:
        self.control.unlink(missing_ok=True)
        for folder in (self.replicas, self.logs):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)  # a page's log has its token
        self.generated.mkdir(exist_ok=True)
        self._token.unlink(missing_ok=True)
        descriptor = os.open(self._token, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(24))


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all: a reader finds the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(name, 0o644)
    os.replace(name, path)
