"""Circuit breaker limits and their gauges."""

from __future__ import annotations

import pytest

from envoymesh.stats import Gauge, Store
from envoymesh.upstream.resource_manager import Resource, ResourceManager
from envoymesh.upstream.settings import RetryBudgetSettings, ThresholdSettings
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
    thresholds = ThresholdSettings(
        max_connections=1, max_pending_requests=1, max_requests=1, max_retries=1, max_connection_pools=1
    )
    manager = ResourceManager(
        thresholds, CircuitBreakerStats.create(scope), FakeRuntime(), "", RemainingStats.create(scope)
    )
    limits = manager.connections, manager.pending_requests, manager.requests, manager.retries, manager.connection_pools
    for resource in limits:
        resource.inc()
    assert {gauge.name.rpartition(".")[2]: gauge.value for gauge in store.gauges.ordered()} == {
        "cx_open": 1, "cx_pool_open": 1, "rq_open": 1, "rq_pending_open": 1, "rq_retry_open": 1,
        "remaining_cx": 0, "remaining_cx_pools": 0, "remaining_pending": 0, "remaining_retries": 0, "remaining_rq": 0,
    }  # fmt: skip


def manager_of(thresholds: ThresholdSettings, runtime: FakeRuntime | None = None) -> tuple[ResourceManager, Store]:
    store = Store()
    scope = store.scope("")
    return ResourceManager(
        thresholds, CircuitBreakerStats.create(scope), runtime or FakeRuntime(), "p.", RemainingStats.create(scope)
    ), store


def test_a_budget_is_a_share_of_the_requests_that_there_are() -> None:
    budget = RetryBudgetSettings(percent=50.0, min_retry_concurrency=1)
    manager, store = manager_of(ThresholdSettings(max_retries=0, retry_budget=budget))
    assert manager.retries.limit() == 1
    for _ in range(3):
        manager.requests.inc()
        manager.pending_requests.inc()
    assert manager.retries.limit() == 3
    for _ in range(3):
        assert manager.retries.can_create()
        manager.retries.inc()
    assert not manager.retries.can_create()
    manager.requests.dec()
    manager.pending_requests.dec()
    assert manager.retries.limit() == 2
    # As in Envoy the gauge is that of max_retries, and nothing is shown of what is left.
    assert (store.gauges.by_name["rq_retry_open"].value, store.gauges.by_name["remaining_retries"].value) == (1, 0)


def test_without_a_budget_the_number_counts() -> None:
    manager, store = manager_of(ThresholdSettings(max_retries=2))
    manager.retries.inc()
    assert (manager.retries.limit(), store.gauges.by_name["remaining_retries"].value) == (2, 1)
    assert manager.retries.can_create()
    manager.retries.inc()
    assert not manager.retries.can_create()


@pytest.mark.parametrize(
    ("keys", "limit"),
    [
        ({"budget_percent": 10.0}, 3),
        ({"budget_percent": 100.0}, 10),
        ({"min_retry_concurrency": 7}, 7),
        ({"min_retry_concurrency": 1}, 2),
    ],
)
def test_the_runtime_may_set_a_budget_where_there_is_none(keys: dict[str, float], limit: int) -> None:
    runtime = FakeRuntime({f"p.retry_budget.{key}": value for key, value in keys.items()})
    manager, _ = manager_of(ThresholdSettings(max_retries=50), runtime)
    for _ in range(10):
        manager.requests.inc()
    assert manager.retries.limit() == limit


def test_the_runtime_limits_pools() -> None:
    manager, store = manager_of(ThresholdSettings(), FakeRuntime({"p.max_connection_pools": 1}))
    manager.connection_pools.inc()
    assert not manager.connection_pools.can_create()
    assert store.gauges.by_name["cx_pool_open"].value == 1
