"""The admin API endpoint by endpoint, ours beside the real Envoy: status, headers, body."""

from __future__ import annotations

import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Peer, Request, Upstream, wait_for
from tests.parity.admin_pair import AdminPair, Answer

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

INTENDED = tomllib.loads(Path(__file__).with_name("admin_intended.toml").read_text())

READING = (
    "GET /help",
    "GET /ready",
    "GET /server_info",
    "GET /clusters",
    "GET /clusters?format=json",
    "GET /clusters?filter=^app$",
    "GET /clusters?format=json&filter=nothing",
    "GET /clusters?filter=[",
    "GET /listeners",
    "GET /listeners?format=json",
    "GET /certs",
    "GET /init_dump",
    "GET /init_dump?mask=listener",
    "GET /memory",
    "GET /runtime",
    "GET /hot_restart_version",
    "GET /contention",
    "POST /logging",
    "GET /config_dump",
    "GET /config_dump?include_eds",
    "GET /config_dump?resource=static_listeners",
    "GET /config_dump?resource=static_clusters",
    "GET /config_dump?resource=static_route_configs",
    "GET /config_dump?resource=static_clusters&mask=cluster.name",
    "GET /config_dump?resource=static_endpoint_configs&include_eds",
    "GET /config_dump?resource=static_secrets",
    "GET /config_dump?resource=dynamic_active_clusters",
    "GET /config_dump?mask=bootstrap.admin",
    "GET /config_dump?mask=bootstrap.static_resources,static_route_configs",
    "GET /config_dump?name_regex=app",
    "GET /config_dump?name_regex=.*l.*",
    "GET /config_dump?resource=static_clusters&name_regex=na.*",
    "GET /config_dump?resource=bootstrap",
    "GET /config_dump?resource=nothing",
    "GET /config_dump?resource=static_endpoint_configs",
    "GET /config_dump?mask=nothing",
    "GET /config_dump?resource=static_clusters&mask=nothing",
    "GET /stats/recentlookups",
    "GET /stats?filter=^cluster.app.upstream_rq_[^t]",
    "GET /stats?filter=^cluster.app.upstream_rq_[^t]&format=json",
    "GET /stats?filter=^cluster.app.upstream_rq_[^t]&usedonly",
    "GET /stats?usedonly&filter=^http.test&type=Counters",
    "GET /stats?type=Gauges&filter=^cluster.app.membership",
    "GET /stats?type=TextReadouts",
    "GET /stats?type=Histograms&filter=^cluster.named",
    "GET /stats?filter=^cluster.app.*per_cx&histogram_buckets=summary",
    "GET /stats?filter=^cluster.app.*per_cx&histogram_buckets=cumulative",
    "GET /stats?filter=^cluster.app.*per_cx&histogram_buckets=disjoint",
    "GET /stats?filter=^cluster.app.*per_cx&histogram_buckets=detailed",
    "GET /stats?filter=^cluster.app.*per_cx&histogram_buckets=detailed&format=json",
    "GET /stats?filter=^cluster.app.*per_cx&histogram_buckets=disjoint&format=json",
    "GET /stats?filter=^cluster.app.*per_cx&histogram_buckets=cumulative&format=json",
    "GET /stats?filter=^cluster.app.*per_cx&format=json",
    "GET /stats?filter=xxx&hidden=only",
    "GET /stats?hidden=x",
    "GET /stats/prometheus?filter=^cluster.app.upstream_rq_[^t]",
    "GET /stats?format=prometheus&filter=^cluster.app.membership",
    "GET /stats/prometheus?filter=^cluster.app.*per_cx&histogram_buckets=summary",
    "GET /stats/prometheus?filter=^cluster.app.*per_cx&histogram_buckets=cumulative",
    "GET /stats/prometheus?filter=x&histogram_buckets=disjoint",
    "GET /stats/prometheus?usedonly&filter=^http.test.*2xx",
    "GET /stats?invert_filter&filter=^[a-rt-z]&usedonly&type=Counters",
    "GET /stats?format=x",
    "GET /stats?type=x",
    "POST /heapprofiler?enable=y",
    "POST /cpuprofiler?enable=x",
    "POST /cpuprofiler?enable=n",
    "GET /tap",
    "POST /tap",
)


def answer(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n")


def different(real: Answer, ours: Answer) -> str:
    """What differs, for people; empty when nothing does."""
    if real == ours:
        return ""
    found = []
    if real.status != ours.status:
        found.append(f"status: {real.status} -> {ours.status}")
    if real.headers != ours.headers:
        found.append(f"headers: {real.headers} -> {ours.headers}")
    if real.body != ours.body:
        pairs = list(zip(real.body.splitlines(), ours.body.splitlines(), strict=False))
        first = next((pair for pair in pairs if pair[0] != pair[1]), ("the end", "the end"))
        found.append(f"body: {first[0]!r} -> {first[1]!r}\n--- real\n{real.body[:2000]}\n--- ours\n{ours.body[:2000]}")
    return "\n".join(found)


def check(pair: AdminPair, line: str, body: str = "") -> tuple[Answer, Answer]:
    """Both answers, which are the same, or differ as the list says."""
    real, ours = pair.ask(line, body)
    found = different(real, ours)
    if line in INTENDED:
        assert found, f"no longer different: {line}"
    else:
        assert not found, f"{line}\n{found}"
    return real, ours


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream({"/": answer}) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def pair(oracle: Path, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminPair]:
    with AdminPair(oracle, tmp_path_factory.mktemp("admin"), upstream.address) as pair:
        for data in (b"GET /ok HTTP/1.1\r\nhost: a\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"):
            pair.send("plain", data)
        for proxy in pair.proxies.values():
            wait_for(lambda proxy=proxy: proxy.stat("server.uptime") >= 5, "stats are flushed")
        yield pair


@pytest.mark.parametrize("line", READING)
def test_reading(pair: AdminPair, line: str) -> None:
    check(pair, line)


def test_runtime_modify(pair: AdminPair) -> None:
    for line in (
        "GET /runtime_modify",
        "POST /runtime_modify",
        "POST /runtime_modify?a.b=2&e=f",
        "GET /runtime",
        "POST /runtime_modify?a.b=",
        "GET /runtime",
        "GET /stats?filter=^runtime",
    ):
        check(pair, line)
    check(pair, "POST /runtime_modify", "g=h&i=j%20k")
    check(pair, "GET /runtime")


def test_logging_levels(pair: AdminPair) -> None:
    for line in (
        "POST /logging?http=debug",
        "POST /logging?paths=http:info,router:warning",
        "POST /logging?level=error",
        "POST /logging?http=nothing",
        "POST /logging?nothing=info",
        "POST /logging?level=nothing",
        "POST /logging?paths=http",
        "POST /logging?level=info&http=info",
        "POST /logging?group=http:info",
        "POST /logging?level=info",
    ):
        check(pair, line)


def test_recent_lookups(pair: AdminPair) -> None:
    for line in (
        "GET /stats/recentlookups/enable",
        "POST /stats/recentlookups/enable",
        "GET /stats/recentlookups",
        "POST /stats/recentlookups/clear",
        "POST /stats/recentlookups/disable",
        "GET /stats/recentlookups",
    ):
        check(pair, line)


def test_health_check(pair: AdminPair) -> None:
    for line in (
        "POST /healthcheck/fail",
        "GET /ready",
        "GET /server_info",
        "GET /stats?filter=^server.(live|state)",
        "POST /healthcheck/ok",
        "GET /ready",
        "GET /stats?filter=^server.(live|state)",
    ):
        check(pair, line)


def test_reset_counters(pair: AdminPair) -> None:
    check(pair, "POST /reset_counters")
    check(pair, "GET /stats?filter=^cluster.app.upstream_(rq|cx)&type=Counters")
    check(pair, "GET /stats?filter=^cluster.app.upstream_(rq|cx)&type=Counters&usedonly")
    check(pair, "POST /reopen_logs")


def test_a_profile_of_each(pair: AdminPair, oracle: Path, upstream: Upstream, tmp_path: Path) -> None:
    profile = tmp_path / "cpu.prof"
    with AdminPair(oracle, tmp_path / "pair", upstream.address, profile_path=str(profile)) as own:
        assert own.ask("POST /cpuprofiler?enable=y")[1].status == 200
        own.send("plain", b"GET /ok HTTP/1.1\r\nhost: a\r\n\r\n")
        assert own.ask("POST /cpuprofiler?enable=n")[1].status == 200
    assert profile.stat().st_size > 0


def test_allow_paths(oracle: Path, upstream: Upstream, tmp_path: Path) -> None:
    allowed = [{"exact": "/ready"}, {"prefix": "/stats?filter"}, {"exact": "/nowhere"}]
    with AdminPair(oracle, tmp_path, upstream.address, allow_paths=[*allowed, {"prefix": "/listeners"}]) as pair:
        for line in (
            "GET /ready",
            "GET /ready?x",
            "GET /stats",
            "GET /stats?filter=^server.state$",
            "GET /nowhere",
            "POST /quitquitquit",
            "GET /",
            "GET /help",
        ):
            check(pair, line)


@pytest.mark.parametrize(
    "query", ["", "?graceful", "?inboundonly", "?inboundonly&graceful", "?skip_exit", "?graceful&skip_exit"]
)
def test_drain_listeners(oracle: Path, upstream: Upstream, tmp_path: Path, query: str) -> None:
    with AdminPair(oracle, tmp_path, upstream.address) as pair:
        check(pair, "GET /drain_listeners")
        check(pair, f"POST /drain_listeners{query}")
        for line in (
            "GET /ready",
            "GET /listeners",
            "GET /stats?filter=^listener_manager",
            "GET /server_info",
            "GET /stats?filter=^server.(live|state)",
        ):
            check(pair, line)
        accepting = {
            kind: {name: _accepts(address) for name, address in proxy.addresses.items()}
            for kind, proxy in pair.proxies.items()
        }
        assert accepting["ours"] == accepting["real"]


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_quit(oracle: Path, upstream: Upstream, tmp_path: Path) -> None:
    with AdminPair(oracle, tmp_path, upstream.address) as pair:
        check(pair, "GET /quitquitquit")
        check(pair, "POST /quitquitquit")
        assert {proxy.wait() for proxy in pair.proxies.values()} == {0}


def test_the_list_names_requests_that_are_made() -> None:
    assert INTENDED.keys() <= set(READING)
    assert all(reason.endswith(".") for reason in INTENDED.values())
