"""What is known of one proxy: read from its admin's answers. It must not ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from envoymesh.page.configuration import Configuration
from envoymesh.page.figures import Rate
from envoymesh.page.runtime import Place

UNREACHABLE_AFTER = 3
"""Looks in a row that got no answer."""


@dataclass(slots=True)
class HostSeen:
    """One host of one cluster, as this proxy sees it."""

    cluster: str
    address: str
    rate: Rate = field(default_factory=Rate)
    active: int = 0
    flags: tuple[str, ...] = ()

    @property
    def health(self) -> str:
        """healthy, degraded or unhealthy."""
        if not self.flags:
            return "healthy"
        return "degraded" if all("degraded" in each for each in self.flags) else "unhealthy"


@dataclass(slots=True)
class Watch:
    """One proxy.

    Attributes:
        asking: whether an answer is waited for; nothing else is asked meanwhile.
        missed: looks in a row that got no answer.
        source, sequence: where `/requests` goes on.
        app: host:port of the service beside it, where that is known.
        since: UNIX seconds since when its state is what it is.
    """

    place: Place
    asking: bool = False
    missed: int = 0
    looks: int = 0
    source: str = ""
    sequence: int = 0
    rate: Rate = field(default_factory=Rate)
    hosts: dict[tuple[str, str], HostSeen] = field(default_factory=dict)
    configuration: Configuration | None = None
    runtime: dict[str, str] = field(default_factory=dict)
    faults: dict[str, Any] | None = None
    faulty_files: tuple[str, ...] = ()
    app: str = ""
    state: str = ""
    since: float = 0.0

    def become(self, now: float) -> None:
        """Take the state that the runtime and its admin's silence give."""
        silent = self.place.state == "healthy" and self.missed >= UNREACHABLE_AFTER
        state = "unreachable" if silent else self.place.state
        if state != self.state:
            self.state, self.since = state, now
        if state == "stopped":
            self.configuration, self.faults = None, None

    def take_requests(self, now: float, told: Mapping[str, Any]) -> list[dict[str, Any]]:
        """An answer of /requests; gives what is new."""
        source = told["source"]
        if source != self.source:
            # Another run of the proxy, or the first look: what it kept before nobody has seen.
            self.source, self.sequence, self.rate = source, 0, Rate()
            self.configuration = None
        self.rate.add(now, told["seen"], told["failed"])
        fresh: list[dict[str, Any]] = [each for each in told["requests"] if each["sequence"] > self.sequence]
        self.sequence = max([self.sequence, *(each["sequence"] for each in fresh)])
        return fresh

    def take_clusters(self, now: float, text: str) -> None:
        """An answer of /clusters."""
        found = _hosts(text.splitlines())
        self.hosts = {key: self.hosts.get(key) or HostSeen(*key) for key in found}
        for key, values in found.items():
            host = self.hosts[key]
            host.rate.add(now, int(values.get("rq_total", 0)), int(values.get("rq_error", 0)))
            host.active = int(values.get("rq_active", 0))
            words = values.get("health_flags", "healthy")
            host.flags = () if words == "healthy" else tuple(words.strip("/").split("/"))
        own = [address for _, address in self.hosts if self.is_own(address)]
        self.app = own[0] if own else ""

    def is_own(self, address: str) -> bool:
        """Whether a host is the service beside this proxy."""
        host = address.rpartition(":")[0].strip("[]")
        return host in ("127.0.0.1", "::1") if self.place.address != host else True

    def take_runtime(self, told: Mapping[str, Any]) -> None:
        """An answer of /runtime."""
        self.runtime = {key: str(each.get("final_value", "")) for key, each in told.get("entries", {}).items()}

    def take_python(self, told: Mapping[str, Any]) -> list[str]:
        """An answer of /python; gives what has gone wrong since the last."""
        wrong = tuple(
            f"{each['file']}:{each['line'] or 1}: {each['error']}" for each in told.get("python", []) if each["error"]
        )
        fresh = [each for each in wrong if each not in self.faulty_files]
        self.faulty_files = wrong
        return fresh


def _hosts(lines: Iterable[str]) -> dict[tuple[str, str], dict[str, str]]:
    """Values by (cluster, address of the host), from lines of /clusters."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for line in lines:
        # An IPv6 address is in brackets, with colons of its own.
        cluster, _, rest = line.partition("::")
        if rest.startswith("["):
            host, _, rest = rest.partition("]:")
            port, _, rest = rest.partition("::")
            address = f"{host}]:{port}"
        else:
            address, _, rest = rest.partition("::")
        name, separator, value = rest.partition("::")
        if separator and address.rpartition(":")[2].isdigit():
            found.setdefault((cluster, address), {})[name] = value
    return found
