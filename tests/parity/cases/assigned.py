"""Endpoints for the areas about hosts: load assignments by priority and locality. It must not know cases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.integration.harness import Address, socket_address, static_cluster
from tests.parity.setup import Json
from tests.parity.steps import Do

if TYPE_CHECKING:
    from tests.parity.client import Client


def host(address: Address, health: str = "UNKNOWN", *, weight: int = 0, name: str = "", **more: Any) -> Json:
    """One LbEndpoint; no weight is none."""
    endpoint: Json = {"address": socket_address(address)}
    if name:
        endpoint["hostname"] = name
    made: Json = {"endpoint": {**endpoint, **more.pop("endpoint", {})}, "health_status": health, **more}
    return {**made, "load_balancing_weight": weight} if weight else made


def hosts_of(*hosts: Json, priority: int = 0, zone: str = "", weight: int = 0, **more: Any) -> Json:
    """One LocalityLbEndpoints, in a zone of region `r` where it has any."""
    made: Json = {"lb_endpoints": list(hosts), "priority": priority, **more}
    if zone:
        made["locality"] = {"region": "r", "zone": zone}
    return {**made, "load_balancing_weight": weight} if weight else made


def cluster_of(name: str, *localities: Json, policy: Json | None = None, **more: Any) -> Json:
    """A STATIC cluster (or what `type` says) of these."""
    assignment: Json = {"cluster_name": name, "endpoints": list(localities)}
    if policy is not None:
        assignment["policy"] = policy
    return {**static_cluster(name), "load_assignment": assignment, **more}


@dataclass(frozen=True)
class ShowHosts(Do):
    """Ask the admin for all hosts, and show them in the order of their clusters' names, which with Envoy is chance."""

    as_json: bool = False

    def take(self, client: Client) -> None:
        _, text = client.side.admin_ask("GET", "/clusters?format=json" if self.as_json else "/clusters")
        for name, upstream in client.side.upstreams.items():
            text = text.replace(f'"port_value": {upstream.address[1]}', f'"port_value": "{name}"')
        if self.as_json:
            found = json.loads(text)["cluster_statuses"]
            client.note(json.dumps(sorted(found, key=lambda each: each["name"]), indent=1))
            return
        client.note("\n".join(sorted(text.splitlines(), key=lambda line: line.partition("::")[0])))
