"""Who is ejected, for how long, and who comes back, on a clock that stands still."""

from __future__ import annotations

import json
from typing import Any

import pytest

from envoymesh.stats import Store
from envoymesh.upstream.host import FAILED_OUTLIER_CHECK, Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.outlier.detector import OutlierDetector
from envoymesh.upstream.outlier.event_log import OutlierEventLog
from envoymesh.upstream.outlier.settings import OutlierDetectionSettings
from envoymesh.upstream.outlier.stats import OutlierDetectionStats
from tests.support.balancing import host
from tests.support.fakes import FakeDispatcher, FakeRuntime


class World:
    """A detector of hosts 1 to N. `put(1, 500, 500)` are answers of host 1."""

    def __init__(self, count: int = 2, runtime: dict[str, Any] | None = None, random: float = 0.0, **fields: Any):
        fields = {"interval": 1.0, "base_ejection_time": 2.5, "max_ejection_percent": 100, **fields}
        self.dispatcher = FakeDispatcher()
        self.store = Store()
        self.hosts = PrioritySet()
        self.random = random
        self.drained: list[int] = []
        self.lines: list[bytes] = []
        self.runtime = FakeRuntime({f"outlier_detection.{key}": value for key, value in (runtime or {}).items()})
        self.detector = OutlierDetector(
            "c",
            OutlierDetectionSettings(**fields),
            self.hosts,
            OutlierDetectionStats.create(self.store.scope("")),
            self.dispatcher,
            lambda: self.random,
            self.runtime,
            OutlierEventLog(self, self.dispatcher),
            self._on_ejected,
        )
        self.members = {number: host(number) for number in range(1, count + 1)}
        self.hosts.update_hosts(0, self.members.values())
        self.detector.start()

    def write(self, data: bytes) -> None:
        self.lines.append(data)

    def _on_ejected(self, ejected: Host) -> None:
        assert ejected not in self.hosts.host_sets[0].healthy_hosts, "the sets are right first"
        self.drained.append(self._number(ejected))

    def _number(self, of: Host) -> int:
        return int(of.address.host.rpartition(".")[2])

    def monitor(self, number: int) -> Any:
        monitor = self.members[number].outlier_detector
        assert monitor is not None
        return monitor

    def put(self, number: int, *codes: int) -> None:
        for code in codes:
            self.monitor(number).put_http_response_code(code)

    def share(self, number: int, good: int, bad: int, code: int = 404) -> None:
        """So many good answers and so many bad ones, never many bad ones in a row."""
        for turn in range(max(good, bad)):
            self.put(number, *([500] if turn < bad else []), *([code] if turn < good else []))

    @property
    def ejected(self) -> list[int]:
        return [number for number, each in self.members.items() if each.health_flag_get(FAILED_OUTLIER_CHECK)]

    @property
    def healthy(self) -> list[int]:
        return [self._number(each) for each in self.hosts.host_sets[0].healthy_hosts]

    def counts(self) -> dict[str, int]:
        """What is not zero, without `ejections_`."""
        stats = [*self.store.counters.ordered(), *self.store.gauges.ordered()]
        return {stat.name.removeprefix("ejections_"): stat.value for stat in stats if stat.value}

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def test_failures_in_a_row_eject_at_once() -> None:
    world = World(consecutive_5xx=3)
    world.put(1, 500, 500)
    assert world.ejected == []
    world.put(1, 500)
    assert (world.ejected, world.healthy, world.drained) == ([1], [2], [1])
    assert world.counts() == {
        "active": 1, "consecutive_5xx": 1, "detected_consecutive_5xx": 1, "enforced_consecutive_5xx": 1,
        "enforced_total": 1, "total": 1,
    }  # fmt: skip


def test_an_answer_between_begins_the_count_anew() -> None:
    world = World(consecutive_5xx=2)
    world.put(1, 500, 404, 500, 200, 500)
    assert world.ejected == []


def test_failures_of_one_host_are_not_anothers() -> None:
    world = World(consecutive_5xx=2)
    world.put(1, 500)
    world.put(2, 500)
    assert world.ejected == []


def test_gateway_failures_are_counted_by_themselves() -> None:
    world = World(consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100)
    world.put(1, 502, 500, 504)
    assert world.ejected == []
    world.put(1, 503)
    assert world.ejected == [1]
    assert world.counts()["enforced_consecutive_gateway_failure"] == 1
    assert "total" not in world.counts(), "a deprecated counter knows two reasons only"


def test_gateway_failures_are_only_told_of_by_default() -> None:
    world = World(consecutive_gateway_failure=2)
    world.put(1, 502, 502)
    assert world.ejected == []
    assert world.counts() == {"detected_consecutive_gateway_failure": 1}
    (event,) = world.events()
    assert (event["type"], event["enforced"], event["num_ejections"]) == ("CONSECUTIVE_GATEWAY_FAILURE", False, 0)


def test_a_host_that_is_ejected_is_not_ejected_again() -> None:
    world = World(consecutive_5xx=1)
    world.put(1, 500, 200, 500)
    assert world.counts()["active"] == world.counts()["detected_consecutive_5xx"] == 1


def test_not_too_many_at_once() -> None:
    world = World(4, consecutive_5xx=1, max_ejection_percent=50)
    for number in (1, 2, 3):
        world.put(number, 500)
    assert world.ejected == [1, 2]
    assert world.counts()["overflow"] == 1
    assert world.counts()["detected_consecutive_5xx"] == 3


@pytest.mark.parametrize(("always", "ejected"), [(True, [1]), (False, [])])
def test_one_at_least_where_that_is_wanted(always: bool, ejected: list[int]) -> None:
    world = World(3, consecutive_5xx=1, max_ejection_percent=10, always_eject_one_host=always)
    world.put(1, 500)
    world.put(2, 500)
    assert world.ejected == ejected


def test_a_share_of_the_outliers_is_ejected() -> None:
    world = World(consecutive_5xx=1, enforcing_consecutive_5xx=40, random=0.4)
    world.put(1, 500)
    assert world.ejected == []
    world.random = 0.39
    world.put(1, 500)
    assert world.ejected == [1]
    assert [event["enforced"] for event in world.events()] == [False, True]


def test_rest_lasts_longer_each_time_and_shorter_when_all_is_well() -> None:
    world = World(consecutive_5xx=1)
    rests = []
    for _ in range(3):
        world.put(1, 500)
        before = world.dispatcher.now()
        while world.ejected:
            world.dispatcher.advance(1.0)
        rests.append(world.dispatcher.now() - before)
    assert rests == [3.0, 5.0, 8.0], "2.5, 5 and 7.5 s, looked at once a second"
    world.dispatcher.advance(2.0)
    world.put(1, 500)
    before = world.dispatcher.now()
    while world.ejected:
        world.dispatcher.advance(1.0)
    assert world.dispatcher.now() - before == 5.0, "two good intervals take two off"


def test_rest_has_a_longest_time() -> None:
    world = World(consecutive_5xx=1, base_ejection_time=2.0, max_ejection_time=3.0)
    for _ in range(5):
        world.put(1, 500)
        before = world.dispatcher.now()
        while world.ejected:
            world.dispatcher.advance(1.0)
    assert world.dispatcher.now() - before == 3.0


def test_chance_makes_rest_longer() -> None:
    world = World(consecutive_5xx=1, base_ejection_time=1.0, max_ejection_time_jitter=2.0, random=0.5)
    world.put(1, 500)
    world.dispatcher.advance(1.0)
    assert world.ejected == [1]
    world.dispatcher.advance(1.0)
    assert world.ejected == []


def test_who_is_back_begins_with_no_failures() -> None:
    world = World(consecutive_5xx=3, consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100)
    world.put(1, 503, 503)
    assert world.ejected == [1]
    world.dispatcher.advance(3.0)
    assert world.healthy == [1, 2]
    world.put(1, 500)
    assert world.ejected == [], "the two of before do not count"
    assert world.counts().get("active", 0) == 0


def test_the_log_tells_of_both() -> None:
    world = World(consecutive_5xx=1)
    world.put(1, 500)
    world.dispatcher.advance(3.0)
    world.put(1, 500)
    first, back, again = world.events()
    assert list(first) == [
        "type", "timestamp", "cluster_name", "upstream_url", "action", "num_ejections", "enforced",
        "eject_consecutive_event",
    ]  # fmt: skip
    assert (first["action"], first["cluster_name"], first["upstream_url"]) == ("EJECT", "c", "10.0.0.1:80")
    assert (back["type"], back["action"], back["secs_since_last_action"]) == ("CONSECUTIVE_5XX", "UNEJECT", "3")
    assert (again["num_ejections"], again["secs_since_last_action"]) == (2, "0")


# Success rates


def test_a_success_rate_far_below_the_others() -> None:
    world = World(5, success_rate_request_volume=10)
    for number in (1, 2, 3, 4):
        world.share(number, 10, 0)
    world.share(5, 5, 5)
    world.dispatcher.advance(1.0)
    assert world.ejected == [5]
    assert world.counts() == {
        "active": 1, "detected_success_rate": 1, "enforced_success_rate": 1, "enforced_total": 1, "success_rate": 1,
        "total": 1,
    }  # fmt: skip
    rates = world.detector.external
    assert (rates.average, rates.ejection_threshold) == (90.0, 90.0 - 1.9 * 20.0)
    assert [world.monitor(number).success_rate for number in (1, 5)] == [100.0, 50.0]
    (event,) = world.events()
    assert event["eject_success_rate_event"] == {
        "host_success_rate": 50, "cluster_average_success_rate": 90, "cluster_success_rate_ejection_threshold": 52,
    }  # fmt: skip
    world.dispatcher.advance(1.0)
    assert (rates.average, world.monitor(1).success_rate) == (-1.0, -1.0), "known of the last interval only"


@pytest.mark.parametrize("fields", [{"success_rate_minimum_hosts": 6}, {"success_rate_request_volume": 11}])
def test_too_few_hosts_or_requests_for_a_success_rate(fields: dict[str, int]) -> None:
    world = World(5, **{"success_rate_request_volume": 10, **fields})
    for number in (1, 2, 3, 4):
        world.share(number, 10, 0)
    world.share(5, 5, 5)
    world.dispatcher.advance(1.0)
    assert world.ejected == []


def test_too_large_a_share_of_failures() -> None:
    fields = {"failure_percentage_request_volume": 10, "enforcing_failure_percentage": 100}
    world = World(5, **fields, failure_percentage_threshold=60)
    for number in range(1, 6):
        world.share(number, 10, 0)
    world.dispatcher.advance(1.0)
    assert world.ejected == []
    for number in (1, 2, 3, 4):
        world.share(number, 10, 0)
    world.share(5, 4, 6)
    world.dispatcher.advance(1.0)
    assert world.ejected == [5]
    assert world.counts()["enforced_failure_percentage"] == 1
    (event,) = world.events()
    assert event["eject_failure_percentage_event"] == {"host_success_rate": 40}


def test_who_fails_both_ways_is_ejected_once() -> None:
    fields = {"failure_percentage_request_volume": 10, "enforcing_failure_percentage": 100}
    world = World(5, success_rate_request_volume=10, failure_percentage_threshold=50, **fields)
    for number in (1, 2, 3, 4):
        world.share(number, 10, 0)
    world.share(5, 5, 5)
    world.dispatcher.advance(1.0)
    assert world.counts()["active"] == world.counts()["enforced_total"] == 1
    assert world.counts()["detected_failure_percentage"] == 1
    world.dispatcher.advance(3.0)
    assert world.counts().get("active", 0) == 0


# Connections and timeouts, told apart


def test_local_failures_count_as_answers_unless_told_apart() -> None:
    world = World(consecutive_5xx=2, consecutive_gateway_failure=2)
    world.monitor(1).put_connect_success()
    world.monitor(1).put_connect_failure()
    world.monitor(1).put_timeout()
    assert world.ejected == [1]
    assert world.counts()["detected_consecutive_gateway_failure"] == 1
    world.monitor(2).put_timeout()
    world.monitor(2).put_connect_success_final()
    world.monitor(2).put_timeout()
    assert world.ejected == [1]


def test_local_failures_told_apart() -> None:
    world = World(consecutive_5xx=2, consecutive_local_origin_failure=3, split_external_local_origin_errors=True)
    monitor = world.monitor(1)
    for end in (monitor.put_connect_failure, monitor.put_timeout, monitor.put_connect_success, monitor.put_timeout):
        end()
        world.put(1, 500, 200)
    assert world.ejected == []
    monitor.put_connect_success_final()
    for _ in range(3):
        monitor.put_connect_failure()
    assert world.ejected == [1]
    assert world.counts()["enforced_consecutive_local_origin_failure"] == 1


def test_shares_of_local_failures() -> None:
    world = World(
        5, split_external_local_origin_errors=True, consecutive_local_origin_failure=100,
        success_rate_request_volume=10, failure_percentage_request_volume=10, failure_percentage_threshold=60,
        enforcing_failure_percentage_local_origin=100, enforcing_local_origin_success_rate=0,
    )  # fmt: skip
    for number in range(1, 6):
        for turn in range(10):
            monitor = world.monitor(number)
            (monitor.put_connect_failure if number == 5 and turn < 6 else monitor.put_connect_success)()
    world.dispatcher.advance(1.0)
    assert world.ejected == [5]
    assert (world.monitor(5).local_origin_success_rate, world.monitor(5).success_rate) == (40.0, -1.0)
    assert (world.detector.local.average, world.detector.external.average) == (88.0, -1.0)
    assert world.counts() == {
        "active": 1, "detected_local_origin_failure_percentage": 1, "detected_local_origin_success_rate": 1,
        "enforced_local_origin_failure_percentage": 1, "enforced_total": 1, "success_rate": 1,
    }  # fmt: skip
    assert [event["type"] for event in world.events()] == [
        "SUCCESS_RATE_LOCAL_ORIGIN", "FAILURE_PERCENTAGE_LOCAL_ORIGIN",
    ]  # fmt: skip
    assert world.events()[0]["eject_success_rate_event"]["cluster_average_success_rate"] == 88


# Hosts that come and go, health checks, the runtime


def test_an_ejected_host_that_leaves_is_forgotten() -> None:
    world = World(consecutive_5xx=1)
    left = world.members[1]
    world.put(1, 500)
    world.hosts.update_hosts(0, [world.members[2]])
    assert world.counts().get("active", 0) == 0
    assert left.outlier_detector is None
    assert left.health_flags == 0
    world.dispatcher.advance(10.0)
    world.hosts.update_hosts(0, world.members.values())
    world.put(1, 500)
    assert world.ejected == [1]
    assert world.monitor(1).num_ejections == 1


@pytest.mark.parametrize(("wanted", "ejected"), [(True, []), (False, [1])])
def test_a_health_check_that_succeeds_brings_a_host_back(wanted: bool, ejected: list[int]) -> None:
    world = World(consecutive_5xx=1, successful_active_health_check_uneject_host=wanted)
    world.put(1, 500)
    world.detector.on_successful_health_check(world.members[1])
    world.detector.on_successful_health_check(world.members[2])
    world.detector.on_successful_health_check(host(9))
    assert world.ejected == ejected


def test_the_runtime_has_the_last_word() -> None:
    world = World(4, runtime={"consecutive_5xx": 1, "interval_ms": 500, "base_ejection_time_ms": 1000})
    world.put(1, 500)
    assert world.ejected == [1]
    world.dispatcher.advance(1.0)
    assert world.ejected == []
    world.runtime.change("outlier_detection.enforcing_consecutive_5xx", 0.0)
    world.put(1, 500)
    assert world.ejected == []
    world.runtime.change("outlier_detection.enforcing_consecutive_5xx", None)
    world.runtime.change("outlier_detection.max_ejection_percent", 10)
    world.put(1, 500)
    assert world.ejected == []


def test_it_stops() -> None:
    world = World()
    world.detector.stop()
    assert not world.dispatcher.timers
