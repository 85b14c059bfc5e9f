"""What the cases of an area run against: a bootstrap, and the upstreams behind it. It must not know cases or proxies.

    SETUP = Setup("balancing", configuration, {**hosts("three", 3), "dead": Refusing})

The framework completes the bootstrap: the admin, statistics flushed ten times a second, and an access log for every
connection manager and TCP proxy that has none. Names of connection managers' and proxies' stats begin with `test`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tests.integration.harness import HCM, Address, Answer, Peer, Request, bootstrap, socket_address
from tests.parity.upstreams import Recorder

FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
FLUSHED = "0.1s"

Json = dict[str, Any]


class Upstream(Protocol):
    """What a setup may have as an upstream: something at an address, which says what reached it."""

    address: Address
    seen: list[str]

    def drop(self) -> None:
        """Let go of every connection."""


MakeUpstream = Callable[[], AbstractContextManager[Upstream]]


@dataclass(frozen=True)
class Places:
    """Where things are in one half of a pair.

    Args:
        upstreams: addresses by the names of `Setup.upstreams`.
        log: the one access log that is compared.
    """

    upstreams: Mapping[str, Address]
    log: Path
    certificates: Path

    def __getitem__(self, name: str) -> Address:
        """An upstream's address."""
        return self.upstreams[name]

    def group(self, name: str) -> list[Address]:
        """The addresses of `hosts(name, ...)`."""
        return [address for each, address in self.upstreams.items() if each.rpartition("-")[0] == name]


@dataclass(frozen=True)
class Setup:
    """A bootstrap and its upstreams; all cases of one setup run on one pair, one after the other.

    Args:
        name: where its files go.
        configuration: Places -> listeners and clusters (`bootstrap` of the harness), or a whole bootstrap.
        upstreams: what makes each upstream. Addresses are shown by these names, and `NAME-1`, `NAME-2` as NAME: which
            of such hosts a balancer takes is chance, which of them answered an answer can say.
        flags: of the command line.
        alone: each case gets a pair of its own (it drains, ends the process, or changes what others would see).
    """

    name: str
    configuration: Callable[[Places], Json]
    upstreams: Mapping[str, MakeUpstream] = field(default_factory=dict)
    flags: tuple[str, ...] = ("--concurrency", "1")
    alone: bool = False

    def bootstrap(self, places: Places, log_format: str) -> Json:
        """The whole bootstrap of one half of a pair."""
        made = {**self.configuration(places), "stats_flush_interval": FLUSHED}
        for listener in made["static_resources"]["listeners"]:
            for chain in listener["filter_chains"]:
                for each in chain["filters"]:
                    _with_log(each["typed_config"], places.log, log_format)
        return made


def _with_log(config: Json, log: Path, log_format: str) -> None:
    if config["@type"] in (HCM, TCP_PROXY) and "access_log" not in config:
        text = {"text_format_source": {"inline_string": log_format + "\n"}}
        typed = {"@type": FILE_LOG, "path": str(log), "log_format": text}
        config["access_log"] = [{"name": "envoy.access_loggers.file", "typed_config": typed}]


def bootstrap_of(listeners: list[Json], clusters: list[Json], **more: Any) -> Json:
    """A bootstrap of these, with an admin listener."""
    return bootstrap(listeners, clusters, **more)


def tcp_listener(name: str, cluster: str, **options: Any) -> Json:
    """A listener on port 0 of the loopback with a TCP proxy to a cluster."""
    proxy = {"@type": TCP_PROXY, "stat_prefix": "test", "cluster": cluster, **options}
    chain = {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}
    return {"name": name, "address": socket_address(("127.0.0.1", 0)), "filter_chains": [chain]}


def says(name: str) -> Answer:
    """An HTTP/1 answer that says which host it is of: `x-host` and the body."""
    answer = f"HTTP/1.1 200 OK\r\nx-host: {name}\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode()

    def send(peer: Peer, request: Request) -> None:
        peer.send(answer)

    return send


def hosts(name: str, count: int, **more: Answer) -> dict[str, MakeUpstream]:
    """HTTP/1 hosts `NAME-1` to `NAME-COUNT` that say who they are; `more` are answers by path (`slow` for /slow)."""
    others = {f"/{path}": answer for path, answer in more.items()}
    return {each: partial(Recorder, {"/": says(each), **others}) for each in (f"{name}-{n + 1}" for n in range(count))}
