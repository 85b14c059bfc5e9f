import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from envoymesh.sandbox.compose import HealthCheck
from envoymesh.sandbox.health import HEALTHY, STARTING, STARTING_INTERVAL, UNHEALTHY, Health, Probe, make_probe

CHECK = HealthCheck(test=("NONE",), interval=5.0, timeout=1.0, retries=3, start_period=10.0)


def test_the_first_good_check_makes_it_healthy() -> None:
    health = Health(CHECK)
    assert health.status == STARTING
    assert health.pause() == STARTING_INTERVAL
    health.observe(True, 1.0)
    assert health.status == HEALTHY
    assert health.pause() == 5.0


def test_failures_while_it_starts_do_not_count() -> None:
    health = Health(CHECK)
    for _ in range(9):
        health.observe(False, 9.9)
    assert health.status == STARTING
    for expected in (STARTING, STARTING, UNHEALTHY):
        health.observe(False, 10.0)
        assert health.status == expected


def test_only_failures_in_a_row_make_it_unhealthy_and_one_success_heals() -> None:
    health = Health(CHECK)
    for well in (True, False, False, True, False, False):
        health.observe(well, 1.0)
    assert health.status == HEALTHY
    health.observe(False, 1.0)
    assert health.status == UNHEALTHY
    health.observe(True, 1.0)
    assert health.status == HEALTHY


def probe_of(test: tuple[str, ...], adapt: Callable[[str], str] = str, timeout: float = 5.0) -> Probe | None:
    return make_probe(HealthCheck(test=test, timeout=timeout), adapt, dict(os.environ), Path("/"))


def check(
    url_of: Callable[[int], tuple[str, ...]], answer: bytes = b"", *, hang: bool = False, timeout: float = 5.0
) -> bool:
    """Whether curl with the URLs, made for a server's port, finds it well."""
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        if hang:
            await reader.read()
        writer.write(answer)
        writer.close()

    async def run() -> bool:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            probe = probe_of(("CMD", "curl", "-f", *url_of(server.sockets[0].getsockname()[1])), timeout=timeout)
            assert probe is not None
            well = await probe()
            await asyncio.gather(*(each for each in serving if each), return_exceptions=True)
            return well

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "well"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 302 Found\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"SSH-2.0\r\n", False),
        (b"", False),
    ],
)
def test_curl_is_done_here_as_curl_f_would(answer: bytes, well: bool) -> None:
    assert check(lambda port: (f"http://127.0.0.1:{port}/ready",), answer) is well


def test_every_url_must_answer() -> None:
    good = b"HTTP/1.1 200 OK\r\n\r\n"
    assert check(lambda port: (f"http://127.0.0.1:{port}/a", f"http://127.0.0.1:{port}/b"), good)
    assert not check(lambda port: (f"http://127.0.0.1:{port}/a", "http://127.0.0.1:1/b"), good)


def test_an_answer_that_comes_too_late_is_a_failure() -> None:
    assert not check(lambda port: (f"http://127.0.0.1:{port}/",), hang=True, timeout=0.05)


def test_urls_and_words_are_adapted() -> None:
    probe = probe_of(("CMD", "other"), lambda word: {"other": "true"}[word])
    assert probe is not None
    assert asyncio.run(awaited(probe))


async def awaited(probe: Probe) -> bool:
    return await probe()


@pytest.mark.parametrize(
    ("test", "well"),
    [
        (("CMD", "true"), True),
        (("CMD", "false"), False),
        (("CMD", "/no/such/program"), False),
        (("CMD-SHELL", "exit 0"), True),
        (("CMD-SHELL", "exit 3"), False),
    ],
)
def test_other_commands_are_run(test: tuple[str, ...], well: bool) -> None:
    probe = probe_of(test)
    assert probe is not None
    assert asyncio.run(awaited(probe)) is well


def test_none_is_no_check() -> None:
    assert probe_of(("NONE",)) is None
