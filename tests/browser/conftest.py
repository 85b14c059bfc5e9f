"""One browser and one invented mesh for each file; every test has a page of its own, which must not complain.

A page that writes an error to its console, breaks its content security policy or asks another host than its own fails
its test, whichever it is.
"""

import asyncio
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from aiohttp import web

from tests.browser.invented_mesh import TOKEN, InventedMesh, InventedServer
from tests.conftest import missing

ARGUMENTS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, led by playwright, whose event loop must not outlive this file: other tests have their own."""
    program = shutil.which("chromium") or missing("browser", "chromium is not installed")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("browser", "playwright is not installed (pip install -e '.[dev]')")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield found
        found.close()


class Served:
    """An InventedMesh that is served from a thread of its own; what tests do to it happens on that thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.mesh = InventedMesh()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.runner: web.AppRunner
        self.port: int = self._run(self._serve())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    async def _serve(self) -> int:
        self.runner = web.AppRunner(InventedServer(self.mesh).app, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return int(self.runner.addresses[0][1])

    @property
    def url(self) -> str:
        """Where the page is, without the token."""
        return f"http://127.0.0.1:{self.port}/"

    def reset(self) -> None:
        """A mesh as new, for the next test."""
        clients = self.mesh.clients
        self.mesh.__init__()  # type: ignore[misc]
        self.mesh.clients = clients

    def do(self, what: Callable[[InventedMesh], Any]) -> None:
        """Change the mesh, and tell the page of it."""

        async def act() -> None:
            what(self.mesh)
            self.mesh.tell()

        self._run(act())

    def close(self) -> None:
        """Stop serving."""
        self._run(self.runner.cleanup())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """The invented mesh, served."""
    found = Served()
    yield found
    found.close()


@pytest.fixture
def open_page(browser: Any, served: Served) -> Iterator[Callable[..., Any]]:
    """A function: options of the browser's context -> a page that shows the mesh."""
    served.reset()
    contexts: list[Any] = []
    complaints: list[str] = []

    def make(token: bool = True, **options: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(served.url) else complaints.append(asked.url))
        page.goto(served.url + (f"#token={TOKEN}" if token else ""))
        page.wait_for_selector(".node")
        return page

    make.complaints = complaints  # type: ignore[attr-defined]
    yield make
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    """The page on a wide screen, in light colours, with its token."""
    return open_page(color_scheme="light")
