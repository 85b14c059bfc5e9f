"""Files that access logs are written to: buffered, flushed by size and by timer, reopened on demand.

Envoy's AccessLogManager. What a pipe's or terminal's reader does not take waits here, up to `MOST_BUFFERED` bytes;
lines beyond that are lost, and counted. A file on a disk takes as long as the operating system's append. A file that
fails is counted and tried again, never raised at a request.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Mapping

from envoymesh.errors import ConfigError
from envoymesh.network.api import Dispatcher
from envoymesh.stats.server import FilesystemStats

FLUSH_SIZE = 64 * 1024

MOST_BUFFERED = 1024 * 1024
"""Bytes that wait for a reader that does not read."""

RETRY = 0.05
"""Seconds until a reader that had no room is tried again."""

LAST_PATIENCE = 1.0
"""Seconds that a reader has for the last lines when the file is closed: the process ends then."""

_STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}


class BufferedLogFile:
    """One open file.

    Args:
        flush_interval: seconds that a line may wait (`--file-flush-interval-msec`).
        descriptor: the file, where it is open already; this object closes it.
    Errors: ConfigError when the file cannot be opened.
    """

    def __init__(
        self,
        path: str,
        dispatcher: Dispatcher,
        flush_interval: float,
        stats: FilesystemStats,
        descriptor: int | None = None,
    ) -> None:
        self._path = path
        self._stats = stats
        self._flush_interval = flush_interval
        self._pending: list[bytes] = []
        self._size = 0
        self._reopen_wanted = False
        self._timer = dispatcher.create_timer(self._on_timer)
        self._descriptor = self._open() if descriptor is None else descriptor

    @property
    def descriptor(self) -> int:
        """The open file, until it is reopened or closed."""
        return self._descriptor

    def _open(self) -> int:
        standard = _STANDARD.get(self._path)
        try:
            if standard is not None:
                return os.dup(standard)
            return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(f"unable to open file '{self._path}': {error.strerror}") from None

    def write(self, data: bytes) -> None:
        """Append a line; it is written within the flush interval, or sooner when many wait."""
        stats = self._stats
        if self._size + len(data) > MOST_BUFFERED:
            stats.write_failed.inc()
            return
        stats.write_buffered.inc()
        stats.write_total_buffered.add(len(data))
        before = self._size
        self._pending.append(data)
        self._size += len(data)
        if before < FLUSH_SIZE <= self._size:
            self.flush()
        elif len(self._pending) == 1:
            self._timer.enable(self._flush_interval)

    def _on_timer(self) -> None:
        if self._pending:
            self._stats.flushed_by_timer.inc()
            self.flush()

    def flush(self) -> None:
        """Write what is buffered, as far as there is room; the rest is tried again soon."""
        self._flush(0.0)

    def _flush(self, patience: float) -> None:
        if not self._pending:
            return
        if self._reopen_wanted:
            self._try_reopening()
        data = b"".join(self._pending)
        try:
            written = self._write_what_fits(data, patience)
        except OSError:
            self._stats.write_failed.inc()
            written = len(data)
        else:
            if written:
                self._stats.write_completed.inc()
        self._keep(data[written:])

    def _write_what_fits(self, data: bytes, patience: float) -> int:
        """How much was written: all, or what a reader has room for. Errors: OSError."""
        # A write to anything but a file on a disk may wait for a reader, and every connection would wait with it.
        has_reader = not stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        room = select.poll()
        room.register(self._descriptor, select.POLLOUT)
        position, size, end_of_patience = 0, len(data), time.monotonic() + patience
        while position < size and (not has_reader or room.poll(max(0.0, end_of_patience - time.monotonic()) * 1000)):
            end = _end_of_lines(data, position) if has_reader else size
            position += os.write(self._descriptor, data[position:end])
        return position

    def _keep(self, rest: bytes) -> None:
        self._stats.write_total_buffered.sub(self._size - len(rest))
        self._pending.clear()
        self._size = len(rest)
        if rest:
            self._pending.append(rest)
            self._timer.enable(RETRY)

    def reopen(self) -> None:
        """Write what is buffered, then open the path anew: now, or else before each next write.

        Until that is done the old file gets the lines, which Envoy would drop.
        """
        self.flush()
        self._try_reopening()

    def _try_reopening(self) -> None:
        self._reopen_wanted = True
        try:
            descriptor = self._open()
        except ConfigError:
            self._stats.reopen_failed.inc()
            return
        self._reopen_wanted = False
        os.close(self._descriptor)
        self._descriptor = descriptor

    def close(self) -> None:
        """Write what is buffered, and close; a reader has `LAST_PATIENCE` to make room."""
        self._flush(LAST_PATIENCE)
        self._timer.disable()
        os.close(self._descriptor)


def _end_of_lines(data: bytes, start: int) -> int:
    """Where to cut: a write of at most PIPE_BUF bytes never blocks on a pipe with room, and lines are not cut."""
    most = start + select.PIPE_BUF
    return len(data) if most >= len(data) else data.rfind(b"\n", start, most) + 1 or most


class AccessLogFiles:
    """All access log files by path; two loggers of one path share the file.

    Args:
        inherited: descriptors by path of files that are open already: a worker gets its parent's.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        flush_interval: float,
        stats: FilesystemStats,
        inherited: Mapping[str, int] | None = None,
    ) -> None:
        self._inherited = inherited or {}
        self._dispatcher = dispatcher
        self._flush_interval = flush_interval
        self._stats = stats
        self._files: dict[str, BufferedLogFile] = {}

    def open(self, path: str) -> BufferedLogFile:
        """The file of a path. Errors: ConfigError when it cannot be opened."""
        if path not in self._files:
            self._files[path] = BufferedLogFile(
                path, self._dispatcher, self._flush_interval, self._stats, self._inherited.get(path)
            )
        return self._files[path]

    def descriptors(self) -> dict[str, int]:
        """The descriptors of all open files, by path."""
        return {path: file.descriptor for path, file in self._files.items()}

    def reopen(self) -> None:
        """Reopen all (SIGUSR1, ``/reopen_logs``)."""
        for file in self._files.values():
            file.reopen()

    def close(self) -> None:
        """Flush and close all."""
        for file in self._files.values():
            file.close()
        self._files.clear()
