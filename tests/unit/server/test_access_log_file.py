"""Access log files: buffering, the timer, reopening, failures."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoymesh.errors import ConfigError
from envoymesh.server.access_log_file import FLUSH_SIZE, MOST_BUFFERED, RETRY, AccessLogFiles
from envoymesh.stats import Store
from envoymesh.stats.server import FilesystemStats
from tests.support.fakes import FakeDispatcher


class Logs:
    """Access log files on a clock of the test's."""

    def __init__(self, inherited: dict[str, int] | None = None) -> None:
        self.dispatcher = FakeDispatcher()
        self.stats = FilesystemStats.create(Store().scope("filesystem."))
        self.files = AccessLogFiles(self.dispatcher, 10.0, self.stats, inherited)


def test_lines_wait_for_the_timer(tmp_path: Path) -> None:
    logs, path = Logs(), tmp_path / "log"
    file = logs.files.open(str(path))
    file.write(b"one\n")
    file.write(b"two\n")
    logs.dispatcher.advance(9.9)
    assert path.read_bytes() == b""
    logs.dispatcher.advance(0.2)
    assert path.read_bytes() == b"one\ntwo\n"
    assert logs.stats.flushed_by_timer.value == 1
    assert logs.stats.write_total_buffered.value == 0
    logs.files.close()


def test_many_lines_do_not_wait(tmp_path: Path) -> None:
    logs, path = Logs(), tmp_path / "log"
    logs.files.open(str(path)).write(b"x" * FLUSH_SIZE)
    assert path.stat().st_size == FLUSH_SIZE
    logs.files.close()


def test_a_file_is_appended_to_and_shared(tmp_path: Path) -> None:
    logs, path = Logs(), tmp_path / "log"
    path.write_bytes(b"zero\n")
    assert logs.files.open(str(path)) is logs.files.open(str(path))
    logs.files.open(str(path)).write(b"one\n")
    logs.files.close()
    assert path.read_bytes() == b"zero\none\n"


def test_a_write_that_takes_a_part_goes_on_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs, path = Logs(), tmp_path / "log"
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    logs.files.open(str(path)).write(b"one line\n")
    logs.files.close()
    assert path.read_bytes() == b"one line\n"
    assert logs.stats.write_completed.value == 1


def test_reopening_follows_the_path(tmp_path: Path) -> None:
    logs, path = Logs(), tmp_path / "log"
    file = logs.files.open(str(path))
    file.write(b"one\n")
    path.rename(tmp_path / "old")
    logs.files.reopen()
    file.write(b"two\n")
    logs.files.close()
    assert (tmp_path / "old").read_bytes() == b"one\n"
    assert path.read_bytes() == b"two\n"


def test_a_failed_reopening_keeps_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    logs = Logs()
    file = logs.files.open(str(folder / "log"))
    folder.rename(tmp_path / "moved")
    logs.files.reopen()
    assert logs.stats.reopen_failed.value == 1
    file.write(b"one\n")
    logs.files.close()
    assert (tmp_path / "moved" / "log").read_bytes() == b"one\n"


def test_a_failed_write_is_counted() -> None:
    logs = Logs()
    file = logs.files.open("/dev/full")
    file.write(b"x" * FLUSH_SIZE)
    assert logs.stats.write_failed.value == 1
    file.write(b"y" * FLUSH_SIZE)
    assert logs.stats.write_failed.value == 2
    logs.files.close()


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unable to open file .*No such file"):
        Logs().files.open(str(tmp_path / "none" / "log"))


def test_standard_output_is_not_closed(capfd: pytest.CaptureFixture[str]) -> None:
    logs = Logs()
    logs.files.open("/dev/stdout").write(b"out\n")
    logs.files.open("/dev/stderr").write(b"err\n")
    logs.files.close()
    os.fstat(1)
    assert capfd.readouterr() == ("out\n", "err\n")


def test_a_failed_reopening_is_tried_again_at_each_write(tmp_path: Path) -> None:
    folder, moved = tmp_path / "folder", tmp_path / "moved"
    folder.mkdir()
    logs = Logs()
    file = logs.files.open(str(folder / "log"))
    folder.rename(moved)
    logs.files.reopen()
    file.write(b"one\n")
    logs.dispatcher.advance(10.0)
    assert logs.stats.reopen_failed.value == 2
    folder.mkdir()
    file.write(b"two\n")
    logs.files.close()
    assert logs.stats.reopen_failed.value == 2
    assert ((moved / "log").read_bytes(), (folder / "log").read_bytes()) == (b"one\n", b"two\n")


def test_a_file_that_is_open_already_is_written_to_until_it_is_reopened(tmp_path: Path) -> None:
    path, parents = tmp_path / "log", Logs()
    parents.files.open(str(path))
    path.rename(tmp_path / "old")
    inherited = {name: os.dup(descriptor) for name, descriptor in parents.files.descriptors().items()}
    assert inherited.keys() == {str(path)}
    logs = Logs(inherited)
    logs.files.open(str(path)).write(b"one\n")
    logs.files.reopen()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(inherited[str(path)])
    logs.files.open(str(path)).write(b"two\n")
    logs.files.close()
    parents.files.close()
    assert ((tmp_path / "old").read_bytes(), path.read_bytes()) == (b"one\n", b"two\n")


class Pipe:
    """A named pipe with somebody who could read it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "pipe"
        os.mkfifo(self.path)
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> bytes:
        """What is there."""
        found = b""
        while True:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                return found
            if not data:
                return found
            found += data

    def leave(self) -> None:
        """Nobody could read it any more."""
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, self._descriptor)
        os.close(nothing)

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path)
    yield made
    made.close()


LINE = b"x" * 99 + b"\n"


def test_a_reader_that_does_not_read_holds_nobody_up(pipe: Pipe) -> None:
    """The kernel's buffer of a pipe is 64 KiB; more than that and a plain write would wait for ever."""
    logs = Logs()
    file = logs.files.open(str(pipe.path))
    for _ in range(5000):
        file.write(LINE)
    written = pipe.read()
    assert 0 < len(written) < 5000 * len(LINE)
    assert logs.stats.write_total_buffered.value == 5000 * len(LINE) - len(written)
    for _ in range(20):
        logs.dispatcher.advance(RETRY)
        written += pipe.read()
    assert written == 5000 * LINE
    assert logs.stats.write_total_buffered.value == 0
    assert logs.stats.write_failed.value == 0
    logs.files.close()


def test_lines_beyond_the_bound_are_lost_and_counted(pipe: Pipe) -> None:
    logs = Logs()
    file = logs.files.open(str(pipe.path))
    for _ in range(4 * MOST_BUFFERED // len(LINE)):
        file.write(LINE)
    assert logs.stats.write_total_buffered.value <= MOST_BUFFERED
    assert logs.stats.write_failed.value > 0
    kept = logs.stats.write_buffered.value
    written = pipe.read()
    for _ in range(40):
        logs.dispatcher.advance(RETRY)
        written += pipe.read()
    assert written == LINE * kept
    file.write(b"again\n")
    logs.files.close()
    assert pipe.read() == b"again\n"


def test_a_reader_that_goes_away_costs_its_lines(pipe: Pipe) -> None:
    logs = Logs()
    file = logs.files.open(str(pipe.path))
    pipe.leave()
    file.write(LINE * (FLUSH_SIZE // len(LINE) + 1))
    assert logs.stats.write_failed.value == 1
    assert logs.stats.write_total_buffered.value == 0
    logs.files.close()
