"""`make sbom`: what a wheel brings along, as CycloneDX JSON in dist/, read from a new environment that has it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from envoymesh import __version__
from release.environment import with_pure_wheel
from release.wheels import DIST, ROOT, TOOLS


def write(python: Path, target: Path) -> None:
    """Write the bill of materials of an environment. Errors: subprocess.CalledProcessError."""
    command = [str(TOOLS / "cyclonedx-py"), "environment", str(python), "--pyproject", str(ROOT / "pyproject.toml")]
    subprocess.run([*command, "--output-reproducible", "--output-file", str(target)], check=True)


def main() -> int:
    """Write it. Returns the exit code."""
    DIST.mkdir(exist_ok=True)
    target = DIST / f"envoymesh-{__version__}.cdx.json"
    with tempfile.TemporaryDirectory(prefix="envoymesh-sbom-") as name:
        write(with_pure_wheel(Path(name)), target)
    print(target.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
