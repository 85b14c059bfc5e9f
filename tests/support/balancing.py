"""Balancers for tests: hosts in sets, a balancer over them, and picks as numbers of hosts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo, UpstreamOverrideHost
from envoymesh.metadata import MatchCriteria, match_criteria
from envoymesh.network.api import Address
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Store
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.config import read_cluster
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.api import LbParams, LoadBalancer
from envoymesh.upstream.lb.factory import make_load_balancer, zone_of
from envoymesh.upstream.lb.priorities import PriorityLoad
from envoymesh.upstream.lb.settings import LbSettings
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings, Locality
from envoymesh.upstream.stats import ClusterStats
from tests.support.fakes import FakeRuntime
from tests.support.stand_ins import stands_for

Json = dict[str, Any]


def host(number: int, *, metadata: Json | None = None, zone: str = "", **endpoint: Any) -> Host:
    """Host 10.0.0.NUMBER; `metadata` are the values of its ``envoy.lb``."""
    address = Address(f"10.0.0.{number}", 80)
    kept = {"UPSTREAM_HOST": {"envoy.lb": metadata}} if metadata is not None else None
    settings = EndpointSettings(address.host, 80, metadata=kept, locality=Locality("", zone, ""), **endpoint)
    return Host(address, settings)


def number_of(picked: Host | None) -> int:
    """The number of `host`; 0 for none."""
    return 0 if picked is None else int(picked.address.host.rpartition(".")[2])


def priority_set(*priorities: Iterable[Host], local: str | None = None, **update: Any) -> PrioritySet:
    """Hosts by priority; `local` is the zone of this proxy."""
    made = PrioritySet(Locality("", local, "") if local is not None else None)
    for priority, hosts in enumerate(priorities):
        made.update_hosts(priority, hosts, **update)
    return made


def in_zones(weights: Mapping[str, int]) -> dict[Locality, int]:
    """Weights of localities by their zones."""
    return {Locality("", zone, ""): weight for zone, weight in weights.items()}


def draws(*numbers: int) -> Callable[[], float]:
    """A random source that makes balancers draw these numbers in turn, over and over."""
    at = [0]

    def random() -> float:
        at[0] += 1
        return numbers[(at[0] - 1) % len(numbers)] / 2.0**53

    return random


class Context(stands_for(LoadBalancerContext)):
    """A request, as a test wants it to be."""

    def __init__(
        self,
        hash_key: int | None = None,
        criteria: Json | MatchCriteria | None = None,
        refused: Iterable[Host] = (),
        attempts: int = 1,
        override: UpstreamOverrideHost | None = None,
        headers: RequestHeaders | None = None,
        info: StreamInfo | None = None,
        load: Callable[[PrioritySet, PriorityLoad], PriorityLoad] | None = None,
    ) -> None:
        self._hash_key = hash_key
        self._criteria = match_criteria(criteria) if isinstance(criteria, dict) else criteria
        self._refused = tuple(refused)
        self._attempts = attempts
        self._override = override
        self._headers = headers
        self._info = info
        self._load = load

    def is_retry(self) -> bool:
        return bool(self._refused) or self._load is not None

    def should_select_another_host(self, host: Host) -> bool:
        return host in self._refused

    def host_selection_attempts(self) -> int:
        return self._attempts

    def determine_priority_load(self, priority_set: PrioritySet, original: PriorityLoad) -> PriorityLoad:
        return original if self._load is None else self._load(priority_set, original)

    def hash_key(self) -> int | None:
        return self._hash_key

    def metadata_match_criteria(self) -> MatchCriteria | None:
        return self._criteria

    def override_host_to_select(self) -> UpstreamOverrideHost | None:
        return self._override

    def downstream_headers(self) -> RequestHeaders | None:
        return self._headers

    def request_stream_info(self) -> StreamInfo | None:
        return self._info


class Balanced:
    """A balancer over hosts, its clock, its chance and its stats."""

    def __init__(
        self,
        settings: LbSettings,
        hosts: PrioritySet,
        random: Callable[[], float] = lambda: 0.0,
        panic_threshold: int = 50,
        local: PrioritySet | None = None,
        runtime: RuntimeReader | None = None,
    ) -> None:
        self.hosts = hosts
        self.local = local
        self.store = Store()
        scope = self.store.scope("cluster.c.")
        self.stats = ClusterStats.create(scope)
        self.now = 100.0
        zone = zone_of(settings, local, runtime or FakeRuntime()) if local is not None else None
        params = LbParams(hosts, self.stats, scope, random, lambda: self.now, panic_threshold, zone)
        self.balancer: LoadBalancer = make_load_balancer(settings, params)

    def pick(self, context: LoadBalancerContext | None = None) -> int:
        """The number of the picked host."""
        return number_of(self.balancer.choose_host(context))

    def picks(self, count: int, context: LoadBalancerContext | None = None) -> list[int]:
        """The numbers of so many picked hosts."""
        return [self.pick(context) for _ in range(count)]

    def stat(self, name: str) -> int:
        """A counter or gauge of the cluster by its name."""
        return int(getattr(self.stats, name).value)


def cluster_settings(cluster: Json, runtime: RuntimeReader | None = None) -> ClusterSettings:
    """A cluster of JSON, read as a proxy reads it; everything must have been read."""
    for name in set(re.findall(r"type\.googleapis\.com/([\w.]+)", str(cluster))):
        message_class(name)  # known from now on
    message = message_class("envoy.config.cluster.v3.Cluster")()
    reader = Reader(json_format.ParseDict(cluster, message), "clusters[0]")
    settings = read_cluster(reader, runtime or FakeRuntime())
    reader.finish()
    return settings
