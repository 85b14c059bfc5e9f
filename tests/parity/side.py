"""One half of a pair: a proxy with its own recording upstreams, access log and counters.

It gathers what a case left behind; it must not know the other half.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from tests.integration.exchanges import ANSWERS
from tests.integration.harness import Address, Proxy
from tests.parity.answers import HTTP2_ANSWERS
from tests.parity.configuration import configuration
from tests.parity.pipe_listeners import PIPES, pipe_path
from tests.parity.upstreams import Http2Recorder, Recorder

PATIENCE = 0.7
SCOPES = r"^(http\.test\.|http1\.|http2\.|cluster\.|listener\.127)"
BUSY = r"^http\.test\.downstream_(cx|rq)_active$|^cluster\..*\.upstream_rq_(active|pending_active)$"
OPEN = r"^cluster\..*\.upstream_cx_active$"


def _refusing() -> socket.socket:
    """A port that refuses connections: bound and not listening, so that nobody else gets it meanwhile."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


class Side:
    """A running proxy. `real` is the real Envoy's program, or None for ours."""

    def __init__(self, real: Path | None, folder: Path, certificates: Path) -> None:
        self.real = real
        self._folder = folder
        self._certificates = certificates
        self._stack = ExitStack()
        self._admin: http.client.HTTPConnection | None = None
        self._counted: dict[str, int] = {}
        self._logged = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.http1 = stack.enter_context(Recorder(ANSWERS))
            self.http2 = stack.enter_context(Http2Recorder(HTTP2_ANSWERS))
            self._refused = stack.enter_context(_refusing()).getsockname()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._log = self._folder / "access.log"
            config = configuration(self.http1.address, self.http2.address, self._refused, self._log, self._certificates)
            command = [str(self.real)] if self.real else [sys.executable, "-m", "envoymesh", "proxy"]
            flags = ["--file-flush-interval-msec", "20", "--use-dynamic-base-id", "--concurrency", "1"]
            self.proxy = stack.enter_context(Proxy(command, config, self._folder, *flags))
            self._names = self._port_names()
            self._counted = self._counters()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._admin is not None:
            self._admin.close()
        self._stack.close()

    def _port_names(self) -> dict[str, str]:
        ports = {f"127.0.0.1:{address[1]}": f"LISTENER {name}" for name, address in self.proxy.addresses.items()}
        ports[f"127.0.0.1:{self.proxy.admin[1]}"] = "ADMIN"
        for name, address in (("HTTP1", self.http1.address), ("HTTP2", self.http2.address), ("DEAD", self._refused)):
            ports[f"127.0.0.1:{address[1]}"] = name
        return ports

    def address(self, listener: str) -> Address | Path:
        """Where a client connects."""
        if listener in PIPES:
            return pipe_path(self._folder, listener)
        return self.proxy.admin if listener == "admin" else self.proxy.addresses[listener]

    def named(self, text: str) -> str:
        """Text with the ports and the folder of this half by name."""
        for port, name in self._names.items():
            text = text.replace(port, name)
        return text.replace(str(self._folder), "FOLDER")

    # What a case left behind

    def begin(self) -> None:
        """Forget what the last case left."""
        self.http1.seen.clear()
        self.http2.seen.clear()

    def settle(self) -> None:
        """After the client has gone: until streams are over; then drop upstream connections, until that is seen."""
        self._until(lambda: not self._gauges(BUSY))
        self.http1.drop()
        self.http2.drop()
        self._until(lambda: not self._gauges(OPEN))

    def collect(self, lines: int | None) -> dict[str, Any]:
        """Counters' increments, lines of the access log (`lines` are waited for), and what upstreams got."""
        now = self._counters()
        grown = {name: value - self._counted.get(name, 0) for name, value in now.items()}
        counters = {name: value for name, value in grown.items() if value}
        self._counted_next = now
        wanted = counters.get("http.test.downstream_rq_total", 0) if lines is None else lines
        self._until(lambda: len(self._log_lines()) >= wanted)
        return {
            "upstream": [self.named(each) for each in [*self.http1.seen, *self.http2.seen]],
            "log": [self.named(line) for line in self._log_lines()],
            "counters": counters,
        }

    def end(self) -> None:
        """What was collected belongs to the past."""
        self._counted = self._counted_next
        self._logged += len(self._log_lines())

    def _log_lines(self) -> list[str]:
        if not self._log.exists():
            return []
        return self._log.read_text("latin-1").splitlines()[self._logged :]

    def _until(self, condition: Callable[[], object]) -> bool:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _stats(self, kind: str, pattern: str) -> dict[str, int]:
        text = self.admin_get(f"/stats?format=json&usedonly&type={kind}&filter={quote(pattern)}")
        return {each["name"]: each["value"] for each in json.loads(text)["stats"] if "name" in each}

    def _gauges(self, pattern: str) -> dict[str, int]:
        return {name: value for name, value in self._stats("Gauges", pattern).items() if value}

    def _counters(self) -> dict[str, int]:
        return self._stats("Counters", SCOPES)

    def admin_get(self, path: str) -> str:
        """The admin's answer, over one connection that stays."""
        if self._admin is None:
            self._admin = http.client.HTTPConnection(*self.proxy.admin, timeout=10)
        self._admin.request("GET", path)
        return self._admin.getresponse().read().decode()
