"""The wheels that the tests of this folder look at."""

from pathlib import Path
from zipfile import ZipFile

import pytest

from release.take import runs_here
from release.wheels import DIST, MINE, ROOT, TOOLS, build
from tests.conftest import missing

IMAGES_PYTHON = "cp313"
SOURCES = sorted((ROOT / "envoymesh").rglob("*.py"))


@pytest.fixture(scope="session")
def pure_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pure wheel of these sources, built now."""
    return build("pure", tmp_path_factory.mktemp("pure"))


@pytest.fixture(scope="session")
def compiled_wheel() -> Path:
    """The compiled wheel of these sources for this Python, which `make wheels` has put into dist/."""
    for wheel in DIST.glob(MINE):
        if runs_here(wheel) and "none-any" not in wheel.name and is_of_these_sources(wheel):
            return wheel
    missing("wheels", "no compiled wheel of these sources is in dist/ (make wheels)")


@pytest.fixture(scope="session")
def images_wheel() -> Path:
    """The wheel for the images' Python, which `make wheels` has taken out of their build."""
    for wheel in DIST.glob(MINE):
        if f"-{IMAGES_PYTHON}-" in wheel.name and "linux" in wheel.name and is_of_these_sources(wheel):
            return wheel
    missing("wheels", f"no {IMAGES_PYTHON} wheel of these sources is in dist/ (make wheels, with Docker)")


def is_of_these_sources(wheel: Path) -> bool:
    """Whether the package's modules in a wheel are those of this checkout."""
    with ZipFile(wheel) as archive:
        return all(archive.read(str(file.relative_to(ROOT))) == file.read_bytes() for file in SOURCES)


@pytest.fixture(scope="session")
def uv() -> Path:
    """The program uv, of the environment that `make wheels` makes for its tools."""
    program = TOOLS / "uv"
    if not program.exists():
        missing("wheels", f"uv is not at {program} (make wheels)")
    return program
