"""The CPU profiler: a speedscope file with the functions that used the CPU."""

import json
import sys
import time
from pathlib import Path

import pytest

from envoymesh.server.cpu_profiler import CpuProfiler, Samples


def burn(seconds: float) -> int:
    end, turns = time.thread_time() + seconds, 0
    while time.thread_time() < end:
        turns += 1
    return turns


@pytest.mark.slow
def test_the_file_names_what_used_the_cpu(tmp_path: Path) -> None:
    path = tmp_path / "cpu.prof"
    profiler = CpuProfiler(str(path))
    assert profiler.start()
    assert profiler.start()
    assert profiler.enabled
    burn(0.3)
    profiler.stop()
    profiler.stop()
    assert not profiler.enabled
    document = json.loads(path.read_text())
    (profile,) = document["profiles"]
    names = [frame["name"] for frame in document["shared"]["frames"]]
    in_burn = sum(
        weight
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True)
        if "burn" in [names[index] for index in stack]
    )
    assert in_burn > profile["endValue"] / 2
    assert profile["endValue"] == pytest.approx(sum(profile["weights"]))
    assert document["$schema"].endswith("file-format-schema.json")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    profiler = CpuProfiler(str(tmp_path / "none" / "cpu.prof"))
    assert not profiler.start()
    assert not profiler.enabled


def test_stacks_are_outermost_first() -> None:
    samples = Samples()

    def inner() -> None:
        samples.add(sys._getframe(), 0.01)

    inner()
    inner()
    document = samples.document("x")
    names = [frame["name"] for frame in document["shared"]["frames"]]
    (profile,) = document["profiles"]
    assert len(samples) == 2
    assert names[profile["samples"][0][-1]].endswith("inner")
    assert names[profile["samples"][0][-2]].endswith("test_stacks_are_outermost_first")
    assert profile["endValue"] == pytest.approx(0.02)
