"""Settings of policies; texts of errors are the real Envoy's."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.errors import ConfigError
from envoymesh.metadata import match_criteria
from envoymesh.upstream.lb import settings as lb
from envoymesh.upstream.lb.settings import LocalitySettings, SlowStartSettings, ZoneAwareSettings
from tests.support.balancing import Json, cluster_settings
from tests.support.fakes import FakeRuntime

EXTENSION = "type.googleapis.com/envoy.extensions.load_balancing_policies."
ENDPOINT = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}}}


def read(**cluster: Any) -> lb.LbSettings:
    return cluster_settings({"name": "c", "type": "STATIC", **cluster}).lb


def one(kind: str, **fields: Any) -> Json:
    message = "".join(part.title() for part in kind.split("_"))
    typed = {"@type": f"{EXTENSION}{kind}.v3.{message}", **fields}
    return {"typed_extension_config": {"name": f"envoy.load_balancing_policies.{kind}", "typed_config": typed}}


def extension(kind: str, **fields: Any) -> lb.LbSettings:
    return read(load_balancing_policy={"policies": [one(kind, **fields)]})


def refused(**cluster: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read(**cluster)
    return f"{caught.value.path}: {caught.value.message}"


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("ROUND_ROBIN", lb.RoundRobinSettings()),
        ("LEAST_REQUEST", lb.LeastRequestSettings()),
        ("RANDOM", lb.RandomSettings()),
        ("RING_HASH", lb.RingHashSettings()),
        ("MAGLEV", lb.MaglevSettings()),
    ],
)
def test_policies(policy: str, expected: lb.LbSettings) -> None:
    assert read(lb_policy=policy) == expected
    assert extension(policy.lower()) == expected


def test_what_belongs_to_another_policy_is_without_effect() -> None:
    others: Json = {"least_request_lb_config": {"choice_count": 5}}
    assert read(lb_policy="RANDOM", **others) == lb.RandomSettings()
    hashing = {"consistent_hashing_lb_config": {"hash_balance_factor": 120}}
    assert read(common_lb_config=hashing) == lb.RoundRobinSettings()
    assert read(lb_policy="MAGLEV", common_lb_config={"zone_aware_lb_config": {}}) == lb.MaglevSettings()


def test_localities() -> None:
    weighted = LocalitySettings(weighted=True)
    assert read(common_lb_config={"locality_weighted_lb_config": {}}) == lb.RoundRobinSettings(weighted)
    assert read(lb_policy="RANDOM", common_lb_config={"locality_weighted_lb_config": {}}) == lb.RandomSettings(weighted)
    zone = {"routing_enabled": {"value": 30.4}, "min_cluster_size": 9, "fail_traffic_on_panic": True}
    aware = LocalitySettings(zone_aware=ZoneAwareSettings(0.30, 9, True))
    expected = lb.LeastRequestSettings(aware)
    assert read(lb_policy="LEAST_REQUEST", common_lb_config={"zone_aware_lb_config": zone}) == expected
    locality = {"locality_weighted_lb_config": {}}
    assert extension("round_robin", locality_lb_config=locality) == lb.RoundRobinSettings(weighted)
    assert extension("random", locality_lb_config=locality) == lb.RandomSettings(weighted)
    assert extension("ring_hash", locality_weighted_lb_config={}) == lb.RingHashSettings(locality_weighted=True)
    assert extension("maglev", locality_weighted_lb_config={}) == lb.MaglevSettings(locality_weighted=True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ZoneAwareSettings()),
        ({"min_cluster_size": 3}, ZoneAwareSettings(min_cluster_size=3)),
        ({"routing_enabled": {"value": 7}}, ZoneAwareSettings(routing_enabled=0.07)),
        ({"force_locality_direct_routing": True}, ZoneAwareSettings(force_local_zone_min_size=1)),
        ({"force_local_zone": {}}, ZoneAwareSettings(force_local_zone_min_size=1)),
        ({"force_local_zone": {"min_size": 3}}, ZoneAwareSettings(force_local_zone_min_size=3)),
        ({"locality_basis": "HEALTHY_HOSTS_WEIGHT"}, ZoneAwareSettings(by_weight=True)),
        ({"fail_traffic_on_panic": True}, ZoneAwareSettings(fail_traffic_on_panic=True)),
    ],
)
def test_zones_of_extensions(fields: Json, expected: ZoneAwareSettings) -> None:
    found = extension("least_request", locality_lb_config={"zone_aware_lb_config": fields})
    assert found == lb.LeastRequestSettings(LocalitySettings(zone_aware=expected))


def test_slow_start() -> None:
    slow = {
        "slow_start_window": "20s", "aggression": {"default_value": 2.5, "runtime_key": "k"},
        "min_weight_percent": {"value": 5},
    }  # fmt: skip
    runtime = FakeRuntime({"k": 3.5})
    cluster: Json = {"name": "c", "type": "STATIC"}
    round_robin = {**cluster, "round_robin_lb_config": {"slow_start_config": slow}}
    least = {**cluster, "load_balancing_policy": {"policies": [one("least_request", slow_start_config=slow)]}}
    legacy = {**cluster, "lb_policy": "LEAST_REQUEST", "least_request_lb_config": {"slow_start_config": slow}}
    turns = {**cluster, "load_balancing_policy": {"policies": [one("round_robin", slow_start_config=slow)]}}
    for each in (round_robin, least, legacy, turns):
        found = cluster_settings(each, runtime).lb
        assert isinstance(found, lb.RoundRobinSettings | lb.LeastRequestSettings)
        assert (found.slow_start.window, found.slow_start.min_weight_percent) == (20.0, 0.05)
        assert found.slow_start.aggression is not None
        assert (found.slow_start.aggression.key, found.slow_start.aggression.value) == ("k", 3.5)
    assert read(round_robin_lb_config={"slow_start_config": {}}) == lb.RoundRobinSettings(
        slow_start=SlowStartSettings()
    )


def test_least_request() -> None:
    bias = {"default_value": 0.5, "runtime_key": "b"}
    fields = {"choice_count": 7, "active_request_bias": bias}
    for found in (
        read(lb_policy="LEAST_REQUEST", least_request_lb_config=fields), extension("least_request", **fields)
    ):  # fmt: skip
        assert isinstance(found, lb.LeastRequestSettings)
        assert found.choice_count == 7
        assert not found.full_scan
        assert found.active_request_bias is not None
        assert found.active_request_bias.value == 0.5
    assert extension("least_request", selection_method="FULL_SCAN") == lb.LeastRequestSettings(full_scan=True)
    assert extension("least_request", enable_full_scan=True) == lb.LeastRequestSettings(full_scan=True)


def test_ring_hash() -> None:
    sizes: Json = {"minimum_ring_size": 8, "maximum_ring_size": 9, "hash_function": "MURMUR_HASH_2"}
    expected = lb.RingHashSettings(8, 9, murmur_hash2=True)
    assert read(lb_policy="RING_HASH", ring_hash_lb_config=sizes) == expected
    assert extension("ring_hash", **sizes) == expected
    own = {"use_hostname_for_hashing": True, "hash_balance_factor": 150}
    expected = lb.RingHashSettings(use_hostname_for_hashing=True, hash_balance_factor=150)
    assert extension("ring_hash", **own) == expected
    assert extension("ring_hash", consistent_hashing_lb_config=own) == expected
    # The newer message counts, where it is there.
    assert extension("ring_hash", consistent_hashing_lb_config={}, **own) == lb.RingHashSettings()


def test_maglev() -> None:
    hashing = {"use_hostname_for_hashing": True, "hash_balance_factor": 150}
    expected = lb.MaglevSettings(11, use_hostname_for_hashing=True, hash_balance_factor=150)
    assert extension("maglev", table_size=11, consistent_hashing_lb_config=hashing) == expected
    common = {"consistent_hashing_lb_config": hashing, "locality_weighted_lb_config": {}}
    found = cluster_settings({
        "name": "c", "type": "STRICT_DNS", "lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 11},
        "common_lb_config": common,
    }).lb  # fmt: skip
    assert found == lb.MaglevSettings(11, True, 150, True)


SELECTOR = {"keys": ["b", "a", "b"]}


def test_subsets() -> None:
    fields = {
        "fallback_policy": "DEFAULT_SUBSET", "default_subset": {"a": "1"}, "locality_weight_aware": True,
        "scale_locality_weight": True, "panic_mode_any": True, "list_as_any": True,
        "metadata_fallback_policy": "FALLBACK_LIST",
        "subset_selectors": [
            {**SELECTOR, "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["a"]},
            {"keys": ["c"], "single_host_per_subset": True}, {"keys": []},
        ],
    }  # fmt: skip
    expected: Json = {
        "selectors": [
            lb.SubsetSelectorSettings(("a", "b"), "KEYS_SUBSET", frozenset("a")),
            lb.SubsetSelectorSettings(("c",), single_host_per_subset=True),
        ],
        "fallback_policy": "DEFAULT_SUBSET", "default_subset": match_criteria({"a": "1"}),
        "locality_weight_aware": True, "scale_locality_weight": True, "panic_mode_any": True, "list_as_any": True,
        "fallback_list": True,
    }  # fmt: skip
    assert read(lb_policy="RANDOM", lb_subset_config=fields) == lb.SubsetSettings(lb.RandomSettings(), **expected)
    inner = {"policies": [one("maglev")]}
    found = extension("subset", subset_lb_policy=inner, allow_redundant_keys=True, **fields)
    assert found == lb.SubsetSettings(lb.MaglevSettings(), allow_redundant_keys=True, **expected)


def test_without_selectors_there_are_no_subsets() -> None:
    assert read(lb_subset_config={"fallback_policy": "ANY_ENDPOINT"}) == lb.RoundRobinSettings()


def test_hosts_that_requests_name() -> None:
    sources = [{"header": "X-To"}, {"metadata": {"key": "a.b", "path": [{"key": "c"}, {"key": "d"}]}}]
    found = extension("override_host", override_host_sources=sources, fallback_policy={"policies": [one("random")]})
    assert found == lb.OverrideHostSettings(
        [lb.OverrideHostSource(b"x-to"), lb.OverrideHostSource(metadata=("a.b", "c", "d"))], lb.RandomSettings()
    )


def test_the_first_policy_counts() -> None:
    policies = [one("random"), one("maglev", table_size=10)]
    assert read(lb_policy="MAGLEV", load_balancing_policy={"policies": policies}) == lb.RandomSettings()


def test_the_policy_has_its_own_localities() -> None:
    common = {"locality_weighted_lb_config": {}, "healthy_panic_threshold": {"value": 7}}
    found = cluster_settings({
        "name": "c", "type": "STATIC", "common_lb_config": common,
        "load_balancing_policy": {"policies": [one("round_robin")]},
    })  # fmt: skip
    assert (found.lb, found.healthy_panic_percent) == (lb.RoundRobinSettings(), 7)


def test_which_hosts_a_filter_may_choose() -> None:
    def of(**common: Any) -> frozenset[str]:
        return cluster_settings({"name": "c", "type": "STATIC", "common_lb_config": common}).override_host_status

    assert of() == {"UNKNOWN", "HEALTHY", "DEGRADED"}
    assert of(override_host_status={"statuses": ["DRAINING"]}) == {"DRAINING"}
    assert of(override_host_status={}) == frozenset()


SUBSETS = {"subset_selectors": [SELECTOR]}


@pytest.mark.parametrize(
    ("cluster", "path", "text"),
    [
        (
            {"lb_policy": "LOAD_BALANCING_POLICY_CONFIG"},
            "lb_policy",
            "cluster: field load_balancing_policy need to be set",
        ),
        (
            {"lb_policy": "CLUSTER_PROVIDED"},
            "lb_policy",
            "cluster manager: cluster provided LB specified but cluster 'c' did not provide one",
        ),
        (
            {"lb_policy": "CLUSTER_PROVIDED", "lb_subset_config": SUBSETS},
            "lb_subset_config",
            "cluster: LB policy CLUSTER_PROVIDED cannot be combined",
        ),
        (
            {"lb_subset_config": SUBSETS, "load_balancing_policy": {"policies": [one("random")]}},
            "load_balancing_policy",
            "cluster: load_balancing_policy cannot be combined with lb_subset_config",
        ),
        (
            {"load_balancing_policy": {}},
            "load_balancing_policy",
            "cluster: didn't find a registered load balancer factory implementation for cluster: 'c' with names from",
        ),
        (
            {"load_balancing_policy": {"policies": [one("pick_first")]}},
            "load_balancing_policy.policies[0]",
            "pick_first.v3.PickFirst is not supported",
        ),
        (
            {"load_balancing_policy": {"policies": [one("client_side_weighted_round_robin")]}},
            "load_balancing_policy",
            "is not supported by envoymesh",
        ),
        ({"load_balancing_policy": {"policies": [one("cluster_provided")]}}, "lb_policy", "did not provide one"),
        (
            {"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 10}},
            "maglev_lb_config.table_size",
            "The table size of maglev must be prime number",
        ),
        (
            {"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 1}},
            "maglev_lb_config.table_size",
            "The table size of maglev must be prime number",
        ),
        (
            {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 10, "maximum_ring_size": 5}},
            "ring_hash_lb_config",
            "ring hash: minimum_ring_size (10) > maximum_ring_size (5)",
        ),
        (
            {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 2**24}},
            "ring_hash_lb_config",
            "ring hash: minimum_ring_size (16777216) > maximum_ring_size (8388608)",
        ),
        (
            {"common_lb_config": {"consistent_hashing_lb_config": {"use_hostname_for_hashing": True}}},
            "common_lb_config",
            "Cannot use hostname for consistent hashing loadbalancing for cluster of type: 'envoy.cluster.static'",
        ),
    ],
)
def test_refused(cluster: Json, path: str, text: str) -> None:
    found = refused(**cluster)
    assert found.startswith(f"clusters[0].{path}")
    assert text in found


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"fallback_policy": "KEYS_SUBSET"}, "fallback_keys_subset cannot be empty"),
        (
            {"fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["c"]},
            "fallback_keys_subset must be a subset of selector keys",
        ),
        (
            {"fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["a", "b"]},
            "fallback_keys_subset cannot be equal to keys",
        ),
        (
            {"fallback_policy": "ANY_ENDPOINT", "fallback_keys_subset": ["a"]},
            "fallback_keys_subset can be set only for KEYS_SUBSET fallback_policy",
        ),
    ],
)
def test_refused_selectors(selector: Json, text: str) -> None:
    path = "clusters[0].lb_subset_config.subset_selectors[0].fallback_keys_subset"
    assert refused(lb_subset_config={"subset_selectors": [{**SELECTOR, **selector}]}) == f"{path}: {text}"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({}, "Empty override source"),
        ({"header": "x", "metadata": {"key": "a", "path": [{"key": "b"}]}}, "Only one override source must be set"),
    ],
)
def test_refused_sources(source: Json, text: str) -> None:
    policy = one("override_host", override_host_sources=[source], fallback_policy={"policies": [one("random")]})
    assert refused(load_balancing_policy={"policies": [policy]}).endswith(text)


def test_inner_policies_must_be_there() -> None:
    subset = one("subset", subset_lb_policy={}, **SUBSETS)
    assert "implementation for subset lb with names from []" in refused(load_balancing_policy={"policies": [subset]})
    named = one("override_host", override_host_sources=[{"header": "x"}], fallback_policy={})
    assert "fallback load balancer factory with names from []" in refused(load_balancing_policy={"policies": [named]})


@pytest.mark.parametrize("policy", ["RING_HASH", "MAGLEV"])
@pytest.mark.parametrize("subsets", [False, True])
def test_sums_of_weights(policy: str, subsets: bool) -> None:
    more: Json = {"lb_subset_config": SUBSETS} if subsets else {}
    heavy = {**ENDPOINT, "load_balancing_weight": 2**32 - 1}
    assignment: Json = {"cluster_name": "c", "endpoints": [{"lb_endpoints": [heavy, ENDPOINT]}]}
    text = "clusters[0].load_assignment: The sum of weights of all upstream hosts in a locality exceeds 4294967295"
    assert refused(lb_policy=policy, load_assignment=assignment, **more) == text
    groups = [
        {"locality": {"zone": zone}, "load_balancing_weight": 2**32 - 1, "lb_endpoints": [ENDPOINT]} for zone in "ab"
    ]
    text = "clusters[0].load_assignment: The sum of weights of all localities at the same priority exceeds 4294967295"
    assert refused(lb_policy=policy, load_assignment={"cluster_name": "c", "endpoints": groups}, **more) == text
    assert read(load_assignment=assignment) == lb.RoundRobinSettings()
