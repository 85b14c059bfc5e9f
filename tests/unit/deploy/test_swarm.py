"""deploy/swarm.yaml says of the services what docker-compose.yaml says, in Swarm's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
del COMPOSE["page"]  # for people at the machine itself, not for a cluster
SWARM = yaml.safe_load((ROOT / "deploy/swarm.yaml").read_text())["services"]
SAME = (
    "command",
    "environment",
    "healthcheck",
    "ports",
    "stop_grace_period",
    "init",
    "networks",
    "read_only",
    "cap_drop",
    "tmpfs",
)


def test_the_services_are_the_same() -> None:
    assert set(SWARM) == set(COMPOSE)


@pytest.mark.parametrize("name", sorted(COMPOSE))
def test_what_both_say_of_a_service_is_the_same(name: str) -> None:
    def said(services: dict[str, Any]) -> dict[str, Any]:
        return {field: services[name].get(field) for field in SAME}

    expected = said(COMPOSE)
    # What is deployed does not fail on purpose.
    (expected["environment"] or {}).pop("FAULTS", None)
    assert said(SWARM) == expected


def test_replicas_of_services_are_resolved_one_by_one() -> None:
    modes = {name: service["deploy"].get("endpoint_mode") for name, service in SWARM.items()}
    assert modes == {"front-envoy": None, "service1": "dnsrr", "service2": "dnsrr"}
