import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.process import Command, spawn


def command(folder: Path, *words: str, **environment: str) -> Command:
    return Command(words, {"PATH": os.environ["PATH"], **environment}, folder, folder / "log")


def test_output_environment_folder_and_exit_code(tmp_path: Path) -> None:
    async def run() -> int:
        process = await spawn(command(tmp_path, "sh", "-c", "echo $SAID; pwd >&2; exit 7", SAID="hello"))
        return await process.wait()

    assert asyncio.run(run()) == 7
    assert (tmp_path / "log").read_text().splitlines() == ["hello", str(tmp_path)]


def test_a_signal_and_its_code_and_a_late_one_is_harmless(tmp_path: Path) -> None:
    async def run() -> int:
        process = await spawn(command(tmp_path, "sleep", "60"))
        process.send_signal(signal.SIGTERM)
        code = await process.wait()
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGKILL)
        return code

    assert asyncio.run(run()) == -signal.SIGTERM


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="cannot run no-such-program: No such file or directory"):
        asyncio.run(spawn(command(tmp_path, "no-such-program")))


PARENT = """
import asyncio, os, pathlib, sys
from envoymesh.sandbox.process import Command, spawn

async def main():
    folder = pathlib.Path(sys.argv[1])
    process = await spawn(Command(["sleep", "60"], dict(os.environ), folder, folder / "log"))
    print(process.pid, flush=True)
    await process.wait()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_it_does_not_outlive_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 5
    while _runs(child):
        assert time.monotonic() < deadline, f"process {child} outlives its supervisor"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether the process is there and no zombie that only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
