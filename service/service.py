"""The app behind a sidecar: says hello, with its own name and address, and whether it is well.

It must not know what stands in front of it, nor what starts it: a container and a local process look alike from here.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator

import aiodns
from aiohttp import web

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

HOSTNAME = web.AppKey("HOSTNAME", str)
ADDRESS = web.AppKey("ADDRESS", str)
SERVICE = web.AppKey("SERVICE", str)


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


async def hello(request: web.Request) -> web.Response:
    """GET /service/{number}: the greeting; 404 when another service's number is asked for."""
    app = request.app
    service = request.match_info["number"]
    if app[SERVICE] not in ("", service):
        raise web.HTTPNotFound(text=f"this is service {app[SERVICE]}, not {service}\n")
    text = HELLO.format(service=service, hostname=app[HOSTNAME], address=app[ADDRESS])
    return reply(text.encode())


def reply(body: bytes) -> web.Response:
    """A 200 with its own Server, which aiohttp would otherwise put behind Date."""
    return web.Response(body=body, headers={**HEADERS, "content-length": str(len(body)), "server": "aiohttp"})


async def healthz(_: web.Request) -> web.Response:
    """GET /healthz: 200 as long as requests are served."""
    return web.Response(text="OK\n")


def make_app(service: str, hostname: str) -> web.Application:
    """The application.

    Args:
        service: the number it answers for (SERVICE_NAME); empty answers for any.
        hostname: the name it greets with, which must resolve to its address.
    """

    async def look_up(app: web.Application) -> AsyncIterator[None]:
        # Once: neither the name nor the address of a running replica changes.
        app[ADDRESS] = await resolve(hostname)
        yield

    app = web.Application()
    app[SERVICE] = service
    app[HOSTNAME] = hostname
    app.cleanup_ctx.append(look_up)
    app.router.add_get("/service/{number:[0-9]+}", hello)
    app.router.add_get("/healthz", healthz)
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
    app = make_app(os.environ.get("SERVICE_NAME", ""), hostname)
    logging.info("%s listens on %s:%d", hostname, given.host, given.port)
    try:
        web.run_app(
            app,
            host=given.host,
            port=given.port,
            print=None,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
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
