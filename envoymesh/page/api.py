"""The page's server: its files, and the API that they use, whose shapes are those of picture.py, records.py and lab/.

It only reads what browsers ask and passes it on; whom it refuses stands in guard.py.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp import web

from envoymesh.page import details
from envoymesh.page.admin import AdminClient
from envoymesh.page.collector import REFRESH, Collector
from envoymesh.page.errors import PageError
from envoymesh.page.guard import add_headers, make_guard
from envoymesh.page.hub import MOST_WAITING, Hub, event_text
from envoymesh.page.lab.faults import Faults
from envoymesh.page.lab.sender import Sender, wanted_of
from envoymesh.page.runtime import FRONT_TIER, MeshRuntime

STATIC = Path(__file__).parent / "static"
LARGEST_BODY = 128 << 10
MOST_VALUES = 50
FIRST_LOOKS = 50
"""Tenths of a second for which a request of the lab waits for the front to be known."""

SILENCE = 15.0
"""Seconds after which a stream says something, so that a dead connection is noticed."""


class Page:
    """The server over one mesh."""

    def __init__(self, runtime: MeshRuntime, token: str, refresh: float = REFRESH) -> None:
        self._runtime = runtime
        self._token = token
        self._refresh = refresh
        self._hub = Hub()

    def app(self) -> web.Application:
        """To be served."""
        app = web.Application(middlewares=[make_guard(self._token)], client_max_size=LARGEST_BODY)
        app.on_response_prepare.append(add_headers)
        app.cleanup_ctx.append(self._context)
        app.on_shutdown.append(self._end)
        get = {
            "/": self._index,
            "/healthz": self._healthz,
            "/api/mesh": self._mesh,
            "/api/events": self._events,
            "/api/history": self._history,
            "/api/part": self._part,
            "/api/requests/{id}": self._request,
            "/api/examples": self._examples,
        }
        post = {
            "/api/send": self._send,
            "/api/scale": self._scale,
            "/api/faults": self._set_faults,
            "/api/replica": self._replica,
            "/api/runtime": self._set_runtime,
            "/api/example": self._example,
        }
        app.add_routes([web.get(path, handler) for path, handler in get.items()])
        app.add_routes([web.post(path, handler) for path, handler in post.items()])
        app.router.add_static("/static", STATIC)
        return app

    async def _context(self, app: web.Application) -> Any:
        connector = aiohttp.TCPConnector(limit=128, limit_per_host=64)
        # What a request names is sent as it is; no proxy, no cookie of another request.
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            self._faults = Faults(session)
            self._collector = Collector(self._runtime, AdminClient(session), self._faults, self._hub, self._refresh)
            self._sender = Sender(session, self._front, lambda: bool(self._hub.listeners))
            yield
            await self._sender.close()
            await self._collector.close()

    async def _end(self, app: web.Application) -> None:
        self._hub.end()

    # Reading

    async def _index(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def _healthz(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="OK\n")

    async def _mesh(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(await self._collector.look())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if self._hub.full:
            raise PageError("Too many pages are open.", 503)
        queue: asyncio.Queue[str | None] = asyncio.Queue(MOST_WAITING)
        first = event_text("mesh", await self._collector.look())
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(request)
        self._hub.listeners.add(queue)
        try:
            await answer.write(first.encode())
            await self._stream(answer, queue)
        except ConnectionError:
            pass  # the browser has gone
        finally:
            self._hub.listeners.discard(queue)
        return answer

    async def _stream(self, answer: web.StreamResponse, queue: asyncio.Queue[str | None]) -> None:
        while True:
            self._collector.want()
            try:
                text = await asyncio.wait_for(queue.get(), SILENCE)
            except TimeoutError:
                text = ": nothing new\n\n"
            if text is None:
                return
            await answer.write(text.encode())

    async def _history(self, request: web.Request) -> web.StreamResponse:
        self._collector.want()
        return web.json_response(self._collector.history.of(_word(dict(request.query), "id")))

    async def _part(self, request: web.Request) -> web.StreamResponse:
        await self._collector.look()
        return web.json_response(await details.part(self._collector, _word(dict(request.query), "id")))

    async def _request(self, request: web.Request) -> web.StreamResponse:
        record = self._collector.records.find(request.match_info["id"])
        if record is None:
            raise PageError("This request is no longer known.", 404)
        tiers = self._collector.records.tiers(record, self._collector.tier_of)
        told = await details.explanation(self._collector, record)
        return web.json_response({"record": record, "tiers": tiers, "explanation": told})

    async def _examples(self, request: web.Request) -> web.StreamResponse:
        running = self._runtime.example
        found = await self._runtime.examples()
        return web.json_response([{**each, "running": each["name"] == running} for each in found])

    # Changing

    async def _send(self, request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        await self._wait_for_front()
        how = asked.get("how", "once")
        if how == "stop":
            return web.json_response(await self._sender.stop())
        wanted = wanted_of(asked)
        if how == "once":
            return web.json_response(await self._sender.once(wanted))
        if how == "burst":
            return web.json_response(await self._sender.burst(wanted, int(_number(asked, "count"))))
        if how == "rate":
            return web.json_response(await self._sender.begin(wanted, _number(asked, "rate")))
        raise PageError("how is once, rate, burst or stop.", 400)

    async def _wait_for_front(self) -> None:
        """Until its listeners are known, for a little: the page may have been opened just now."""
        for _ in range(FIRST_LOOKS):
            await self._collector.look()
            if any(each.configuration for each in self._collector.watches.values()):
                return
            await asyncio.sleep(0.1)

    def _front(self, tls: bool) -> str:
        for watch in self._collector.watches.values():
            if watch.place.tier != FRONT_TIER or watch.configuration is None:
                continue
            for address, port, encrypted in watch.configuration.listeners:
                if encrypted is tls and ":" not in address:
                    host = watch.place.address if address in ("0.0.0.0", "") else address
                    return f"{host}:{port}"
        raise PageError(f"The front has no listener for {'https' if tls else 'http'}, or does not answer yet.", 503)

    async def _scale(self, request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        service, replicas = _word(asked, "service"), int(_number(asked, "replicas"))
        if replicas < 0:
            raise PageError("There cannot be fewer than no replicas.", 400)
        self._may("scale")
        await self._runtime.scale(service, replicas)
        self._collector.say("scaled", f"{service} has {replicas} replica{'' if replicas == 1 else 's'}.")
        return web.json_response({})

    async def _set_faults(self, request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        faults = asked.get("faults")
        if not isinstance(faults, dict):
            raise PageError("faults is an object; {} is none.", 400)
        self._may("faults")
        await self._collector.look()
        watch = self._collector.watch_of(_word(asked, "replica"))
        watch.faults = await self._faults.set(self._collector.app_of(watch), faults)
        self._collector.say("faults", f"{watch.place.name} has {'new faults' if faults else 'no faults any more'}.")
        return web.json_response({"faults": watch.faults})

    async def _replica(self, request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        self._may("replica")
        await self._runtime.act(_word(asked, "replica"), _word(asked, "action"))
        return web.json_response({})

    async def _set_runtime(self, request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        values = asked.get("values")
        if not isinstance(values, dict) or not 0 < len(values) <= MOST_VALUES:
            raise PageError(f"values is an object of 1 to {MOST_VALUES} keys.", 400)
        self._may("runtime")
        await self._collector.look()
        watch = self._collector.watch_of(_word(asked, "proxy"))
        query = "&".join(f"{quote(str(key), safe='')}={quote(str(value), safe='')}" for key, value in values.items())
        await self._collector.admin.text(watch.place.admin, f"/runtime_modify?{query}", method="POST")
        await self._collector.ask_runtime(watch)
        return web.json_response({"values": watch.runtime})

    async def _example(self, request: web.Request) -> web.StreamResponse:
        asked = await _asked(request)
        name = asked.get("name")
        if name is not None and not isinstance(name, str):
            raise PageError("name is an example's name, or null.", 400)
        self._may("example")
        await self._runtime.change(name)
        return web.json_response({})

    def _may(self, what: str) -> None:
        reason = self._runtime.can[what]
        if reason:
            raise PageError(reason, 409)


async def _asked(request: web.Request) -> dict[str, Any]:
    """The body. Errors: PageError (400)."""
    try:
        found = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise PageError("A JSON object is expected.", 400) from None
    if not isinstance(found, dict):
        raise PageError("A JSON object is expected.", 400)
    return found


def _word(asked: dict[str, Any], name: str) -> str:
    found = asked.get(name)
    if not isinstance(found, str) or not found:
        raise PageError(f"{name} is missing.", 400)
    return found


def _number(asked: dict[str, Any], name: str) -> float:
    found = asked.get(name)
    # JSON of Python's has numbers that are none: NaN and Infinity.
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) < 1e9:
        raise PageError(f"{name} is a number.", 400)
    return float(found)
