"""Settings of a policy -> its balancer. This is the list of policies; nothing registers itself."""

from __future__ import annotations

from envoymesh.runtime import RuntimeReader
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.api import LbParams, LoadBalancer, Zone
from envoymesh.upstream.lb.cluster_provided import ClusterProvided
from envoymesh.upstream.lb.least_request import LeastRequest
from envoymesh.upstream.lb.maglev import Maglev
from envoymesh.upstream.lb.override_host import OverrideHost
from envoymesh.upstream.lb.random_choice import RandomChoice
from envoymesh.upstream.lb.ring_hash import RingHash
from envoymesh.upstream.lb.round_robin import RoundRobin
from envoymesh.upstream.lb.settings import (
    LbSettings,
    LeastRequestSettings,
    LocalitySettings,
    MaglevSettings,
    OverrideHostSettings,
    RandomSettings,
    RingHashSettings,
    RoundRobinSettings,
    SubsetSettings,
)
from envoymesh.upstream.lb.subset import SubsetLoadBalancer


def make_load_balancer(settings: LbSettings, params: LbParams) -> LoadBalancer:
    """The balancer of a policy."""
    if isinstance(settings, RoundRobinSettings):
        return RoundRobin(params, settings)
    if isinstance(settings, LeastRequestSettings):
        return LeastRequest(params, settings)
    if isinstance(settings, RandomSettings):
        return RandomChoice(params, settings)
    if isinstance(settings, RingHashSettings):
        return RingHash(params, settings)
    if isinstance(settings, MaglevSettings):
        return Maglev(params, settings)
    if isinstance(settings, SubsetSettings):
        return _make_subsets(settings, params)
    if isinstance(settings, OverrideHostSettings):
        fallback = make_load_balancer(settings.fallback, params)
        return OverrideHost(params.priority_set, settings, fallback)
    return ClusterProvided()


def _make_subsets(settings: SubsetSettings, params: LbParams) -> LoadBalancer:
    balancer: list[SubsetLoadBalancer] = []

    def make_child(priority_set: PrioritySet) -> LoadBalancer:
        threshold = balancer[0].panic_threshold if balancer else params.panic_threshold
        return make_load_balancer(settings.policy, params.of(priority_set, threshold))

    made = SubsetLoadBalancer(params, settings, make_child)
    balancer.append(made)
    return made


def zone_of(settings: LbSettings, local: PrioritySet, runtime: RuntimeReader) -> Zone:
    """What a cluster's balancer needs to route by zones, where the cluster manager has a local cluster."""
    zone_aware = locality_settings(settings).zone_aware
    return Zone(
        local,
        runtime.share("upstream.zone_routing.enabled", zone_aware.routing_enabled),
        runtime.number("upstream.zone_routing.min_cluster_size", zone_aware.min_cluster_size),
    )


def locality_settings(settings: LbSettings) -> LocalitySettings:
    """How localities take part in a policy, or in the one inside it."""
    if isinstance(settings, SubsetSettings):
        return locality_settings(settings.policy)
    if isinstance(settings, OverrideHostSettings):
        return locality_settings(settings.fallback)
    if isinstance(settings, RoundRobinSettings | LeastRequestSettings | RandomSettings):
        return settings.locality
    return LocalitySettings()
