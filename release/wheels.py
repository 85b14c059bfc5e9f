"""`make wheels`: a compiled wheel for the Python that runs this, one for the images' Python, and a pure one, in dist/.

cibuildwheel builds the others (pyproject.toml) by the same setup.py, where its images can be had, and on a Mac. What
cannot be made here is said loudly. It must not install anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from envoymesh import __version__
from envoymesh.native.build import compile_package

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
TOOLS = ROOT / ".venv/release/bin"
MINE = f"envoymesh-{__version__}-*.whl"
MEGABYTE = 1_000_000


def build(kind: str, target: Path, root: Path = ROOT) -> Path:
    """Build a wheel of the sources in `root` for the Python that runs this. `kind` is pure or compiled.

    Errors: subprocess.CalledProcessError, after the build's own words.
    """
    target.mkdir(parents=True, exist_ok=True)
    options = [
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
        "--wheel-dir",
        str(target),
    ]
    environment = {**os.environ, "ENVOYMESH_WHEEL": kind}
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(root)], env=environment, check=True)
    return _only(target)


def build_in_docker(target: Path) -> Path:
    """Take the wheel out of the images' build, which has made it or makes it now. Errors: CalledProcessError."""
    command = ["docker", "build", "--quiet", "--file", "Dockerfile.front", "--target", "wheel"]
    base = os.environ.get("BASE_IMAGE")  # as docker-compose.yaml takes it: with the same one, nothing is built twice
    command += [*(["--build-arg", f"BASE={base}"] if base else []), "--output", f"type=local,dest={target}", "."]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "DOCKER_BUILDKIT": "1"}, check=True, stdout=sys.stderr)
    return _only(target)


def audited(wheel: Path, target: Path) -> Path:
    """The wheel under the name of the oldest systems that it runs on, as auditwheel finds; else as it is, loudly."""
    if sys.platform != "linux":
        return wheel
    environment = {**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = ["auditwheel", "repair", "--plat", "auto", "--wheel-dir", str(target), str(wheel)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        loud(f"{wheel.name} is for this kind of machine alone: auditwheel is not installed (make wheels does that)")
        return wheel
    if done.returncode:
        loud(f"{wheel.name} is for this kind of machine alone: auditwheel says\n{done.stderr}")
        return wheel
    return _only(target)


def loud(words: str) -> None:
    """Say what could not be done."""
    print(f"!!! {words}", file=sys.stderr, flush=True)


def has_docker() -> bool:
    """Whether a Docker Engine answers."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def _only(folder: Path) -> Path:
    (wheel,) = folder.glob(MINE)
    return wheel


def main() -> int:
    """Build them all. Returns 1 where a wheel that should be there could not be built."""
    for old in DIST.glob(MINE):
        old.unlink()
    missing = 0
    with tempfile.TemporaryDirectory(prefix="envoymesh-wheels-") as name:
        folder = Path(name)
        made = [build("pure", folder / "pure")]
        if compile_package() == 0:
            made.append(audited(build("compiled", folder / "compiled"), folder / "audited"))
        else:
            loud("no compiled wheel for this Python: see above")
            missing = 1
        if has_docker():
            made.append(audited(build_in_docker(folder / "docker"), folder / "docker-audited"))
        else:
            loud("no wheel for the images' Python: no Docker Engine answers")
        for wheel in made:
            keep(wheel)
    return missing


def keep(wheel: Path) -> None:
    """Put a wheel into dist/, and say so."""
    DIST.mkdir(exist_ok=True)
    shutil.copy(wheel, DIST)
    print(f"{wheel.stat().st_size / MEGABYTE:5.1f} MB  {DIST.name}/{wheel.name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
