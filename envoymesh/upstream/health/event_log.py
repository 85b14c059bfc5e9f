"""The event log of active health checks: a line of JSON for each event (envoy.data.core.v3.HealthCheckEvent).

Lines are the real Envoy's to the byte. It must not know what a check is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from envoymesh.network.api import Address, Dispatcher
from envoymesh.upstream.host import Host

_AFTER_CLUSTER_NAME = ("eject_unhealthy_event", "add_healthy_event")
_BEFORE_METADATA = ("health_check_failure_event", "degraded_healthy_host", "no_longer_degraded_host")


class HealthEventLog:
    """Writes the events of one cluster's hosts.

    Args:
        kind: HTTP, TCP or GRPC.
        write: takes a line, its end included.
        has_metadata: hosts of this cluster have metadata, if empty (`LOGICAL_DNS`, `STRICT_DNS`).
    """

    def __init__(
        self, kind: str, cluster: str, dispatcher: Dispatcher, write: Callable[[bytes], None], has_metadata: bool
    ) -> None:
        self._kind = kind
        self._cluster = cluster
        self._dispatcher = dispatcher
        self._write_line = write
        self._has_metadata = has_metadata

    def eject_unhealthy(self, host: Host, failure_type: str, status: int) -> None:
        """A host is unhealthy that was not."""
        self._log(host, "eject_unhealthy_event", {"failure_type": failure_type, "http_status_code": status})

    def add_healthy(self, host: Host, first_check: bool) -> None:
        """A host is healthy that was not."""
        self._log(host, "add_healthy_event", {"first_check": first_check})

    def success(self, host: Host) -> None:
        """A check has passed, and changed nothing."""
        self._log(host, "successful_health_check_event", {})

    def failure(self, host: Host, failure_type: str, first_check: bool, status: int) -> None:
        """A check has failed."""
        details = {"failure_type": failure_type, "first_check": first_check, "http_status_code": status}
        self._log(host, "health_check_failure_event", details)

    def degraded(self, host: Host, is_so: bool) -> None:
        """A host is degraded, or is so no more."""
        self._log(host, "degraded_healthy_host" if is_so else "no_longer_degraded_host", {})

    def _log(self, host: Host, event: str, details: dict[str, Any]) -> None:
        # In the order of the message's fields.
        line: dict[str, Any] = {
            "health_checker_type": self._kind,
            "host": _address(host.address),
            "cluster_name": self._cluster,
        }
        if event in _AFTER_CLUSTER_NAME:
            line[event] = details
        line["timestamp"] = self._timestamp()
        if event in _BEFORE_METADATA:
            line[event] = details
        metadata = (host.metadata or {}).get("UPSTREAM_HOST", {})
        if self._has_metadata or metadata:
            line["metadata"] = {"filter_metadata": metadata, "typed_filter_metadata": {}}
        where = host.locality
        line["locality"] = {"region": where.region, "zone": where.zone, "sub_zone": where.sub_zone}
        if event == "successful_health_check_event":
            line[event] = details
        self._write_line(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")

    def _timestamp(self) -> str:
        """As protobuf prints it: no more digits than are needed, in groups of three."""
        milliseconds = int(self._dispatcher.wall_time() * 1000)
        text = datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        rest = milliseconds % 1000
        return f"{text}.{rest:03d}Z" if rest else f"{text}Z"


def _address(address: Address) -> dict[str, Any]:
    if not address.ip:
        return {"pipe": {"path": address.host, "mode": 0}}
    return {
        "socket_address": {
            "protocol": "TCP",
            "address": address.host,
            "port_value": address.port,
            "resolver_name": "",
            "ipv4_compat": False,
            "network_namespace_filepath": "",
        }
    }
