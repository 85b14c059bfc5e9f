"""Builds the package: `pip install .`, `make wheels`, both Dockerfiles and cibuildwheel all come here.

ENVOYMESH_WHEEL=compiled makes a wheel with machine code for the Python that runs this. It compiles first, unless
`envoymesh compile` has just done so. Without the variable the wheel is the pure one, for every machine. What both carry
besides the package is the built-in sandbox, which lies in the repository's root and nowhere else.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from envoymesh.native.build import compile_package  # noqa: E402 (the line above finds it)
from envoymesh.native.modules import FOLDER, PACKAGE, manifest_file, read_fresh_manifest  # noqa: E402
from envoymesh.sandbox import seed  # noqa: E402

VARIABLE = "ENVOYMESH_WHEEL"
KINDS = ("", "pure", "compiled")
KIND = os.environ.get(VARIABLE, "")
if KIND not in KINDS:
    sys.exit(f"{VARIABLE}={KIND}: only 'pure' and 'compiled' are known")
COMPILED = KIND == "compiled"


class Platform(Distribution):
    """What is compiled is for one kind of machine, and says so in the wheel's name."""

    def has_ext_modules(self) -> bool:
        """Whether the wheel is for one kind of machine only."""
        return COMPILED


class BuildPackage(build_py):
    """Copies the package, and what a wheel has besides. An editable install finds all of it in the repository."""

    def run(self) -> None:
        """Copy everything into the folder that becomes the wheel."""
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / PACKAGE.name
        for file in seed.files(ROOT):
            _copy(ROOT / file, package / "sandbox" / seed.PACKAGED / file)
        if COMPILED:
            _compile()
            for name in (manifest_file().name, *_compiled_files()):
                _copy(FOLDER / name, package / "native" / FOLDER.name / name)


def _compile() -> None:
    if compile_package() != 0:
        sys.exit(f"{VARIABLE}=compiled, and it does not compile: see above")


def _compiled_files() -> list[str]:
    manifest = read_fresh_manifest()
    if manifest is None:
        sys.exit("the sources have changed while they were compiled")
    return list(manifest["modules"].values())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _tools() -> list[str]:
    """What compiling needs. The dependencies are part of it, for their types go into the machine code."""
    if not COMPILED or read_fresh_manifest() is not None:
        return []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["optional-dependencies"]["native"], *project["dependencies"]]


# A folder of its own: what an earlier wheel had, such as machine code, must not come into a later one.
BUILD = tempfile.mkdtemp(prefix="envoymesh-build-")
atexit.register(shutil.rmtree, BUILD, ignore_errors=True)

setup(
    distclass=Platform,
    cmdclass={"build_py": BuildPackage},
    setup_requires=_tools(),
    options={"build": {"build_base": BUILD}},
)
