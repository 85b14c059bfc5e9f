"""When checks come, what they make of a host, and who hears of it; over HTTP, as any protocol would do."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.network.api import Address
from envoymesh.upstream.health.checker import HealthTransition
from envoymesh.upstream.health.connection import health_check_address
from envoymesh.upstream.health.settings import EndpointHealthCheck, HttpHealthCheckSettings
from envoymesh.upstream.host import (
    ACTIVE_HC_TIMEOUT,
    DEGRADED_ACTIVE_HC,
    EXCLUDED_VIA_IMMEDIATE_HC_FAIL,
    FAILED_ACTIVE_HC,
    PENDING_ACTIVE_HC,
    Host,
)
from envoymesh.upstream.host_set import PrioritySetObserver
from tests.support.health import OK, WRONG, Checks
from tests.support.stand_ins import stands_for


class Observer(stands_for(PrioritySetObserver)):
    """Counts changes of health."""

    def __init__(self) -> None:
        self.told = 0

    def on_members_changed(self, priority: int, added: Any, removed: Any) -> None:
        """Of no interest."""

    def on_health_changed(self, priority: int) -> None:
        self.told += 1


DEGRADED = b"HTTP/1.1 200 OK\r\nx-envoy-degraded: 1\r\ncontent-length: 0\r\n\r\n"


def test_the_first_check_is_enough_to_be_healthy() -> None:
    checks = Checks()
    [host] = checks.begin()
    assert host.health_flags == FAILED_ACTIVE_HC
    assert checks.cluster.choose_host(None) is not None, "panic"
    checks.answer()
    assert host.health_flags == 0
    assert checks.cluster.priority_set.host_sets[0].healthy_hosts == (host,)
    assert checks.counts() == {"attempt": 1, "success": 1, "healthy": 1}
    assert checks.events() == ["add_healthy_event"]
    assert host.last_hc_pass_time == checks.dispatcher.now()


def test_an_answer_takes_a_host_out_at_once_and_two_bring_it_back() -> None:
    checks = Checks()
    [host] = checks.begin()
    checks.answer()
    checks.check(WRONG)
    assert host.health_flags == FAILED_ACTIVE_HC
    assert checks.failed == [host]
    checks.check(OK)
    assert host.health_flags == FAILED_ACTIVE_HC
    checks.check(WRONG)
    checks.check(OK)
    assert host.health_flags == FAILED_ACTIVE_HC, "a failure between begins anew"
    checks.check(OK)
    assert host.health_flags == 0
    assert checks.failed == [host]
    assert checks.value("membership_healthy") == 1
    assert checks.events() == ["add_healthy_event", "eject_unhealthy_event", "add_healthy_event"]


def test_failures_of_the_network_count_up_to_the_threshold() -> None:
    checks = Checks(unhealthy_threshold=3)
    [host] = checks.begin()
    checks.answer()
    for flags in (0, 0, FAILED_ACTIVE_HC):
        checks.dispatcher.advance(5.0)
        checks.wire.remote_close("reset")
        assert host.health_flags == flags
    assert checks.counts() == {"attempt": 4, "success": 1, "failure": 3, "network_failure": 3}
    assert checks.events() == ["add_healthy_event", "eject_unhealthy_event"]


def test_a_success_between_failures_begins_anew() -> None:
    checks = Checks()
    [host] = checks.begin()
    checks.answer()
    for _ in range(3):
        checks.dispatcher.advance(5.0)
        checks.wire.remote_close("reset")
        checks.check(OK)
    assert host.health_flags == 0


def test_time_is_up() -> None:
    checks = Checks(unhealthy_threshold=1)
    [host] = checks.begin()
    checks.dispatcher.advance(0.999)
    assert checks.counts() == {"attempt": 1}
    checks.dispatcher.advance(0.002)
    assert host.health_flags == FAILED_ACTIVE_HC | ACTIVE_HC_TIMEOUT
    assert checks.wire.closed
    checks.check(WRONG)
    assert host.health_flags == FAILED_ACTIVE_HC, "another reason"
    assert checks.lines[0]["health_check_failure_event"] == {
        "failure_type": "NETWORK_TIMEOUT", "first_check": True, "http_status_code": 0,
    }  # fmt: skip


def test_a_late_answer_is_of_no_use() -> None:
    checks = Checks()
    checks.begin()
    late = checks.connected()
    checks.dispatcher.advance(1.0)
    late.receive(OK)
    assert checks.counts() == {"attempt": 1, "failure": 1, "network_failure": 1}


def test_degraded_hosts() -> None:
    checks = Checks()
    [host] = checks.begin()
    checks.answer(DEGRADED)
    assert host.health_flags == DEGRADED_ACTIVE_HC
    assert (checks.value("membership_degraded"), checks.value("membership_healthy")) == (1, 0)
    checks.check(OK)
    assert host.health_flags == 0
    assert checks.value("membership_healthy") == 1
    assert checks.counts()["degraded"] == 1, "as in Envoy the gauge stays"
    assert checks.events() == ["add_healthy_event", "degraded_healthy_host", "no_longer_degraded_host"]


@pytest.mark.parametrize(
    ("answers", "used", "seconds"),
    [
        ([OK], False, 7.0),
        ([WRONG], False, 6.0),
        ([OK], True, 5.0),
        ([WRONG], True, 3.0),
        ([OK, WRONG, OK], True, 2.0),
    ],
)
def test_the_interval_is_of_the_host_and_its_cluster(answers: list[bytes], used: bool, seconds: float) -> None:
    checks = Checks(
        no_traffic_interval=6.0, no_traffic_healthy_interval=7.0, unhealthy_interval=3.0, healthy_edge_interval=2.0
    )
    if used:
        checks.info.stats.upstream_cx_total.inc()
    checks.begin()
    checks.answer(answers[0])
    for each, after in zip(answers[1:], (5.0, 3.0), strict=False):
        checks.check(each, after)
    before = checks.value("health_check.attempt")
    checks.dispatcher.advance(seconds - 0.01)
    assert checks.value("health_check.attempt") == before
    checks.dispatcher.advance(0.02)
    assert checks.value("health_check.attempt") == before + 1


def test_the_edge_interval_of_failures() -> None:
    checks = Checks(unhealthy_edge_interval=1.0)
    checks.info.stats.upstream_cx_total.inc()
    checks.begin()
    checks.answer()
    checks.dispatcher.advance(5.0)
    checks.wire.remote_close("reset")
    checks.dispatcher.advance(1.0)
    assert checks.value("health_check.attempt") == 3


def test_jitter() -> None:
    checks = Checks(initial_jitter=2.0, interval_jitter=1.0, interval_jitter_percent=50)
    checks.begin()
    assert checks.checker.initial_delay() == 1.0
    assert checks.checker.interval(True, HealthTransition.UNCHANGED) == 5.0 + 0.5 * 2.5 + 0.5 * 1.0
    checks.dispatcher.advance(0.9)
    assert not checks.connector.connections
    checks.dispatcher.advance(0.2)
    assert checks.connector.connections


def test_runtime_limits_of_the_interval() -> None:
    checks = Checks()
    checks.runtime.change("health_check.min_interval", 9000)
    assert checks.checker.interval(True, HealthTransition.UNCHANGED) == 9.0
    checks.runtime.change("health_check.min_interval", None)
    checks.runtime.change("health_check.max_interval", 20)
    assert checks.checker.interval(True, HealthTransition.UNCHANGED) == 0.02
    checks.runtime.change("health_check.max_interval", 0)
    assert checks.checker.interval(True, HealthTransition.UNCHANGED) == 0.001, "never at once"


def test_a_cluster_is_ready_when_its_hosts_have_been_checked() -> None:
    checks = Checks()
    ready: list[str] = []
    hosts = checks.begin(checks.host(1), checks.host(2))
    checks.checker.on_discovered(lambda: ready.append("ready"))
    first, second = checks.connector.connections
    for each in (first, second):
        each.established()
    first.receive(OK)
    assert not ready
    assert checks.cluster.priority_set.host_sets[0].healthy_hosts == (), "nobody picks yet"
    second.receive(WRONG)
    assert ready == ["ready"]
    assert checks.cluster.priority_set.host_sets[0].healthy_hosts == (hosts[0],)
    assert checks.value("membership_healthy") == 1


def test_a_host_that_leaves_is_not_waited_for() -> None:
    checks = Checks()
    ready: list[str] = []
    checks.begin()
    checks.checker.on_discovered(lambda: ready.append("ready"))
    checks.cluster.update_hosts([])
    assert ready == ["ready"]
    assert checks.wire.closed
    checks.dispatcher.advance(20.0)
    assert checks.counts() == {"attempt": 1}


def test_without_hosts_to_check_a_cluster_is_ready_at_once() -> None:
    checks = Checks()
    ready: list[str] = []
    checks.begin(checks.host(1, health_check=EndpointHealthCheck(disabled=True)))
    checks.checker.on_discovered(lambda: ready.append("ready"))
    assert ready == ["ready"]
    assert not checks.connector.connections
    assert checks.cluster.hosts[0].health_flags == 0


def test_a_host_that_leaves_takes_its_state_with_it() -> None:
    checks = Checks()
    checks.begin()
    checks.answer(DEGRADED)
    checks.cluster.update_hosts([])
    assert checks.counts() == {"attempt": 1, "success": 1}


def test_a_new_host_that_is_to_be_ignored_until_its_first_check() -> None:
    checks = Checks(cluster={"discovery_type": "STRICT_DNS", "ignore_new_hosts_until_first_hc": True})
    [host] = checks.begin()
    assert host.health_flags == FAILED_ACTIVE_HC | PENDING_ACTIVE_HC
    assert checks.value("membership_excluded") == 1
    checks.answer(WRONG)
    assert host.health_flags == FAILED_ACTIVE_HC
    assert checks.value("membership_excluded") == 0, "told, though it is as unhealthy as before"


def test_a_logical_host_begins_healthy() -> None:
    checks = Checks(cluster={"discovery_type": "LOGICAL_DNS"})
    [host] = checks.begin()
    assert host.health_flags == 0
    assert checks.counts() == {"attempt": 1, "healthy": 1}


def test_many_changes_of_one_turn_are_sorted_together() -> None:
    checks = Checks()
    checks.begin(*(checks.host(number) for number in range(1, 101)))
    observer = Observer()
    checks.cluster.priority_set.add_observer(observer)
    for each in checks.connector.connections:
        each.established()
        each.receive(OK)
    assert checks.value("membership_healthy") == 1, "the first counts in the same turn"
    checks.dispatcher.run_posted()
    assert checks.value("membership_healthy") == 100
    assert observer.told == 2


def test_a_response_takes_its_host_out() -> None:
    checks = Checks()
    [host] = checks.begin()
    checks.answer()
    assert host.health_checker is checks.checker
    host.health_checker.set_unhealthy(host)
    assert host.health_flags == EXCLUDED_VIA_IMMEDIATE_HC_FAIL
    checks.dispatcher.run_posted()
    assert host.health_flags == EXCLUDED_VIA_IMMEDIATE_HC_FAIL | FAILED_ACTIVE_HC
    assert checks.counts() == {"attempt": 1, "success": 1, "failure": 1, "passive_failure": 1}
    assert checks.value("membership_excluded") == 1
    checks.check(OK)
    checks.check(OK)
    assert host.health_flags == 0


def test_a_response_of_a_host_that_has_left() -> None:
    checks = Checks()
    [host] = checks.begin()
    checks.answer()
    checks.checker.set_unhealthy(host)
    checks.cluster.update_hosts([])
    checks.dispatcher.run_posted()
    assert checks.counts() == {"attempt": 1, "success": 1}


def test_every_check_is_logged_where_that_is_asked() -> None:
    checks = Checks(always_log_health_check_success=True, always_log_health_check_failures=True)
    checks.begin()
    checks.answer()
    checks.check(OK)
    checks.check(WRONG)
    checks.check(WRONG)
    assert checks.events() == [
        "add_healthy_event", "successful_health_check_event", "eject_unhealthy_event", "health_check_failure_event",
        "health_check_failure_event",
    ]  # fmt: skip


def test_callbacks_hear_of_every_check() -> None:
    checks = Checks()
    heard: list[tuple[Host, HealthTransition, bool]] = []
    checks.checker.callbacks.append(lambda *event: heard.append(event))
    [host] = checks.begin()
    checks.answer()
    checks.check(OK)
    checks.check(WRONG)
    assert heard == [
        (host, HealthTransition.CHANGED, True), (host, HealthTransition.UNCHANGED, True),
        (host, HealthTransition.CHANGED, False),
    ]  # fmt: skip


def test_who_raises_costs_no_check_that_follows() -> None:
    checks = Checks()
    checks.dispatcher.expects_errors = True
    checks.begin()

    def raises(*event: object) -> None:
        raise ValueError("of a callback")

    checks.checker.callbacks.append(raises)
    with pytest.raises(ValueError, match="of a callback"):
        checks.answer()
    checks.checker.callbacks.clear()
    checks.check(OK)
    assert checks.counts() == {"attempt": 2, "success": 2, "healthy": 1}


def test_a_check_that_raises_has_failed() -> None:
    def raises(*request: object) -> None:
        raise ValueError(request)

    checks = Checks(HttpHealthCheckSettings(b"/", mutate_headers=raises))
    checks.dispatcher.expects_errors = True
    checks.begin()
    assert checks.counts() == {"attempt": 1, "failure": 1, "network_failure": 1}
    assert checks.wire.closed
    checks.dispatcher.advance(5.0)
    assert checks.value("health_check.attempt") == 2


def test_stopped() -> None:
    checks = Checks()
    checks.begin()
    checks.answer()
    checks.cluster.health = checks.checker
    checks.cluster.shutdown()
    checks.dispatcher.advance(60.0)
    assert checks.wire.closed
    assert checks.counts() == {"attempt": 1, "success": 1}


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        (None, Address("10.0.0.1", 80)),
        (EndpointHealthCheck(hostname="a"), Address("10.0.0.1", 80)),
        (EndpointHealthCheck(port=81), Address("10.0.0.1", 81)),
        (EndpointHealthCheck(address=Address("10.0.0.9", 82)), Address("10.0.0.9", 82)),
        (EndpointHealthCheck(port=83, address=Address("10.0.0.9", 82)), Address("10.0.0.9", 83)),
    ],
)
def test_where_a_host_is_checked(settings: EndpointHealthCheck | None, address: Address) -> None:
    checks = Checks()
    [host] = checks.begin(checks.host(1, health_check=settings))
    assert health_check_address(host) == address
    assert checks.connector.calls[-1]["address"] == address
