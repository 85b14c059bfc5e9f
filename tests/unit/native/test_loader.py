"""Which modules a process is to run: compiled ones only where they are of these very sources."""

import json
import sys
from pathlib import Path

import pytest

from envoymesh.native import loader, modules
from envoymesh.native.loader import COMPILED, SOURCE, STALE, NativeFinder, activate


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where compiled modules are looked for."""
    monkeypatch.setattr(modules, "FOLDER", tmp_path)
    monkeypatch.setattr(loader, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.delenv(loader.VARIABLE, raising=False)
    return tmp_path


def put_manifest(fingerprint: str) -> None:
    (modules.FOLDER / "a.b.so").touch()
    modules.manifest_file().write_text(json.dumps({"fingerprint": fingerprint, "modules": {"a.b": "a.b.so"}}))


def test_without_a_manifest_the_source_runs(folder: Path) -> None:
    assert activate() == SOURCE


def test_fresh_modules_are_found_by_name(folder: Path) -> None:
    put_manifest(modules.fingerprint())
    assert activate() == COMPILED
    finder = sys.meta_path[0]
    assert isinstance(finder, NativeFinder)
    spec = finder.find_spec("a.b")
    assert spec is not None
    assert spec.origin == str(folder / "a.b.so")
    assert finder.find_spec("a") is None


def test_modules_of_other_sources_are_not_used(folder: Path) -> None:
    put_manifest("another")
    assert activate() == STALE


def test_zero_runs_the_source_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_manifest(modules.fingerprint())
    monkeypatch.setenv(loader.VARIABLE, "0")
    assert activate() == SOURCE


def test_one_insists(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(loader.VARIABLE, "1")
    with pytest.raises(SystemExit, match="ENVOYMESH_NATIVE=1, but there is only source; run: envoymesh compile"):
        activate()


@pytest.mark.parametrize("changed", ["errors.py", "http/stats.py"])
def test_a_changed_source_is_another_fingerprint(tmp_path: Path, changed: str) -> None:
    (tmp_path / "http").mkdir()
    for file in ("errors.py", "http/stats.py", "http/codec.py"):
        (tmp_path / file).write_text("x = 1")
    before = modules.fingerprint(tmp_path)
    assert modules.fingerprint(tmp_path) == before
    (tmp_path / changed).write_text("x = 2")
    assert modules.fingerprint(tmp_path) != before


def test_a_manifest_that_was_cut_or_names_what_is_not_there_does_not_count(folder: Path) -> None:
    put_manifest(modules.fingerprint())
    (folder / "a.b.so").unlink()
    assert activate() == SOURCE
    modules.manifest_file().write_text('{"fingerprint": ')
    assert activate() == SOURCE


def test_every_module_of_the_list_is_there() -> None:
    assert all(modules.source_of(module).is_file() for module in modules.MODULES)
    assert list(modules.MODULES) == sorted(set(modules.MODULES))
