"""Takes compiled modules out of a wheel, so that `make run` is fast on a machine without a compiler.

    python -m release.take [FOLDER]     # of the wheels in FOLDER (dist); says what it took, if it took anything

The fingerprint decides, as it does when a proxy starts: a wheel of other sources, or for another Python, is let alone.
It must not build or download anything.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from envoymesh.native.build import put_file
from envoymesh.native.modules import FOLDER, PACKAGE, fingerprint, manifest_file, read_fresh_manifest


def take(folder: Path) -> Path | None:
    """Take them from the first wheel in `folder` that has them for this machine and these sources, if there is one.

    Errors: OSError when they cannot be written.
    """
    if read_fresh_manifest() is not None:
        return None
    wanted = fingerprint()
    return next(
        (each for each in sorted(folder.glob("envoymesh-*.whl")) if runs_here(each) and _take(each, wanted)), None
    )


def runs_here(wheel: Path) -> bool:
    """Whether the wheel's name says that it is for this Python on this kind of machine."""
    try:
        return not parse_wheel_filename(wheel.name)[3].isdisjoint(sys_tags())
    except InvalidWheelFilename:
        return False


def _take(wheel: Path, wanted: str) -> bool:
    built = f"{PACKAGE.name}/{FOLDER.relative_to(PACKAGE).as_posix()}"
    try:
        with ZipFile(wheel) as archive:
            manifest = archive.read(f"{built}/{manifest_file().name}")
            found = json.loads(manifest)
            if found["fingerprint"] != wanted:
                return False
            for name in found["modules"].values():
                put_file(FOLDER / Path(name).name, archive.read(f"{built}/{name}"))
    except (BadZipFile, KeyError, ValueError):
        # No wheel, a pure one, or one that was cut: none of it counts, for the manifest is written last.
        return False
    put_file(manifest_file(), manifest)
    return True


def main(arguments: Sequence[str]) -> int:
    """Take them. Returns the exit code, 0 also where there was nothing to take."""
    try:
        wheel = take(Path(arguments[0]) if arguments else PACKAGE.parent / "dist")
    except OSError as error:
        print(f"compiled modules cannot be taken: {error}", file=sys.stderr)
        return 1
    if wheel is not None:
        print(f"compiled modules are taken from {wheel}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
