"""Which hosts may be picked; figures as the real Envoy gave them for the same hosts."""

from __future__ import annotations

import pytest

from envoymesh.network.api import Address
from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.availability import Availability, availability_of
from envoymesh.upstream.settings import EndpointSettings

U, H, D, X = "UNHEALTHY", "HEALTHY", "DEGRADED", "DRAINING"


def of(*statuses: str, threshold: int = 50) -> Availability:
    hosts = [
        Host(Address("10.0.0.1", port), EndpointSettings("10.0.0.1", port, health_status=status))
        for port, status in enumerate(statuses, 1)
    ]
    return availability_of(hosts, threshold)


@pytest.mark.parametrize(
    ("statuses", "healthy_percent", "panic"),
    [
        ([H], 100, False),
        (["UNKNOWN", "UNKNOWN"], 100, False),
        ([H, H, U], 100, False),
        ([H, U, U], 100, True),
        ([H, U], 100, False),
        ([U, U], 100, True),
        (["TIMEOUT"], 100, True),
        ([H, H, D, X], 93, False),
        ([H, D, D], 46, False),
        ([D, D], 0, False),
        ([D, U, U], 0, True),
        ([X], 100, True),
        ([H, X, X, X], 100, False),
        ([], 100, True),
    ],
)
def test_shares_and_panic(statuses: list[str], healthy_percent: int, panic: bool) -> None:
    found = of(*statuses)
    assert (found.healthy_percent, found.panic) == (healthy_percent, panic)


def test_no_panic_with_a_threshold_of_zero() -> None:
    assert not of(U, U, threshold=0).panic


def test_hosts_are_sorted_by_health() -> None:
    found = of(H, D, X, U)
    assert [[host.address.port for host in group] for group in (found.healthy, found.degraded, found.excluded)] == [
        [1], [2], [3],
    ]  # fmt: skip
