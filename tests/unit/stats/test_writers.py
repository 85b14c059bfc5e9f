"""The text, JSON and Prometheus writers, in the shapes that the real Envoy 1.40 writes."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from envoymesh.stats import Store
from envoymesh.stats.json_writer import write_json
from envoymesh.stats.prometheus import write_prometheus
from envoymesh.stats.selection import HISTOGRAMS, NUMBERS, BucketMode, Selection, StatType
from envoymesh.stats.text import write_text


def text_of(store: Store, selection: Selection) -> str:
    return "".join(write_text(store, selection))


def json_of(store: Store, selection: Selection) -> str:
    return "".join(write_json(store, selection))


def prometheus_of(store: Store, selection: Selection) -> str:
    return "".join(write_prometheus(store, selection))


NOTHING = Selection(matches=re.compile("no such stat").search)


@pytest.fixture
def store() -> Store:
    store = Store()
    scope = store.scope("cluster.s1.")
    scope.counter("upstream_rq_200").add(2)
    scope.counter("upstream_rq_503")
    scope.gauge("upstream_cx_active").set(7)
    scope.histogram("upstream_rq_time", "ms").record(19)
    scope.histogram("idle_ms", "ms")
    store.scope("http.in.").text_readout("rds.r.version_text").set('v"1"')
    store.flush()
    store.flush()
    return store


def test_text_is_readouts_then_numbers_then_histograms(store: Store) -> None:
    shares = ["0", "25", "50", "75", "90", "95", "99", "99.5", "99.9", "100"]
    quantiles = " ".join(f"P{share}(nan,19.5)" for share in shares)
    assert text_of(store, Selection()).splitlines() == [
        'http.in.rds.r.version_text: "v"1""',
        "cluster.s1.upstream_cx_active: 7",
        "cluster.s1.upstream_rq_200: 2",
        "cluster.s1.upstream_rq_503: 0",
        "cluster.s1.idle_ms: No recorded values",
        f"cluster.s1.upstream_rq_time: {quantiles}",
    ]


def test_nothing_chosen_is_an_empty_answer(store: Store) -> None:
    assert text_of(store, NOTHING) == ""
    assert json_of(store, NOTHING) == '{"stats":[]}'
    assert prometheus_of(store, NOTHING) == ""


def test_text_buckets(store: Store) -> None:
    chosen = Selection(type=StatType.HISTOGRAMS, used_only=True, buckets=BucketMode.CUMULATIVE)
    text = text_of(store, chosen)
    assert text.startswith("cluster.s1.upstream_rq_time: B0.5(0,0) B1(0,0) B5(0,0) B10(0,0) B25(0,1) B50(0,1) ")
    assert text.endswith(" B600000(0,1) B1.8e+06(0,1) B3.6e+06(0,1)\n")
    disjoint = text_of(store, Selection(type=StatType.HISTOGRAMS, buckets=BucketMode.DISJOINT))
    assert " B10(0,0) B25(0,1) B50(0,0) " in disjoint


def test_text_detailed(store: Store) -> None:
    chosen = Selection(type=StatType.HISTOGRAMS, used_only=True, buckets=BucketMode.DETAILED)
    assert text_of(store, chosen).splitlines()[:3] == [
        "cluster.s1.upstream_rq_time:",
        "  totals=19,1:1",
        "  intervals=",
    ]
    assert text_of(store, chosen).splitlines()[3].startswith("  summary=P0(nan,19.5) P25")


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (Selection(type=StatType.COUNTERS), ["cluster.s1.upstream_rq_200", "cluster.s1.upstream_rq_503"]),
        (Selection(type=StatType.GAUGES), ["cluster.s1.upstream_cx_active"]),
        (Selection(type=StatType.TEXT_READOUTS), ["http.in.rds.r.version_text"]),
        (Selection(type=StatType.COUNTERS, used_only=True), ["cluster.s1.upstream_rq_200"]),
        (Selection(matches=re.compile("_50").search), ["cluster.s1.upstream_rq_503"]),
        (
            Selection(matches=re.compile("cluster").search, invert=True),
            ["http.in.rds.r.version_text"],
        ),
    ],
)
def test_selections(store: Store, selection: Selection, names: list[str]) -> None:
    assert [line.split(":")[0] for line in text_of(store, selection).splitlines()] == names


def test_json_summary(store: Store) -> None:
    stats = json.loads(json_of(store, Selection()))["stats"]
    assert stats[:4] == [
        {"name": "http.in.rds.r.version_text", "value": 'v"1"'},
        {"name": "cluster.s1.upstream_cx_active", "value": 7},
        {"name": "cluster.s1.upstream_rq_200", "value": 2},
        {"name": "cluster.s1.upstream_rq_503", "value": 0},
    ]
    histograms = stats[4]["histograms"]
    assert histograms["supported_quantiles"] == [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100]
    idle, busy = histograms["computed_quantiles"]
    assert idle == {"name": "cluster.s1.idle_ms", "values": [{"cumulative": None, "interval": None}] * 10}
    assert busy["values"][0] == {"cumulative": 19.5, "interval": None}


def test_json_buckets_and_details(store: Store) -> None:
    chosen = Selection(type=StatType.HISTOGRAMS, used_only=True, buckets=BucketMode.DISJOINT)
    (stat,) = json.loads(json_of(store, chosen))["stats"][0]["histograms"]
    assert stat["buckets"][4] == {"upper_bound": 25, "interval": 0, "cumulative": 1}
    chosen = Selection(type=StatType.HISTOGRAMS, used_only=True, buckets=BucketMode.DETAILED)
    (detail,) = json.loads(json_of(store, chosen))["stats"][0]["histograms"]["details"]
    assert detail["totals"] == [{"lower_bound": 19, "width": 1, "count": 1}]


def test_prometheus_is_readable_by_its_own_parser(store: Store) -> None:
    text = prometheus_of(store, Selection(text_readouts_as_gauges=True))
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counter = families["envoy_cluster_upstream_rq"]
    assert {sample.labels["envoy_response_code"]: sample.value for sample in counter.samples} == {"200": 2, "503": 0}
    histogram = families["envoy_cluster_upstream_rq_time"]
    assert histogram.type == "histogram"
    counts = {sample.labels["le"]: sample.value for sample in histogram.samples if "le" in sample.labels}
    assert (counts["10"], counts["25"], counts["+Inf"]) == (0, 1, 1)
    readout = families["envoy_http_rds_r_version_text"].samples[0]
    assert (readout.labels["text_value"], readout.value) == ('v"1"', 0)


def test_prometheus_values_with_quotes_backslashes_and_line_breaks() -> None:
    store = Store()
    store.scope("").text_readout("version").set('a"b\\c\nd')
    text = prometheus_of(store, Selection(text_readouts_as_gauges=True))
    (family,) = text_string_to_metric_families(text)
    assert family.samples[0].labels["text_value"] == 'a"b\\c\nd'


def test_prometheus_counts_what_is_over_the_largest_bound() -> None:
    store = Store()
    histogram = store.scope("").histogram("h", "ms")
    for value in (1, 4_000_000, 5_000_000):
        histogram.record(value)
    store.flush()
    (family,) = text_string_to_metric_families(prometheus_of(store, Selection()))
    counts = {sample.labels.get("le"): sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert (counts["3600000"], counts["+Inf"]) == (1, 3)


def test_prometheus_types_lines_and_order(store: Store) -> None:
    lines = prometheus_of(store, Selection()).splitlines()
    assert lines[:5] == [
        "# TYPE envoy_cluster_upstream_rq counter",
        'envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="s1"} 2',
        'envoy_cluster_upstream_rq{envoy_response_code="503",envoy_cluster_name="s1"} 0',
        "# TYPE envoy_cluster_upstream_cx_active gauge",
        'envoy_cluster_upstream_cx_active{envoy_cluster_name="s1"} 7',
    ]
    assert 'envoy_cluster_idle_ms_bucket{envoy_cluster_name="s1",le="1800000"} 0' in lines


def test_prometheus_summary_shows_the_last_interval(store: Store) -> None:
    lines = prometheus_of(store, Selection(used_only=True, buckets=BucketMode.SUMMARY)).splitlines()
    assert 'envoy_cluster_upstream_rq_time{envoy_cluster_name="s1",quantile="0.5"} nan' in lines
    assert 'envoy_cluster_upstream_rq_time_count{envoy_cluster_name="s1"} 0' in lines


def test_prometheus_has_no_disjoint_buckets(store: Store) -> None:
    with pytest.raises(ValueError, match="unsupported prometheus histogram bucket mode"):
        prometheus_of(store, Selection(buckets=BucketMode.DISJOINT))


@pytest.mark.parametrize("write", [write_text, write_json, write_prometheus])
@pytest.mark.parametrize("selection", [Selection(), Selection(used_only=True), NOTHING])
def test_no_piece_is_long_however_many_stats_there_are(
    write: Callable[[Store, Selection], Iterator[str]], selection: Selection
) -> None:
    store = Store()
    for index in range(1000):
        scope = store.scope(f"cluster.c{index}.")
        scope.counter("upstream_rq_total").add(index % 2)
        scope.gauge("upstream_cx_active")
        if not index % 10:
            scope.histogram("upstream_rq_time", "ms").record(index)
    store.flush()
    pieces = list(write(store, selection))
    assert len(pieces) > 1000 / NUMBERS
    longest = max(piece.count("upstream_") for piece in pieces)
    assert longest <= max(NUMBERS, HISTOGRAMS * 23), "lines: a histogram has 22, and each metric a TYPE"
    assert ("upstream_cx_active" in "".join(pieces)) is (selection == Selection())
