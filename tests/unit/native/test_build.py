"""What `envoymesh compile` says before it begins, and what it leaves when it fails."""

from pathlib import Path

import pytest

from envoymesh.native import build, modules

OLD = '{"fingerprint": "another", "modules": {}}'


def test_a_missing_compiler_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(modules, "FOLDER", tmp_path)
    monkeypatch.setenv("CC", "no-such-compiler -O9")
    assert build.compile_package() == 1
    assert "there is no C compiler ('no-such-compiler'" in capsys.readouterr().err


def test_what_does_not_compile_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "wrong.py").write_text("x: int = 'no number'\n")
    folder = tmp_path / "built"
    folder.mkdir()
    for module in (build, modules):
        monkeypatch.setattr(module, "PACKAGE", package)
        monkeypatch.setattr(module, "FOLDER", folder)
        monkeypatch.setattr(module, "MODULES", ("wrong",))
    modules.manifest_file().write_text(OLD)
    monkeypatch.setattr(build, "_missing", lambda: "")  # mypy finds the fault before a compiler is asked
    assert build.compile_package() == 1
    assert "wrong.py:1: error: Incompatible types in assignment" in capsys.readouterr().err
    assert modules.manifest_file().read_text() == OLD


def test_what_is_fresh_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(modules, "FOLDER", tmp_path)
    modules.manifest_file().write_text(f'{{"fingerprint": "{modules.fingerprint()}", "modules": {{}}}}')
    monkeypatch.setenv("CC", "no-such-compiler")
    assert build.compile_package() == 0
    assert "are compiled already" in capsys.readouterr().out
