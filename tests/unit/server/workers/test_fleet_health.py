"""The parent's checks, told to its workers."""

from __future__ import annotations

from collections.abc import Mapping

from envoymesh.server.workers.fleet_health import FleetHealth
from envoymesh.upstream.health.told import HostHealth, HostKey, key_of
from envoymesh.upstream.host import EXCLUDED_VIA_IMMEDIATE_HC_FAIL, FAILED_ACTIVE_HC
from envoymesh.upstream.outlier.settings import OutlierDetectionSettings
from tests.support.health import WRONG, Checks

FAILED = HostHealth(FAILED_ACTIVE_HC, -1.0)


class Parent:
    """A cluster that a parent checks, and what it tells."""

    def __init__(self, **cluster: object) -> None:
        self.checks = Checks(cluster=dict(cluster))
        self.checks.cluster.health = self.checks.checker
        self.told: list[tuple[str, Mapping[HostKey, HostHealth]]] = []
        self.fleet = FleetHealth(
            {"c": self.checks.cluster}, self.checks.dispatcher, lambda *event: self.told.append(event)
        )


def test_the_parent_tells_of_what_changes() -> None:
    parent = Parent()
    [host] = parent.checks.begin()
    parent.checks.answer()
    assert parent.told == [("c", {key_of(host, parent.checks.info): HostHealth(0, 0.0)})]
    parent.checks.check()
    assert len(parent.told) == 1, "nothing new"
    parent.checks.check(WRONG)
    assert parent.told[1:] == [("c", {key_of(host, parent.checks.info): HostHealth(FAILED_ACTIVE_HC, 10.0)})]


def test_each_check_that_passes_is_told_where_it_brings_an_outlier_back() -> None:
    for uneject, told in ((True, 3), (False, 1)):
        outliers = OutlierDetectionSettings(successful_active_health_check_uneject_host=uneject)
        parent = Parent(outlier_detection=outliers)
        parent.checks.begin()
        parent.checks.answer()
        parent.checks.check()
        parent.checks.check()
        assert len(parent.told) == told


def test_the_parent_tells_once_a_turn() -> None:
    parent = Parent()
    hosts = parent.checks.begin(parent.checks.host(1), parent.checks.host(2))
    for each in parent.checks.connector.connections:
        each.established()
        each.receive(WRONG)
    parent.checks.dispatcher.run_posted()
    assert [list(told) for _, told in parent.told] == [[key_of(host, parent.checks.info) for host in hosts]]


def test_a_worker_that_starts_later_is_told_everything() -> None:
    parent = Parent()
    hosts = parent.checks.begin(parent.checks.host(1), parent.checks.host(2))
    parent.checks.answer()
    [(name, told)] = parent.fleet.everything()
    assert name == "c"
    assert told == {
        key_of(hosts[0], parent.checks.info): FAILED,
        key_of(hosts[1], parent.checks.info): HostHealth(0, 0.0),
    }


def test_a_worker_reports_a_host() -> None:
    parent = Parent()
    [host] = parent.checks.begin()
    parent.checks.answer()
    parent.fleet.on_failed("c", key_of(host, parent.checks.info))
    parent.checks.dispatcher.run_posted()
    assert parent.checks.counts()["passive_failure"] == 1
    assert parent.told[-1] == (
        "c",
        {key_of(host, parent.checks.info): HostHealth(FAILED_ACTIVE_HC | EXCLUDED_VIA_IMMEDIATE_HC_FAIL, 0.0)},
    )
    assert parent.checks.checker.has_traffic
    parent.fleet.on_failed("c", HostKey(0, "gone", ""))
    assert parent.checks.counts()["passive_failure"] == 1


def test_a_worker_reports_use() -> None:
    parent = Parent()
    parent.checks.begin()
    assert not parent.checks.checker.has_traffic
    parent.fleet.on_used("c")
    assert parent.checks.checker.has_traffic
