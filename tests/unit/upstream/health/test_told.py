"""Health that another process tells."""

from __future__ import annotations

from typing import Any

from envoymesh.network.api import Address
from envoymesh.stats import Store
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.api import make_host
from envoymesh.upstream.health.settings import EndpointHealthCheck, HealthCheckSettings, HttpHealthCheckSettings
from envoymesh.upstream.health.told import SPARE, HostHealth, HostKey, ToldHealth, key_of
from envoymesh.upstream.host import (
    DEGRADED_ACTIVE_HC,
    EXCLUDED_VIA_IMMEDIATE_HC_FAIL,
    FAILED_ACTIVE_HC,
    FAILED_OUTLIER_CHECK,
    Host,
)
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings
from tests.support.fakes import FakeDispatcher, FakeRuntime

CHECK = HealthCheckSettings(HttpHealthCheckSettings(b"/"), 1.0, 1.0, 1, 1)
HEALTHY = HostHealth(0, 2.0)
FAILED = HostHealth(FAILED_ACTIVE_HC, -1.0)


class Worker:
    """A cluster of a worker."""

    def __init__(self, **cluster: Any) -> None:
        self.dispatcher = FakeDispatcher()
        settings = ClusterSettings("c", health_check=CHECK, **cluster)
        self.info = ClusterInfo(settings, Store().scope("cluster.c."), FakeRuntime())
        self.hosts = PrioritySet()
        self.failed: list[Host] = []
        self.reported: list[tuple[str, HostKey]] = []
        self.passed: list[Host] = []
        self.told = ToldHealth(
            self.info, self.hosts, self.dispatcher, self.failed.append, self.passed.append,
            lambda *event: self.reported.append(event),
        )  # fmt: skip

    def host(self, number: int = 1, **endpoint: object) -> Host:
        settings = EndpointSettings("h", 80, **endpoint)  # type: ignore[arg-type]
        return make_host(self.info, Address(f"10.0.0.{number}", 80), settings)

    @property
    def healthy(self) -> tuple[Host, ...]:
        return self.hosts.host_sets[0].healthy_hosts


def test_a_host_is_told_of() -> None:
    worker = Worker()
    host = worker.host()
    worker.hosts.update_hosts(0, [host])
    assert host.health_flags == FAILED_ACTIVE_HC
    worker.told.take({key_of(host, worker.info): HEALTHY})
    assert worker.healthy == (host,)
    assert host.last_hc_pass_time == worker.dispatcher.now() - 2.0
    assert not worker.failed
    worker.told.take({key_of(host, worker.info): FAILED})
    assert worker.healthy == ()
    assert worker.failed == [host]
    worker.told.take({key_of(host, worker.info): FAILED})
    assert worker.failed == [host], "it has not failed again"


def test_the_word_comes_before_the_host() -> None:
    worker = Worker()
    host = worker.host()
    worker.told.take({key_of(host, worker.info): HEALTHY})
    worker.hosts.update_hosts(0, [host])
    assert worker.healthy == (host,)
    worker.hosts.update_hosts(0, [])
    again = worker.host()
    worker.hosts.update_hosts(0, [again])
    assert worker.healthy == (again,), "still true when it comes back"


def test_two_hosts_of_one_address_and_name() -> None:
    worker = Worker()
    hosts = [worker.host(), worker.host()]
    worker.hosts.update_hosts(0, hosts)
    worker.told.take({key_of(hosts[0], worker.info): HEALTHY})
    assert worker.healthy == tuple(hosts)
    worker.hosts.update_hosts(0, hosts[1:])
    worker.told.take({key_of(hosts[1], worker.info): HostHealth(DEGRADED_ACTIVE_HC, 0.0)})
    assert worker.hosts.host_sets[0].degraded_hosts == (hosts[1],)


def test_a_logical_host_is_the_same_at_another_address() -> None:
    worker = Worker(discovery_type="LOGICAL_DNS")
    host = worker.host(2)
    worker.hosts.update_hosts(0, [host])
    assert worker.healthy == (host,)
    worker.told.take({key_of(worker.host(1), worker.info): FAILED})
    assert worker.healthy == ()


def test_other_flags_stay() -> None:
    worker = Worker()
    host = worker.host()
    host.health_flag_set(FAILED_OUTLIER_CHECK)
    worker.hosts.update_hosts(0, [host])
    worker.told.take({key_of(host, worker.info): HEALTHY})
    assert host.health_flags == FAILED_OUTLIER_CHECK


def test_a_host_that_is_not_checked() -> None:
    worker = Worker()
    host = worker.host(health_check=EndpointHealthCheck(disabled=True))
    worker.hosts.update_hosts(0, [host])
    worker.told.take({key_of(host, worker.info): FAILED})
    assert worker.healthy == (host,)


def test_a_response_is_reported_once() -> None:
    worker = Worker()
    host = worker.host()
    worker.hosts.update_hosts(0, [host])
    assert host.health_checker is worker.told
    for _ in range(3):
        worker.told.set_unhealthy(host)
    assert worker.reported == [("c", key_of(host, worker.info))]
    assert host.health_flag_get(EXCLUDED_VIA_IMMEDIATE_HC_FAIL)


def test_what_is_told_of_strangers_does_not_pile_up() -> None:
    worker = Worker()
    host = worker.host()
    worker.hosts.update_hosts(0, [host])
    for number in range(SPARE + 10):
        worker.told.take({HostKey(0, str(number), ""): HEALTHY, key_of(host, worker.info): HEALTHY})
    assert len(worker.told._told) <= SPARE + 2
    assert key_of(host, worker.info) in worker.told._told


def test_first_use_is_told_once() -> None:
    worker = Worker()
    assert not worker.told.is_newly_used()
    worker.info.stats.upstream_cx_total.inc()
    assert worker.told.is_newly_used()
    assert not worker.told.is_newly_used()


def test_a_cluster_is_ready_at_once_and_stops() -> None:
    worker = Worker()
    ready: list[str] = []
    worker.told.on_discovered(lambda: ready.append("ready"))
    assert ready == ["ready"]
    worker.told.stop()
    host = worker.host()
    worker.hosts.update_hosts(0, [host])
    assert host.health_checker is None


def test_a_check_that_passed_is_passed_on() -> None:
    worker = Worker()
    host = worker.host()
    worker.hosts.update_hosts(0, [host])
    key = key_of(host, worker.info)
    worker.told.take({key: HEALTHY})
    worker.told.take({key: HEALTHY})
    assert worker.passed == [host, host]
    worker.told.take({key: FAILED})
    assert worker.passed == [host, host]
