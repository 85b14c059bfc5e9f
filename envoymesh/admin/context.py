"""What the admin may see and do: small protocols, filled in by the server's composition root.

A handler asks for nothing that is not here. This module must not implement any of it.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from envoymesh.admin.views import (
    CertificateEntry,
    ClusterStatus,
    ListenerStatus,
    MemoryUsage,
    RuntimeSnapshot,
    ServerState,
)
from envoymesh.explain.question import Question
from envoymesh.http.failed_requests import FailedRequest
from envoymesh.http.recent_requests import Recent
from envoymesh.stats import Store


class ServerLifecycle(Protocol):
    """The server's state, and what the admin may ask it to do. Every call returns at once."""

    @property
    def state(self) -> ServerState:
        """Where the server is in its life; a failed health check shows as DRAINING."""

    def uptime_current_epoch(self) -> float:
        """Seconds since this process started."""

    def uptime_all_epochs(self) -> float:
        """Seconds since the first process of a chain of hot restarts started."""

    def fail_health_check(self, fail: bool) -> None:
        """Make health checks of this server fail, or pass again."""

    def drain_listeners(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None:
        """Drain and stop listeners: all of them or the inbound ones, at once or after the drain period."""

    def shutdown(self) -> None:
        """End the process, after the answer that is being written has gone out."""

    def reopen_logs(self) -> None:
        """Open access logs and the process log anew."""


class LogLevels(Protocol):
    """The named loggers. Levels are Envoy's words: trace, debug, info, warning, error, critical, off."""

    def levels(self) -> Mapping[str, str]:
        """Each logger's level, in the order in which to list them."""

    def set_level(self, logger: str, level: str, /) -> None:
        """Change one logger, which is in `levels()`."""

    def set_all(self, level: str, /) -> None:
        """Change every logger."""


class RuntimeView(Protocol):
    """The layered runtime."""

    def snapshot(self) -> RuntimeSnapshot:
        """Layers and values now."""

    @property
    def has_admin_layer(self) -> bool:
        """Whether the bootstrap gave a layer that the admin may change."""

    def modify(self, values: Mapping[str, str]) -> None:
        """Set keys in the admin layer; an empty value takes the key out."""


class CpuProfiler(Protocol):
    """The CPU profiler."""

    def start(self) -> bool:
        """Begin to sample; does nothing where that has begun. False when the profile's file cannot be written."""

    def stop(self) -> None:
        """End, and write the profile; does nothing where it has not begun."""


class LiveExplainer(Protocol):
    """Says what the proxy would do with a request now."""

    def when_ready(self, then: Callable[[], None]) -> None:
        """Get ready, then call back: at once, or later."""

    def explain(self, question: Question, context: "AdminParts", /) -> dict[str, Any]:
        """The explanation (docs/explain.md). Errors: EnvoymeshError, where it cannot be asked."""


@dataclass(frozen=True)
class AdminParts:
    """Everything that handlers use.

    What may be long is an iterator: its items are made one by one as they are asked for, over a list that does not
    change meanwhile.

    Attributes:
        version: Envoy's five-part text: revision/version/status/build/TLS library.
        hot_restart_version: such as `11.104`, or `disabled`.
        command_line_options: the JSON fields of envoy.admin.v3.CommandLineOptions.
        node: a config.core.v3.Node message (`proto/node.py` makes it).
        config_dumps: functions that each make one message of /config_dump (`proto/dump.py`), in its order, in steps.
        endpoint_dump: makes the one that `include_eds` adds.
        unready_targets: what the server waits for, by init manager.
        allows: whether a request target may be asked for (`admin.allow_paths`).
        explainer: what /explain asks.
        failures: the requests that failed lately, the oldest first.
        recent: the last requests; more are kept for some seconds after each call.
        python_files: users' filters and loggers (`scripting.script.Script.told`).
    """

    store: Store
    server: ServerLifecycle
    log_levels: LogLevels
    runtime: RuntimeView
    version: str
    hot_restart_version: str
    command_line_options: Mapping[str, object]
    node: Any
    clusters: Callable[[], Iterable[ClusterStatus]]
    listeners: Callable[[], Iterable[ListenerStatus]]
    certificates: Callable[[], Iterable[CertificateEntry]]
    memory: Callable[[], MemoryUsage]
    config_dumps: Sequence[Callable[[], Generator[None, None, Any]]]
    endpoint_dump: Callable[[], Generator[None, None, Any]]
    unready_targets: Callable[[], Mapping[str, Sequence[str]]]
    cpu_profiler: CpuProfiler
    allows: Callable[[str], bool]
    explainer: LiveExplainer
    failures: Callable[[], Sequence[FailedRequest]]
    recent: Callable[[], Recent]
    python_files: Callable[[], Sequence[Mapping[str, object]]]
