"""The built-in sandbox: the description, services and examples of the repository, which a wheel carries along.

In a repository they are its own files, at its root; setup.py copies those into a wheel. This module only finds and
writes them: it must not start anything.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from envoymesh import __version__
from envoymesh.sandbox.errors import SandboxError

DESCRIPTION = "docker-compose.yaml"
PACKAGED = "seed"
"""The folder beside this file that has the sandbox in a wheel."""

PATTERNS = (
    DESCRIPTION,
    "Dockerfile.front",
    "Dockerfile.service",
    "certs/generate.py",
    "examples/*/*.yaml",
    "front-envoy/*.yaml",
    "service/service.py",
    "service-envoy/*",
)
ROLES = "# Roles part here.\n"
"""What stands in both Dockerfiles where their own part begins."""

# What stands before that line in a repository builds the wheel from its sources; elsewhere there is nothing to build.
INSTALLING = f"""\
# Made by `envoymesh init`. Down to "Roles part here" both Dockerfiles are the same: the images share those layers.
ARG BASE=python:3.13-slim
FROM ${{BASE}}
ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN command -v curl >/dev/null \\
 || {{ apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/*; }}
RUN useradd --system --create-home --uid 10001 envoy && python3 -m venv --without-pip /opt/envoymesh
ENV PATH=/opt/envoymesh/bin:$PATH PIP_PYTHON=/opt/envoymesh/bin/python
# Taken from the package index, unless the folder wheels/ has it.
ARG ENVOYMESH=envoymesh=={__version__}
RUN --mount=type=bind,source=wheels,target=/wheels \\
    pip install --find-links /wheels "$ENVOYMESH"

"""
WHEELS_NOTE = f"""\
The images install envoymesh {__version__} from the package index, or from this folder: put a wheel here where the index
has none, or cannot be reached. It must be for CPython 3.13 on Linux, or a pure one (py3-none-any).
"""
IGNORED = ".envoymesh\n**/__pycache__\n**/*.key\n**/*.pem\n**/*.crt\n"


def folder() -> Path:
    """Where the built-in sandbox lies. Errors: SandboxError when this installation has none."""
    here = Path(__file__).resolve().parent
    for candidate in (here / PACKAGED, here.parents[1]):
        if (candidate / DESCRIPTION).is_file():
            return candidate
    raise SandboxError("this installation of envoymesh has no built-in sandbox")


def files(root: Path) -> list[PurePosixPath]:
    """The sandbox's files, as paths below `root`."""
    found = (file for pattern in PATTERNS for file in root.glob(pattern) if file.is_file())
    return sorted(PurePosixPath(file.relative_to(root).as_posix()) for file in found)


def write(target: Path, *, force: bool) -> list[PurePosixPath]:
    """Write the sandbox's files below `target`, which is made if needed; gives what was written.

    Errors: SandboxError when a file is there already (unless `force`), and for what cannot be written.
    """
    if target.exists() and not target.is_dir():
        raise SandboxError(f"{target}: is no folder")
    contents = dict(_contents(folder()))
    there = [str(name) for name in contents if (target / name).exists()]
    if there and not force:
        raise SandboxError(f"{target}: not overwritten without --force: {', '.join(there)}")
    for name, source in contents.items():
        try:
            _put(target / name, source)
        except OSError as error:
            raise SandboxError(f"{target / name}: cannot be written: {error.strerror}") from None
    return list(contents)


def _contents(root: Path) -> Iterator[tuple[PurePosixPath, str | Path]]:
    """Each file's place, and its text or the file that it is a copy of."""
    yield PurePosixPath(".dockerignore"), IGNORED
    yield PurePosixPath("wheels/README"), WHEELS_NOTE
    for name in files(root):
        if name.name.startswith("Dockerfile."):
            yield name, INSTALLING + ROLES + (root / name).read_text(encoding="utf-8").partition(ROLES)[2]
        else:
            yield name, root / name


def _put(path: Path, source: str | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Path):
        shutil.copy(source, path)
    else:
        path.write_text(source, encoding="utf-8")
