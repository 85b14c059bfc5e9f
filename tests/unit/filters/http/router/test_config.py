"""envoy.extensions.filters.http.router.v3.Router -> router filters."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.extensions.filters.http.router.v3 import router_pb2
from google.protobuf import json_format

from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.filters.http.router import RouterFilter
from envoymesh.filters.http.router.config import router_filter_factory
from envoymesh.http.filter import FilterChainFactoryCallbacks
from envoymesh.http.headers import RequestHeaders
from envoymesh.router.table import ClusterAction
from envoymesh.stats import Store
from tests.support.fakes import FakeRuntime
from tests.support.router import RouterBench
from tests.support.stand_ins import stands_for

PATH = "http_filters[0].typed_config"


class Chain(stands_for(FilterChainFactoryCallbacks)):
    """Takes the filters of one stream."""

    def __init__(self) -> None:
        self.filters: list[Any] = []

    def add_decoder_filter(self, filter_: Any) -> None:
        self.filters.append(filter_)

    def add_encoder_filter(self, filter_: Any) -> None:
        raise AssertionError("a router has no encoder side")


def context(bench: RouterBench) -> HttpFilterFactoryContext:
    return HttpFilterFactoryContext(
        bench, bench.async_client, bench.dispatcher, Store().scope("http.p."), lambda: 0.5, FakeRuntime()
    )  # type: ignore[arg-type]


def made(**settings: Any) -> tuple[RouterBench, RequestHeaders]:
    """A router of these settings, with a request sent through it."""
    bench = RouterBench(ClusterAction("c"))
    reader = Reader(json_format.ParseDict(settings, router_pb2.Router()), PATH)
    add = router_filter_factory(reader, context(bench))
    reader.finish()
    chains = [Chain(), Chain()]
    for chain in chains:
        add(chain)
    (first,), (second,) = (chain.filters for chain in chains)
    assert isinstance(first, RouterFilter)
    assert first is not second
    first.set_decoder_filter_callbacks(bench.client)
    headers = RequestHeaders(b"GET", b"/", b"a", b"http", [(b"x-envoy-expected-rq-timeout-ms", b"70")])
    first.decode_headers(headers, True)
    return bench, headers


def test_defaults() -> None:
    bench, headers = made()
    assert headers.get(b"x-envoy-expected-rq-timeout-ms") == b"15000"
    bench.cluster.ready().answer(200)
    assert bench.client.headers is not None
    assert b"x-envoy-upstream-service-time" in bench.client.headers


def test_suppress_envoy_headers() -> None:
    bench, headers = made(suppress_envoy_headers=True)
    assert headers.get(b"x-envoy-expected-rq-timeout-ms") == b"70"
    bench.cluster.ready().answer(200)
    assert bench.client.headers is not None
    assert not bench.client.headers.fields


def test_respect_expected_rq_timeout() -> None:
    bench, headers = made(respect_expected_rq_timeout=True, dynamic_stats=True)
    assert headers.get(b"x-envoy-expected-rq-timeout-ms") == b"70"
    bench.cluster.ready()
    bench.dispatcher.advance(0.07)
    assert bench.client.status == 504


@pytest.mark.parametrize("field", ["start_child_span", "suppress_grpc_request_failure_code_stats"])
def test_what_is_not_supported_is_refused_by_its_path(field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(**{field: True})
    assert caught.value.path == f"{PATH}.{field}"


def test_dynamic_stats_may_be_turned_off() -> None:
    for wanted in (True, False):
        bench = RouterBench(ClusterAction("c"))
        reader = Reader(json_format.ParseDict({"dynamic_stats": wanted}, router_pb2.Router()), PATH)
        chain = Chain()
        router_filter_factory(reader, context(bench))(chain)
        assert chain.filters[0].config.dynamic_stats is wanted
