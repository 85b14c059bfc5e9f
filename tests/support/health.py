"""A cluster whose hosts are checked, over fake connections: the test is every host."""

from __future__ import annotations

import json
from typing import Any

from envoymesh.network.api import Address
from envoymesh.stats import Store
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.api import make_host
from envoymesh.upstream.health.checker import HealthChecker
from envoymesh.upstream.health.factory import make_health_checker
from envoymesh.upstream.health.settings import HealthCheckSettings, HttpHealthCheckSettings
from envoymesh.upstream.host import Host
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings
from tests.support.fakes import FakeConnection, FakeConnector, FakeDispatcher, FakeRuntime

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
WRONG = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"


class Checks:
    """A cluster `c`, its checker, and what is on the wire.

    Args:
        check: what is asked; HTTP at / where there is none.
        cluster: fields of the ClusterSettings.
        settings: fields of the HealthCheckSettings.
    """

    def __init__(self, check: Any = None, *, cluster: dict[str, Any] | None = None, **settings: Any) -> None:
        self.dispatcher = FakeDispatcher()
        self.connector = FakeConnector(self.dispatcher)
        self.store = Store()
        self.runtime = FakeRuntime()
        self.random = 0.5
        self.failed: list[Host] = []
        self.lines: list[dict[str, Any]] = []
        times = {"timeout": 1.0, "interval": 5.0, "no_traffic_interval": 5.0, "no_traffic_healthy_interval": 5.0}
        edges = {"unhealthy_interval": 5.0, "unhealthy_edge_interval": 5.0, "healthy_edge_interval": 5.0}
        fields = {**times, **edges, "unhealthy_threshold": 2, "healthy_threshold": 2, **settings}
        fields.setdefault("log_event", lambda line: self.lines.append(json.loads(line)))
        self.settings = HealthCheckSettings(check or HttpHealthCheckSettings(b"/hc"), **fields)
        made = ClusterSettings(name="c", health_check=self.settings, **(cluster or {}))
        self.info = ClusterInfo(made, self.store.scope("cluster.c."), self.runtime)
        self.cluster = Cluster(self.info, self.connector, self.dispatcher, lambda: 0.0, self.runtime)
        self.checker: HealthChecker = make_health_checker(
            self.settings,
            self.info,
            self.cluster.priority_set,
            self.connector,
            self.dispatcher,
            lambda: self.random,
            self.runtime,
            lambda tls: tls,
            self.failed.append,
            self.cluster.on_host_health_success,
        )

    def host(self, number: int = 1, **endpoint: Any) -> Host:
        """A host that is not a member yet."""
        return make_host(
            self.info, Address(f"10.0.0.{number}", 80), EndpointSettings(f"10.0.0.{number}", 80, **endpoint)
        )

    def begin(self, *hosts: Host) -> list[Host]:
        """Make these (or one) the members; their first checks have begun."""
        members = list(hosts) or [self.host()]
        self.cluster.update_hosts(members)
        self.dispatcher.advance(0.0)
        return members

    @property
    def wire(self) -> FakeConnection:
        """The connection that was made last."""
        return self.connector.last

    def connected(self) -> FakeConnection:
        """The same, which is up from now on."""
        if not self.wire.connected:
            self.wire.established()
        return self.wire

    def answer(self, data: bytes = OK) -> None:
        """The host answers the check."""
        self.connected().receive(data)
        self.dispatcher.run_posted()

    def check(self, data: bytes = OK, after: float = 5.0) -> None:
        """The next check comes and is answered."""
        self.dispatcher.advance(after)
        self.answer(data)

    def value(self, name: str) -> int:
        """A counter or gauge of the cluster."""
        full = f"cluster.c.{name}"
        return (self.store.counters.by_name.get(full) or self.store.gauges.by_name[full]).value

    def counts(self) -> dict[str, int]:
        """The stats of checks that are not zero."""
        names = ("attempt", "success", "failure", "network_failure", "passive_failure", "healthy", "degraded")
        found = {name: self.value(f"health_check.{name}") for name in names}
        return {name: value for name, value in found.items() if value}

    def events(self) -> list[str]:
        """The names of the event log's events so far."""
        return [next(name for name in line if name.endswith(("_event", "_host"))) for line in self.lines]
