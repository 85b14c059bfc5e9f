"""The mesh in Docker as the host sees it, over a docker command that says what a test decides."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from envoymesh.page.docker import DockerRuntime
from envoymesh.page.errors import PageError

STAND_IN = """#!/bin/sh
echo "$@" >> {folder}/said
case "$1" in
ps) cat {folder}/ids;;
inspect) cat {folder}/inspected;;
pause) echo 'Error response from daemon: it is paused already' >&2; exit 1;;
esac
"""


def container(service: str, number: int, status: str = "running", health: str = "", published: bool = False) -> Any:
    labels = {"com.docker.compose.service": service, "com.docker.compose.container-number": str(number)}
    return {
        "Config": {"Labels": labels},
        "State": {"Status": status, **({"Health": {"Status": health}} if health else {})},
        "NetworkSettings": {"Networks": {"n": {"IPAddress": f"172.18.0.{number + 1}" if status == "running" else ""}}},
        "HostConfig": {"PortBindings": {"8080/tcp": [{}]} if published else {}},
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in finds what to say, and writes what it was told."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    (tmp_path / "ids").write_text("a\nb\n")
    inspected = [
        container("service1", 2, health="starting"),
        container("front-envoy", 1, health="healthy", published=True),
        container("page", 1, published=True),
        container("service1", 3, status="exited"),
        container("service1", 4, status="paused"),
    ]
    (tmp_path / "inspected").write_text(json.dumps(inspected))
    return tmp_path


def test_the_containers(folder: Path) -> None:
    front, *others = asyncio.run(DockerRuntime(folder / "compose.yaml", "mine").places())
    assert (front.name, front.tier, front.admin) == ("front-envoy-1", 1, "172.18.0.2:8001")
    assert [(each.name, each.state, each.admin) for each in others] == [
        ("service1-2", "starting", ""),
        ("service1-3", "stopped", ""),
        ("service1-4", "unhealthy", ""),
    ]
    assert "label=com.docker.compose.project=mine" in (folder / "said").read_text()


def test_what_is_done_with_them(folder: Path) -> None:
    async def test() -> None:
        runtime = DockerRuntime(folder / "compose.yaml", "mine")
        await runtime.places()
        await runtime.scale("service1", 3)
        await runtime.act("service1-2", "kill")
        said = (folder / "said").read_text().splitlines()
        file = folder / "compose.yaml"
        assert said[-2:] == [
            f"compose -f {file} -p mine up -d --no-recreate --no-build --scale service1=3 service1",
            "kill mine-service1-2",
        ]
        for wrong, words in (
            (runtime.act("service1-2", "pause"), "it is paused already"),
            (runtime.act("other", "kill"), "There is no replica other"),
            (runtime.act("service1-2", "rm"), "rm is none of"),
            (runtime.scale("service1", 101), "100 replicas at most"),
            (runtime.scale("--privileged=x", 1), "There is no service"),
            (runtime.scale("-d", 1), "There is no service"),
        ):
            with pytest.raises(PageError, match=words):
                await wrong

    asyncio.run(test())


def test_no_containers_and_no_docker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "ids").write_text("")
    with pytest.raises(PageError, match="The project mine has no containers"):
        asyncio.run(DockerRuntime(folder / "compose.yaml", "mine").places())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PageError, match="The docker command cannot be run"):
        asyncio.run(DockerRuntime(folder / "compose.yaml", "mine").places())
