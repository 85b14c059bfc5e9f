"""One half of a pair: a proxy with its own recording upstreams, access log and stats.

It gathers what a case left behind; it must not know the other half.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from tests.integration.harness import Address, Proxy
from tests.parity.configuration import LOG_FORMAT
from tests.parity.measured import Measured, measured
from tests.parity.pipe_listeners import PIPES, pipe_path
from tests.parity.setup import Places, Setup, Upstream

PATIENCE = 0.7
BUSY = (
    r"^(http|tcp)\.test[^.]*\.downstream_(cx|rq)_active$"
    r"|^cluster\..*\.upstream_rq_(active|pending_active)$|^listener\.(127|\[).*\.downstream_cx_active$"
)
ENDED = re.compile(r"^(listener\.(?!admin).*\.downstream|cluster\..*\.upstream)_cx_(destroy|length_ms)$")
OPEN = r"^cluster\..*\.upstream_cx_active$"


class Side:
    """A running proxy. `real` is the real Envoy's program, or None for ours."""

    def __init__(self, real: Path | None, folder: Path, certificates: Path, setup: Setup) -> None:
        self.real = real
        self.setup = setup
        self.upstreams: dict[str, Upstream] = {}
        self.folder = folder
        self._certificates = certificates
        self._stack = ExitStack()
        self._admin: http.client.HTTPConnection | None = None
        self._before = Measured()
        self._after = Measured()
        self._logged = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.upstreams = {
                name: stack.enter_context(make())  # type: ignore[misc]
                for name, make in self.setup.upstreams.items()
            }
            self.folder.mkdir(parents=True, exist_ok=True)
            self._log = self.folder / "access.log"
            addresses = {name: upstream.address for name, upstream in self.upstreams.items()}
            config = self.setup.bootstrap(Places(addresses, self._log, self._certificates), LOG_FORMAT)
            command = [str(self.real)] if self.real else [sys.executable, "-m", "envoymesh", "proxy"]
            flags = ["--file-flush-interval-msec", "20", "--use-dynamic-base-id", *self.setup.flags]
            self.proxy = stack.enter_context(Proxy(command, config, self.folder, *flags))
            self._names = self._port_names()
            self._before = self._measured()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._admin is not None:
            self._admin.close()
        self._stack.close()

    def _port_names(self) -> dict[str, str]:
        ports = {f"127.0.0.1:{address[1]}": f"LISTENER {name}" for name, address in self.proxy.addresses.items()}
        ports[f"127.0.0.1:{self.proxy.admin[1]}"] = "ADMIN"
        for name, upstream in self.upstreams.items():
            for host in ("127.0.0.1", "[::1]", "localhost"):
                ports[f"{host}:{upstream.address[1]}"] = group_of(name).upper()
        return ports

    def address(self, listener: str) -> Address | Path:
        """Where a client connects."""
        if listener in PIPES:
            return pipe_path(self.folder, listener)
        return self.proxy.admin if listener == "admin" else self.proxy.addresses[listener]

    def named(self, text: str) -> str:
        """Text with the ports and the folder of this half by name."""
        for port, name in self._names.items():
            text = text.replace(port, name)
        return text.replace(str(self.folder), "FOLDER")

    @property
    def ended(self) -> bool:
        """Whether the proxy's process is over."""
        return self.proxy.process.poll() is not None

    # What a case left behind

    def begin(self) -> None:
        """Forget what the last case left."""
        for each in self.upstreams.values():
            each.seen.clear()

    def open_gauges(self) -> dict[str, int]:
        """Gauges that are not zero, while the client's connections are as the case left them."""
        return {} if self.ended else self._measured_stats("Gauges")

    def settle(self) -> None:
        """After the client has gone: until streams are over; then drop upstream connections, until that is seen."""
        if self.ended:
            return
        self._until(lambda: not any(self._stats("Gauges", BUSY).values()))
        for each in self.upstreams.values():
            each.drop()
        self._until(lambda: not any(self._stats("Gauges", OPEN).values()))
        self._until(self._flushed)

    def _flushed(self) -> bool:
        """Whether histograms hold the lengths of all connections that have ended: stats were flushed since."""
        self._after = self._measured()
        grown = self._after.since(self._before)
        ended = sum(value for each, value in grown.counters.items() if ENDED.match(each))
        return ended <= sum(count for each, (count, _) in grown.histograms.items() if ENDED.match(each))

    def collect(self, lines: int | None) -> dict[str, Any]:
        """What stats grew by, lines of the access log (`lines` are waited for), and what upstreams got."""
        if self.ended:
            return {"upstream": self._upstreams_saw(), "log": self._named_lines(), "stats": Measured()}
        self._after = self._measured()
        stats = self._after.since(self._before)
        wanted = lines
        if wanted is None:
            wanted = sum(value for name, value in stats.counters.items() if name.endswith(".downstream_rq_total")
                         and name.startswith("http.test"))  # fmt: skip
        self._until(lambda: len(self._log_lines()) >= wanted)
        return {"upstream": self._upstreams_saw(), "log": self._named_lines(), "stats": stats}

    def _upstreams_saw(self) -> list[str]:
        """Of hosts of a group in alphabetical order: who got what is chance."""
        seen: list[str] = []
        for _, names in groupby(self.upstreams, group_of):
            members = list(names)
            texts = [self.named(text) for name in members for text in self.upstreams[name].seen]
            seen += sorted(texts) if len(members) > 1 else texts
        return seen

    def end(self) -> None:
        """What was collected belongs to the past."""
        self._before = self._after
        self._logged += len(self._log_lines())

    def _log_lines(self) -> list[str]:
        if not self._log.exists():
            return []
        return self._log.read_text("latin-1").splitlines()[self._logged :]

    def _named_lines(self) -> list[str]:
        return [self.named(line) for line in self._log_lines()]

    def _until(self, condition: Callable[[], object]) -> bool:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    # The admin

    def stat(self, name: str) -> int:
        """A counter's or gauge's value; 0 where there is none of the name, or no process any more."""
        return 0 if self.ended else self._stats("All", f"^{re.escape(name)}$").get(name, 0)

    def names(self) -> dict[str, int | str]:
        """Every stat's name, with its value now (of histograms nothing)."""
        return {self._plain(name): value for name, value in self._stats("All", "", used=False).items()}

    def _stats(self, kind: str, pattern: str, used: bool = True) -> dict[str, Any]:
        only = "&usedonly" if used else ""
        text = self.admin_get(f"/stats?format=json{only}&type={kind}&filter={quote(pattern)}")
        return {each["name"]: each["value"] for each in json.loads(text)["stats"] if "name" in each}

    def _measured_stats(self, kind: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, value in self._stats(kind, "").items():
            plain = self._plain(name)
            found[plain] = found.get(plain, 0) + value
        return found

    def _measured(self) -> Measured:
        histograms = json.loads(
            self.admin_get("/stats?format=json&usedonly&type=Histograms&histogram_buckets=detailed")
        )
        return measured(
            self._measured_stats("Counters"), self._measured_stats("Gauges"), histograms["stats"], self._plain
        )

    def _plain(self, name: str) -> str:
        """A stat's name with listeners by theirs; of several workers, who has what is chance."""
        if "--concurrency 1" not in " ".join(self.setup.flags):
            name = re.sub(r"\.worker_\d+\.", ".worker_N.", name)
        for listener, address in self.proxy.addresses.items():
            name = name.replace(f"127.0.0.1_{address[1]}.", f"{listener}.")
        return name.replace(str(self.folder), "FOLDER")

    def admin_get(self, path: str) -> str:
        """The admin's answer, over one connection that stays."""
        return self.admin_ask("GET", path)[1]

    def admin_ask(self, method: str, path: str) -> tuple[int, str]:
        """Status and body, over one connection that stays."""
        if self._admin is None:
            self._admin = http.client.HTTPConnection(*self.proxy.admin, timeout=10)
        self._admin.request(method, path)
        answer = self._admin.getresponse()
        return answer.status, answer.read().decode()


def group_of(name: str) -> str:
    """The group of `hosts` that an upstream belongs to, or the upstream itself."""
    return re.sub(r"-\d+$", "", name)
