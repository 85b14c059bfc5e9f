"""The log of ejections (`cluster_manager.outlier_detection.event_log_path`): a line of JSON for each.

The lines are envoy.data.cluster.v3.OutlierDetectionEvent as Envoy prints it. It must not decide anything.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Protocol

from envoymesh.network.api import Dispatcher
from envoymesh.upstream.outlier.api import EjectionType
from envoymesh.upstream.outlier.host_monitor import DetectorHostMonitor


class LogFile(Protocol):
    """Where lines go."""

    def write(self, data: bytes) -> None:
        """Append one."""


class OutlierEventLog:
    """All clusters' ejections."""

    def __init__(self, file: LogFile, dispatcher: Dispatcher) -> None:
        self._file = file
        self._dispatcher = dispatcher

    def log_eject(
        self,
        cluster: str,
        monitor: DetectorHostMonitor,
        why: EjectionType,
        enforced: bool,
        average: float,
        limit: float,
    ) -> None:
        """A host was ejected, or would have been (`enforced`); `average` and `limit` are the success rates' figures."""
        event = self._common(cluster, monitor, why.name, monitor.last_unejection)
        event |= {"action": "EJECT", "num_ejections": monitor.num_ejections, "enforced": enforced}
        is_local = why in (EjectionType.SUCCESS_RATE_LOCAL_ORIGIN, EjectionType.FAILURE_PERCENTAGE_LOCAL_ORIGIN)
        rate = _whole(monitor.local_origin_success_rate if is_local else monitor.success_rate)
        if why in (EjectionType.SUCCESS_RATE, EjectionType.SUCCESS_RATE_LOCAL_ORIGIN):
            event["eject_success_rate_event"] = {
                "host_success_rate": rate,
                "cluster_average_success_rate": _whole(average),
                "cluster_success_rate_ejection_threshold": _whole(limit),
            }
        elif why in (EjectionType.FAILURE_PERCENTAGE, EjectionType.FAILURE_PERCENTAGE_LOCAL_ORIGIN):
            event["eject_failure_percentage_event"] = {"host_success_rate": rate}
        else:
            event["eject_consecutive_event"] = {}
        self._write(event)

    def log_uneject(self, cluster: str, monitor: DetectorHostMonitor) -> None:
        """A host is back. As in Envoy, it prints what is unset too: a type, and not enforced."""
        event = self._common(cluster, monitor, EjectionType.CONSECUTIVE_5XX.name, monitor.last_ejection)
        self._write(event | {"action": "UNEJECT", "num_ejections": monitor.num_ejections, "enforced": False})

    def _common(self, cluster: str, monitor: DetectorHostMonitor, why: str, since: float | None) -> dict[str, Any]:
        event: dict[str, Any] = {"type": why, "timestamp": _timestamp(self._dispatcher.wall_time())}
        if since is not None:
            event["secs_since_last_action"] = str(int(self._dispatcher.now() - since))
        return event | {"cluster_name": cluster, "upstream_url": str(monitor.host.address)}

    def _write(self, event: dict[str, Any]) -> None:
        self._file.write(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode() + b"\n")


def _timestamp(seconds: float) -> str:
    """As protobuf's JSON writes a time of milliseconds: no fraction where it is zero."""
    milliseconds = int(seconds * 1000)
    text = datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = milliseconds % 1000
    return f"{text}.{fraction:03}Z" if fraction else f"{text}Z"


def _whole(percent: float) -> int:
    """As the message's uint32 takes it, which a threshold below zero is not."""
    return int(percent) & 0xFFFFFFFF
