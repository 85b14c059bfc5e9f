"""Files of a configuration are read whole, or refused at once."""

import os
import socket
import threading
from pathlib import Path

import pytest

from envoymesh.config import files
from envoymesh.config.files import FileError, read_file
from envoymesh.config.load import load_bootstrap
from envoymesh.errors import ConfigError


def test_a_regular_file_is_read_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "empty").touch()
    assert read_file(str(tmp_path / "file")) == content
    assert read_file(str(tmp_path / "link")) == content
    assert read_file(str(tmp_path / "empty")) == b""
    assert read_file("/proc/self/cmdline")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        reasons = {
            "/dev/zero": "it is a device, which has no end",
            "/dev/null": "it is a device, which has no end",
            str(tmp_path): "Is a directory",
            str(tmp_path / "fifo"): "it is a pipe that nobody writes to, or that was empty",
            str(tmp_path / "socket"): "it is a socket, not a file",
            str(tmp_path / "no"): "No such file or directory",
            "a\0b": "embedded null byte",
        }
        for path, reason in reasons.items():
            with pytest.raises(FileError) as caught:
                read_file(path)
            assert str(caught.value) == reason, path


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    content = b"line\n" * 100_000
    path = tmp_path / "fifo"
    os.mkfifo(path)
    keep = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a reader, so that the writer is there before the other one
    writer = path.open("wb")

    def write() -> None:
        with writer:
            writer.write(content)

    begun = threading.Thread(target=write)
    begun.start()
    read, write_end = os.pipe()
    os.write(write_end, b"of a process")
    os.close(write_end)
    try:
        assert read_file(str(path)) == content
        assert read_file(f"/dev/fd/{read}") == b"of a process"
    finally:
        begun.join()
        os.close(keep)
        os.close(read)


def test_a_pipe_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIPE_SECONDS", 0.05)
    read, write = os.pipe()
    try:
        os.write(write, b"begun")
        with pytest.raises(FileError, match=r"the pipe did not end within 0.05 s"):
            read_file(f"/dev/fd/{read}")
    finally:
        os.close(read)
        os.close(write)


def test_no_more_is_read_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 2 * 1024 * 1024)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2 * 1024 * 1024)
    assert len(read_file(str(tmp_path / "sparse"))) == 2 * 1024 * 1024
    with (tmp_path / "sparse").open("ab") as file:
        file.write(b".")
    with pytest.raises(FileError, match="it holds more than 2 MiB"):
        read_file(str(tmp_path / "sparse"))


def test_a_configuration_says_so_with_its_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load_bootstrap("/dev/zero")
    assert str(caught.value) == "/dev/zero: cannot read the file: it is a device, which has no end"
