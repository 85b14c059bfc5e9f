"""The dynamic forward proxy filter: a request waits for its host's name, is refused, or goes on."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.filters.http.dynamic_forward_proxy.config import dynamic_forward_proxy_filter_factory
from envoymesh.filters.http.dynamic_forward_proxy.filter import (
    UPSTREAM_ADDRESS,
    DynamicForwardProxyFilter,
    DynamicForwardProxySettings,
    HostRewrite,
    UpstreamAddressState,
)
from envoymesh.filters.http.registry import read_route_filter_config
from envoymesh.http.filter import FilterHeadersStatus, StreamDecoderFilterCallbacks
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import ResponseFlag, StreamInfo
from envoymesh.network.api import Address
from envoymesh.router.config import RouteFactoryContext
from envoymesh.router.paths import PrefixPath
from envoymesh.router.table import ClusterAction, Route
from envoymesh.stats import Store
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.dynamic_forward_proxy.dns_cache import DnsCaches
from envoymesh.upstream.settings import ClusterSettings, DnsCacheSettings
from tests.support.fakes import FakeConnection, FakeDispatcher, FakeResolver, FakeRuntime
from tests.support.stand_ins import stands_for

KIND = "envoy.extensions.filters.http.dynamic_forward_proxy.v3."
CONTINUE, STOP, STOP_ALL = (
    FilterHeadersStatus.CONTINUE, FilterHeadersStatus.STOP, FilterHeadersStatus.STOP_ALL_AND_WATERMARK
)  # fmt: skip


class Cluster:
    """As much of a cluster as is asked."""

    def __init__(self, kind: str) -> None:
        self.settings = ClusterSettings("c", discovery_type=kind)
        self.info = ClusterInfo(self.settings, Store().scope("cluster.c."), FakeRuntime())


class World(stands_for(StreamDecoderFilterCallbacks)):
    """A filter with a stream around it; the callbacks are this object."""

    def __init__(
        self,
        kind: str = "DYNAMIC_FORWARD_PROXY",
        rewrite: HostRewrite | None = None,
        save: bool = False,
        **settings: Any,
    ) -> None:
        self.dispatcher = FakeDispatcher()
        self.resolver = FakeResolver()
        store = Store()
        self.dns_caches = DnsCaches(
            store.scope(""), lambda dns: self.resolver, self.dispatcher, lambda: 0.5, FakeRuntime()
        )
        self.cache = self.dns_caches.get(DnsCacheSettings("c", **settings))
        self.cluster: Any = Cluster(kind)
        self.most_specific_per_filter_config = rewrite
        self.route: Any = Route("r", PrefixPath(b"/"), ClusterAction("c"))
        self.stream_info = StreamInfo(FakeConnection(), None, 0.0, 0.0, 1)
        self.replies: list[tuple[int, bytes, str]] = []
        self.continued = 0
        self.faults: list[Exception] = []
        clusters: Any = self
        self.filter = DynamicForwardProxyFilter(DynamicForwardProxySettings(self.cache, clusters, save))
        callbacks: Any = self
        self.filter.set_decoder_filter_callbacks(callbacks)

    def get(self, name: str) -> Any:
        return self.cluster if name == "c" else None

    def send_local_reply(self, status: int, body: bytes, details: str, *more: Any) -> None:
        self.replies.append((status, body, details))

    def continue_decoding(self) -> None:
        self.continued += 1

    def on_exception(self, where: str, error: Exception) -> None:
        self.faults.append(error)

    def send(self, host: bytes = b"a", **fields: str) -> tuple[FilterHeadersStatus, RequestHeaders]:
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        headers = RequestHeaders(b"GET", b"/", host, b"http", pairs)
        return self.filter.decode_headers(headers, True), headers

    @property
    def waiting(self) -> int:
        return self.cache.pending_requests.count


def test_a_request_waits_for_its_name_and_goes_on() -> None:
    world = World(save=True)
    assert world.send(b"a:81")[0] is STOP_ALL
    assert (world.waiting, world.resolver.last.name) == (1, "a")
    world.resolver.last.answer("10.0.0.1")
    assert (world.waiting, world.continued, world.replies) == (0, 1, [])
    state = (world.stream_info.filter_state or {})[UPSTREAM_ADDRESS]
    assert isinstance(state, UpstreamAddressState)
    assert state.address == Address("10.0.0.1", 81)


def test_a_name_that_is_known_costs_no_wait() -> None:
    world = World()
    world.send()
    world.resolver.last.answer("10.0.0.1")
    assert world.send()[0] is CONTINUE
    assert (len(world.resolver.queries), world.waiting) == (1, 0)
    assert world.stream_info.filter_state is None


def test_a_name_that_nobody_has() -> None:
    world = World()
    world.send()
    world.resolver.last.details = "cares_norecords:x"
    world.resolver.last.answer()
    failure = (503, b"DNS resolution failure", "dns_resolution_failure{cares_norecords:x}")
    assert (world.replies, world.continued) == ([failure], 0)
    assert world.stream_info.flags & ResponseFlag.DNS_RESOLUTION_FAILED
    assert world.send()[0] is STOP
    assert world.replies == [failure] * 2


def test_no_room() -> None:
    world = World(max_hosts=0)
    assert world.send()[0] is STOP
    assert world.replies == [(503, b"DNS cache overflow", "dns_cache_overflow")]
    world = World(max_pending_requests=0)
    assert world.send()[0] is STOP
    overflow = "dynamic_forward_proxy_pending_request_overflow"
    assert world.replies == [(503, b"Dynamic forward proxy pending request overflow", overflow)]
    assert world.waiting == 0


def test_no_host() -> None:
    world = World()
    assert world.send(b"")[0] is STOP
    assert (world.replies, world.waiting) == ([(400, b"Empty host header", "empty_host_header")], 0)


def test_a_request_that_goes_while_it_waits() -> None:
    world = World()
    world.send()
    world.filter.on_destroy()
    assert world.waiting == 0
    world.resolver.last.answer("10.0.0.1")
    assert world.continued == 0
    world.filter.on_destroy()
    assert world.waiting == 0


def test_what_goes_on_and_fails_costs_one_request() -> None:
    world = World()
    world.send()

    def fail() -> None:
        raise ZeroDivisionError

    world.continue_decoding = fail  # type: ignore[method-assign]
    world.resolver.last.answer("10.0.0.1")
    assert [type(each) for each in world.faults] == [ZeroDivisionError]


def test_requests_that_go_elsewhere_pass() -> None:
    assert World("STRICT_DNS").send()[0] is CONTINUE
    world = World()
    world.cluster = None
    assert world.send()[0] is CONTINUE
    world.route = None
    assert world.send()[0] is CONTINUE
    assert world.resolver.queries == []


def test_another_host_for_a_route() -> None:
    world = World(rewrite=HostRewrite(literal=b"b:1"))
    _, headers = world.send()
    assert (headers.authority, world.resolver.last.name) == (b"b:1", "b")
    world = World(rewrite=HostRewrite(header=b"x-host"))
    _, headers = world.send(x_host="c")
    assert (headers.authority, world.resolver.last.name) == (b"c", "c")
    assert world.send()[1].authority == b"a"


def reader(name: str, **fields: Any) -> Reader:
    return Reader(json_format.ParseDict(fields, message_class(KIND + name)()), "at")


def test_settings() -> None:
    context: Any = World()
    context.clusters = context
    config = reader("FilterConfig", dns_cache_config={"name": "c"}, save_upstream_address=True)
    make = dynamic_forward_proxy_filter_factory(config, context)
    config.finish()
    made: list[DynamicForwardProxyFilter] = []
    context.add_decoder_filter = made.append
    make(context)
    assert made[0]._settings.cache is context.cache
    assert made[0]._settings.save_upstream_address
    other = reader("FilterConfig", dns_cache_config={"name": "c", "max_hosts": 1})
    with pytest.raises(ConfigError, match=r"at\.dns_cache_config: config specified DNS cache 'c' with different"):
        dynamic_forward_proxy_filter_factory(other, context)
    for fields in (
        {"sub_cluster_config": {}},
        {"dns_cache_config": {"name": "c"}, "allow_dynamic_host_from_filter_state": True},
    ):
        with pytest.raises(ConfigError, match="not supported"):
            dynamic_forward_proxy_filter_factory(reader("FilterConfig", **fields), context)


@pytest.mark.parametrize("field", ["literal", "header"])
def test_settings_of_routes(field: str) -> None:
    context = RouteFactoryContext(lambda *arguments: None, FakeRuntime(), lambda: 0.5)
    config = reader("PerRouteConfig", **{f"host_rewrite_{field}": "X-a"})
    value = b"x-a" if field == "header" else b"X-a"
    assert read_route_filter_config("f", config, False, context) == HostRewrite(**{field: value})
