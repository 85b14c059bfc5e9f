import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from service.service import make_app, options


def asked(paths: list[str], service: str = "1", hostname: str = "service1-2") -> list[tuple[int, list[str], str]]:
    """Status, header names in order, and body of a GET of each path."""

    async def run() -> list[tuple[int, list[str], str]]:
        runner = web.AppRunner(make_app(service, hostname), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            base = "http://{}:{}".format(*runner.addresses[0])
            async with aiohttp.ClientSession() as session:
                answers = []
                for path in paths:
                    async with session.get(base + path) as response:
                        names = [name.decode().lower() for name, _ in response.raw_headers]
                        answers.append((response.status, names, await response.text()))
                return answers
        finally:
            await runner.cleanup()

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
