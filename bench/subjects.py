"""The proxies that are compared: how each is configured and started for a setup.

A subject that is not installed, or cannot do what a setup asks for, says so in words; it is never left out silently.
It must not measure.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from bench.mesh_config import Ports, Setup, bootstrap
from bench.processes import SUBJECT_CORES, BenchError, Process, free_port
from bench.upstream import Upstream

BENCH_ROOT = Path(__file__).parent
PEER_PYTHON = BENCH_ROOT.parent / ".venv" / "bench-peers" / "bin" / "python"
"""The Python peers' own environment, which `make bench` makes; see bench/peers/requirements.txt."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a subject is to run.

    Args:
        folder: its own, for configuration and logs.
        certificate: chain and key.
    """

    folder: Path
    upstream: Upstream
    certificate: tuple[Path, Path]


@dataclass(slots=True)
class Running:
    """A started subject.

    Args:
        processes: front first.
        port: where requests go.
        admin: the admin listener of the front, 0 where there is none.
        start_seconds: from the first process' start until it listened.
    """

    processes: list[Process]
    port: int
    admin: int = 0
    start_seconds: float = field(default=0.0)

    def stop(self) -> None:
        """End all of it."""
        for process in self.processes:
            process.stop()


class Subject(Protocol):
    """One proxy."""

    name: str

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""

    def unfit(self, setup: Setup) -> str | None:
        """Why it cannot be what is asked for, or None."""

    def start(self, setup: Setup, site: Site) -> Running:
        """Start it and wait until it listens.

        Raises:
            BenchError: it does not come up.
        """


@dataclass(frozen=True, slots=True)
class MeshProxy:
    """A proxy that reads Envoy's bootstrap: ours, or the real Envoy."""

    name: str
    command: Sequence[str]

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        if not self.command[0]:
            return "ENVOYMESH_ORACLE does not name the real Envoy"
        return None if shutil.which(self.command[0]) else f"{self.command[0]} is not there"

    def unfit(self, setup: Setup) -> str | None:
        """It can be anything."""
        return None

    def start(self, setup: Setup, site: Site) -> Running:
        """One tier, or the front and its sidecar."""
        upstream = site.upstream
        if not setup.chain:
            target = upstream.http2 if setup.http2_upstream else upstream.http1
            process, ports = self._tier(self.name, setup, target, site)
            return Running([process], ports.listener, ports.admin, process.wait_for_port(ports.listener))
        sidecar, inner = self._tier(f"{self.name} sidecar", replace(setup, tls=False), upstream.http1, site)
        front, outer = self._tier(f"{self.name} front", replace(setup, http2_upstream=True), inner.listener, site)
        sidecar.wait_for_port(inner.listener)
        seconds = front.wait_for_port(outer.listener)
        return Running([front, sidecar], outer.listener, outer.admin, seconds)

    def _tier(self, name: str, setup: Setup, upstream_port: int, site: Site) -> tuple[Process, Ports]:
        ports = Ports(free_port(), free_port(), upstream_port)
        stem = site.folder / name.replace(" ", "-")
        config = stem.with_suffix(".yaml")
        config.write_text(json.dumps(bootstrap(setup, ports, site.folder, site.certificate)))
        flags = ["-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
        return Process(name, [*self.command, *flags], SUBJECT_CORES, stem.with_suffix(".log")), ports


@dataclass(frozen=True, slots=True)
class Nginx:
    """nginx, one worker."""

    name: str = "nginx"

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        return None if shutil.which("nginx") else "nginx is not installed"

    def unfit(self, setup: Setup) -> str | None:
        """It speaks HTTP/1 to upstreams, and its routes are not the same work."""
        if setup.http2_upstream or setup.chain:
            return "no HTTP/2 to upstreams"
        return "not the same work" if setup.routes or setup.clusters > 1 else None

    def start(self, setup: Setup, site: Site) -> Running:
        """One master without workers."""
        port = free_port()
        chain, key = site.certificate
        text = (BENCH_ROOT / "peers" / "nginx.conf").read_text()
        flags = f"{' ssl' if setup.tls else ''}{' http2' if setup.http2_downstream else ''}"
        values = {
            "FOLDER": str(site.folder),
            "LISTEN": f"127.0.0.1:{port}{flags} backlog=4096",
            "UPSTREAM": f"127.0.0.1:{site.upstream.http1}",
            "ACCESS_LOG": f"{site.folder}/access.log combined" if setup.access_log else "off",
            "TLS": f"ssl_certificate {chain}; ssl_certificate_key {key};" if setup.tls else "",
        }
        config = _fill(text, values, site.folder / "nginx.conf")
        command = ["nginx", "-c", str(config), "-e", str(site.folder / "nginx-start.log")]
        process = Process(self.name, command, SUBJECT_CORES, site.folder / "nginx.log")
        return Running([process], port, 0, process.wait_for_port(port))


@dataclass(frozen=True, slots=True)
class HaProxy:
    """HAProxy, one thread."""

    name: str = "HAProxy"

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        return None if shutil.which("haproxy") else "HAProxy is not installed"

    def unfit(self, setup: Setup) -> str | None:
        """Its logs go to a syslog daemon, and its routes are not the same work."""
        if setup.access_log:
            return "logs through syslog only"
        return "not the same work" if setup.routes or setup.clusters > 1 else None

    def start(self, setup: Setup, site: Site) -> Running:
        """One tier, or two that speak HTTP/2 with each other."""
        upstream = site.upstream
        if not setup.chain:
            target = upstream.http2 if setup.http2_upstream else upstream.http1
            process, port = self._tier("HAProxy", setup, target, site)
            return Running([process], port, 0, process.wait_for_port(port))
        inner = replace(setup, tls=False, http2_downstream=True)
        sidecar, inner_port = self._tier("HAProxy sidecar", inner, upstream.http1, site)
        front, port = self._tier("HAProxy front", replace(setup, http2_upstream=True), inner_port, site)
        sidecar.wait_for_port(inner_port)
        return Running([front, sidecar], port, 0, front.wait_for_port(port))

    def _tier(self, name: str, setup: Setup, upstream_port: int, site: Site) -> tuple[Process, int]:
        port = free_port()
        bind = f"127.0.0.1:{port}"
        if setup.tls:
            bundle = site.folder / "haproxy.bundle"
            bundle.write_text("".join(path.read_text() for path in site.certificate))
            bind += f" ssl crt {bundle}"
        values = {
            "BIND": bind + (" proto h2" if setup.http2_downstream else ""),
            "SERVER": f"127.0.0.1:{upstream_port}" + (" proto h2" if setup.http2_upstream else ""),
        }
        stem = site.folder / name.replace(" ", "-")
        config = _fill((BENCH_ROOT / "peers" / "haproxy.cfg").read_text(), values, stem.with_suffix(".cfg"))
        command = ["haproxy", "-db", "-f", str(config)]
        return Process(name, command, SUBJECT_CORES, stem.with_suffix(".log")), port


@dataclass(frozen=True, slots=True)
class PythonPeer:
    """A reverse proxy in Python from the package index.

    Args:
        module: what of it must be importable.
        arguments: of the peer environment's Python; {port}, {upstream} and {folder} are filled in.
    """

    name: str
    module: str
    arguments: Sequence[str]

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        packages = PEER_PYTHON.parent.parent.glob(f"lib/python*/site-packages/{self.module}")
        return None if any(packages) else f"not in {PEER_PYTHON.parent.parent}"

    def unfit(self, setup: Setup) -> str | None:
        """Only plain HTTP/1 is compared."""
        return None if setup == Setup() else "compared on plain HTTP/1 only"

    def start(self, setup: Setup, site: Site) -> Running:
        """One process (and its own workers)."""
        port = free_port()
        values = {"port": port, "upstream": f"127.0.0.1:{site.upstream.http1}", "folder": site.folder}
        command = [str(PEER_PYTHON), *(argument.format(**values) for argument in self.arguments)]
        process = Process(self.name, command, SUBJECT_CORES, site.folder / f"{self.module}.log")
        return Running([process], port, 0, process.wait_for_port(port))


def _fill(text: str, values: dict[str, str], to: Path) -> Path:
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    to.write_text(text)
    return to


OURS = "envoymesh"
BEFORE = "before"
"""Another tree of ours, such as one of `git worktree add`: what a change bought is seen in pairs of one run."""
ENVOY = "Envoy"
_BEFORE_TREE = os.environ.get("ENVOYMESH_BEFORE", "")

_PEERS = str(BENCH_ROOT / "peers")
SUBJECTS: tuple[Subject, ...] = (
    MeshProxy(OURS, (sys.executable, "-m", "envoymesh", "proxy")),
    *(
        [MeshProxy(BEFORE, ("env", "-C", _BEFORE_TREE, sys.executable, "-m", "envoymesh", "proxy"))]
        if _BEFORE_TREE
        else []
    ),
    MeshProxy(ENVOY, (os.environ.get("ENVOYMESH_ORACLE", ""),)),
    Nginx(),
    HaProxy(),
    PythonPeer("aiohttp", "aiohttp", (f"{_PEERS}/aiohttp_proxy.py", "{port}", "{upstream}")),
    PythonPeer("proxy.py", "proxy", (f"{_PEERS}/proxy_py.py", "{port}", "{upstream}")),
    PythonPeer("mitmproxy", "mitmproxy", (f"{_PEERS}/mitm_proxy.py", "{port}", "{upstream}", "{folder}")),
)


def trees() -> list[Path]:
    """Where the packages of our own subjects are."""
    return [BENCH_ROOT.parent, *([Path(_BEFORE_TREE)] if _BEFORE_TREE else [])]


def choose(names: Sequence[str]) -> list[Subject]:
    """The subjects of these names, all for none; in the order above.

    Raises:
        BenchError: a name that is none's.
    """
    unknown = set(names) - {subject.name for subject in SUBJECTS}
    if unknown:
        known = ", ".join(subject.name for subject in SUBJECTS)
        raise BenchError(f"no such subject: {', '.join(sorted(unknown))}; there are {known}")
    return [subject for subject in SUBJECTS if not names or subject.name in names]
