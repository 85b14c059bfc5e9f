"""Weighted clusters, and routes whose cluster the request names."""

from __future__ import annotations

import pytest

from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.router.actions.hash_policy import HashPolicy, HashStep, HeaderHash, hash_bytes
from envoymesh.router.actions.rewrites import LiteralHost, Rewrites
from envoymesh.router.actions.weighted import WeightedClusters, WeightedEntry
from envoymesh.router.filter_configs import FilterConfig
from envoymesh.router.header_parser import HeaderParser, HeaderParsers, HeaderToAdd
from envoymesh.router.mirror import MirrorPolicy
from envoymesh.router.numbers import parse_number
from envoymesh.router.paths import PrefixPath
from envoymesh.router.request_counts import RequestCounts
from envoymesh.router.table import ClusterAction, Route, RouteTable, VirtualHost
from envoymesh.runtime import RuntimeNumber
from envoymesh.stats import Store
from tests.support.fakes import FakeConnection

INFO = StreamInfo(FakeConnection(), HttpProtocol.HTTP11, 0.0, 0.0, 1)


def entry(cluster: str, weight: int = 1, **more: object) -> WeightedEntry:
    return WeightedEntry(cluster, RuntimeNumber("", weight, None), **more)  # type: ignore[arg-type]


def request(*fields: tuple[bytes, bytes]) -> RequestHeaders:
    return RequestHeaders(b"GET", b"/", b"a", fields=list(fields))


def clusters(*weights: int, start: float = 0.0, **more: object) -> WeightedClusters:
    entries = [entry(str(place), weight) for place, weight in enumerate(weights)]
    return WeightedClusters(entries, start, **more)  # type: ignore[arg-type]


def test_chance_is_shared_out_by_weight() -> None:
    made = clusters(1, 0, 3, start=0.3)
    picked = [made.pick(request(), StreamInfo(FakeConnection(), HttpProtocol.HTTP11, 0.0, 0.0, n)) for n in range(4000)]
    assert [abs(picked.count(place) - wanted) < 5 for place, wanted in enumerate((1000, 0, 3000))] == [True] * 3
    # Not one after the other.
    assert picked[:12] == [2, 2, 0, 2, 2, 2, 2, 0, 2, 0, 2, 2]


def test_a_request_that_is_matched_again_goes_the_same_way() -> None:
    made = clusters(1, 1, 1, 1, 1, start=0.9)
    assert len({made.pick(request(), INFO) for _ in range(20)}) == 1


@pytest.mark.parametrize(
    ("fields", "place"),
    [([b"0"], 0), ([b"2"], 1), ([b"3"], 0), ([b"1", b"1"], 0), ([b"x"], 0), ([b"-1"], 0), ([], 0), ([b" 5 "], 1)],
)
def test_a_header_may_decide(fields: list[bytes], place: int) -> None:
    made = clusters(1, 2, start=0.6, header_name=b"x-n")
    assert made.pick(request(*((b"x-n", value) for value in fields)), INFO) == place


def test_the_hash_policy_may_decide() -> None:
    made = clusters(*[1] * 16, hash_policy=HashPolicy([HashStep(HeaderHash(b"x-k"))]), start=0.5 - 2**0.5 + 1)
    assert made.pick(request((b"x-k", b"a")), INFO) == hash_bytes(b"a") % 16
    assert made.pick(request(), INFO) == 8


def test_the_runtime_changes_weights() -> None:
    made = clusters(1, 1)
    made.entries[0].weight.set(0)
    assert made.pick(request(), INFO) == 1
    made.entries[1].weight.set(0)
    assert made.pick(request(), INFO) == -1


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"0", 0), (b"+7", 7), (b" 12\t", 12), (b"18446744073709551615", 2**64 - 1), (b"18446744073709551616", None),
     (b"", None), (b"1.5", None), (b"0x1", None), (b"--1", None), (b"+", None)],
)  # fmt: skip
def test_numbers(text: bytes, number: int | None) -> None:
    assert parse_number(text) == number


def adds(value: bytes) -> HeaderParser:
    return HeaderParser([HeaderToAdd(b"x", value)])


def routed(action: ClusterAction, **more: object) -> Route:
    route = Route("r", PrefixPath(b"/"), action, **more)  # type: ignore[arg-type]
    RouteTable("t", [VirtualHost("v", [b"*"], [route])])
    return route


def test_an_entry_has_a_route_of_its_own() -> None:
    parsers = HeaderParsers(adds(b"request"), adds(b"response"))
    first = entry("one", header_parsers=parsers, filter_configs={"f": FilterConfig("entry")}, host_rewrite=b"h")
    weighted = WeightedClusters([first, entry("two")], 0.0)
    route = routed(
        ClusterAction("", 3.0, weighted=weighted),
        header_parsers=HeaderParsers(adds(b"route"), adds(b"route")),
        own_filter_configs={"f": FilterConfig("route")},
    )
    made = route.with_cluster(request(), INFO)
    assert made is not None
    assert isinstance(made.action, ClusterAction)
    assert (made.action.cluster, made.action.timeout, made.entry, made.name) == ("one", 3.0, first, "r")
    assert made.virtual_host is route.virtual_host
    assert [parser.to_add[0].value for parser in made.response_parsers] == [b"response", b"route"]
    assert made.filter_configs == {"f": ("route", "entry")}
    assert route.variants[1].filter_configs == {"f": ("route",)}


def test_the_filters_of_entries_are_known() -> None:
    weighted = WeightedClusters([entry("one", filter_configs={"f": FilterConfig(disabled=True)})], 0.0)
    table = RouteTable("t", [VirtualHost("v", [b"*"], [Route("r", None, ClusterAction("", weighted=weighted))])])
    assert table.chooses_filters
    assert table.configured_filters == {"f"}


def test_the_request_names_its_cluster() -> None:
    route = routed(ClusterAction("", cluster_header=b"x-c", rewrites=Rewrites(host=LiteralHost(b"h"))))
    assert route.chooses_cluster
    made = route.with_cluster(request((b"x-c", b"one"), (b"x-c", b"two")), INFO)
    assert made is not None
    assert isinstance(made.action, ClusterAction)
    assert (made.action.cluster, made.action.cluster_header, made.changes_requests) == ("one", b"", True)
    none = route.with_cluster(request(), INFO)
    assert none is not None
    assert isinstance(none.action, ClusterAction)
    assert none.action.cluster == ""


def test_an_entry_may_be_named_by_the_request() -> None:
    route = routed(ClusterAction("", weighted=WeightedClusters([entry("", cluster_header=b"x-c")], 0.0)))
    made = route.with_cluster(request((b"x-c", b"one")), INFO)
    assert made is not None
    assert isinstance(made.action, ClusterAction)
    assert (made.action.cluster, made.entry is not None) == ("one", True)


def test_without_any_weight_there_is_no_route() -> None:
    route = routed(ClusterAction("", weighted=clusters(0, 0)))
    assert route.with_cluster(request(), INFO) is None


def test_the_clusters_that_are_named() -> None:
    assert ClusterAction("a").named_clusters == [("a", "cluster")]
    assert ClusterAction("", cluster_header=b"x").named_clusters == []
    weighted = WeightedClusters([entry("b"), entry("", cluster_header=b"x")], 0.0)
    assert ClusterAction("", weighted=weighted).named_clusters == [("b", "weighted cluster")]


def test_a_weighted_cluster_is_mirrored_and_counted_as_its_route() -> None:
    mirrors = (MirrorPolicy(cluster="shadow"),)
    counts = RequestCounts(Store().scope("route."))
    action = ClusterAction("", weighted=clusters(1), mirrors=mirrors)
    route = Route("", PrefixPath(b"/"), action, counts=counts)
    RouteTable("", [VirtualHost("v", [b"*"], [route])])
    made = route.with_cluster(request(), INFO)
    assert made is not None
    assert (made.mirrors, made.counts) == (mirrors, counts)
