"""The pytest plugin: the fixtures `envoymesh` and `compose_mesh` (docs/testing.md).

pytest imports this in every run of who has installed the package, so it must import nothing else until a test asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from envoymesh.testing.mesh import Mesh
    from envoymesh.testing.proxy import Proxy
    from envoymesh.testing.workshop import Workshop

SHOWN = 20_000
"""So many of the last characters of a log stand in a failed test's report."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """--envoymesh-envoy."""
    text = "run the real Envoy at this path in the envoymesh fixture, instead of envoymesh"
    parser.getgroup("envoymesh").addoption("--envoymesh-envoy", metavar="PATH", default=None, help=text)


@pytest.fixture(scope="session")
def _envoymesh_workshop(request: pytest.FixtureRequest) -> Iterator[Workshop]:
    try:
        from envoymesh.testing.workshop import Workshop
    except ImportError as error:
        pytest.fail(f"{error.name} is missing: pip install 'envoymesh[testing]'", pytrace=False)
    envoy = request.config.getoption("--envoymesh-envoy")
    workshop = Workshop(Path(envoy).absolute() if envoy else None, request.config.invocation_params.dir)
    yield workshop
    workshop.close()


class Proxies:
    """The `envoymesh` fixture: a call starts a proxy, which is stopped when the test is over.

    Attributes:
        running: those of this test.
    """

    def __init__(self, workshop: Workshop, beside: Path, folder: Callable[[str], Path]) -> None:
        self.running: list[Proxy] = []
        self._workshop = workshop
        self._beside = beside
        self._folder = folder

    def __call__(
        self,
        config: str | Path | Mapping[str, Any],
        upstreams: Mapping[str, Any] | None = None,
        *,
        flags: Sequence[str] = (),
        seconds: float = 30.0,
    ) -> Proxy:
        """Start a proxy of an Envoy v3 configuration, with fakes in the place of clusters, and wait until it serves.

        Args:
            config: the file, beside the test's or below where pytest was started; or what would stand in one.
            upstreams: what clusters answer, by their names; ``*`` is every other (docs/testing.md).
            flags: of the command line; without any it has one worker.
            seconds: how long it may take to start.
        Errors: ConfigError and TestingError.
        """
        folder = self._folder("envoymesh")
        if isinstance(config, Mapping):
            path = folder / "given.json"
            path.write_text(json.dumps(config))
        else:
            path = found_file(config, self._beside)
        proxy = self._workshop.proxy(path, upstreams or {}, folder, flags, seconds)
        self.running.append(proxy)
        return proxy

    def stop(self) -> list[Exception]:
        """Stop them; what the test's handlers raised."""
        for proxy in self.running:
            proxy.stop()
        return [error for proxy in self.running for fake in proxy.upstreams.values() for error in fake.errors]

    @property
    def log(self) -> str:
        """What they wrote."""
        return "\n".join(proxy.log.report for proxy in self.running)


def found_file(name: str | Path, beside: Path) -> Path:
    """A file beside the test, or where pytest was started. Errors: pytest's failure, where there is none."""
    places = [beside / name, Path.cwd() / name]
    for path in places:
        if path.exists():
            return path
    pytest.fail(f"no such file: {' or '.join(str(each) for each in places)}", pytrace=False)


@pytest.fixture
def envoymesh(
    request: pytest.FixtureRequest, _envoymesh_workshop: Workshop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxies]:
    """Starts proxies: `proxy = envoymesh("front.yaml", upstreams={"service1": [503, 200]})`."""
    proxies = Proxies(_envoymesh_workshop, request.path.parent, tmp_path_factory.mktemp)
    try:
        yield proxies
    finally:
        errors = proxies.stop()
    for error in errors:
        raise error


class Meshes:
    """The `compose_mesh` fixture: a call starts a mesh, which is stopped when the test is over."""

    def __init__(self, beside: Path, folder: Callable[[str], Path]) -> None:
        self.running: list[Mesh] = []
        self._beside = beside
        self._folder = folder

    def __call__(
        self, file: str | Path = "docker-compose.yaml", *overlays: str | Path, scale: Mapping[str, int] | None = None
    ) -> Mesh:
        """Run the services of a Compose file as local processes, on free ports and addresses, until all are healthy.

        Args:
            overlays: files that are laid over it, as `docker compose -f`.
            scale: replicas of services.
        Errors: SandboxError.
        """
        from envoymesh.testing.mesh import Mesh

        files = [found_file(each, self._beside) for each in (file, *overlays)]
        mesh = Mesh(files, self._folder("mesh"))
        self.running.append(mesh)
        mesh.up(scale or {})
        return mesh

    @property
    def log(self) -> str:
        """What they wrote."""
        return "\n".join(mesh.log for mesh in self.running)


@pytest.fixture
def compose_mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meshes]:
    """Starts whole meshes: `mesh = compose_mesh("docker-compose.yaml", scale={"service1": 2})`."""
    meshes = Meshes(request.path.parent, tmp_path_factory.mktemp)
    try:
        yield meshes
    finally:
        for mesh in meshes.running:
            mesh.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the logs of its proxies and meshes."""
    report = yield
    if report.failed:
        for name, made in getattr(item, "funcargs", {}).items():
            if isinstance(made, Proxies | Meshes) and made.log:
                report.sections.append((f"{name}: log of the proxies", made.log[-SHOWN:]))
    return report
