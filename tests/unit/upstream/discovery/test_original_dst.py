"""ORIGINAL_DST: the request says where it goes, and what nobody needs is dropped."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.network.api import Address
from envoymesh.stats import Store
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.original_dst import OriginalDst, parse_address
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.settings import ClusterSettings, OriginalDstSettings
from tests.support.fakes import FakeConnection, FakeDispatcher, FakeRuntime
from tests.support.stand_ins import stands_for

HEADER = b"x-envoy-original-dst-host"


class Request(stands_for(LoadBalancerContext)):
    """A request with headers and metadata."""

    def __init__(self, header: str | None = None, metadata: dict[str, Any] | None = None) -> None:
        self._headers = RequestHeaders(b"GET", b"/", b"a", b"http")
        if header is not None:
            self._headers.set(HEADER, header.encode())
        self._info = StreamInfo(FakeConnection(), HttpProtocol.HTTP11, 0.0, 0.0, 1)
        self._info.dynamic_metadata = metadata

    def should_select_another_host(self, host: Host) -> bool:
        return False

    def host_selection_attempts(self) -> int:
        return 0

    def hash_key(self) -> int | None:
        return None

    def downstream_headers(self) -> RequestHeaders | None:
        return self._headers

    def request_stream_info(self) -> StreamInfo | None:
        return self._info


class World:
    """A cluster named ``c`` that has begun."""

    def __init__(self, **settings: Any) -> None:
        original = OriginalDstSettings(**({"http_header": HEADER} | settings))
        cluster = ClusterSettings("c", discovery_type="ORIGINAL_DST", original_dst=original)
        self.info = ClusterInfo(cluster, Store().scope("cluster.c."), FakeRuntime())
        self.dispatcher = FakeDispatcher()
        self.used: set[Host] = set()
        self.discovery = OriginalDst(self.info, self.dispatcher, self.used.__contains__)
        self.hosts = PrioritySet()
        self.done = 0
        self.discovery.start(self.hosts, self.on_initialised)

    def on_initialised(self) -> None:
        self.done += 1

    def choose(self, header: str | None = None, metadata: dict[str, Any] | None = None) -> str | None:
        host = self.discovery.choose_host(Request(header, metadata))
        return None if host is None else str(host.address)

    def members(self) -> list[str]:
        return [str(host.address) for host in self.hosts.hosts()]


def test_it_begins_without_hosts() -> None:
    world = World()
    assert (world.done, world.members()) == (1, [])


def test_a_header_names_the_host() -> None:
    world = World()
    assert world.choose("10.0.0.1:80") == "10.0.0.1:80"
    assert world.choose("[::1]:81") == "[::1]:81"
    assert world.members() == ["10.0.0.1:80", "[::1]:81"]
    assert world.hosts.hosts()[0].hostname == "c10.0.0.1:80"


def test_the_same_address_is_the_same_host() -> None:
    world = World()
    world.choose("10.0.0.1:80")
    [host] = world.hosts.hosts()
    assert world.discovery.choose_host(Request("10.0.0.1:80")) is host


@pytest.mark.parametrize("header", ["name:80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:x", "10.0.0.1:70000", "::1:80", ""])
def test_a_header_that_is_no_address_is_counted(header: str) -> None:
    world = World()
    assert world.choose(header) is None
    assert world.info.stats.original_dst_host_invalid.value == 1


def test_without_a_header_there_is_no_host() -> None:
    world = World()
    assert world.choose() is None
    assert world.discovery.choose_host(None) is None
    assert world.info.stats.original_dst_host_invalid.value == 0


def test_a_header_counts_only_where_it_is_asked_for() -> None:
    assert World(http_header=b"").choose("10.0.0.1:80") is None


def test_another_port() -> None:
    assert World(port_override=99).choose("10.0.0.1:80") == "10.0.0.1:99"


def test_metadata_come_before_a_header() -> None:
    world = World(metadata_key=("space", "a", "b"))
    metadata = {"space": {"a": {"b": "10.0.0.2:80"}}}
    assert world.choose("10.0.0.1:80", metadata) == "10.0.0.2:80"
    assert world.choose("10.0.0.1:80", {"space": {"a": 3}}) == "10.0.0.1:80"
    assert world.choose("10.0.0.1:80", {"space": {"a": {"b": 3}}}) == "10.0.0.1:80"


def test_what_nobody_asks_for_is_dropped_after_two_rounds() -> None:
    world = World(cleanup_interval=5.0)
    world.choose("10.0.0.1:80")
    world.choose("10.0.0.2:80")
    world.dispatcher.advance(5.0)
    assert len(world.members()) == 2
    world.choose("10.0.0.2:80")
    world.dispatcher.advance(5.0)
    assert world.members() == ["10.0.0.2:80"]


def test_a_host_with_connections_stays() -> None:
    world = World(cleanup_interval=5.0)
    world.choose("10.0.0.1:80")
    [host] = world.hosts.hosts()
    world.used.add(host)
    world.dispatcher.advance(20.0)
    assert world.members() == ["10.0.0.1:80"]
    world.used.clear()
    world.dispatcher.advance(5.0)
    assert world.members() == []


def test_after_the_stop_nothing_is_dropped() -> None:
    world = World()
    world.choose("10.0.0.1:80")
    world.discovery.stop()
    assert not world.dispatcher.timers


def test_addresses_in_text() -> None:
    assert parse_address("[2001:db8::1]:443") == Address("2001:db8::1", 443)
    assert parse_address("10.0.0.1:0") == Address("10.0.0.1", 0)
    assert parse_address("[10.0.0.1]:80") == Address("10.0.0.1", 80)
