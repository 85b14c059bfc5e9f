"""Compiled modules out of a wheel: only what was made of these very sources, for this machine."""

import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.tags import sys_tags

from envoymesh.native import modules
from release import take as taking
from release.take import take

HERE = str(next(iter(sys_tags())))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for wheels; compiled modules are put into another one, which is empty."""
    monkeypatch.setattr(modules, "FOLDER", tmp_path / "package/native/built")
    monkeypatch.setattr(taking, "FOLDER", tmp_path / "package/native/built")
    monkeypatch.setattr(taking, "PACKAGE", tmp_path / "package")
    (tmp_path / "package/native").mkdir(parents=True)
    (tmp_path / "dist").mkdir()
    return tmp_path / "dist"


def put_wheel(folder: Path, fingerprint: str, tag: str = HERE, module: str = "a.so") -> Path:
    wheel = folder / f"envoymesh-0.1.0-{tag}.whl"
    with ZipFile(wheel, "w") as archive:
        manifest = {"fingerprint": fingerprint, "modules": {"a": module}}
        archive.writestr(f"package/native/built/{modules.manifest_file().name}", json.dumps(manifest))
        archive.writestr(f"package/native/built/{module}", "machine code")
    return wheel


def test_what_is_of_these_sources_is_taken(folder: Path) -> None:
    wheel = put_wheel(folder, modules.fingerprint())
    assert take(folder) == wheel
    assert modules.read_fresh_manifest() is not None
    assert (modules.FOLDER / "a.so").read_text() == "machine code"
    assert take(folder) is None, "a second time there is nothing to do"


def test_what_is_of_other_sources_is_not(folder: Path) -> None:
    put_wheel(folder, "another")
    assert take(folder) is None
    assert not modules.FOLDER.exists()


def test_a_wheel_for_another_machine_is_not_looked_into(folder: Path) -> None:
    put_wheel(folder, modules.fingerprint(), "cp311-cp311-win_amd64")
    assert take(folder) is None


@pytest.mark.parametrize("name", [f"envoymesh-0.1.0-{HERE}.whl", "envoymesh-nonsense.whl"])
def test_what_is_no_wheel_is_let_alone(folder: Path, name: str) -> None:
    (folder / name).write_text("no archive")
    assert take(folder) is None


def test_a_pure_wheel_has_nothing_to_take(folder: Path) -> None:
    with ZipFile(folder / "envoymesh-0.1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("envoymesh/__init__.py", "")
    assert take(folder) is None


def test_nothing_is_written_outside_of_its_folder(folder: Path) -> None:
    put_wheel(folder, modules.fingerprint(), module="../../../escaped.so")
    take(folder)
    assert not (folder.parent / "escaped.so").exists()


def test_a_folder_that_cannot_be_written_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_wheel(folder, modules.fingerprint())
    modules.FOLDER.parent.rmdir()
    modules.FOLDER.parent.write_text("a file where a folder should be")
    assert taking.main([str(folder)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("compiled modules cannot be taken: ")
    assert said.count("\n") == 1
