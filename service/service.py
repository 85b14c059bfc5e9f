"""The app behind a sidecar: says hello, with its own name and address, and whether it is well.

Where FAULTS=on, it also fails on purpose, in ways that are switched while it runs (docs/faults.md).
It must not know what stands in front of it, nor what starts it: a container and a local process look alike from here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import aiodns
from aiohttp import WSMsgType, web

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080
# Longer than a proxy keeps an idle connection (1 h): the proxy closes it, and never meets one that was just closed.
KEEPALIVE_SECONDS = 3700.0
SHUTDOWN_SECONDS = 5.0
HELLO = "Hello from behind Envoy (service {service})! hostname: {hostname} resolvedhostname: {address}\n"
HEADERS = {"content-type": "text/html; charset=utf-8"}
# c-ares' ARES_AI_ENVHOSTS: the hosts file is the one that CARES_HOSTS names. Where nothing names one, c-ares would then
# look into none at all, not even the system's.
ENVHOSTS = 1 << 8

LONGEST_SECONDS = 600.0
SLOW_PIECES = 10
CRASH_STATUS = 70
LARGEST_MESSAGE = 4 << 20


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with this replica; by default nothing. Greetings suffer from it, /healthz has a field of its own.

    Args:
        delay: seconds from a request to the beginning of its answer, 0 to 600.
        error_rate: share of the requests that get `error_status`, 0 to 1, drawn anew for each.
        error_status: 400 to 599.
        slow_body: seconds that the body takes, 0 to 600, in ten pieces; the head comes at once.
        hang: no answer at all, until the faults change.
        crash: the next request ends the process, and its connection with it.
        health_status: the status of /healthz, 200 to 599.
    """

    delay: float = 0.0
    error_rate: float = 0.0
    error_status: int = 503
    slow_body: float = 0.0
    hang: bool = False
    crash: bool = False
    health_status: int = 200


NO_FAULTS = Faults()
LIMITS: dict[str, tuple[float, float]] = {
    "delay": (0, LONGEST_SECONDS),
    "error_rate": (0, 1),
    "error_status": (400, 599),
    "slow_body": (0, LONGEST_SECONDS),
    "health_status": (200, 599),
}


def read_faults(text: bytes) -> Faults:
    """Faults from a JSON object; what it does not name is off. Errors: ValueError in words for whoever sent it."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(given, dict):
        raise ValueError(f"a JSON object is expected, not {given!r}")
    known = {each.name: type(each.default) for each in fields(Faults)}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{name}: unknown; known are {', '.join(known)}")
        _check_fault(name, value, known[name])
    return Faults(**given)


def _check_fault(name: str, value: Any, kind: type) -> None:
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"{name}: true or false is expected, not {value!r}")
        return
    low, high = LIMITS[name]
    number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name}: {what} from {low:g} to {high:g} is expected, not {value!r}")


class Switch:
    """The faults of now, for all who may have to wait for others.

    Args:
        chance: a number from 0 up to 1, for `error_rate`.
        crash: ends the process at once.
    """

    def __init__(self, chance: Callable[[], float], crash: Callable[[], None]) -> None:
        self.faults = NO_FAULTS
        self.chance = chance
        self.crash = crash
        self._changed = asyncio.Event()

    def set(self, faults: Faults) -> None:
        """From now on these hold; requests that hang go on by them."""
        self.faults = faults
        self._changed.set()
        self._changed = asyncio.Event()

    async def when_answering(self) -> Faults:
        """Suffer what comes before an answer: crash, hang and delay, in this order. Returns what then holds."""
        if self.faults.crash:
            logging.error("crashing, as the faults say")
            self.crash()
        while self.faults.hang:
            await self._changed.wait()
        await asyncio.sleep(self.faults.delay)
        return self.faults


HOSTNAME = web.AppKey("HOSTNAME", str)
ADDRESS = web.AppKey("ADDRESS", str)
SERVICE = web.AppKey("SERVICE", str)
SWITCH = web.AppKey("SWITCH", Switch)


async def resolve(hostname: str) -> str:
    """The first IPv4 address of a host name. Errors: aiodns.error.DNSError when it has none."""
    flags = ENVHOSTS if os.environ.get("CARES_HOSTS") else 0
    resolver = aiodns.DNSResolver()
    try:
        found = await resolver.getaddrinfo(hostname, family=socket.AF_INET, flags=flags)
    finally:
        await resolver.close()
    address = found.nodes[0].addr[0]
    return address.decode() if isinstance(address, bytes) else str(address)


async def hello(request: web.Request) -> web.StreamResponse:
    """GET /service/{number}: the greeting; 404 when another service's number is asked for."""
    body = _greeting(request)
    if request.app[SWITCH].faults is NO_FAULTS:
        return reply(body)
    return await faulty(request, body)


def _greeting(request: web.Request) -> bytes:
    """What is said to a request. Errors: HTTPNotFound when it is another service's."""
    app = request.app
    return HELLO.format(service=_own_number(request), hostname=app[HOSTNAME], address=app[ADDRESS]).encode()


def _own_number(request: web.Request) -> str:
    """The service's number in the path. Errors: HTTPNotFound when it is another service's."""
    service = request.match_info["number"]
    own = request.app[SERVICE]
    if own not in ("", service):
        raise web.HTTPNotFound(text=f"this is service {own}, not {service}\n")
    return service


async def faulty(request: web.Request, body: bytes) -> web.StreamResponse:
    """The greeting, or what the faults make of it."""
    switch = request.app[SWITCH]
    faults = await switch.when_answering()
    if switch.chance() < faults.error_rate:
        return failure(faults)
    if not faults.slow_body or request.method == "HEAD":
        return reply(body)
    return await drip(request, body, faults.slow_body)


def failure(faults: Faults) -> web.Response:
    """The error that the faults ask for."""
    return web.Response(status=faults.error_status, text=f"a fault: {faults.error_status}\n")


async def echo(request: web.Request) -> web.StreamResponse:
    """GET /service/{number}/echo: a WebSocket that begins with the greeting, and sends back what it gets."""
    body = _greeting(request)
    switch = request.app[SWITCH]
    faults = await switch.when_answering()
    if switch.chance() < faults.error_rate:
        return failure(faults)
    socket = web.WebSocketResponse(max_msg_size=LARGEST_MESSAGE)
    await socket.prepare(request)
    await socket.send_str(body.decode())
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


async def drip(request: web.Request, body: bytes, seconds: float) -> web.StreamResponse:
    """A 200 whose head comes at once, and whose body in pieces over so many seconds."""
    response = web.StreamResponse(headers=_headers(body))
    await response.prepare(request)
    size = -(-len(body) // SLOW_PIECES)
    for start in range(0, len(body), size):
        await asyncio.sleep(seconds / SLOW_PIECES)
        await response.write(body[start : start + size])
    await response.write_eof()
    return response


def _headers(body: bytes) -> dict[str, str]:
    return {**HEADERS, "content-length": str(len(body)), "server": "aiohttp"}


def reply(body: bytes) -> web.Response:
    """A 200 with its own Server, which aiohttp would otherwise put behind Date."""
    return web.Response(body=body, headers=_headers(body))


async def healthz(request: web.Request) -> web.Response:
    """GET /healthz: 200 as long as requests are served, or what the faults say."""
    status = request.app[SWITCH].faults.health_status
    return web.Response(status=status, text="OK\n" if status == 200 else f"a fault: {status}\n")


async def show_faults(request: web.Request) -> web.Response:
    """GET: this replica's name and its faults, as JSON."""
    shown = {"hostname": request.app[HOSTNAME], "faults": asdict(request.app[SWITCH].faults)}
    return web.json_response(shown, dumps=lambda value: json.dumps(value) + "\n")


async def set_faults(request: web.Request) -> web.Response:
    """PUT: these faults and no others; 400 in words for what makes no sense. Answers as GET does."""
    try:
        faults = read_faults(await request.read())
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None
    request.app[SWITCH].set(faults if faults != NO_FAULTS else NO_FAULTS)
    return await show_faults(request)


async def clear_faults(request: web.Request) -> web.Response:
    """DELETE: no faults any more. Answers as GET does."""
    request.app[SWITCH].set(NO_FAULTS)
    return await show_faults(request)


def add_faults(app: web.Application) -> None:
    """/faults, and the same below /service/{number}, where a proxy's routes lead."""

    def own(handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
        async def checked(request: web.Request) -> web.StreamResponse:
            _own_number(request)
            answer: web.StreamResponse = await handler(request)
            return answer

        return checked

    for method, handler in (("GET", show_faults), ("PUT", set_faults), ("DELETE", clear_faults)):
        app.router.add_route(method, "/faults", handler)
        app.router.add_route(method, "/service/{number:[0-9]+}/faults", own(handler))


def make_app(service: str, hostname: str, switch: Switch, *, with_faults: bool) -> web.Application:
    """The application.

    Args:
        service: the number it answers for (SERVICE_NAME); empty answers for any.
        hostname: the name it greets with, which must resolve to its address.
        with_faults: whether the switch can be reached over HTTP.
    """

    async def look_up(app: web.Application) -> AsyncIterator[None]:
        # Once: neither the name nor the address of a running replica changes.
        app[ADDRESS] = await resolve(hostname)
        yield

    app = web.Application()
    app[SERVICE] = service
    app[HOSTNAME] = hostname
    app[SWITCH] = switch
    app.cleanup_ctx.append(look_up)
    app.router.add_get("/service/{number:[0-9]+}", hello)
    app.router.add_get("/service/{number:[0-9]+}/echo", echo)
    app.router.add_get("/healthz", healthz)
    if with_faults:
        add_faults(app)
    return app


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; --host and --port fall back to HOST and PORT in the environment."""
    parser = argparse.ArgumentParser(description="Say hello from behind a sidecar.")
    parser.add_argument("--host", default=os.environ.get("HOST", DEFAULT_HOST), help="address to listen on")
    parser.add_argument("--port", type=int, default=os.environ.get("PORT", DEFAULT_PORT), help="port to listen on")
    return parser.parse_args(arguments)


def main() -> int:
    """Serve until SIGTERM or SIGINT, then finish what is being answered. Returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s service %(levelname)s %(message)s")
    given = options()
    hostname = os.environ.get("HOSTNAME") or socket.gethostname()
    switch = Switch(random.random, lambda: os._exit(CRASH_STATUS))
    with_faults = os.environ.get("FAULTS") == "on"
    app = make_app(os.environ.get("SERVICE_NAME", ""), hostname, switch, with_faults=with_faults)
    logging.info("%s listens on %s:%d", hostname, given.host, given.port)
    try:
        web.run_app(
            app,
            host=given.host,
            port=given.port,
            print=None,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            # Who has gone need not be waited for: else each request that hangs would stay.
            handler_cancellation=True,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
    except aiodns.error.DNSError as error:
        logging.error("cannot resolve my own host name %s: %s", hostname, error.args[-1])
        return 1
    except OSError as error:
        logging.error("cannot listen on %s:%d: %s", given.host, given.port, error.strerror)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
