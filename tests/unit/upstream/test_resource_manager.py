"""Circuit breaker limits and their gauges."""

from __future__ import annotations

from envoymesh.stats import Gauge, Store
from envoymesh.upstream.resource_manager import Resource, ResourceManager
from envoymesh.upstream.settings import ThresholdSettings
from envoymesh.upstream.stats import CircuitBreakerStats, RemainingStats
from tests.support.fakes import FakeRuntime


def test_a_limit_opens_and_closes() -> None:
    gauge = Gauge("open")
    resource = Resource(2, gauge)
    resource.inc()
    assert (resource.can_create(), gauge.value) == (True, 0)
    resource.inc()
    assert (resource.can_create(), gauge.value) == (False, 1)
    resource.inc()
    resource.dec()
    assert (resource.can_create(), gauge.value) == (False, 1)
    resource.dec()
    assert (resource.can_create(), gauge.value) == (True, 0)
    assert repr(resource) == "<Resource 1/2>"


def test_the_gauge_is_in_use_from_the_first_count_on() -> None:
    gauge = Gauge("open")
    resource = Resource(1024, gauge)
    assert not gauge.used
    resource.inc()
    assert gauge.used


def test_a_limit_of_zero_lets_nothing_through() -> None:
    assert not Resource(0, Gauge("open")).can_create()


def test_what_remains_is_shown_when_asked_for() -> None:
    remaining = Gauge("remaining")
    resource = Resource(2, Gauge("open"), remaining)
    shown = [remaining.value]
    for change in (resource.inc, resource.inc, resource.inc, resource.dec, resource.dec):
        change()
        shown.append(remaining.value)
    assert shown == [2, 1, 0, 0, 0, 1]


def test_the_manager_names_its_gauges_as_envoy() -> None:
    store = Store()
    scope = store.scope("cluster.c.circuit_breakers.default.")
    thresholds = ThresholdSettings(max_connections=1, max_pending_requests=1, max_requests=1, max_retries=1)
    manager = ResourceManager(
        thresholds, CircuitBreakerStats.create(scope), FakeRuntime(), "", RemainingStats.create(scope)
    )
    for resource in (manager.connections, manager.pending_requests, manager.requests, manager.retries):
        resource.inc()
    assert {gauge.name.rpartition(".")[2]: gauge.value for gauge in store.gauges.ordered()} == {
        "cx_open": 1, "cx_pool_open": 0, "rq_open": 1, "rq_pending_open": 1, "rq_retry_open": 1,
        "remaining_cx": 0, "remaining_pending": 0, "remaining_retries": 0, "remaining_rq": 0,
    }  # fmt: skip
