"""How long it takes from nothing to the first 200, and how large what is installed is. For CI's log and docs/deploy.md.

It asserts nothing: times are the machine's. It needs the wheels in dist/ (make wheels) and the images.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from release.take import runs_here
from release.trial import free_port, try_program, try_wheel, until_200
from release.wheels import DIST, MEGABYTE, MINE, ROOT, TOOLS, loud

IMAGES = ("envoymesh-front-envoy", "envoymesh-service1")
# Apart from a mesh that may run beside this.
NETWORK = "127.77.0.0/16"


def by_uv(wheel: Path) -> float:
    """Seconds of `uv venv`, `uv pip install` and a start to the first 200. Errors: as `try_wheel`."""
    with tempfile.TemporaryDirectory(prefix="envoymesh-uv-") as name:
        uv, python = str(TOOLS / "uv"), f"{name}/venv/bin/python"
        began = time.monotonic()
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, f"{name}/venv"], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, str(wheel)], check=True)
        try_program(Path(name) / "venv/bin/envoymesh")
        return time.monotonic() - began


def fresh_clone() -> float:
    """Seconds of `git clone` and `make run` to the first 200 of a service. Errors: TimeoutError, CalledProcessError."""
    ports = {name: str(free_port()) for name in ("PORT_PROXY", "PORT_HTTPS", "PORT_ADMIN")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ENVOYMESH"))}
    environment |= {**ports, "ENVOYMESH_NETWORK": NETWORK}
    with tempfile.TemporaryDirectory(prefix="envoymesh-clone-") as name:
        clone = Path(name) / "envoymesh"
        began = time.monotonic()
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(clone)], check=True)
        mesh = subprocess.Popen(["make", "run"], cwd=clone, env=environment, stdout=sys.stderr, start_new_session=True)
        try:
            return until_200(int(ports["PORT_PROXY"]), mesh, "/service/1", patience=600) - began
        finally:
            os.killpg(mesh.pid, signal.SIGINT)
            mesh.wait()


def sizes() -> None:
    """Print those of the wheels and the images."""
    for wheel in sorted(DIST.glob(MINE)):
        print(f"wheel: {wheel.stat().st_size / MEGABYTE:.1f} MB  {wheel.name}")
    for image in IMAGES:
        done = subprocess.run(
            ["docker", "image", "inspect", "--format", "{{.Size}}", image], capture_output=True, text=True, check=False
        )
        if done.returncode:
            loud(f"image {image}: not there")
        else:
            print(f"image: {int(done.stdout) / MEGABYTE:.0f} MB  {image}")


def main() -> int:
    """Print everything. Returns 1 where there is no wheel to try."""
    wheels = [each for each in sorted(DIST.glob(MINE)) if runs_here(each)]
    if not wheels:
        loud(f"no wheel in {DIST} is for this machine (make wheels)")
        return 1
    facts = try_wheel(str(wheels[0]))
    parts = ", ".join(f"{part} {facts[f'{part}_seconds']} s" for part in ("environment", "pip", "start"))
    print(f"fresh environment with the wheel to the first 200: {facts['seconds']} s ({parts}; {facts['data_path']})")
    print(f"the same by uv, with its cache as it is: {by_uv(wheels[0]):.1f} s")
    print(f"fresh clone to the first 200: {fresh_clone():.0f} s")
    sizes()
    return 0


if __name__ == "__main__":
    sys.exit(main())
