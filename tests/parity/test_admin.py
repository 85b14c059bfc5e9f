"""The admin API endpoint by endpoint, ours beside the real Envoy: status, headers, body."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.harness import Upstream
from tests.parity.admin_cases import INTENDED, READING, answer, different, used_pair
from tests.parity.admin_html import elements, fields
from tests.parity.admin_pair import KIND, AdminPair, Answer

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


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
    with used_pair(oracle, tmp_path_factory.mktemp("admin"), upstream) as pair:
        yield pair


@pytest.mark.parametrize("line", READING)
def test_reading(pair: AdminPair, line: str) -> None:
    check(pair, line)


def test_the_home_page(pair: AdminPair) -> None:
    real, ours = pair.ask("GET /")
    assert ours.headers == real.headers
    assert elements(ours.body) == elements(real.body)


@pytest.mark.parametrize(
    "query", ["format=html", "format=html&usedonly=on&filter=^x'y&type=Gauges", "format=active-html"]
)
def test_the_stats_pages(pair: AdminPair, query: str) -> None:
    real, ours = pair.ask(f"GET /stats?{query}")
    assert (ours.status, ours.headers) == (real.status, real.headers)
    assert fields(ours.body) == fields(real.body)


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


def test_the_cpu_profiler(oracle: Path, upstream: Upstream, tmp_path: Path) -> None:
    path = tmp_path / f"{KIND}.prof"
    with AdminPair(oracle, tmp_path / "pair", upstream.address, profile_path=str(path)) as own:
        real, ours = own.ask("POST /cpuprofiler?enable=y")
        # The wheel's Envoy was built without its profiler.
        assert (real.status, real.body, ours.status, ours.body) == (500, "failure to start the profiler", 200, "OK\n")
        # The profiler looks 100 times a second of CPU time: give it some tenths of that.
        for _ in range(100):
            own.ask("GET /config_dump")
        check(own, "POST /cpuprofiler?enable=n")
    document = json.loads((tmp_path / "ours.prof").read_text())
    names = {frame["name"] for frame in document["shared"]["frames"]}
    assert "AnswerWriter._make" in names
    assert len(document["profiles"][0]["samples"]) > 0


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
