"""The admin requests that only read, and how two answers differ. What changes something is in test_admin.py."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.harness import Peer, Request, Upstream, wait_for
from tests.parity.admin_pair import AdminPair, Answer

INTENDED: dict[str, str] = tomllib.loads(Path(__file__).with_name("admin_intended.toml").read_text())

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
    "GET /stats?usedonly&filter=^http.test.downstream_rq&type=Counters",
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


@contextmanager
def used_pair(oracle: Path, folder: Path, upstream: Upstream) -> Iterator[AdminPair]:
    """A pair that has had an answered and a refused request, and has flushed its stats since."""
    with AdminPair(oracle, folder, upstream.address) as pair:
        for data in (b"GET /ok HTTP/1.1\r\nhost: a\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"):
            pair.send("plain", data)
        for proxy in pair.proxies.values():
            wait_for(lambda proxy=proxy: proxy.stat("server.uptime") >= 5, "stats are flushed")  # type: ignore[misc]
        yield pair


def compare_all(oracle: Path, folder: Path) -> dict[str, str]:
    """What differs, by request; empty texts where nothing does."""
    with Upstream({"/": answer}) as upstream, used_pair(oracle, folder, upstream) as pair:
        return {line: different(*pair.ask(line)) for line in READING}
