"""Hosts that a request names, or that a filter has set for it."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.upstream.host import DEGRADED_ACTIVE_HC, FAILED_ACTIVE_HC, FAILED_OUTLIER_CHECK, Host
from envoymesh.upstream.lb.override_host import HostsByAddress, health_status, select_override_host
from envoymesh.upstream.lb.settings import OVERRIDE_HOST_STATUS, ROUND_ROBIN, OverrideHostSettings, OverrideHostSource
from tests.support.balancing import Balanced, Context, host, number_of, priority_set
from tests.support.fakes import FakeConnection

HEADER = OverrideHostSource(header=b"x-to")
METADATA = OverrideHostSource(metadata=("a.b", "c", "d"))


def world(*sources: OverrideHostSource) -> Balanced:
    return Balanced(OverrideHostSettings(sources, ROUND_ROBIN), priority_set([host(1), host(2)], [host(3)]))


def asking(*values: str, dynamic: Any = None, name: bytes = b"x-to") -> Context:
    fields = [(name, value.encode()) for value in values]
    info = StreamInfo(FakeConnection(), None, 0.0, 0.0, 1)
    if dynamic is not None:
        info.set_dynamic_metadata("a.b", dynamic)
    return Context(headers=RequestHeaders(b"GET", b"/", b"a", b"http", fields=fields), info=info)


def test_the_host_of_a_header() -> None:
    balanced = world(HEADER)
    assert balanced.pick(asking("10.0.0.2:80")) == 2
    assert balanced.pick(asking("10.0.0.3:80")) == 3  # of another priority


def test_the_host_of_metadata() -> None:
    assert world(METADATA).pick(asking(dynamic={"c": {"d": "10.0.0.3:80"}})) == 3


@pytest.mark.parametrize("dynamic", [{"c": {"d": 7}}, {"c": "10.0.0.3:80"}, {}])
def test_metadata_that_names_no_host(dynamic: Any) -> None:
    assert world(METADATA).pick(asking(dynamic=dynamic)) == 1


def test_each_try_takes_the_next() -> None:
    balanced, request = world(HEADER, METADATA), asking(" 10.0.0.3:80, 1.2.3.4:5 ,,10.0.0.2:80", dynamic={})
    assert [balanced.pick(request) for _ in range(4)] == [3, 2, 1, 2]


def test_sources_follow_each_other() -> None:
    request = asking("10.0.0.3:80", dynamic={"c": {"d": "10.0.0.1:80"}})
    assert world(METADATA, HEADER).picks(2, request) == [1, 3]


def test_without_a_name_it_is_the_fallback() -> None:
    balanced = world(HEADER)
    assert balanced.pick(asking()) == 1
    assert balanced.pick(asking("10.0.0.1:80", name=b"x-other")) == 2
    assert balanced.picks(2) == [1, 2]
    assert balanced.pick(Context()) == 1
    assert number_of(balanced.balancer.peek_another_host(None)) == 2


def test_hosts_come_and_go() -> None:
    balanced = world(HEADER)
    assert balanced.pick(asking("10.0.0.9:80")) == 1
    balanced.hosts.update_hosts(1, [host(9)])
    assert balanced.pick(asking("10.0.0.9:80")) == 9
    assert balanced.pick(asking("10.0.0.3:80")) == 2
    balanced.balancer.set_panic_threshold(7)
    balanced.balancer.stop()
    balanced.hosts.update_hosts(1, [])
    assert balanced.pick(asking("10.0.0.9:80")) == 9


# What a filter has set


@pytest.mark.parametrize(
    ("status", "flags", "expected"),
    [
        ("UNKNOWN", 0, "UNKNOWN"),
        ("HEALTHY", 0, "HEALTHY"),
        ("HEALTHY", FAILED_ACTIVE_HC, "UNHEALTHY"),
        ("DRAINING", FAILED_OUTLIER_CHECK, "UNHEALTHY"),
        ("DRAINING", 0, "DRAINING"),
        ("TIMEOUT", DEGRADED_ACTIVE_HC, "TIMEOUT"),
        ("HEALTHY", DEGRADED_ACTIVE_HC, "DEGRADED"),
        ("DEGRADED", 0, "DEGRADED"),
    ],
)
def test_the_state_of_a_host(status: str, flags: int, expected: str) -> None:
    one = host(1, health_status=status)
    one.health_flag_set(flags)
    assert health_status(one) == expected


@pytest.mark.parametrize(
    ("address", "statuses", "expected"),
    [
        ("10.0.0.1:80", OVERRIDE_HOST_STATUS, 1),
        ("10.0.0.2:80", OVERRIDE_HOST_STATUS, 0),
        ("10.0.0.2:80", frozenset({"UNHEALTHY"}), 2),
        ("10.0.0.1:80", frozenset(), 0),
        ("10.0.0.7:80", OVERRIDE_HOST_STATUS, 0),
    ],
)
def test_a_host_in_a_state_that_may_be_chosen(address: str, statuses: frozenset[str], expected: int) -> None:
    hosts: list[Host] = [host(1), host(2, health_status="UNHEALTHY")]
    assert number_of(select_override_host(HostsByAddress(priority_set(hosts)), address, statuses)) == expected
