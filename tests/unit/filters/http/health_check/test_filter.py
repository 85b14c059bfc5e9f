"""The health check filter alone: what it answers, passes through and remembers."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.access_loggers.filters import not_health_check_filter
from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.filters.http.health_check.config import health_check_filter_factory
from envoymesh.filters.http.health_check.filter import HealthCheckFilter
from envoymesh.http.filter import (
    FilterDataStatus,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamDecoderFilterCallbacks,
)
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import ResponseFlag
from envoymesh.stats import Store
from envoymesh.upstream.stats import ClusterStats
from tests.support.fakes import FakeDispatcher
from tests.support.stand_ins import stands_for

KIND = "envoy.extensions.filters.http.health_check.v3.HealthCheck"
PATH = {"name": ":path", "string_match": {"exact": "/hc"}}


class Cluster:
    """What the filter looks at of a cluster."""

    def __init__(self, total: int, healthy: int, degraded: int = 0) -> None:
        self.stats = ClusterStats.create(Store().scope("c."))
        self.stats.membership_total.set(total)
        self.stats.membership_healthy.set(healthy)
        self.stats.membership_degraded.set(degraded)


class Info:
    """What the filter tells of a request."""

    def __init__(self) -> None:
        self.health_check = False
        self.flags = 0


class World(stands_for(StreamDecoderFilterCallbacks)):
    """A filter's settings, and what requests were answered with."""

    def __init__(self, **settings: Any) -> None:
        self.dispatcher = FakeDispatcher()
        self.store = Store()
        self.failed = False
        self.clusters: dict[str, Any] = {}
        self.replies: list[tuple[int, str]] = []
        self.filter: Any = None
        self.info = Info()
        context: Any = HttpFilterFactoryContext(
            self.clusters, None, self.dispatcher, self.store.scope("http.t."), lambda: 0.0, None,
            lambda: self.failed, "service",
        )  # type: ignore[arg-type]  # fmt: skip
        fields = {"pass_through_mode": False, "headers": [PATH], **settings}
        reader = Reader(json_format.ParseDict(fields, message_class(KIND)()), "there")
        self.add = health_check_filter_factory(reader, context)
        reader.finish()

    # FilterChainFactoryCallbacks, and those of the filter

    def add_filter(self, made: HealthCheckFilter) -> None:
        self.filter = made
        made.decoder_callbacks = self  # type: ignore[assignment]

    @property
    def stream_info(self) -> Info:
        return self.info

    def send_local_reply(self, status: int, body: bytes, details: str, mark: Any = None) -> None:
        assert body == b""
        self.replies.append((status, details))
        headers = ResponseHeaders(status, [])
        if mark is not None:
            mark(headers)
        self.respond(headers)

    # What the test does

    def ask(self, path: bytes = b"/hc", end_stream: bool = True) -> FilterHeadersStatus:
        self.info = Info()
        self.add(self)  # type: ignore[arg-type]
        status: FilterHeadersStatus = self.filter.decode_headers(
            RequestHeaders(b"GET", path, b"a", b"http"), end_stream
        )
        return status

    def respond(self, headers: ResponseHeaders) -> ResponseHeaders:
        self.response = headers
        assert self.filter.encode_headers(headers, True) is FilterHeadersStatus.CONTINUE
        return headers

    def count(self, name: str) -> int:
        return self.store.counters.by_name[f"http.t.{name}"].value


def test_a_check_is_answered() -> None:
    world = World()
    assert world.ask() is FilterHeadersStatus.STOP
    assert world.replies == [(200, "health_check_ok")]
    assert world.info.health_check
    assert world.response.get(b"x-envoy-upstream-healthchecked-cluster") == b"service"
    assert (world.count("health_check.ok"), world.count("tracing.health_check")) == (1, 1)


def test_other_requests_go_on() -> None:
    world = World()
    assert world.ask(b"/other") is FilterHeadersStatus.CONTINUE
    assert world.filter.decode_data(b"a", True) is FilterDataStatus.CONTINUE
    assert world.filter.decode_trailers(HeaderMap()) is FilterTrailersStatus.CONTINUE
    assert not world.replies
    assert not world.info.health_check
    assert world.respond(ResponseHeaders(200, [])).fields == []


def test_a_check_is_answered_at_its_end() -> None:
    world = World()
    assert world.ask(end_stream=False) is FilterHeadersStatus.STOP
    assert world.filter.decode_data(b"a", False) is FilterDataStatus.STOP_NO_BUFFER
    assert not world.replies
    assert world.filter.decode_data(b"", True) is FilterDataStatus.STOP_NO_BUFFER
    world.ask(end_stream=False)
    assert world.filter.decode_trailers(HeaderMap()) is FilterTrailersStatus.STOP
    assert world.replies == [(200, "health_check_ok")] * 2


def test_failed_by_the_admin() -> None:
    world = World(pass_through_mode=True)
    assert world.ask() is FilterHeadersStatus.CONTINUE
    world.failed = True
    assert world.ask() is FilterHeadersStatus.STOP
    assert world.replies == [(503, "health_check_failed")]
    assert world.info.flags == ResponseFlag.FAILED_LOCAL_HEALTH_CHECK
    assert world.response.get(b"x-envoy-immediate-health-check-fail") == b"true"
    assert world.ask(b"/other") is FilterHeadersStatus.CONTINUE
    assert world.respond(ResponseHeaders(200, [])).get(b"x-envoy-immediate-health-check-fail") == b"true"


@pytest.mark.parametrize(
    ("percents", "answer"),
    [
        ({"half": 50}, (200, "health_check_ok_cluster_healthy")),
        ({"half": 50.9}, (200, "health_check_ok_cluster_healthy")),
        ({"half": 51}, (503, "health_check_failed_cluster_unhealthy")),
        ({"degraded": 100}, (200, "health_check_ok_cluster_healthy")),
        ({"empty": 0}, (200, "health_check_ok_cluster_healthy")),
        ({"empty": 1}, (503, "health_check_failed_cluster_empty")),
        ({"unknown": 0}, (503, "health_check_failed_no_cluster_found")),
        ({"degraded": 1, "half": 60}, (503, "health_check_failed_cluster_unhealthy")),
    ],
)
def test_clusters_decide(percents: dict[str, float], answer: tuple[int, str]) -> None:
    world = World(cluster_min_healthy_percentages={name: {"value": value} for name, value in percents.items()})
    world.clusters |= {"half": Cluster(4, 2), "degraded": Cluster(2, 1, 1), "empty": Cluster(0, 0)}
    world.ask()
    assert world.replies == [answer]
    assert world.count("health_check.failed") == (answer[0] != 200)


def test_clusters_do_not_decide_where_checks_pass_through() -> None:
    world = World(pass_through_mode=True, cluster_min_healthy_percentages={"unknown": {"value": 1}})
    assert world.ask() is FilterHeadersStatus.CONTINUE


def test_an_answer_is_remembered_for_its_period() -> None:
    world = World(pass_through_mode=True, cache_time="10s")
    assert world.ask() is FilterHeadersStatus.CONTINUE
    world.respond(ResponseHeaders(500, [(b"x-envoy-degraded", b"")]))
    world.dispatcher.advance(9.0)
    assert world.ask() is FilterHeadersStatus.STOP
    assert world.replies == [(500, "health_check_cached")]
    assert world.response.get(b"x-envoy-degraded") == b""
    assert (world.count("health_check.cached_response"), world.count("health_check.degraded")) == (1, 1)
    world.dispatcher.advance(2.0)
    assert world.ask() is FilterHeadersStatus.CONTINUE, "another period"


@pytest.mark.parametrize("is_check", [True, False])
def test_checks_need_not_be_logged(is_check: bool) -> None:
    class Context:
        info = Info()

    context: Any = Context()
    context.info.health_check = is_check
    assert not_health_check_filter(context) is not is_check


def test_a_cache_needs_something_to_remember() -> None:
    with pytest.raises(ConfigError, match="must not be set when path_through_mode is disabled"):
        World(cache_time="1s")
