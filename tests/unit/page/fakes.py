"""A mesh whose admins answer what a test decides, and the page's server over it on a port of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from envoymesh.page.api import Page
from envoymesh.page.errors import PageError
from envoymesh.page.runtime import CHANGES, Place

TOKEN = "the-token"
CLUSTERS = "service1::127.0.1.1:8000::rq_total::{total}\nservice1::127.0.1.1:8000::health_flags::{flags}\n"


def request(sequence: int, **more: Any) -> dict[str, Any]:
    plain = {
        "time": 4e9, "duration": 2.0, "method": "GET", "path": "/x", "authority": "host", "status": 200, "flags": "-",
        "details": "via_upstream", "route": "1", "virtual_host": "backend", "cluster": "service1",
        "protocol": "HTTP/1.1", "bytes_received": 0, "bytes_sent": 5, "phases": {}, "listener": "http",
        "upstream": "127.0.1.1:8000",
    }  # fmt: skip
    return {**plain, "sequence": sequence, "request_id": f"id-{sequence}", **more}


class FakeAdmin:
    """One proxy's admin and its faults; `slow` seconds pass before each answer, `asked` are the paths."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.flags = "healthy"
        self.slow = 0.0
        self.faults: dict[str, Any] = {}
        self.failures: list[dict[str, Any]] = []
        self.python: list[dict[str, Any]] = []
        self.bootstrap: dict[str, Any] = {}
        self.runtime: dict[str, str] = {}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs}")
        await asyncio.sleep(self.slow)
        since = int(request.query.get("since", 0))
        new = [each for each in self.requests if each["sequence"] > since]
        answers: Mapping[str, Any] = {
            "/requests": {"source": "s", "seen": len(self.requests), "failed": 0, "requests": new},
            "/config_dump": {"configs": [{"bootstrap": self.bootstrap}]},
            "/runtime": {"entries": {key: {"final_value": value} for key, value in self.runtime.items()}},
            "/python": {"python": self.python},
            "/failures": {"failures": self.failures},
            "/explain": {"schema": 1, "url": request.query.get("url"), "listener": request.query.get("listener")},
        }
        if request.path == "/clusters":
            return web.Response(text=CLUSTERS.format(total=len(self.requests), flags=self.flags))
        if request.path == "/stats":
            return web.Response(text=f"cluster.service1.upstream_rq_total: 3\nfilter: {request.query.get('filter')}\n")
        if request.path == "/runtime_modify":
            self.runtime |= dict(request.query)
            return web.Response(text="OK\n")
        if request.path == "/faults":
            return await self._faults(request)
        return web.json_response(answers[request.path])

    async def _faults(self, request: web.Request) -> web.StreamResponse:
        if request.method == "PUT":
            self.faults = json.loads(await request.text())
            if self.faults.get("error_rate", 0) > 1:
                return web.Response(text="error_rate: a number from 0 to 1 is expected, not 2\n", status=400)
        elif request.method == "DELETE":
            self.faults = {}
        return web.json_response({"hostname": "x", "faults": self.faults})


class FakeRuntime:
    """A MeshRuntime; `did` is what it was told, `away` makes it fail."""

    kind = "embedded"

    def __init__(self) -> None:
        self.can: dict[str, str | None] = dict.fromkeys(CHANGES)
        self.example: str | None = None
        self.found: list[Place] = []
        self.did: list[tuple[Any, ...]] = []
        self.away = False

    async def places(self) -> list[Place]:
        if self.away:
            raise PageError("The mesh does not run.", 503)
        return list(self.found)

    async def scale(self, service: str, replicas: int) -> None:
        self.did.append(("scale", service, replicas))

    async def act(self, replica: str, action: str) -> None:
        self.did.append((action, replica))

    async def examples(self) -> list[dict[str, Any]]:
        return [{"name": "mirror", "title": "Mirror", "watch": ["One.", "Two.", "Three."]}]

    async def change(self, example: str | None) -> None:
        self.did.append(("change", example))


class Served:
    """The page over one front and one replica, and a client of it."""

    def __init__(self, base: str, session: aiohttp.ClientSession, page: Page) -> None:
        self.base = base
        self.page = page
        self._session = session
        self.front = FakeAdmin()
        self.replica = FakeAdmin()
        self.runtime = FakeRuntime()

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self._session.get(self.base + path, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith(("{", "[")) else text

    async def post(self, path: str, body: Any, token: str = TOKEN, **headers: str) -> tuple[int, Any]:
        given = {"x-envoymesh-token": token, **headers}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self._session.post(self.base + path, data=data, headers=given) as answer:
            return answer.status, await answer.json()

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Any]:
        async with self._session.get(self.base + "/api/events") as answer:
            assert answer.status == 200

            async def next_(kind: str) -> Any:
                while True:
                    name = (await answer.content.readline()).decode().strip()
                    if not name:
                        assert not answer.content.at_eof()
                        continue
                    data = (await answer.content.readline()).decode()
                    if name == f"event: {kind}":
                        return json.loads(data.removeprefix("data: "))

            yield next_


@asynccontextmanager
async def listening(handler: Any) -> AsyncIterator[str]:
    """host:port of a server."""
    # What an admin has not answered at the end of a test nobody waits for.
    app = isinstance(handler, web.Application)
    runner = web.AppRunner(handler) if app else web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    """A page over fake admins."""
    runtime = FakeRuntime()
    page = Page(runtime, TOKEN, refresh=0.1)
    async with aiohttp.ClientSession() as session, listening(page.app()) as base:
        made = Served(f"http://{base}", session, page)
        made.runtime = runtime
        async with listening(made.front.answer) as front, listening(made.replica.answer) as replica:
            host, _, port = front.partition(":")
            socket = {"address": host, "port_value": int(port)}
            made.front.bootstrap = {
                "static_resources": {"listeners": [{"address": {"socket_address": socket}}]},
                "layered_runtime": {"layers": [{"admin_layer": {}}]},
            }
            runtime.found = [
                Place("front-1", "front", "healthy", 1, "127.0.0.1", front, (front,)),
                Place("service1-1", "service1", "healthy", 2, "127.0.1.1", replica, checks=("/healthz",)),
            ]
            yield made
