"""/stats and /stats/prometheus: formats, filters and what is refused; look-ups and /reset_counters."""

import json

import pytest

from envoymesh.admin.messages import HTML, JSON


@pytest.fixture(autouse=True)
def counted(context) -> None:
    scope = context.store.scope("cluster.a.")
    scope.counter("upstream_rq_total").add(3)
    scope.counter("idle")
    scope.gauge("upstream_cx_active").set(1)
    scope.text_readout("<version>").set("v")


def test_text_by_default_and_when_the_format_is_empty(ask) -> None:
    assert "cluster.a.upstream_rq_total: 3\n" in ask("/stats").body
    assert ask("/stats?format=&type=").body == ask("/stats").body


def test_filters(ask) -> None:
    assert ask("/stats?filter=^cluster.*rq_total$").body == "cluster.a.upstream_rq_total: 3\n"
    assert ask("/stats?filter=upstream&invert_filter&type=Counters").body == "cluster.a.idle: 0\n"
    assert "idle" not in ask("/stats?usedonly").body
    assert ask("/stats?type=Gauges").body == "cluster.a.upstream_cx_active: 1\n"


def test_json(ask) -> None:
    response = ask("/stats?format=json&type=Gauges")
    assert response.content_type == JSON
    assert json.loads(response.body) == {"stats": [{"name": "cluster.a.upstream_cx_active", "value": 1}]}


def test_prometheus_by_both_names(ask) -> None:
    body = ask("/stats/prometheus?filter=rq_total").body
    assert body == (
        '# TYPE envoy_cluster_upstream_rq_total counter\nenvoy_cluster_upstream_rq_total{envoy_cluster_name="a"} 3\n'
    )
    assert ask("/stats?format=prometheus&filter=rq_total").body == body
    assert 'text_value="v"' in ask("/stats/prometheus?text_readouts").body


def test_html_escapes_names_and_keeps_the_choice(ask) -> None:
    response = ask("/stats?format=html&filter=a'b|version&usedonly")
    assert response.content_type == HTML
    assert "cluster.a.&lt;version&gt;" in response.body
    assert "value='a&#39;b|version'" in response.body
    assert "onchange='stats.submit()' checked" in response.body
    assert "<script>" not in response.body


def test_active_html_asks_for_json_again_and_again(ask) -> None:
    body = ask("/stats?format=active-html&type=Gauges").body
    assert "<option value='Gauges' selected>" in body
    assert "id='active-update-interval' value='5'" in body
    assert "format: 'json'" in body
    assert "id='param-1-stats-format'" not in body


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/stats?filter=(", "Invalid re2 regex: missing ): ("),
        ("/stats/prometheus?filter=(", "Invalid re2 regex: missing ): ("),
        ("/stats?format=foo", "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n"),
        ("/stats?type=counters", "invalid &type= param"),
        ("/stats?hidden=foo", "usage: /stats?hidden=(include|only|exclude)\n\n"),
        ("/stats/prometheus?histogram_buckets=disjoint", "unsupported prometheus histogram bucket mode"),
        (
            "/stats?histogram_buckets=foo",
            "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)\n",
        ),
    ],
)
def test_what_is_refused(ask, target: str, body: str) -> None:
    response = ask(target)
    assert (response.status, response.body) == (400, body)


def test_reset_counters(ask, context) -> None:
    counter = context.store.scope("a.").counter("x")
    counter.inc()
    assert ask("/reset_counters", "POST").body == "OK\n"
    assert counter.value == 0
