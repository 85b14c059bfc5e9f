"""A host: its facts, and what its flags say together."""

from __future__ import annotations

import pytest

from envoymesh.network.api import Address
from envoymesh.upstream.host import (
    ACTIVE_HC_TIMEOUT,
    DEGRADED_ACTIVE_HC,
    DEGRADED_EDS_HEALTH,
    DEGRADED_OUTLIER,
    EDS_STATUS_DRAINING,
    EXCLUDED_VIA_IMMEDIATE_HC_FAIL,
    FAILED_ACTIVE_HC,
    FAILED_EDS_HEALTH,
    FAILED_OUTLIER_CHECK,
    PENDING_ACTIVE_HC,
    PENDING_DYNAMIC_REMOVAL,
    Health,
    Host,
)
from envoymesh.upstream.settings import EndpointSettings, Locality


def host(**fields: object) -> Host:
    return Host(Address("10.0.0.1", 80), EndpointSettings("10.0.0.1", 80, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "health", "excluded"),
    [
        ("UNKNOWN", Health.HEALTHY, False),
        ("HEALTHY", Health.HEALTHY, False),
        ("DEGRADED", Health.DEGRADED, False),
        ("DRAINING", Health.UNHEALTHY, True),
        ("UNHEALTHY", Health.UNHEALTHY, False),
        ("TIMEOUT", Health.UNHEALTHY, False),
    ],
)
def test_health_as_configured(status: str, health: Health, excluded: bool) -> None:
    configured = host(health_status=status)
    assert (configured.coarse_health, configured.is_excluded) == (health, excluded)


@pytest.mark.parametrize(
    ("flags", "health", "excluded"),
    [
        (0, Health.HEALTHY, False),
        (FAILED_ACTIVE_HC, Health.UNHEALTHY, False),
        (FAILED_OUTLIER_CHECK, Health.UNHEALTHY, False),
        (FAILED_EDS_HEALTH, Health.UNHEALTHY, False),
        (DEGRADED_ACTIVE_HC, Health.DEGRADED, False),
        (DEGRADED_EDS_HEALTH, Health.DEGRADED, False),
        (DEGRADED_OUTLIER, Health.DEGRADED, False),
        (DEGRADED_ACTIVE_HC | FAILED_OUTLIER_CHECK, Health.UNHEALTHY, False),
        (PENDING_DYNAMIC_REMOVAL, Health.HEALTHY, False),
        (PENDING_ACTIVE_HC | FAILED_ACTIVE_HC, Health.UNHEALTHY, True),
        (EXCLUDED_VIA_IMMEDIATE_HC_FAIL | FAILED_ACTIVE_HC, Health.UNHEALTHY, True),
        (ACTIVE_HC_TIMEOUT | FAILED_ACTIVE_HC, Health.UNHEALTHY, False),
        (EDS_STATUS_DRAINING, Health.UNHEALTHY, True),
    ],
)
def test_what_flags_say(flags: int, health: Health, excluded: bool) -> None:
    checked = host()
    checked.health_flag_set(flags)
    assert (checked.coarse_health, checked.is_excluded) == (health, excluded)


def test_flags_are_set_and_cleared_one_by_one() -> None:
    checked = host()
    checked.health_flag_set(FAILED_ACTIVE_HC)
    checked.health_flag_set(FAILED_OUTLIER_CHECK)
    checked.health_flag_clear(FAILED_ACTIVE_HC)
    assert not checked.health_flag_get(FAILED_ACTIVE_HC)
    assert checked.health_flag_get(FAILED_OUTLIER_CHECK)


def test_what_the_configuration_says_leaves_what_was_checked() -> None:
    checked = host(health_status="DRAINING")
    checked.health_flag_set(FAILED_ACTIVE_HC)
    checked.set_eds_health_status("DEGRADED")
    assert checked.health_flags == FAILED_ACTIVE_HC | DEGRADED_EDS_HEALTH


def test_facts_come_from_the_endpoint() -> None:
    more = (Address("10.0.0.2", 80),)
    made = host(hostname="name", weight=3, locality=Locality("r", "z", "s"), additional_addresses=more)
    assert (made.hostname, made.weight, made.locality.zone, made.additional_addresses) == ("name", 3, "z", more)
    assert repr(made) == "<Host 10.0.0.1:80 weight=3 healthy>"
