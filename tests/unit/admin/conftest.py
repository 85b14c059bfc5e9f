"""A server that the admin can be pointed at: it records what it is asked to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from envoy.config.core.v3 import base_pb2

from envoymesh.admin.context import AdminParts
from envoymesh.admin.messages import Request, Response, parse_target
from envoymesh.admin.registry import Admin
from envoymesh.admin.views import MemoryUsage, RuntimeSnapshot, ServerState
from envoymesh.http.recent_requests import NOTHING
from envoymesh.stats import Store
from tests.support.steps import finished


@dataclass
class FakeServer:
    """A server without listeners."""

    state: ServerState = ServerState.LIVE
    calls: list[object] = field(default_factory=list)

    def uptime_current_epoch(self) -> float:
        return 12.9

    def uptime_all_epochs(self) -> float:
        return 3600.0

    def fail_health_check(self, fail: bool) -> None:
        self.calls.append(("fail_health_check", fail))

    def drain_listeners(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None:
        self.calls.append(("drain_listeners", graceful, inbound_only, skip_exit))

    def shutdown(self) -> None:
        self.calls.append("shutdown")

    def reopen_logs(self) -> None:
        self.calls.append("reopen_logs")


class FakeLogLevels:
    """Three loggers."""

    def __init__(self) -> None:
        self.by_name = {"admin": "info", "http": "info", "main": "warning"}

    def levels(self) -> Mapping[str, str]:
        return self.by_name

    def set_level(self, logger: str, level: str, /) -> None:
        assert logger in self.by_name
        self.by_name[logger] = level

    def set_all(self, level: str, /) -> None:
        self.by_name = dict.fromkeys(self.by_name, level)


class FakeRuntime:
    """A static layer with one key, and an admin layer."""

    def __init__(self) -> None:
        self.has_admin_layer = True
        self.overrides: dict[str, str] = {}

    def snapshot(self) -> RuntimeSnapshot:
        entries = {"foo": ["bar", ""]}
        for key, value in self.overrides.items():
            entries[key] = [entries.get(key, [""])[0], value]
        return RuntimeSnapshot(["static", "admin"], entries)

    def modify(self, values: Mapping[str, str]) -> None:
        self.overrides.update(values)


class FakeCpuProfiler:
    """Starts unless told otherwise."""

    def __init__(self, *, starts: bool = True) -> None:
        self.starts = starts
        self.calls: list[str] = []

    def start(self) -> bool:
        self.calls.append("start")
        return self.starts

    def stop(self) -> None:
        self.calls.append("stop")


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


class FakeExplainer:
    """Tells what it was asked."""

    def when_ready(self, then: Callable[[], None]) -> None:
        then()

    def explain(self, question: Any, context: AdminParts) -> dict[str, Any]:
        return {"asked": question}


def admin_context(server: FakeServer) -> AdminParts:
    """All that handlers use, of fakes."""
    return AdminParts(
        store=Store(),
        server=server,
        log_levels=FakeLogLevels(),
        runtime=FakeRuntime(),
        version="abc/1.40.0/Clean/RELEASE/OpenSSL",
        hot_restart_version="11.104",
        command_line_options={"concurrency": 1, "mode": "Serve", "drain_time": "600s", "newer_than_the_message": True},
        node=base_pb2.Node(id="n1", cluster="c1"),
        clusters=list,
        listeners=list,
        certificates=list,
        memory=lambda: MemoryUsage(allocated=1, heap_size=2, total_physical_bytes=3),
        config_dumps=(),
        endpoint_dump=base_pb2.Node,
        unready_targets=dict,
        cpu_profiler=FakeCpuProfiler(),
        allows=lambda target: True,
        explainer=FakeExplainer(),
        failures=list,
        recent=lambda: NOTHING,
        python_files=list,
    )


@pytest.fixture
def context(server: FakeServer) -> AdminParts:
    return admin_context(server)


Ask = Callable[..., Response]


@pytest.fixture
def ask(context: AdminParts) -> Ask:
    """A function: target, method="GET", and fields of the context to replace -> the answer."""

    def ask(target: str, method: str = "GET", **changes: object) -> Response:
        path, params = parse_target(target)
        answer = Admin(replace(context, **changes)).handle(Request(method, path, params, target))
        response = answer if isinstance(answer, Response) else finished(answer)
        return replace(response, body="".join(response.body))

    return ask
