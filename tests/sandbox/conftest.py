"""The mesh the scenarios run against, once in each runtime, made once a run."""

import os
from collections.abc import Iterator

import pytest

from tests.sandbox.meshes import DockerMesh, EmbeddedMesh, Mesh

EMBEDDED = pytest.param("embedded", marks=pytest.mark.timeout(120))
# The first start builds two images.
DOCKER = pytest.param("docker", marks=[pytest.mark.timeout(600), pytest.mark.docker])


@pytest.fixture(scope="session", params=[EMBEDDED, DOCKER])
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A running, healthy mesh: front-envoy, service1 and service2."""
    running = _make(request, tmp_path_factory)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def _make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    if request.param == "embedded":
        return EmbeddedMesh(tmp_path_factory.mktemp("mesh") / "state")
    request.getfixturevalue("docker_engine")
    return DockerMesh(f"envoymesh-test-{os.getpid()}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed scenario shows the mesh's logs."""
    report = yield
    mesh = getattr(item, "funcargs", {}).get("mesh")
    if report.failed and mesh is not None:
        report.sections.append(("mesh logs", mesh.logs()[-20_000:]))
    return report
