"""The stats that are made as they come to be needed: response codes and times."""

from __future__ import annotations

import pytest

from envoymesh.stats import Store
from envoymesh.upstream.request_stats import ResponseCodeStats


@pytest.mark.parametrize(("internal", "origin"), [(True, "internal"), (False, "external")])
def test_a_response_is_counted_by_code_class_and_origin(internal: bool, origin: str) -> None:
    store = Store()
    codes = ResponseCodeStats(store.scope("cluster.c."))
    codes.charge(200, internal)
    codes.charge(200, internal)
    codes.charge(503, internal)
    assert {counter.name.removeprefix("cluster.c."): counter.value for counter in store.counters.ordered()} == {
        f"{prefix}upstream_rq_{name}": value
        for prefix in ("", f"{origin}.")
        for name, value in (("completed", 3), ("2xx", 2), ("200", 2), ("5xx", 1), ("503", 1))
    }


def test_a_canary_is_counted_once_more() -> None:
    store = Store()
    ResponseCodeStats(store.scope("cluster.c.")).charge(204, False, canary=True)
    assert store.counters.by_name["cluster.c.canary.upstream_rq_204"].value == 1


def test_times_are_recorded_by_origin() -> None:
    store = Store()
    codes = ResponseCodeStats(store.scope("cluster.c."))
    codes.record_time(7, False)
    codes.record_time(9, True)
    store.flush()
    assert {name: stat.cumulative.sample_count for name, stat in store.histograms.by_name.items()} == {
        "cluster.c.upstream_rq_time": 2,
        "cluster.c.external.upstream_rq_time": 1,
        "cluster.c.internal.upstream_rq_time": 1,
    }


def test_zones_are_counted_where_both_are_known() -> None:
    store = Store()
    codes = ResponseCodeStats(store.scope("cluster.c."), own_zone="here")
    codes.charge(204, False, zone="there")
    codes.charge(204, False)
    codes.record_time(7, False, zone="there")
    assert store.counters.by_name["cluster.c.zone.here.there.upstream_rq_204"].value == 1
    assert "cluster.c.zone.here.there.upstream_rq_time" in store.histograms.by_name
    without = Store()
    ResponseCodeStats(without.scope("cluster.c.")).charge(204, False, zone="there")
    assert not [name for name in without.counters.by_name if "zone" in name]


def test_a_canarys_times_are_recorded_once_more() -> None:
    store = Store()
    ResponseCodeStats(store.scope("cluster.c.")).record_time(7, False, canary=True)
    assert "cluster.c.canary.upstream_rq_time" in store.histograms.by_name
