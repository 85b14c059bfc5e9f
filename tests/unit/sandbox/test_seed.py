"""The built-in sandbox: what it consists of, and how it is written into somebody's folder."""

import os
from pathlib import Path

import pytest

from envoymesh import __version__
from envoymesh.cli import main
from envoymesh.sandbox import seed
from envoymesh.sandbox.compose import load
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.examples import names

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = ("Dockerfile.front", "Dockerfile.service")


def test_in_a_repository_it_is_the_repositorys() -> None:
    assert seed.folder() == ROOT


def test_in_a_wheel_it_lies_beside_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed, "__file__", str(tmp_path / "envoymesh/sandbox/seed.py"))
    with pytest.raises(SandboxError, match="has no built-in sandbox"):
        seed.folder()
    packaged = tmp_path / "envoymesh/sandbox" / seed.PACKAGED
    packaged.mkdir(parents=True)
    (packaged / seed.DESCRIPTION).touch()
    assert seed.folder() == packaged


def test_what_is_written_is_a_whole_sandbox(tmp_path: Path) -> None:
    seed.write(tmp_path, force=False)
    project = load(tmp_path / seed.DESCRIPTION, {})
    for service in project.services.values():
        for name in (*service.configs.values(), *service.files.values()):
            assert (tmp_path / name).exists()
    assert names(tmp_path) == names(ROOT) != []
    copied = [name for name in seed.files(ROOT) if str(name) not in DOCKERFILES]
    assert all((tmp_path / name).read_bytes() == (ROOT / name).read_bytes() for name in copied)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_its_images_install_this_version_and_play_the_same_roles(name: str, tmp_path: Path) -> None:
    seed.write(tmp_path, force=False)
    head, mark, role = (tmp_path / name).read_text().partition(seed.ROLES)
    assert role == (ROOT / name).read_text().partition(mark)[2] != ""
    assert f"ARG ENVOYMESH=envoymesh=={__version__}\n" in head
    assert "COPY" not in head
    copied = [line.split()[1] for line in role.splitlines() if line.startswith("COPY ")]
    assert all((tmp_path / source).exists() for source in copied)


def test_files_that_are_there_are_named_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "front-envoy" / "envoy.yaml"
    own.parent.mkdir()
    own.write_text("mine")
    assert main(["init", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.err == f"envoymesh: {tmp_path}: not overwritten without --force: front-envoy/envoy.yaml\n"
    assert said.out == ""
    assert [own.read_text(), *sorted(os.listdir(tmp_path))] == ["mine", "front-envoy"]
    assert main(["init", "--force", str(tmp_path)]) == 0
    assert own.read_text() != "mine"


def test_init_says_what_it_wrote_and_what_is_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new folder"
    assert main(["init", str(target)]) == 0
    said = capsys.readouterr().out
    assert f"{target}/front-envoy/envoy.yaml\n" in said
    assert f"  cd '{target}' && envoymesh up\n  cd '{target}' && docker compose up --build\n" in said


@pytest.mark.parametrize(
    ("target", "words"), [("file", "file: is no folder"), ("file/below", "cannot be written: Not a directory")]
)
def test_a_folder_that_cannot_be_made_is_one_line(
    target: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["init", str(tmp_path / target)]) == 1
    said = capsys.readouterr().err
    assert said.endswith(f"{words}\n")
    assert said.count("\n") == 1


def test_examples_of_the_built_in_sandbox_are_listed_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["examples"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == names(ROOT)
