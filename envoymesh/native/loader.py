"""Puts compiled modules in the place of their sources, for this process, before any of them is imported.

ENVOYMESH_NATIVE decides: `0` runs the source, `1` insists on compiled modules, anything else takes what is there. This
module must not compile.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from envoymesh.native.modules import FOLDER, fingerprint, manifest_file

VARIABLE = "ENVOYMESH_NATIVE"

COMPILED = "compiled"
SOURCE = "source"
STALE = "source, which has changed since `envoymesh compile`"


class NativeFinder(MetaPathFinder):
    """Finds modules by their dotted names in a table of files."""

    def __init__(self, files: dict[str, Path]) -> None:
        self._files = files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The compiled module's spec, or None for all others."""
        file = self._files.get(fullname)
        return None if file is None else spec_from_file_location(fullname, file)

    def __repr__(self) -> str:
        return f"<NativeFinder {len(self._files)} modules>"


def activate() -> str:
    """Have this process import compiled modules where there are fresh ones; tells what will run, in words.

    Raises:
        SystemExit: they are asked for by ENVOYMESH_NATIVE=1, and cannot be had.
    """
    wanted = os.environ.get(VARIABLE, "")
    running = SOURCE if wanted == "0" else _install()
    if wanted == "1" and running != COMPILED:
        sys.exit(f"{VARIABLE}=1, but there is only {running}; run: envoymesh compile")
    return running


def _install() -> str:
    try:
        manifest = json.loads(manifest_file().read_bytes())
    except FileNotFoundError:
        return SOURCE
    if manifest["fingerprint"] != fingerprint():
        return STALE
    files = {name: FOLDER / file for name, file in manifest["modules"].items()}
    sys.meta_path.insert(0, NativeFinder(files))
    return COMPILED
