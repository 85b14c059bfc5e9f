import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from service.service import NO_FAULTS, Switch, make_app, options, read_faults


def switch(chance: float = 0.5, crash: Callable[[], None] = lambda: None) -> Switch:
    return Switch(lambda: chance, crash)


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """The app behind a URL, as `main` runs it."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield "http://{}:{}".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


def asked(paths: list[str], service: str = "1", hostname: str = "service1-2") -> list[tuple[int, list[str], str]]:
    """Status, header names in order, and body of a GET of each path."""

    async def run() -> list[tuple[int, list[str], str]]:
        app = make_app(service, hostname, switch(), with_faults=False)
        async with served(app) as base, aiohttp.ClientSession() as session:
            answers = []
            for path in paths:
                async with session.get(base + path) as response:
                    names = [name.decode().lower() for name, _ in response.raw_headers]
                    answers.append((response.status, names, await response.text()))
            return answers

    return asyncio.run(run())


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hosts file of the name that the app runs under."""
    (tmp_path / "hosts").write_text("192.0.2.7 service1-2\n192.168.160.4 36418bc3c824\n")
    monkeypatch.setenv("CARES_HOSTS", str(tmp_path / "hosts"))


@pytest.mark.usefixtures("hosts")
def test_the_greeting_is_the_documents() -> None:
    ((status, names, body),) = asked(["/service/1"], hostname="36418bc3c824")
    assert status == 200
    assert names == ["content-type", "content-length", "server", "date"]
    assert body == "Hello from behind Envoy (service 1)! hostname: 36418bc3c824 resolvedhostname: 192.168.160.4\n"
    assert len(body) == 92


@pytest.mark.usefixtures("hosts")
def test_it_answers_for_its_own_number_only() -> None:
    assert [status for status, _, _ in asked(["/service/1", "/service/2", "/service/x", "/"])] == [200, 404, 404, 404]
    assert [status for status, _, _ in asked(["/service/1", "/service/2"], service="")] == [200, 200]


@pytest.mark.usefixtures("hosts")
def test_healthz() -> None:
    assert [(status, body) for status, _, body in asked(["/healthz"])] == [(200, "OK\n")]


def test_options_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOST", raising=False)
    monkeypatch.delenv("PORT", raising=False)
    assert vars(options([])) == {"host": "127.0.0.1", "port": 8080}
    monkeypatch.setenv("HOST", "127.0.1.1")
    monkeypatch.setenv("PORT", "81")
    assert vars(options([])) == {"host": "127.0.1.1", "port": 81}
    assert vars(options(["--host", "::1", "--port", "82"])) == {"host": "::1", "port": 82}


def test_the_systems_hosts_file_is_used_where_no_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARES_HOSTS", raising=False)
    ((_, _, body),) = asked(["/service/1"], hostname="localhost")
    assert body.endswith(f"resolvedhostname: {socket.gethostbyname('localhost')}\n")


# Faults


Ask = Callable[..., Awaitable[tuple[int, str]]]


def with_faults(given: Switch, scenario: Callable[[Ask], Awaitable[None]]) -> None:
    """Run a scenario, which gets a function: method, path, JSON -> status and body."""

    async def run() -> None:
        app = make_app("1", "service1-2", given, with_faults=True)
        async with served(app) as base, aiohttp.ClientSession() as session:

            async def ask(method: str, path: str, data: Any = None) -> tuple[int, str]:
                text = data if isinstance(data, str | bytes | None) else json.dumps(data)
                async with session.request(method, base + path, data=text) as response:
                    return response.status, await response.text()

            await scenario(ask)

    asyncio.run(run())


@pytest.mark.usefixtures("hosts")
@pytest.mark.parametrize("path", ["/faults", "/service/1/faults"])
def test_faults_are_set_shown_and_cleared(path: str) -> None:
    given = switch()

    async def scenario(ask: Ask) -> None:
        status, text = await ask("PUT", path, {"delay": 2, "crash": False, "health_status": 500})
        assert (status, text.endswith("\n")) == (200, True)
        assert given.faults == read_faults(b'{"delay": 2, "health_status": 500}')
        status, text = await ask("GET", path)
        shown = json.loads(text)
        assert shown["hostname"] == "service1-2"
        assert shown["faults"] == {
            "delay": 2,
            "error_rate": 0.0,
            "error_status": 503,
            "slow_body": 0.0,
            "hang": False,
            "crash": False,
            "health_status": 500,
        }
        assert (await ask("GET", "/healthz")) == (500, "a fault: 500\n")
        assert (await ask("PUT", path, {"error_rate": 1}))[0] == 200
        assert given.faults == read_faults(b'{"error_rate": 1}'), "what is not named is off"
        assert json.loads((await ask("DELETE", path))[1])["faults"]["error_rate"] == 0.0
        assert given.faults is NO_FAULTS

    with_faults(given, scenario)


@pytest.mark.usefixtures("hosts")
def test_faults_of_another_service_and_where_they_are_off() -> None:
    given = switch()

    async def scenario(ask: Ask) -> None:
        assert await ask("PUT", "/service/2/faults", {"hang": True}) == (404, "this is service 1, not 2\n")
        assert given.faults is NO_FAULTS

    with_faults(given, scenario)
    assert [status for status, _, _ in asked(["/faults", "/service/1/faults"])] == [404, 404]


@pytest.mark.usefixtures("hosts")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON: "),
        ("[" * 100_000, "not JSON: "),
        (b"\xff", "not JSON: "),
        ("[]", "a JSON object is expected, not []"),
        ('{"dealy": 1}', "dealy: unknown; known are delay, error_rate, error_status, slow_body, hang, crash, health_"),
        ('{"delay": -1}', "delay: a number from 0 to 600 is expected, not -1"),
        ('{"delay": "1"}', "delay: a number from 0 to 600 is expected, not '1'"),
        ('{"delay": NaN}', "delay: a number from 0 to 600 is expected, not nan"),
        ('{"slow_body": true}', "slow_body: a number from 0 to 600 is expected, not True"),
        ('{"error_rate": 1.5}', "error_rate: a number from 0 to 1 is expected, not 1.5"),
        ('{"error_status": 503.0}', "error_status: a whole number from 400 to 599 is expected, not 503.0"),
        ('{"error_status": 200}', "error_status: a whole number from 400 to 599 is expected, not 200"),
        ('{"health_status": 100}', "health_status: a whole number from 200 to 599 is expected, not 100"),
        ('{"hang": 1}', "hang: true or false is expected, not 1"),
    ],
)
def test_faults_that_make_no_sense_change_nothing(text: str | bytes, message: str) -> None:
    given = switch()

    async def scenario(ask: Ask) -> None:
        status, said = await ask("PUT", "/faults", text)
        assert (status, said[: len(message)]) == (400, message)
        assert said.endswith("\n")
        assert given.faults is NO_FAULTS

    with_faults(given, scenario)


@pytest.mark.usefixtures("hosts")
@pytest.mark.parametrize(("rate", "status"), [(0.5, 200), (0.6, 418)])
def test_a_share_of_the_requests_fails(rate: float, status: int) -> None:
    async def scenario(ask: Ask) -> None:
        await ask("PUT", "/faults", {"error_rate": rate, "error_status": 418})
        assert (await ask("GET", "/service/1"))[0] == status
        assert await ask("GET", "/healthz") == (200, "OK\n")

    with_faults(switch(chance=0.5), scenario)


@pytest.mark.slow
@pytest.mark.usefixtures("hosts")
def test_a_delay_and_a_slow_body_take_their_time_and_lose_nothing() -> None:
    async def scenario(ask: Ask) -> None:
        plain = await ask("GET", "/service/1")
        await ask("PUT", "/faults", {"delay": 0.2, "slow_body": 0.2})
        before = asyncio.get_running_loop().time()
        assert await ask("GET", "/service/1") == plain
        assert asyncio.get_running_loop().time() - before >= 0.39
        assert await ask("HEAD", "/service/1") == (200, "")

    with_faults(switch(), scenario)


@pytest.mark.usefixtures("hosts")
def test_the_head_of_a_slow_body_comes_at_once() -> None:
    async def run() -> None:
        given = switch()
        given.set(read_faults(b'{"slow_body": 600}'))
        app = make_app("1", "service1-2", given, with_faults=True)
        async with served(app) as base, aiohttp.ClientSession() as session, session.get(base + "/service/1") as head:
            names = [name.decode().lower() for name, _ in head.raw_headers]
            assert (head.status, names) == (200, ["content-type", "content-length", "server", "date"])

    asyncio.run(asyncio.wait_for(run(), 10))


@pytest.mark.usefixtures("hosts")
def test_a_request_that_hangs_is_answered_when_the_faults_change() -> None:
    async def scenario(ask: Ask) -> None:
        await ask("PUT", "/faults", {"hang": True})
        hanging = asyncio.create_task(ask("GET", "/service/1"))
        await ask("GET", "/healthz")
        await ask("PUT", "/faults", {"hang": True, "error_rate": 1})
        await ask("GET", "/healthz")
        assert not hanging.done()
        await ask("PUT", "/faults", {"error_rate": 1})
        assert await hanging == (503, "a fault: 503\n")

    with_faults(switch(), scenario)


@pytest.mark.usefixtures("hosts")
def test_a_crash_is_the_next_requests() -> None:
    crashes: list[None] = []

    async def scenario(ask: Ask) -> None:
        await ask("PUT", "/faults", {"crash": True})
        assert await ask("GET", "/healthz") == (200, "OK\n")
        assert not crashes
        await ask("GET", "/service/1")
        assert crashes == [None]

    with_faults(switch(crash=lambda: crashes.append(None)), scenario)


# WebSockets


@pytest.mark.usefixtures("hosts")
def test_a_websocket_greets_and_sends_back_what_it_gets() -> None:
    async def run() -> None:
        app = make_app("1", "service1-2", switch(), with_faults=False)
        async with served(app) as base, aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{base}/service/1/echo") as socket:
                assert (await socket.receive_str()).startswith(
                    "Hello from behind Envoy (service 1)! hostname: service1-2"
                )
                await socket.send_str("text")
                assert await socket.receive_str() == "text"
                await socket.send_bytes(bytes(1 << 20))
                assert await socket.receive_bytes() == bytes(1 << 20)
            assert socket.close_code == 1000
            for path, status in (("/service/2/echo", 404), ("/service/1/echo", 400)):
                async with session.get(base + path) as response:
                    assert response.status == status

    asyncio.run(run())


@pytest.mark.usefixtures("hosts")
def test_a_websocket_meets_faults_before_it_is_one() -> None:
    async def scenario(ask: Ask) -> None:
        await ask("PUT", "/faults", {"error_rate": 1, "error_status": 500})
        assert await ask("GET", "/service/1/echo") == (500, "a fault: 500\n")

    with_faults(switch(), scenario)
