"""Puts compiled modules in the place of their sources, for this process, before any of them is imported.

ENVOYMESH_NATIVE decides: `0` runs the source, `1` insists on compiled modules, anything else takes what is there. This
module must not compile.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from envoymesh.native.modules import FOLDER, fingerprint, read_manifest

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
    running = what_runs()
    if os.environ.get(VARIABLE) == "1" and running != COMPILED:
        sys.exit(f"{VARIABLE}=1, but there is only {running}; run: envoymesh compile")
    manifest = read_manifest() if running == COMPILED else None
    if manifest is not None:
        sys.meta_path.insert(0, NativeFinder({name: FOLDER / file for name, file in manifest["modules"].items()}))
    return running


def what_runs() -> str:
    """What a proxy that starts now runs, in words."""
    manifest = None if os.environ.get(VARIABLE) == "0" else read_manifest()
    if manifest is None:
        return SOURCE
    return COMPILED if manifest["fingerprint"] == fingerprint() else STALE
