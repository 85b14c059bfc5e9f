"""A host's health as configured."""

from __future__ import annotations

import pytest

from envoymesh.network.api import Address
from envoymesh.upstream.host import Host
from envoymesh.upstream.settings import EndpointSettings


@pytest.mark.parametrize(
    ("status", "healthy", "degraded", "excluded"),
    [
        ("UNKNOWN", True, False, False),
        ("HEALTHY", True, False, False),
        ("DEGRADED", False, True, False),
        ("DRAINING", False, False, True),
        ("UNHEALTHY", False, False, False),
        ("TIMEOUT", False, False, False),
    ],
)
def test_health(status: str, healthy: bool, degraded: bool, excluded: bool) -> None:
    host = Host(Address("10.0.0.1", 80), EndpointSettings("10.0.0.1", 80, health_status=status))
    assert (host.is_healthy, host.is_degraded, host.is_excluded) == (healthy, degraded, excluded)


def test_facts_come_from_the_endpoint() -> None:
    host = Host(Address("10.0.0.1", 80), EndpointSettings("name", 80, hostname="name", weight=3))
    assert (host.hostname, host.weight) == ("name", 3)
    assert repr(host) == "<Host 10.0.0.1:80 weight=3 pools=[]>"
