"""`envoymesh page`: serves the page of one mesh until it is told to stop. It must not parse a command line."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from envoymesh.page.api import Page
from envoymesh.page.by_name import NamedRuntime
from envoymesh.page.docker import DockerRuntime
from envoymesh.page.embedded import EmbeddedRuntime
from envoymesh.page.runtime import MeshRuntime
from envoymesh.sandbox.compose import load
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.state import State


def run(state: State, services: Sequence[str], listen: str, url: str, file: Path | None = None) -> int:
    """Serve. Gives the exit code.

    Args:
        services: names to look the mesh up by, the front first; none: the embedded mesh of `state`.
        file: the Compose file of a mesh in Docker, to be asked for with the docker command.
        listen: where, as http://ADDRESS:PORT.
        url: what people are told, where that is another one.
    """
    place = urlsplit(listen)
    try:
        host, port = place.hostname or "127.0.0.1", place.port
    except ValueError:
        port = None
    if place.scheme != "http" or port is None:
        print(f"envoymesh: --listen: {listen!r} is not http://ADDRESS:PORT", file=sys.stderr)
        return 1
    if services and file is not None:
        print("envoymesh: page: --docker finds the services by itself: name none", file=sys.stderr)
        return 1
    if not services and file is None and not state.is_held():
        text = f"no mesh is running ({state.folder}); `envoymesh up` starts one, with its page"
        print(f"envoymesh: {text}", file=sys.stderr)
        return 1
    logging.basicConfig(level=logging.WARNING, format="[%(asctime)s][%(levelname)s] %(message)s", stream=sys.stderr)
    try:
        runtime = _runtime(state, services, file)
    except SandboxError as error:
        print(f"envoymesh: {error}", file=sys.stderr)
        return 1
    token = (state.token if isinstance(runtime, EmbeddedRuntime) else "") or secrets.token_urlsafe(24)
    told = f"{url or listen.rstrip('/') + '/'}#token={token}"
    try:
        asyncio.run(_serve(Page(runtime, token).app(), host, port, told))
    except OSError as error:
        words = error.strerror or str(error)
        print(f"envoymesh: the page cannot listen on {host}:{port}: {words}. PORT_PAGE names another.", file=sys.stderr)
        return 1
    return 0


def _runtime(state: State, services: Sequence[str], file: Path | None) -> MeshRuntime:
    if services:
        return NamedRuntime(services)
    if file is None:
        return EmbeddedRuntime(state)
    name = os.environ.get("COMPOSE_PROJECT_NAME") or (load(file, os.environ).name or file.parent.name)
    return DockerRuntime(file, name)


async def _serve(app: web.Application, host: str, port: int, told: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        print(f"Page: {told}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()
