import os
from pathlib import Path

import pytest

from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.state import State, write


def test_one_mesh_at_a_time(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    assert not state.is_held()
    lock = state.acquire()
    assert state.is_held()
    with pytest.raises(SandboxError, match="a mesh runs already"):
        State(tmp_path / "state").acquire()
    os.close(lock)
    assert not state.is_held()
    os.close(state.acquire())


def test_a_new_run_clears_the_last_ones_files_but_keeps_what_was_generated(tmp_path: Path) -> None:
    state = State(tmp_path)
    os.close(state.acquire())
    for file in (state.log("a"), state.replicas / "a" / "hosts", state.generated / "key", state.control):
        write(file, "old")
    os.close(state.acquire())
    assert {each.name for each in tmp_path.rglob("*") if each.is_file()} == {"lock", "token", "key"}


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="use --state-dir with a shorter one"):
        State(tmp_path / ("x" * 120)).acquire()


def test_a_place_where_no_folder_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SandboxError, match="cannot keep state here"):
        State(tmp_path / "file" / "state").acquire()


def test_write_replaces_the_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "new" / "hosts"
    write(file, "one\n")
    before = file.stat().st_ino
    write(file, "two\n")
    assert file.read_text() == "two\n"
    assert file.stat().st_ino != before
    assert [each.name for each in file.parent.iterdir()] == ["hosts"]


def test_every_run_has_a_token_of_its_own_that_only_its_user_reads(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.token == ""
    os.close(state.acquire())
    first = state.token
    assert len(first) >= 32
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert state.logs.stat().st_mode & 0o777 == 0o700
    os.close(state.acquire())
    assert state.token not in ("", first)
