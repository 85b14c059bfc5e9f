"""Wheels in new environments, as people install them. They need a package index, and `make wheels`."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from envoymesh import __version__
from envoymesh.native.loader import STALE
from release.wheels import ROOT
from tests.sandbox.meshes import free_ports

BASE_IMAGE = os.environ.get("BASE_IMAGE", "python:3.13-slim")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def facts_of(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    facts: dict[str, object] = json.loads(done.stdout)
    return facts


def tried(uv: Path, wheel: Path, folder: Path, wanted: str) -> dict[str, object]:
    """What trial.py says of a wheel in a new environment (release.measure tries it with pip)."""
    subprocess.run([str(uv), "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    python = str(folder / "venv/bin/python")
    subprocess.run([str(uv), "pip", "install", "--quiet", "--python", python, str(wheel)], check=True)
    trial = [python, str(ROOT / "release/trial.py"), f"--{wanted}"]
    return facts_of(subprocess.run(trial, cwd=folder, capture_output=True, text=True, check=False))


def test_the_compiled_wheel_runs_compiled(uv: Path, compiled_wheel: Path, tmp_path: Path) -> None:
    facts = tried(uv, compiled_wheel, tmp_path, "compiled")
    assert facts["compiled_in_use"] is True
    assert facts["version"] == f"envoymesh version: {__version__}"


def test_the_compiled_wheels_name_is_that_of_old_systems_too(compiled_wheel: Path) -> None:
    assert sys.platform != "linux" or "manylinux" in compiled_wheel.name


def test_the_pure_wheel_runs_its_source(uv: Path, pure_wheel: Path, tmp_path: Path) -> None:
    assert tried(uv, pure_wheel, tmp_path, "source")["compiled_in_use"] is False


@pytest.mark.docker
def test_the_images_wheel_runs_compiled_in_a_plain_container(docker_engine: None, images_wheel: Path) -> None:
    mounts = ["-v", f"{images_wheel}:/{images_wheel.name}:ro", "-v", f"{ROOT}/release/trial.py:/trial.py:ro"]
    command = ["docker", "run", "--rm", *mounts, BASE_IMAGE, "python3", "/trial.py", f"/{images_wheel.name}"]
    facts = facts_of(subprocess.run(command, capture_output=True, text=True, check=False))
    assert (facts["data_path"], facts["compiled_in_use"]) == ("compiled", True)
    assert str(facts["python"]).startswith("3.13.")


class Uvx:
    """`uvx --from WHEEL envoymesh ...` in an empty folder, on ports of its own."""

    def __init__(self, uv: Path, folder: Path) -> None:
        ports = free_ports()
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ENVOYMESH"))}
        self.folder = folder
        self.port = ports.proxy
        self._environment = {**inherited, **ports.environment(), "ENVOYMESH_NETWORK": "127.91.0.0/16"}
        self._uv = uv

    def run(self, wheel: Path, *words: str) -> str:
        """Run a command to its end; what it printed."""
        # Without the refresh uv would take what it has kept of an earlier wheel of this version.
        options = ["--refresh-package", "envoymesh", "--from", str(wheel)]
        command = [str(self._uv), "tool", "run", *options, "envoymesh", *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def uvx(uv: Path, tmp_path: Path, pure_wheel: Path) -> Iterator[Uvx]:
    """uvx in a new folder; a mesh that was left there is stopped."""
    folder = tmp_path / "empty"
    folder.mkdir()
    uvx = Uvx(uv, folder)
    yield uvx
    uvx.run(pure_wheel, "down")


def greeting(port: int, service: int) -> str:
    return httpx.get(f"http://127.0.0.1:{port}/service/{service}", timeout=20).text


def test_uvx_up_in_an_empty_folder_runs_the_built_in_sandbox(compiled_wheel: Path, uvx: Uvx) -> None:
    said = uvx.run(compiled_wheel, "up", "-d")
    assert said.startswith("there is no docker-compose.yaml here: this is the built-in sandbox")
    assert "\ndata path: compiled\n" in said
    assert all(f"(service {each})" in greeting(uvx.port, each) for each in (1, 2))
    assert os.listdir(uvx.folder) == [".envoymesh"]
    assert "front-envoy-1" in uvx.run(compiled_wheel, "ps")


def test_what_init_wrote_can_be_changed_and_run(pure_wheel: Path, uvx: Uvx) -> None:
    uvx.run(pure_wheel, "init")
    service = uvx.folder / "service/service.py"
    service.write_text(service.read_text().replace("Hello from behind Envoy", "Changed by me"))
    said = uvx.run(pure_wheel, "up", "-d")
    assert said.startswith("data path: source\n")
    assert greeting(uvx.port, 1).startswith("Changed by me (service 1)!")


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_what_init_wrote_builds_images_from_a_wheel(
    docker_engine: None, images_wheel: Path, pure_wheel: Path, uvx: Uvx
) -> None:
    uvx.run(pure_wheel, "init")
    shutil.copy(images_wheel, uvx.folder / "wheels")
    environment = {**os.environ, "COMPOSE_PROJECT_NAME": f"envoymesh-init-{os.getpid()}"}
    try:
        subprocess.run(["docker", "compose", "build", "--quiet"], cwd=uvx.folder, env=environment, check=True)
        image = f"{environment['COMPOSE_PROJECT_NAME']}-front-envoy"
        command = ["docker", "run", "--rm", "--env", "ENVOYMESH_NATIVE=1", image, "--mode", "validate"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "configuration '/etc/envoy.yaml' OK" in done.stdout, done.stderr
    finally:
        subprocess.run(["docker", "compose", "down", "--rmi", "local"], cwd=uvx.folder, env=environment, check=False)


def test_a_checkout_without_a_compiler_takes_what_is_compiled_from_dist(compiled_wheel: Path, tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    for name in ("envoymesh", "release"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "built"))
    (copy / "dist").mkdir()
    shutil.copy(compiled_wheel, copy / "dist")
    environment = {**os.environ, "PYTHONPATH": str(copy)}

    def python(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    what_runs = ("-c", "from envoymesh.native.loader import what_runs; print(what_runs())")
    assert python(*what_runs) == "source"
    assert python("-m", "release.take") == f"compiled modules are taken from {copy}/dist/{compiled_wheel.name}"
    assert python(*what_runs) == "compiled"
    assert python("-m", "release.take") == ""
    with (copy / "envoymesh/http/codec.py").open("a") as source:
        source.write("\n# Changed.\n")
    assert python("-m", "release.take") == ""
    assert python(*what_runs) == STALE
