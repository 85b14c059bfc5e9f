"""Tag extraction: the expected pairs were read from a real Envoy 1.40."""

import re

import pytest

from envoymesh.stats import Store
from envoymesh.stats.tags import TagRule, default_rules, extract


@pytest.mark.parametrize(
    ("name", "short", "tags"),
    [
        ("server.live", "server.live", ()),
        ("cluster.service1.upstream_rq_total", "cluster.upstream_rq_total", (("cluster_name", "service1"),)),
        ("cluster.a.b_c.bind_errors", "cluster.b_c.bind_errors", (("cluster_name", "a"),)),
        (
            "cluster.a.external.upstream_rq_200",
            "cluster.external.upstream_rq",
            (("response_code", "200"), ("cluster_name", "a")),
        ),
        ("cluster.a.upstream_rq_2xx", "cluster.upstream_rq_xx", (("response_code_class", "2"), ("cluster_name", "a"))),
        ("http.in.rq_total", "http.rq_total", (("http_conn_manager_prefix", "in"),)),
        (
            "listener.127.0.0.1_80.http.in.downstream_rq_2xx",
            "listener.http.downstream_rq_xx",
            (
                ("response_code_class", "2"),
                ("http_conn_manager_prefix", "in"),
                ("listener_address", "127.0.0.1_80"),
            ),
        ),
        (
            "listener.[__1]_80.worker_0.downstream_cx_total",
            "listener.worker.downstream_cx_total",
            (("worker_id", "0"), ("listener_address", "[__1]_80")),
        ),
        ("listener.named.no_filter_chain_match", "listener.no_filter_chain_match", (("listener_address", "named"),)),
        ("listener.admin.downstream_cx_total", "listener.admin.downstream_cx_total", ()),
        ("listener.admin.http.admin.x", "listener.admin.http.x", (("http_conn_manager_prefix", "admin"),)),
        (
            "listener.named.ssl.versions.TLSv1.3",
            "listener.ssl.versions",
            (("ssl_version", "TLSv1.3"), ("listener_address", "named")),
        ),
        ("listener_manager.workers_started", "listener_manager.workers_started", ()),
        ("server.worker_0.watchdog_miss", "server.worker.watchdog_miss", (("worker_id", "0"),)),
        ("my_rl.http_local_rate_limit.ok", "http_local_rate_limit.ok", (("local_http_ratelimit_prefix", "my_rl"),)),
        ("tcp.mytcp.idle_timeout", "tcp.idle_timeout", (("tcp_prefix", "mytcp"),)),
        (
            "vhost.vh.one.route.rt1.upstream_rq_200",
            "vhost.one.route.rt1.upstream_rq",
            (("response_code", "200"), ("virtual_host", "vh")),
        ),
    ],
)
def test_a_name_splits_as_in_envoy(name: str, short: str, tags: tuple[tuple[str, str], ...]) -> None:
    assert extract(name, default_rules()) == (short, tuple((f"envoy.{tag}", value) for tag, value in tags))


def test_a_store_may_have_rules_of_its_own() -> None:
    store = Store([TagRule("colour", re.compile(r"^(colour\.([a-z]+)\.)"))])
    assert store.tagged("colour.red.total") == ("total", (("colour", "red"),))


def test_a_tag_is_taken_once() -> None:
    rules = [TagRule("t", re.compile(r"(a\.)")), TagRule("t", re.compile(r"(b\.)"))]
    assert extract("a.b.c", rules) == ("b.c", (("t", "a."),))
