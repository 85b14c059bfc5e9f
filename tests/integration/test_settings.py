"""Settings and runtime keys that one must see at work, on ours and on the real Envoy where it is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.integration.harness import (
    ROUTER,
    Peer,
    Proxy,
    Upstream,
    bootstrap,
    catch_all,
    exchange,
    http_listener,
    static_cluster,
    to_cluster,
    wait_for,
)
from tests.integration.harness import Request as Got

FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
KINDS = ("LISTENER", "LISTENER_FILTER_CHAIN", "VIRTUAL_HOST", "ROUTE", "CLUSTER", "UPSTREAM_HOST", "DYNAMIC")
LOG = "|".join(("%RESPONSE_CODE%", "%RESPONSE_CODE_DETAILS%", "%RESPONSE_FLAGS%", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"))
METADATA_LOG = "|".join(
    [f"%METADATA({kind}:space:own)%" for kind in KINDS]
    + ["%METADATA(ROUTE:space)%", "%METADATA(ROUTE:space:deep:er)%", "%METADATA(ROUTE:other:own)%", "%METADATA(ROUTE)%"]
    + ["%METADATA(ROUTE:space:own):2%", "%CLUSTER_METADATA(space:own)%", "%UPSTREAM_METADATA(space:list)%"]
)
OK = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
LAYER = {
    "envoy.reloadable_features.max_request_headers_count": 8,
    "envoy.reloadable_features.max_request_headers_size_kb": 2,
    "envoy.reloadable_features.max_response_headers_count": 9,
    "envoy.reloadable_features.max_response_headers_size_kb": 1,
    "http_connection_manager.normalize_path": 100,
    "http_connection_manager.path_with_escaped_slashes_action": 2,
}


def metadata(own: str) -> dict[str, Any]:
    fields = {"own": own, "deep": {"er": "found"}, "list": [1, "x", True, None], "number": 2}
    return {"metadata": {"filter_metadata": {"space": fields}}}


def answer(peer: Peer, request: Got) -> None:
    status = "500 No" if request.path == "/500" else "200 OK"
    count = int(request.path.rpartition("/")[2]) if request.path.startswith("/fields/") else 0
    size = int(request.path.rpartition("/")[2]) if request.path.startswith("/size/") else 0
    more = "".join(f"x-{number}: 1\r\n" for number in range(count)) + f"x-long: {'a' * size}\r\n" * bool(size)
    peer.send(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n{more}\r\n".encode())


def logged(path: str, text: str) -> dict[str, Any]:
    config = {"@type": FILE_LOG, "path": path, "log_format": {"text_format_source": {"inline_string": text + "\n"}}}
    return {"access_log": [{"name": "envoy.access_loggers.file", "typed_config": config}]}


def configuration(upstream: tuple[str, int], folder: Path) -> dict[str, Any]:
    retried = {"retry_policy": {"retry_on": "5xx", "num_retries": 1}}
    routes = catch_all(to_cluster("up", "/500", **retried), to_cluster("up"))
    plain = http_listener("plain", routes, **logged(str(folder / "plain.log"), LOG))
    quiet = http_listener("quiet", catch_all(to_cluster("quiet")))
    manager = quiet["filter_chains"][0]["filters"][0]["typed_config"]
    router = {"@type": ROUTER, "dynamic_stats": False, "suppress_envoy_headers": True}
    manager["http_filters"] = [{"name": "envoy.filters.http.router", "typed_config": router}]
    unchecked = {**catch_all(to_cluster("nowhere")), "validate_clusters": False}
    unchecked_listener = http_listener("unchecked", unchecked, **logged(str(folder / "unchecked.log"), LOG))
    modify_only = {**http_listener("modify-only", catch_all(OK)), "drain_type": "MODIFY_ONLY"}
    unlimited = {**http_listener("unlimited", catch_all(OK)), "ignore_global_conn_limit": True}
    listeners = [plain, quiet, unchecked_listener, modify_only, http_listener("default", catch_all(OK)), unlimited]
    quiet_cluster = static_cluster("quiet", upstream)
    (endpoint,) = quiet_cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoint["metadata"] = {"filter_metadata": {"envoy.lb": {"canary": True}}}
    layers = [{"name": "static", "static_layer": LAYER}, {"name": "admin", "admin_layer": {}}]
    return bootstrap(
        [*listeners, _with_metadata(folder)],
        [static_cluster("up", upstream), quiet_cluster, _cluster_with_metadata(upstream)],
        layered_runtime={"layers": layers},
    )


def _with_metadata(folder: Path) -> dict[str, Any]:
    routes = catch_all({**to_cluster("described"), **metadata("route")})
    routes["virtual_hosts"][0].update(metadata("host"))
    listener = http_listener("described", routes, **logged(str(folder / "described.log"), METADATA_LOG))
    listener["filter_chains"][0].update(metadata("chain"))
    return {**listener, **metadata("listener")}


def _cluster_with_metadata(upstream: tuple[str, int]) -> dict[str, Any]:
    cluster = static_cluster("described", upstream, **metadata("cluster"))
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0].update(metadata("endpoint"))
    return cluster


class Running:
    """A proxy, and what tests do with it."""

    def __init__(self, proxy: Proxy, folder: Path) -> None:
        self.proxy = proxy
        self._folder = folder

    def ask(self, listener: str, path: str = "/", *fields: str) -> str:
        """A request; the response as text."""
        head = "".join(f"{field}\r\n" for field in fields)
        data = f"GET {path} HTTP/1.1\r\nHost: a\r\n{head}Connection: close\r\n\r\n".encode()
        return exchange(self.proxy.addresses[listener], [data]).data.decode("latin-1")

    def status(self, listener: str, path: str = "/", *fields: str) -> int:
        """A request's status."""
        return int(self.ask(listener, path, *fields).split(" ")[1])

    def post(self, path: str) -> None:
        """A change by the admin."""
        host, port = self.proxy.admin
        with urlopen(Request(f"http://{host}:{port}{path}", data=b"", method="POST"), timeout=10) as response:
            assert response.read() == b"OK\n"

    def runtime(self, keys: Mapping[str, object]) -> None:
        """Set runtime keys; an empty text takes one out."""
        self.post("/runtime_modify?" + urlencode(keys))

    def stats(self, pattern: str) -> dict[str, str]:
        """The stats that match."""
        lines = self.proxy.admin_get(f"/stats?filter={pattern}").splitlines()
        return dict(line.split(": ", 1) for line in lines)

    def lines(self, log: str, count: int = 1) -> list[str]:
        """The lines that so many requests write to a log, which is emptied."""
        file = self._folder / f"{log}.log"
        wait_for(lambda: file.exists() and file.read_text().count("\n") >= count, f"{count} lines of the log")
        text = file.read_text()
        with file.open("w"):
            pass
        assert text.count("\n") == count
        return text.splitlines()


@pytest.fixture(scope="module", params=["ours", pytest.param("real", marks=pytest.mark.oracle)])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp(request.param)
    flags = ("--file-flush-interval-msec", "10")
    with Upstream({"/": answer}) as upstream:
        config = configuration(upstream.address, folder)
        if request.param == "ours":
            proxy = Proxy.ours(config, folder, *flags)
        else:
            proxy = Proxy.real(request.getfixturevalue("oracle"), config, folder, *flags)
        with proxy:
            yield Running(proxy, folder)


def test_maintenance_mode(running: Running) -> None:
    running.runtime({"upstream.maintenance_mode.up": 100})
    response = running.ask("plain")
    running.runtime({"upstream.maintenance_mode.up": ""})
    assert response.startswith("HTTP/1.1 503")
    assert response.endswith("maintenance mode")
    assert "x-envoy-overloaded: true\r\n" in response
    assert running.lines("plain") == ["503|maintenance_mode|UO|0"]
    assert running.stats("cluster.up.upstream_rq_(maintenance_mode|503)$") == {
        "cluster.up.upstream_rq_503": "1",
        "cluster.up.upstream_rq_maintenance_mode": "1",
    }
    assert running.status("plain") == 200
    running.lines("plain")


def test_retries_can_be_turned_off(running: Running) -> None:
    assert running.status("plain", "/500") == 500
    assert running.lines("plain") == ["500|via_upstream|URX|2"]
    running.runtime({"upstream.use_retry": 0})
    assert running.status("plain", "/500") == 500
    running.runtime({"upstream.use_retry": ""})
    assert running.lines("plain") == ["500|via_upstream|-|1"]


def test_circuit_breakers(running: Running) -> None:
    running.runtime({"circuit_breakers.up.default.max_requests": 0, "circuit_breakers.up.high.max_retries": 7})
    response = running.ask("plain")
    shown = running.proxy.admin_get("/clusters")
    running.runtime({"circuit_breakers.up.default.max_requests": "", "circuit_breakers.up.high.max_retries": ""})
    assert response.endswith("reset reason: overflow")
    assert running.lines("plain") == ["503|upstream_reset_before_response_started{overflow}|UO|1"]
    assert "up::default_priority::max_requests::0\n" in shown
    assert "up::high_priority::max_retries::7\n" in shown
    assert "up::high_priority::max_requests::1024\n" in shown
    assert running.status("plain") == 200
    running.lines("plain")


def test_without_dynamic_stats_responses_are_not_counted_by_code(running: Running) -> None:
    assert [running.status("quiet", path) for path in ("/", "/500")] == [200, 500]
    names = running.stats("cluster.quiet.(.*upstream_rq_([0-9]+$|[0-9]xx|completed|time$)|canary)")
    assert names == {"cluster.quiet.upstream_rq_completed": "0"}
    assert running.stats("cluster.quiet.upstream_rq_total$") == {"cluster.quiet.upstream_rq_total": "2"}
    hosts = running.proxy.admin_get("/clusters")
    assert re.search(r"^quiet::127.*::rq_error::0$", hosts, re.MULTILINE)
    assert re.search(r"^quiet::127.*::canary::true$", hosts, re.MULTILINE)
    running.runtime({"upstream.maintenance_mode.quiet": 100})
    response = running.ask("quiet")
    running.runtime({"upstream.maintenance_mode.quiet": ""})
    assert response.startswith("HTTP/1.1 503")
    assert "x-envoy" not in response


def test_clusters_of_routes_may_go_unchecked(running: Running) -> None:
    assert running.status("unchecked") == 503
    assert running.lines("unchecked") == ["503|cluster_not_found|NC|0"]


def test_a_failed_health_check_drains_listeners_by_their_type(running: Running) -> None:
    kept = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    running.post("/healthcheck/fail")
    heads = {
        name: exchange(running.proxy.addresses[name], [kept], quiet=0.2).data for name in ("modify-only", "default")
    }
    running.post("/healthcheck/ok")
    assert {name: b"connection: close" in head for name, head in heads.items()} == {
        "modify-only": False,
        "default": True,
    }


def test_limits_of_requests(running: Running) -> None:
    few, many = ([f"x-{number}: 1" for number in range(count)] for count in (3, 9))
    assert [running.status("default", "/", *fields) for fields in (few, many)] == [200, 431]
    assert [running.status("default", "/", "x: " + "a" * size) for size in (1000, 3000)] == [200, 431]


def test_limits_of_responses(running: Running) -> None:
    statuses = [running.status("plain", f"/{path}") for path in ("fields/5", "fields/9", "size/500", "size/1500")]
    assert statuses == [200, 502, 200, 502]
    running.lines("plain", 4)


def test_paths_are_normalised_where_a_key_asks_for_it(running: Running) -> None:
    assert running.status("plain", "/a/../500") == 500
    assert running.status("plain", "/a%2fb") == 400
    running.lines("plain", 2)


def test_metadata_in_logs(running: Running) -> None:
    assert running.status("described") == 200
    (line,) = running.lines("described")
    whole = '{"deep":{"er":"found"},"list":[1,"x",true,null],"number":2,"own":"route"}'
    assert line.split("|") == [
        *("listener", "chain", "host", "route", "cluster", "endpoint", "-"),
        *(whole, "found", "-", "-", "ro", "cluster", '[1,"x",true,null]'),
    ]


def test_a_limit_of_all_connections(running: Running) -> None:
    # The admin counts too, and is refused at the limit: what sets it is the last that gets in.
    before = running.stats("listener.*downstream_global_cx_overflow")
    assert set(before.values()) == {"0"}
    running.runtime({"overload.global_downstream_max_connections": 0})
    assert running.status("unlimited") == 200
    for listener in ("default", "plain"):
        assert exchange(running.proxy.addresses[listener], [], quiet=5.0).data == b""
