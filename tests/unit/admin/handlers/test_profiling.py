"""/memory, /contention, /cpuprofiler and the profilers that are not here."""

import json

import pytest

from tests.unit.admin.conftest import FakeCpuProfiler


def test_the_cpu_profiler_starts_and_stops(ask) -> None:
    profiler = FakeCpuProfiler()
    assert ask("/cpuprofiler?enable=y", "POST", cpu_profiler=profiler).body == "OK\n"
    assert ask("/cpuprofiler?enable=n", "POST", cpu_profiler=profiler).body == "OK\n"
    assert profiler.calls == ["start", "stop"]


def test_a_profiler_that_does_not_start_is_a_500(ask) -> None:
    response = ask("/cpuprofiler?enable=y", "POST", cpu_profiler=FakeCpuProfiler(starts=False))
    assert (response.status, response.body) == (500, "failure to start the profiler")


@pytest.mark.parametrize("path", ["/cpuprofiler", "/allocprofiler"])
@pytest.mark.parametrize("query", ["", "?enable=x", "?enable", "?enable=y&x=1"])
def test_the_usage(ask, path: str, query: str) -> None:
    response = ask(path + query, "POST")
    assert (response.status, response.body) == (400, "?enable=<y|n>\n")


@pytest.mark.parametrize(
    ("target", "method"),
    [
        ("/allocprofiler?enable=y", "POST"),
        ("/heapprofiler?enable=y", "POST"),
        ("/heap_dump", "GET"),
        ("/peak_heap_dump", "GET"),
        ("/memory/tcmalloc", "GET"),
    ],
)
def test_what_the_build_has_not(ask, target: str, method: str) -> None:
    response = ask(target, method)
    assert response.status == 501
    assert "current build" in response.body


def test_memory_prints_zeros_too(ask) -> None:
    assert json.loads(ask("/memory").body) == {
        "allocated": "1",
        "heap_size": "2",
        "pageheap_unmapped": "0",
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": "3",
    }


def test_contention_is_not_traced(ask) -> None:
    assert ask("/contention").body.startswith("Mutex contention tracing is not enabled.")
