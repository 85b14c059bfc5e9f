"""A proxy under test, as the `envoymesh` fixture gives it. It must not know pytest."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from envoymesh.testing.client import Clients, Listeners, Listening, trust
from envoymesh.testing.errors import TestingError
from envoymesh.testing.fake import Address, Fake
from envoymesh.testing.processes import Handle, Outputs
from envoymesh.testing.rewriting import Configuration, Rewritten

POLL = 0.005
FLUSH_MILLISECONDS = 20
_NAME = re.compile(r"^(\S+): (\d+)$", re.M)


def until(condition: Callable[[], Any], what: str, seconds: float) -> Any:
    """What the condition gives, as soon as that is true. Errors: TestingError when it is not within the time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TestingError(f"not within {seconds:g} s: {what}")
        time.sleep(POLL)
    return found


class Stats(Mapping[str, int]):
    """The proxy's counters and gauges by name, asked for anew each time."""

    def __init__(self, ask: Callable[[str], str]) -> None:
        self._ask = ask

    def __getitem__(self, name: str) -> int:
        found = self._all(f"^{re.escape(name)}$")
        if name not in found:
            near = ", ".join(get_close_matches(name, self, 3))
            raise KeyError(f"{name}: no such counter or gauge (yet)" + (f"; there are {near}" if near else ""))
        return found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all(""))

    def __len__(self) -> int:
        return len(self._all(""))

    def until(self, name: str, value: int, seconds: float = 10.0) -> int:
        """Wait until a counter or gauge has at least this value, which is returned. Errors: TestingError."""
        return int(until(lambda: self.get(name, 0) >= value and self[name], f"{name} at {value}", seconds))

    def _all(self, expression: str) -> dict[str, int]:
        path = f"/stats?filter={urllib.request.quote(expression)}" if expression else "/stats"  # type: ignore[attr-defined]
        return {name: int(value) for name, value in _NAME.findall(self._ask(path))}


@dataclass(frozen=True)
class Log:
    """What a proxy has written.

    Args:
        stdout: where its access logs go, unless the file names others.
        stderr: the process's own log.
        files: other access logs, by their names in the file.
    """

    stdout: Path
    stderr: Path
    files: Mapping[str, Path]

    @property
    def access(self) -> list[str]:
        """The lines of access logs until now. A line comes when its request is over, up to some 20 ms later."""
        return [line for path in (self.stdout, *self.files.values()) for line in _read(path).splitlines()]

    @property
    def process(self) -> str:
        """The process's own log."""
        return _read(self.stderr)

    def lines(self, count: int, seconds: float = 10.0) -> list[str]:
        """The lines of access logs, once there are as many. Errors: TestingError."""
        until(lambda: len(self.access) >= count, f"{count} access log lines, there are {len(self.access)}", seconds)
        return self.access

    def until(self, text: str, seconds: float = 10.0) -> None:
        """Wait until a text stands in any of the logs. Errors: TestingError."""
        until(lambda: text in str(self), f"{text!r} in the log", seconds)

    @property
    def report(self) -> str:
        """All of it, without what the real Envoy says of itself at each start."""
        return without_banner(str(self))

    def __contains__(self, text: str) -> bool:
        return text in str(self)

    def __str__(self) -> str:
        return "".join([self.process, *(line + "\n" for line in self.access)])


def without_banner(log: str) -> str:
    """A log without what the real Envoy says of itself at each start."""
    return "".join(line for line in log.splitlines(keepends=True) if "][info][main] [source" not in line)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


class Proxy:
    """A running proxy.

    Args:
        start: starts the process with words of a command line and its outputs.
        folder: what it writes goes there.
        upstreams: the fakes by the names of their clusters.
        ours: whether it is envoymesh, and not the real Envoy.

    Attributes:
        stats: counters and gauges: `proxy.stats["cluster.service1.upstream_rq_retry"]`.
        log: access logs and the process's log.
    """

    def __init__(
        self,
        start: Callable[[Sequence[str], Outputs], Handle],
        folder: Path,
        configuration: Configuration,
        rewritten: Rewritten,
        upstreams: Mapping[str, Fake],
        ours: bool,
    ) -> None:
        self.folder = folder
        self.upstreams = upstreams
        self.ours = ours
        self.config_path = folder / "envoy.json"
        self.config_path.write_text(json.dumps(rewritten.config, indent=1))
        self.admin_address: Address = ("", 0)
        self.stats = Stats(self.admin)
        outputs = Outputs(folder / "stdout.log", folder / "stderr.log")
        self.log = Log(outputs.stdout, outputs.stderr, rewritten.logs)
        self._configuration = configuration
        self._rewritten = rewritten
        self._start = start
        self._outputs = outputs
        self._handle: Handle | None = None

    # Its life

    def start(self, flags: Sequence[str] = (), seconds: float = 30.0) -> None:
        """Start it, and wait until it serves. Errors: TestingError with its log, where it does not."""
        file = self.folder / "admin.address"
        words = [*self._words(file), *flags]
        if not any(flag.startswith("--concurrency") for flag in flags):
            words += ["--concurrency", "1"]
        self._handle = self._start(words, self._outputs)
        deadline = time.monotonic() + seconds
        while not self._is_live(file):
            code = self._handle.poll()
            if code is not None or time.monotonic() > deadline:
                state = "did not become live" if code is None else f"ended with {code}"
                raise TestingError(
                    f"{self._configuration.path}: the proxy {state}:\n{without_banner(self.log.process)[-4000:]}"
                )
            time.sleep(POLL)

    def _words(self, file: Path) -> list[str]:
        words = ["-c", str(self.config_path), "--admin-address-path", str(file)]
        words += ["--file-flush-interval-msec", str(FLUSH_MILLISECONDS)]
        return ["proxy", *words] if self.ours else words

    def _is_live(self, file: Path) -> bool:
        host, colon, port = _read(file).rpartition(":")
        if not colon or not port.isdigit():
            return False
        self.admin_address = (host.strip("[]"), int(port))
        try:
            return self.admin("/ready") == "LIVE\n"
        except (OSError, TestingError):
            return False

    @property
    def pid(self) -> int:
        """The process's."""
        assert self._handle is not None
        return self._handle.pid

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        assert self._handle is not None
        self._handle.send_signal(number)

    def wait(self) -> int:
        """The exit code, once the process has ended."""
        assert self._handle is not None
        return self._handle.wait()

    def stop(self) -> None:
        """End it at once, close its clients, and have its fakes leave."""
        if self._handle is not None:
            self._handle.stop()
        for name in ("_http1", "_http2"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
        for fake in self.upstreams.values():
            fake.close()

    # Requests

    @cached_property
    def listeners(self) -> Listeners:
        """The listeners and where they are."""
        found: dict[str, list[Address]] = {}
        for status in json.loads(self.admin("/listeners?format=json")).get("listener_statuses", ()):
            every = [status["local_address"], *status.get("additional_local_addresses", ())]
            addresses = [each["socket_address"] for each in every if "socket_address" in each]
            found[status["name"]] = [(each["address"], each["port_value"]) for each in addresses]
        return Listeners([Listening(each, tuple(found.get(each.name, ()))) for each in self._rewritten.listeners])

    @cached_property
    def _clients(self) -> Clients:
        pair = (self.folder / "server.pem", self.folder / "server.key")
        asked = self._rewritten.clients_are_asked and pair[0].exists()
        return Clients(self.listeners, trust(self._rewritten.trusted, pair if asked else None))

    @cached_property
    def _http1(self) -> httpx.Client:
        return self.client()

    @cached_property
    def _http2(self) -> httpx.Client:
        return self.client(http2=True)

    def client(self, listener: str | int | None = None, *, http2: bool = False, **options: Any) -> httpx.Client:
        """A client of the proxy, which the caller closes; options are httpx.Client's.

        A URL's port is a port of the file. A path alone is asked of the first HTTP listener.

        Args:
            listener: by name, or by its port in the file, whatever the URL says.
        """
        return self._clients.client(listener, http2, **options)

    def async_client(
        self, listener: str | int | None = None, *, http2: bool = False, **options: Any
    ) -> httpx.AsyncClient:
        """The same for tests of asyncio and trio: `async with proxy.async_client() as client`."""
        return self._clients.async_client(listener, http2, **options)

    def request(
        self, method: str, url: str, *, listener: str | int | None = None, http2: bool = False, **options: Any
    ) -> httpx.Response:
        """Send a request, on a kept connection; options are those of httpx.Client.request. No cookies are kept."""
        if listener is not None:
            with self.client(listener, http2=http2) as client:
                return client.request(method, url, **options)
        client = self._http2 if http2 else self._http1
        client.cookies.clear()
        return client.request(method, url, **options)

    def get(self, url: str, **options: Any) -> httpx.Response:
        """GET; see `request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        """POST; see `request`."""
        return self.request("POST", url, **options)

    def address(self, listener: str | int | None = None) -> Address:
        """Where a listener is, for clients of one's own."""
        return self.listeners.address(listener)

    # What it shows

    def admin(self, path: str, method: str = "GET") -> str:
        """The admin's answer. Errors: TestingError for an answer other than 200 (and 503 of /ready)."""
        host, port = self.admin_address
        host = f"[{host}]" if ":" in host else host
        request = urllib.request.Request(f"http://{host}:{port}{path}", method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                raise TestingError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None

    @property
    def config(self) -> dict[str, Any]:
        """The answer of /config_dump."""
        found: dict[str, Any] = json.loads(self.admin("/config_dump"))
        return found

    def explain(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        listener: str | int | None = None,
    ) -> dict[str, Any]:
        """What the proxy would do with a request, and why, as docs/explain.md says. Places are those of the file.

        Ours knows the health and state of now. Of the real Envoy envoymesh tells what it would do with the same file.
        Errors: TestingError.
        """
        parsed = httpx.URL(url)
        name = self.listeners.name(listener, parsed.scheme or None, parsed.port)
        if not parsed.host:
            url = self.listeners.base_url(name) + url
        fields = [f"{key}: {value}" for key, value in (headers or {}).items()]
        if self.ours:
            told = self._explained_now(url, method, fields, name)
        else:
            told = explained(self.config_path, url, method, fields, name)
        self._put_places(told)
        return told

    def _explained_now(self, url: str, method: str, fields: Sequence[str], listener: str) -> dict[str, Any]:
        pairs = [("url", url), ("method", method), ("listener", listener), ("format", "json")]
        pairs += [("header", field) for field in fields]
        query = "&".join(f"{key}={urllib.request.quote(value, safe='')}" for key, value in pairs)  # type: ignore[attr-defined]
        found: dict[str, Any] = json.loads(self.admin(f"/explain?{query}"))
        return found

    def _put_places(self, told: Any) -> None:
        """Places of the copy as those of the file: the paths are the same."""
        if isinstance(told, dict):
            if told.keys() == {"file", "line", "path"}:
                told["file"], told["line"] = self._rewritten.source.locate(told["path"])
            told_below: list[Any] = list(told.values())
        else:
            told_below = told if isinstance(told, list) else []
        for each in told_below:
            self._put_places(each)


def explained(path: Path, url: str, method: str, fields: Sequence[str], listener: str) -> dict[str, Any]:
    """`envoymesh explain` of a file. Errors: TestingError."""
    command = [sys.executable, "-m", "envoymesh", "explain", "-c", str(path), "--json", "--listener", listener]
    command += ["-X", method, *(word for field in fields for word in ("-H", field)), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestingError(done.stderr.strip())
    found: dict[str, Any] = json.loads(done.stdout)
    return found
