"""Reading the files that a configuration names: whole, up to a size, and never waiting for what has no end.

Regular files are read, and pipes that somebody writes to (`/dev/stdin` and ``<(command)`` among them). Everything else
is refused before a byte is read. This module must not know what is in a file.
"""

from __future__ import annotations

import os
import select
import stat
import time

MAX_BYTES = 64 * 1024 * 1024
"""What one file may hold."""

PIPE_SECONDS = 10.0
"""How long the writer of a pipe may take for all of it."""

_PIECE = 1024 * 1024
_KINDS = {
    stat.S_IFDIR: "Is a directory",
    stat.S_IFCHR: "it is a device, which has no end",
    stat.S_IFBLK: "it is a device, not a file",
    stat.S_IFSOCK: "it is a socket, not a file",
}


class FileError(Exception):
    """A file that cannot be read; the text is the reason, in a few words."""


def read_file(path: str) -> bytes:
    """Give the whole content of a regular file, or of a pipe that ends within `PIPE_SECONDS`.

    Raises:
        FileError: it cannot be read, is of another kind, holds more than `MAX_BYTES`, or nobody writes to the pipe.
    """
    try:
        # Without O_NONBLOCK a pipe that nobody writes to would hold up the open itself.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise FileError(_reason_not_opened(path, error)) from error
    except ValueError as error:
        raise FileError(str(error)) from error
    try:
        return _read_descriptor(descriptor)
    except BlockingIOError as error:
        raise FileError("it has nothing to read now, and reading it would wait") from error
    except OSError as error:
        raise FileError(error.strerror or str(error)) from error
    finally:
        os.close(descriptor)


def _reason_not_opened(path: str, error: OSError) -> str:
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except OSError:
        kind = 0
    # Linux says "No such device or address" of a socket.
    return _KINDS[kind] if kind == stat.S_IFSOCK else error.strerror or str(error)


def _read_descriptor(descriptor: int) -> bytes:
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind in _KINDS:
        raise FileError(_KINDS[kind])
    return _read_pipe(descriptor) if kind == stat.S_IFIFO else _read_all(descriptor)


def _read_all(descriptor: int) -> bytes:
    content = bytearray()
    while piece := os.read(descriptor, _PIECE):
        _add(content, piece)
    return bytes(content)


def _read_pipe(descriptor: int) -> bytes:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + PIPE_SECONDS
    content = bytearray()
    while True:
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise FileError(f"the pipe did not end within {PIPE_SECONDS:g} s") from None
            continue
        if not piece:
            break
        _add(content, piece)
        if time.monotonic() > deadline:
            raise FileError(f"the pipe did not end within {PIPE_SECONDS:g} s")
    if not content:
        raise FileError("it is a pipe that nobody writes to, or that was empty")
    return bytes(content)


def _add(content: bytearray, piece: bytes) -> None:
    content += piece
    if len(content) > MAX_BYTES:
        raise FileError(f"it holds more than {MAX_BYTES // (1024 * 1024)} MiB")
