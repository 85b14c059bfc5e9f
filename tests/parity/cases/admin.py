"""Admin cases: what is found, refused and how it ends, over a connection. Endpoint by endpoint is test_admin.py's."""

from __future__ import annotations

from typing import Any

from tests.integration import exchanges
from tests.parity.case import Case

ADMIN = "admin API"


def case(name: str, *steps: bytes) -> Case:
    return Case(ADMIN, name, steps, "admin")


def message(start: str, *fields: str, **options: Any) -> bytes:
    """A request under a name that ours answers to on the loopback, where the real Envoy takes any."""
    return exchanges.message(start, *fields, **{"host": "localhost", **options})


def get(target: str, *fields: str, **options: Any) -> bytes:
    return message(f"GET {target}", *fields, **options)


def post(target: str) -> bytes:
    return message(f"POST {target}", "content-length: 0")


READ = (
    "/ready", "/help", "/nowhere", "/ready?x=1", "/ready/", "/READY",
    "/stats?filter=server.state", "/stats?filter=listener_manager.workers_started", "/stats?format=nonsense",
    "/stats?type=nonsense", "/stats?filter=[",
    "/stats?filter=nothing_at_all&format=json",
    # /runtime is test_admin.py's: the real Envoy shows several keys in an order of chance.
    "/config_dump?name_regex=[", "/config_dump?resource=dynamic_listeners",
    "/init_dump", "/healthcheck", "/drain", "/contention",
)  # fmt: skip
MUTATING = (
    "/healthcheck/fail", "/healthcheck/ok", "/quitquitquit", "/reset_counters", "/logging", "/runtime_modify",
    "/drain_listeners", "/reopen_logs", "/cpuprofiler", "/heapprofiler", "/stats/recentlookups/clear",
    "/stats/recentlookups/enable", "/stats/recentlookups/disable", "/allocprofiler",
)  # fmt: skip

CASES = [
    *(case(f"GET {path}", get(path)) for path in (*READ, *MUTATING)),
    case("POST /ready", post("/ready")),
    case("POST /help", post("/help")),
    case("POST /nowhere", post("/nowhere")),
    case("PUT /ready", message("PUT /ready")),
    case("DELETE /reopen_logs", message("DELETE /reopen_logs")),
    case("POST /reopen_logs", post("/reopen_logs")),
    case("POST /runtime_modify", post("/runtime_modify")),
    case("POST /runtime_modify?a=b", post("/runtime_modify?a=b")),
    case("POST /cpuprofiler", post("/cpuprofiler")),
    case("POST /stats/recentlookups/clear", post("/stats/recentlookups/clear")),
    case("HTTP/1.0", get("/ready", version="HTTP/1.0")),
    case("no host", get("/ready", host=None)),
    case("malformed", b"BAD\r\n\r\n"),
    case("post with body", message("POST /reopen_logs", "content-length: 3", body=b"abc")),
    case("connection close", get("/ready", "connection: close")),
]  # fmt: skip
