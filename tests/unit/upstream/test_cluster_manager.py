"""All clusters: found by name, initialised together, shut down together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from envoymesh.network.api import Address, ClientTls
from envoymesh.network.settings import CommonTlsSettings, UpstreamTlsSettings
from envoymesh.stats import Scope, Store
from envoymesh.upstream.cluster_manager import StaticClusterManager
from envoymesh.upstream.lb.settings import ClusterProvidedSettings
from envoymesh.upstream.settings import ClusterSettings, DnsSettings, EndpointSettings, Locality
from tests.support.fakes import FakeConnector, FakeDispatcher, FakeResolver, FakeRuntime


class MadeTls:
    """What `make_tls` gives; implements `network.api.ClientTls`."""

    def for_names(self, server_name: str, subject_alt_names: tuple[str, ...]) -> ClientTls:
        return self


class World:
    """A manager of these clusters."""

    def __init__(self, *settings: ClusterSettings, zone: str = "", local_cluster: str = "") -> None:
        self.store = Store()
        self.resolver = FakeResolver()
        self.dispatcher = FakeDispatcher()
        self.connector = FakeConnector()
        self.made_tls: list[str] = []
        self.asked: list[DnsSettings] = []
        self.initialised = 0
        self.manager = StaticClusterManager(
            settings,
            self.store.scope(""),
            self.connector,
            self.make_resolver,
            self.dispatcher,
            lambda: 0.0,
            FakeRuntime(),
            self.make_tls,
            Locality("", zone, "") if zone else None,
            local_cluster,
        )

    def make_resolver(self, dns: DnsSettings) -> FakeResolver:
        self.asked.append(dns)
        return self.resolver

    def make_tls(self, settings: UpstreamTlsSettings, scope: Scope) -> ClientTls:
        self.made_tls.append(scope.prefix)
        return MadeTls()

    def initialise(self) -> None:
        def done() -> None:
            self.initialised += 1

        self.manager.initialise(done)


STATIC = ClusterSettings(name="static", endpoints=[EndpointSettings("10.0.0.1", 80)], stat_name="static")
DNS = ClusterSettings(
    name="dns", discovery_type="STRICT_DNS", endpoints=[EndpointSettings("name", 80)], stat_name="other:name"
)


def test_clusters_are_found_by_name() -> None:
    world = World(STATIC, DNS)
    assert world.manager.get("static") is world.manager.clusters()["static"]
    assert world.manager.get("nobody") is None
    assert world.store.gauges.by_name["cluster_manager.active_clusters"].value == 2
    assert world.store.counters.by_name["cluster_manager.cluster_added"].value == 2


def in_zones(name: str, *zones: str) -> ClusterSettings:
    endpoints = [
        EndpointSettings(f"10.0.0.{number}", 80, locality=Locality("", zone, ""))
        for number, zone in enumerate(zones, 1)
    ]
    return ClusterSettings(name=name, endpoints=endpoints, stat_name=name)


@pytest.mark.parametrize("local_first", [False, True])
def test_traffic_stays_in_the_zone_of_this_proxy(local_first: bool) -> None:
    clusters = [in_zones("up", *"aaabbb"), in_zones("beside", "a", "b")]
    world = World(*(reversed(clusters) if local_first else clusters), zone="b", local_cluster="beside")
    world.initialise()
    assert list(world.manager.clusters()) == (["beside", "up"] if local_first else ["up", "beside"])
    up = world.manager.clusters()["up"]
    picked = {up.choose_host(None) for _ in range(12)}
    assert {host.locality.zone for host in picked if host is not None} == {"b"}
    assert up.stats.lb_zone_routing_all_directly.value == 12
    # The local cluster itself is balanced as if there were none.
    assert world.manager.clusters()["beside"].stats.lb_recalculate_zone_structures.value == 0


def test_without_a_local_cluster_zones_do_not_matter() -> None:
    world = World(in_zones("up", *"aaabbb"), zone="b")
    world.initialise()
    up = world.manager.clusters()["up"]
    assert len({up.choose_host(None) for _ in range(12)}) == 6


def test_stats_carry_the_alternative_name() -> None:
    world = World(DNS)
    assert "cluster.other_name.upstream_rq_total" in world.store.counters.by_name


def test_initialised_when_all_have_their_first_answer() -> None:
    world = World(STATIC, DNS)
    world.initialise()
    assert world.initialised == 0
    world.resolver.last.answer("10.0.0.2")
    assert world.initialised == 1
    dns = world.manager.get("dns")
    assert dns is not None
    assert [str(host.address) for host in dns.hosts] == ["10.0.0.2:80"]


def test_without_clusters_there_is_nothing_to_wait_for() -> None:
    world = World()
    world.initialise()
    assert world.initialised == 1


def test_tls_is_made_for_those_who_want_it() -> None:
    secure = ClusterSettings(name="s", stat_name="s", tls={"HTTP1": UpstreamTlsSettings(CommonTlsSettings())})
    assert World(STATIC, secure).made_tls == ["cluster.s."]


def test_shutdown_stops_discovery() -> None:
    world = World(DNS)
    world.initialise()
    world.resolver.last.answer("10.0.0.2")
    world.manager.shutdown()
    world.dispatcher.advance(60.0)
    assert len(world.resolver.queries) == 1


def test_changes_of_hosts_are_counted_once_a_cluster_is_initialised() -> None:
    world = World(DNS)
    world.initialise()
    updates = world.store.counters.by_name["cluster_manager.cluster_updated"]
    world.resolver.last.answer("10.0.0.2")
    assert updates.value == 0
    world.dispatcher.advance(5.0)
    world.resolver.last.answer("10.0.0.3")
    assert updates.value == 1


def test_an_aggregate_knows_the_other_clusters() -> None:
    whole = ClusterSettings(
        name="whole", stat_name="whole", discovery_type="AGGREGATE", aggregated=["static"], lb=ClusterProvidedSettings()
    )
    world = World(whole, STATIC)
    world.initialise()
    aggregate = world.manager.get("whole")
    assert aggregate is not None
    host = aggregate.choose_host(None)
    assert host is not None
    assert str(host.address) == "10.0.0.1:80"
    assert (world.initialised, aggregate.wants_request) == (1, True)
    world.manager.shutdown()


def test_an_original_destination_is_the_requests_business() -> None:
    settings = ClusterSettings("o", stat_name="o", discovery_type="ORIGINAL_DST", lb=ClusterProvidedSettings())
    world = World(settings)
    world.initialise()
    cluster = world.manager.get("o")
    assert cluster is not None
    assert cluster.choose_host(None) is None
    assert (world.initialised, cluster.wants_request) == (1, True)


def test_each_cluster_with_names_is_resolved_as_it_says() -> None:
    own = DnsSettings((Address("127.0.0.1", 5353),), use_tcp_for_dns_lookups=True)
    world = World(STATIC, DNS, replace(DNS, name="own", stat_name="own", dns=own))
    world.initialise()
    assert world.asked == [DnsSettings(), own]
