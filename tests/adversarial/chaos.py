"""`make chaos`: constant load while replicas fail, ours beside the real Envoy; the table of docs/reliability.md.

    python -m tests.adversarial.chaos [--seconds 120] [--dry]

Both proxies have the same configuration (retries, outlier detection, names that are asked for often) and the same
replicas, at the same time: what is done to one of them meets both. Each has clients of its own, over HTTP/1 and HTTP/2,
to upstreams over both. A request is lost that is not answered with 200 at last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from envoymesh.native.loader import activate
from tests.adversarial import report
from tests.adversarial.names import Names
from tests.adversarial.stage import Program
from tests.conftest import ORACLE_DEFAULT
from tests.integration.harness import Proxy, bootstrap, catch_all, http_listener, to_cluster
from tests.parity.configuration import PROTOCOL_OPTIONS

REPLICAS = 4
"""Replicas at the beginning; there is an address for one more."""
TURN = 4.0
"""Seconds of one fault: half of it lasts, then all is well again."""
REFRESH = 0.1
CARES = "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
RETRIES: dict[str, Any] = {
    "retry_on": "5xx,reset,connect-failure,refused-stream",
    "num_retries": 6,
    "per_try_timeout": "0.4s",
    "retry_back_off": {"base_interval": "0.02s", "max_interval": "0.2s"},
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            },
        }
    ],
    "host_selection_retry_max_attempts": 5,
}
OUTLIERS: dict[str, Any] = {
    "consecutive_5xx": 3,
    "consecutive_gateway_failure": 3,
    "enforcing_consecutive_gateway_failure": 100,
    "interval": "0.25s",
    "base_ejection_time": "0.5s",
    "max_ejection_time": "2s",
    "max_ejection_percent": 60,
}


def configuration(names: Names, ports: tuple[int, int]) -> dict[str, Any]:
    """The bootstrap of both."""
    routes = catch_all(to_cluster("one", "/one", retry_policy=RETRIES), to_cluster("two", "/two", retry_policy=RETRIES))
    http2 = {"@type": PROTOCOL_OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}
    clusters = [_cluster("one", names, ports[0]), _cluster("two", names, ports[1])]
    clusters[1]["typed_extension_protocol_options"] = {PROTOCOL_OPTIONS.rpartition("/")[2]: http2}
    return bootstrap([http_listener("main", routes)], clusters)


def _cluster(name: str, names: Names, port: int) -> dict[str, Any]:
    def at(host: str, number: int) -> dict[str, Any]:
        return {"socket_address": {"address": host, "port_value": number}}

    endpoint = {"endpoint": {"address": at("replicas.test", port)}}
    resolver = {
        "@type": CARES,
        "resolvers": [at(*names.address)],
        "dns_resolver_options": {"no_default_search_domain": True},
    }
    return {
        "name": name,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_ONLY",
        "dns_refresh_rate": f"{REFRESH}s",
        "connect_timeout": "0.3s",
        "typed_dns_resolver_config": {"name": "envoy.network.dns_resolver.cares", "typed_config": resolver},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [{"max_retries": 1000}]},
        # Else Envoy may hold a host back for a second that has rested.
        "common_lb_config": {"update_merge_window": "0s"},
        "outlier_detection": OUTLIERS,
    }


class Replicas:
    """The replicas, each at an address of its own, and the names by which they are found."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: dict[str, Program] = {}
        self.names = self._stack.enter_context(Names())
        self.ports = _free_port(), _free_port()
        self.hosts = [f"127.0.0.{number}" for number in range(21, 21 + REPLICAS + 1)]

    def __enter__(self) -> Self:
        for host in self.hosts[:REPLICAS]:
            self.start(host)
        self.tell_names()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for program in self._running.values():
            program.signal(signal.SIGKILL)
            program.__exit__(None, None, None)
        self._stack.close()

    def start(self, host: str) -> None:
        """Start one; whether it is found is the names' business."""
        program = Program("replica", host, *map(str, self.ports))
        assert program.answer() == "ready\n"
        self._running[host] = program

    def stop(self, host: str) -> None:
        """Kill one."""
        program = self._running.pop(host)
        program.signal(signal.SIGKILL)
        program.__exit__(None, None, None)

    def signal(self, host: str, number: signal.Signals) -> None:
        """Send one a signal."""
        self._running[host].signal(number)

    def behave(self, host: str, manner: str) -> None:
        """Tell one how to behave."""
        self._running[host].tell(manner)
        self._running[host].answer()

    def tell_names(self, *but: str) -> None:
        """Let those be found that run, but for some."""
        self.names.hosts = [host for host in self.hosts if host in self._running and host not in but]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return int(probe.getsockname()[1])


Fault = Callable[[Replicas, str, float], None]
"""Something that happens to one replica, and its end after so many seconds."""


def calm(replicas: Replicas, host: str, seconds: float) -> None:
    """Nothing happens."""
    time.sleep(seconds)


def killed(replicas: Replicas, host: str, seconds: float) -> None:
    """The process is killed, and started again at the same address."""
    replicas.stop(host)
    time.sleep(seconds)
    replicas.start(host)


def paused(replicas: Replicas, host: str, seconds: float) -> None:
    """The process stands still (SIGSTOP); its connections stay, and new ones come about."""
    replicas.signal(host, signal.SIGSTOP)
    time.sleep(seconds)
    replicas.signal(host, signal.SIGCONT)


def _behaving(manner: str, text: str) -> Fault:
    def fault(replicas: Replicas, host: str, seconds: float) -> None:
        replicas.behave(host, manner)
        time.sleep(seconds)
        replicas.behave(host, "well")

    fault.__doc__ = text
    return fault


def scaled_down_and_up(replicas: Replicas, host: str, seconds: float) -> None:
    """The name loses the address, then the process ends; later it is there again."""
    replicas.tell_names(host)
    time.sleep(6 * REFRESH)
    replicas.stop(host)
    time.sleep(max(0.0, seconds - 6 * REFRESH))
    replicas.start(host)
    replicas.tell_names()


def scaled_up_and_down(replicas: Replicas, host: str, seconds: float) -> None:
    """One replica more for a while."""
    more = replicas.hosts[-1]
    replicas.start(more)
    replicas.tell_names()
    time.sleep(max(0.0, seconds - 6 * REFRESH))
    replicas.tell_names(more)
    time.sleep(6 * REFRESH)
    replicas.stop(more)


FAULTS: dict[str, Fault] = {
    "calm": calm,
    "killed": killed,
    "paused": paused,
    "slow": _behaving("slow", "Each answer takes longer than a try may take."),
    "resetting": _behaving("resetting", "Connections are reset by each request."),
    "failing": _behaving("failing", "Each answer is 503."),
    "scaled down, and up": scaled_down_and_up,
    "scaled up, and down": scaled_up_and_down,
}


@dataclass(slots=True)
class Figures:
    """What one proxy's clients saw of one fault, all its times together. Milliseconds."""

    waits: list[float] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)

    def add(self, said: dict[str, Any]) -> None:
        """One more time."""
        self.waits += [wait * 1000 for wait in said["waits"]]
        for words, count in said["lost"].items():
            self.lost[words] = self.lost.get(words, 0) + count

    @property
    def losses(self) -> int:
        """How many requests were lost."""
        return sum(self.lost.values())

    @property
    def p99(self) -> float:
        """99 of 100 waited no longer."""
        return statistics.quantiles(self.waits, n=100, method="inclusive")[-1] if len(self.waits) > 1 else 0.0


@dataclass(slots=True)
class Chaos:
    """What was seen, by fault and by proxy (`ours`, `envoy`)."""

    figures: dict[str, dict[str, Figures]] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    ejections: dict[str, int] = field(default_factory=dict)

    def losses(self, side: str) -> int:
        """All requests that a proxy lost."""
        return sum(sides[side].losses for sides in self.figures.values())


def chaos(
    seconds: float, folder: Path, real: Path | None, tell: Callable[[str], object] = print, turn: float = TURN
) -> Chaos:
    """Fault after fault, each of another replica, for so long; at least once each."""
    done = Chaos()
    with ExitStack() as stack:
        replicas = stack.enter_context(Replicas())
        commands = {"ours": [sys.executable, "-m", "envoymesh", "proxy"]}
        if real is not None:
            commands["envoy"] = [str(real), "--use-dynamic-base-id"]
        config = configuration(replicas.names, replicas.ports)
        proxies = {
            side: stack.enter_context(Proxy([*command, "--concurrency", "1", "-l", "error"], config, folder / side))
            for side, command in commands.items()
        }
        load = {
            side: stack.enter_context(Program("steady", "{}:{}".format(*proxy.addresses["main"])))
            for side, proxy in proxies.items()
        }
        _round(load, lambda: time.sleep(0.5), 0.5)  # connections, and what is made with the first of them
        end, number = time.monotonic() + seconds, 0
        while number < len(FAULTS) or time.monotonic() < end:
            name = list(FAULTS)[number % len(FAULTS)]
            host = replicas.hosts[number % REPLICAS]
            said = _round(load, lambda name=name, host=host: FAULTS[name](replicas, host, turn / 2), turn)
            for side, each in said.items():
                done.figures.setdefault(name, {}).setdefault(side, Figures()).add(each)
            done.times[name] = done.times.get(name, 0) + 1
            tell(f"{name}: " + ", ".join(f"{side} lost {sum(each['lost'].values())}" for side, each in said.items()))
            number += 1
        for side, proxy in proxies.items():
            done.ejections[side] = _ejections(proxy)
    return done


def _round(load: dict[str, Program], fault: Callable[[], None], seconds: float) -> dict[str, Any]:
    """The load for so long on all sides, and the fault at its beginning; what clients say."""
    for program in load.values():
        program.tell(f"{seconds}")
    fault()
    return {side: json.loads(program.answer()) for side, program in load.items()}


def _ejections(proxy: Proxy) -> int:
    text = proxy.admin_get("/stats?format=json&filter=outlier_detection.ejections_enforced_total$")
    return sum(each["value"] for each in json.loads(text)["stats"] if "value" in each)


HEADER = (
    "| what happens to a replica | times | requests, Envoy and ours | lost | p99 (ms) | worst (ms) |\n"
    "|---|---|---|---|---|---|"
)


def markdown(done: Chaos, seconds: float) -> str:
    """The document's part: conditions, the table, the verdict."""
    sides = [side for side in ("envoy", "ours") if side in done.ejections]
    rows = [_row(name, done.times[name], [figures[side] for side in sides]) for name, figures in done.figures.items()]
    ejected = ", ".join(f"{side} {done.ejections[side]}" for side in sides)
    lost = ", ".join(f"{side} {done.losses(side)}" for side in sides)
    words = sorted({words for sides in done.figures.values() for words in sides["ours"].lost})
    return f"""\
Measured {datetime.now(UTC):%Y-%m-%d} on {len(os.sched_getaffinity(0))} cores: {seconds:g} seconds, Python \
{platform.python_version()}, ours {activate()}. Of {REPLICAS} replicas one fails at a time; clients ask over HTTP/1 \
and HTTP/2, upstreams speak both. Hosts ejected: {ejected}.

{HEADER}
{chr(10).join(rows)}

Lost in all: {lost}.{"" if not words else " Ours: " + "; ".join(words) + "."}
"""


def _row(name: str, times: int, sides: Sequence[Figures]) -> str:
    def both(show: Callable[[Figures], str]) -> str:
        return ", ".join(show(each) for each in sides)

    text = (FAULTS[name].__doc__ or "").rstrip(".")
    cells = [
        f"{name}: {text[0].lower()}{text[1:]}",
        str(times),
        both(lambda each: f"{len(each.waits):,}"),
        both(lambda each: str(each.losses)),
        both(lambda each: f"{each.p99:.0f}"),
        both(lambda each: f"{max(each.waits):.0f}"),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Do it, print, write. 1 when ours lost more than Envoy."""
    parser = argparse.ArgumentParser(prog="python -m tests.adversarial.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--dry", action="store_true", help="do not write docs/reliability.md")
    options = parser.parse_args()
    real = Path(os.environ.get("ENVOYMESH_ORACLE") or ORACLE_DEFAULT)
    with tempfile.TemporaryDirectory(prefix="envoymesh-chaos-") as folder:
        taking_part = real if os.access(real, os.X_OK) else None
        done = chaos(options.seconds, Path(folder), taking_part, lambda line: print(line, flush=True))
    text = markdown(done, options.seconds)
    print(f"\n{text}")
    if not options.dry:
        report.write("chaos", text)
    return 1 if done.losses("ours") > (done.losses("envoy") if "envoy" in done.ejections else 0) else 0


if __name__ == "__main__":
    sys.exit(main())
