"""A cluster's load balancing -> `LbSettings`: `lb_policy` with its own configuration, or `load_balancing_policy`.

Of the policies listed there the first counts; what stands beside it is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from envoymesh.config.reader import Reader
from envoymesh.metadata import match_criteria
from envoymesh.runtime import RuntimeDouble, RuntimeReader
from envoymesh.upstream.lb.settings import (
    DEFAULT_MAGLEV_TABLE_SIZE,
    OVERRIDE_HOST_STATUS,
    ClusterProvidedSettings,
    LbSettings,
    LeastRequestSettings,
    LocalitySettings,
    MaglevSettings,
    OverrideHostSettings,
    OverrideHostSource,
    RandomSettings,
    RingHashSettings,
    RoundRobinSettings,
    SlowStartSettings,
    SubsetSelectorSettings,
    SubsetSettings,
    ZoneAwareSettings,
)
from envoymesh.upstream.settings import ClusterSettings

LEGACY_CONFIGS: Final = ("ring_hash_lb_config", "maglev_lb_config", "least_request_lb_config", "round_robin_lb_config")
"""What belongs to one policy each. As in Envoy that of another policy than the cluster's is without effect."""

_EXTENSION: Final = "envoy.extensions.load_balancing_policies."
_MAX_SUM: Final = 2**32 - 1


def read_load_balancing(reader: Reader, runtime: RuntimeReader) -> LbSettings:
    """Read how an envoy.config.cluster.v3.Cluster balances. Errors: ConfigError with the field's path."""
    common = reader.message_("common_lb_config")
    policies = reader.message_("load_balancing_policy")
    policy = reader.enum("lb_policy")
    if policies is not None:
        if reader.has("lb_subset_config"):
            raise reader.error(
                "load_balancing_policy", "cluster: load_balancing_policy cannot be combined with lb_subset_config"
            )
        reader.accept(*LEGACY_CONFIGS)
        _accept_locality(common)
        return _read_first(policies, runtime, _no_policy(reader.string("name")))
    if policy == "LOAD_BALANCING_POLICY_CONFIG":
        raise reader.error("lb_policy", "cluster: field load_balancing_policy need to be set")
    settings = _read_legacy(reader, policy, common, runtime)
    subset = reader.message_("lb_subset_config")
    if subset is None:
        return settings
    if isinstance(settings, ClusterProvidedSettings) and subset.has("subset_selectors"):
        raise reader.error(
            "lb_subset_config", "cluster: LB policy CLUSTER_PROVIDED cannot be combined with lb_subset_config"
        )
    return _read_subset(subset, settings) if subset.has("subset_selectors") else _without_subsets(subset, settings)


def _no_policy(name: str) -> str:
    return (
        f"cluster: didn't find a registered load balancer factory implementation for cluster: '{name}' with names from"
    )


def _without_subsets(subset: Reader, settings: LbSettings) -> LbSettings:
    # As in Envoy there are no subsets without selectors, whatever else is set.
    _read_subset(subset, settings)
    return settings


def _accept_locality(common: Reader | None) -> None:
    if common is not None:
        # Of no effect, as in Envoy: the policy has its own.
        common.accept("zone_aware_lb_config", "locality_weighted_lb_config", "consistent_hashing_lb_config")


# `lb_policy`


def _read_legacy(reader: Reader, policy: str, common: Reader | None, runtime: RuntimeReader) -> LbSettings:
    own = f"{policy.lower()}_lb_config"
    for other in LEGACY_CONFIGS:
        if other != own:
            reader.accept(other)
    return _LEGACY[policy](reader, common, runtime)


def _legacy_round_robin(reader: Reader, common: Reader | None, runtime: RuntimeReader) -> LbSettings:
    config = reader.message_("round_robin_lb_config")
    return RoundRobinSettings(_legacy_locality(common), _read_slow_start(config, runtime))


def _legacy_least_request(reader: Reader, common: Reader | None, runtime: RuntimeReader) -> LbSettings:
    config = reader.message_("least_request_lb_config")
    return LeastRequestSettings(
        locality=_legacy_locality(common),
        slow_start=_read_slow_start(config, runtime),
        choice_count=2 if config is None else config.integer("choice_count", 2),
        active_request_bias=_read_double(config, "active_request_bias", runtime),
    )


def _legacy_random(reader: Reader, common: Reader | None, runtime: RuntimeReader) -> LbSettings:
    return RandomSettings(_legacy_locality(common))


def _legacy_ring_hash(reader: Reader, common: Reader | None, runtime: RuntimeReader) -> LbSettings:
    config = reader.message_("ring_hash_lb_config")
    use_hostname, factor = _legacy_hashing(common)
    settings = RingHashSettings(
        minimum_ring_size=1024 if config is None else config.integer("minimum_ring_size", 1024),
        maximum_ring_size=2**23 if config is None else config.integer("maximum_ring_size", 2**23),
        murmur_hash2=config is not None and config.enum("hash_function") == "MURMUR_HASH_2",
        use_hostname_for_hashing=use_hostname,
        hash_balance_factor=factor,
        locality_weighted=_legacy_weighted(common),
    )
    return _checked_ring(reader if config is None else config, settings)


def _legacy_maglev(reader: Reader, common: Reader | None, runtime: RuntimeReader) -> LbSettings:
    config = reader.message_("maglev_lb_config")
    use_hostname, factor = _legacy_hashing(common)
    return MaglevSettings(
        table_size=DEFAULT_MAGLEV_TABLE_SIZE if config is None else _read_table_size(config),
        use_hostname_for_hashing=use_hostname,
        hash_balance_factor=factor,
        locality_weighted=_legacy_weighted(common),
    )


def _legacy_cluster_provided(reader: Reader, common: Reader | None, runtime: RuntimeReader) -> LbSettings:
    _accept_locality(common)
    return ClusterProvidedSettings()


_LEGACY: Final[dict[str, Callable[[Reader, Reader | None, RuntimeReader], LbSettings]]] = {
    "ROUND_ROBIN": _legacy_round_robin,
    "LEAST_REQUEST": _legacy_least_request,
    "RANDOM": _legacy_random,
    "RING_HASH": _legacy_ring_hash,
    "MAGLEV": _legacy_maglev,
    "CLUSTER_PROVIDED": _legacy_cluster_provided,
}


def _legacy_locality(common: Reader | None) -> LocalitySettings:
    if common is None:
        return LocalitySettings()
    # Of no effect, as in Envoy: nothing is hashed.
    common.accept("consistent_hashing_lb_config")
    weighted = common.message_("locality_weighted_lb_config") is not None
    return LocalitySettings(weighted, _read_zone_aware(common.message_("zone_aware_lb_config")))


def _legacy_weighted(common: Reader | None) -> bool:
    if common is None:
        return False
    # Of no effect, as in Envoy: a hash decides on the host, and not its zone.
    common.accept("zone_aware_lb_config")
    return common.message_("locality_weighted_lb_config") is not None


def _legacy_hashing(common: Reader | None) -> tuple[bool, int]:
    hashing = common.message_("consistent_hashing_lb_config") if common is not None else None
    return _read_hashing(hashing)


def read_override_host_status(common: Reader | None) -> frozenset[str]:
    """Read `override_host_status` of a CommonLbConfig: which hosts a filter may choose for a request."""
    statuses = common.message_("override_host_status") if common is not None else None
    return OVERRIDE_HOST_STATUS if statuses is None else frozenset(statuses.enums("statuses"))


# What policies have in common


def _read_hashing(config: Reader | None) -> tuple[bool, int]:
    """`use_hostname_for_hashing` and `hash_balance_factor` of a ConsistentHashingLbConfig."""
    if config is None:
        return False, 0
    return config.boolean("use_hostname_for_hashing"), config.integer("hash_balance_factor")


def _read_zone_aware(config: Reader | None) -> ZoneAwareSettings:
    """Read what both ZoneAwareLbConfig messages have."""
    if config is None:
        return ZoneAwareSettings()
    enabled = config.percent("routing_enabled")
    return ZoneAwareSettings(
        # Whole percent, as in Envoy.
        routing_enabled=1.0 if enabled is None else int(enabled * 100 + 0.5) / 100,
        min_cluster_size=config.integer("min_cluster_size", 6),
        fail_traffic_on_panic=config.boolean("fail_traffic_on_panic"),
    )


def _read_slow_start(config: Reader | None, runtime: RuntimeReader) -> SlowStartSettings:
    slow_start = config.message_("slow_start_config") if config is not None else None
    if slow_start is None:
        return SlowStartSettings()
    least = slow_start.percent("min_weight_percent")
    return SlowStartSettings(
        window=slow_start.duration("slow_start_window", 0.0) or 0.0,
        aggression=_read_double(slow_start, "aggression", runtime),
        min_weight_percent=0.1 if least is None else least,
    )


def _read_double(config: Reader | None, field: str, runtime: RuntimeReader) -> RuntimeDouble | None:
    double = config.message_(field) if config is not None else None
    return None if double is None else runtime.double(double.string("runtime_key"), double.number("default_value"))


def _checked_ring(reader: Reader, settings: RingHashSettings) -> RingHashSettings:
    least, most = settings.minimum_ring_size, settings.maximum_ring_size
    if least > most:
        raise reader.error("", f"ring hash: minimum_ring_size ({least}) > maximum_ring_size ({most})")
    return settings


def _read_table_size(config: Reader) -> int:
    size = config.integer("table_size", DEFAULT_MAGLEV_TABLE_SIZE)
    if not _is_prime(size):
        raise config.error("table_size", f"The table size of maglev must be prime number (value: {size})")
    return size


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))


# `load_balancing_policy`


def _read_first(policies: Reader, runtime: RuntimeReader, nothing: str) -> LbSettings:
    """Read the first policy. Errors: ConfigError where there is none, or it is not supported here.

    Envoy takes the first that it has; one whose type it does not know is refused before that, here as there.
    """
    listed = policies.repeated("policies")
    if not listed:
        raise policies.error("", f"{nothing} []")
    extension = listed[0].required("typed_extension_config")
    extension.accept("name")
    config = extension.any_("typed_config")
    kind = "" if config is None else config.type_name.removeprefix(_EXTENSION)
    if config is None or kind not in _POLICIES:
        raise extension.error("typed_config", f"load balancing policy {kind} is not supported by envoymesh")
    for other in listed[1:]:
        # Not looked at, as in Envoy.
        other.accept("typed_extension_config")
    return _POLICIES[kind](config, runtime)


def _round_robin(config: Reader, runtime: RuntimeReader) -> LbSettings:
    return RoundRobinSettings(_read_locality(config), _read_slow_start(config, runtime))


def _least_request(config: Reader, runtime: RuntimeReader) -> LbSettings:
    full_scan = config.boolean("enable_full_scan")
    return LeastRequestSettings(
        locality=_read_locality(config),
        slow_start=_read_slow_start(config, runtime),
        choice_count=config.integer("choice_count", 2),
        active_request_bias=_read_double(config, "active_request_bias", runtime),
        full_scan=config.enum("selection_method") == "FULL_SCAN" or full_scan,
    )


def _random(config: Reader, runtime: RuntimeReader) -> LbSettings:
    return RandomSettings(_read_locality(config))


def _ring_hash(config: Reader, runtime: RuntimeReader) -> LbSettings:
    hashing = config.message_("consistent_hashing_lb_config")
    use_hostname, factor = _read_hashing(hashing)
    own_hostname, own_factor = config.boolean("use_hostname_for_hashing"), config.integer("hash_balance_factor")
    return _checked_ring(
        config,
        RingHashSettings(
            minimum_ring_size=config.integer("minimum_ring_size", 1024),
            maximum_ring_size=config.integer("maximum_ring_size", 2**23),
            murmur_hash2=config.enum("hash_function") == "MURMUR_HASH_2",
            use_hostname_for_hashing=use_hostname if hashing is not None else own_hostname,
            hash_balance_factor=factor if hashing is not None else own_factor,
            locality_weighted=config.message_("locality_weighted_lb_config") is not None,
        ),
    )


def _maglev(config: Reader, runtime: RuntimeReader) -> LbSettings:
    use_hostname, factor = _read_hashing(config.message_("consistent_hashing_lb_config"))
    return MaglevSettings(
        table_size=_read_table_size(config),
        use_hostname_for_hashing=use_hostname,
        hash_balance_factor=factor,
        locality_weighted=config.message_("locality_weighted_lb_config") is not None,
    )


def _cluster_provided(config: Reader, runtime: RuntimeReader) -> LbSettings:
    return ClusterProvidedSettings()


def _subset(config: Reader, runtime: RuntimeReader) -> LbSettings:
    nothing = "cluster: didn't find a registered load balancer factory implementation for subset lb with names from"
    return _read_subset(config, _read_first(config.required("subset_lb_policy"), runtime, nothing))


def _override_host(config: Reader, runtime: RuntimeReader) -> LbSettings:
    nothing = "dynamic forwarding LB: didn't find a registered fallback load balancer factory with names from"
    sources = [_read_override_source(source) for source in config.repeated("override_host_sources")]
    return OverrideHostSettings(sources, _read_first(config.required("fallback_policy"), runtime, nothing))


def _read_override_source(source: Reader) -> OverrideHostSource:
    header, key = source.string("header").lower().encode(), source.message_("metadata")
    if not header and key is None:
        raise source.error("", "Empty override source")
    if header and key is not None:
        raise source.error("", "Only one override source must be set")
    if key is None:
        return OverrideHostSource(header=header)
    path = [segment.string("key") for segment in key.repeated("path")]
    return OverrideHostSource(metadata=(key.string("key"), *path))


_POLICIES: Final[dict[str, Callable[[Reader, RuntimeReader], LbSettings]]] = {
    "round_robin.v3.RoundRobin": _round_robin,
    "least_request.v3.LeastRequest": _least_request,
    "random.v3.Random": _random,
    "ring_hash.v3.RingHash": _ring_hash,
    "maglev.v3.Maglev": _maglev,
    "cluster_provided.v3.ClusterProvided": _cluster_provided,
    "subset.v3.Subset": _subset,
    "override_host.v3.OverrideHost": _override_host,
}


def _read_locality(config: Reader) -> LocalitySettings:
    """Read a LocalityLbConfig."""
    locality = config.message_("locality_lb_config")
    if locality is None:
        return LocalitySettings()
    weighted = locality.message_("locality_weighted_lb_config") is not None
    zone_aware = locality.message_("zone_aware_lb_config")
    if zone_aware is None:
        return LocalitySettings(weighted)
    common = _read_zone_aware(zone_aware)
    force = zone_aware.message_("force_local_zone")
    least = int(zone_aware.boolean("force_locality_direct_routing"))
    return LocalitySettings(
        weighted,
        ZoneAwareSettings(
            routing_enabled=common.routing_enabled,
            min_cluster_size=common.min_cluster_size,
            fail_traffic_on_panic=common.fail_traffic_on_panic,
            force_local_zone_min_size=least if force is None else force.integer("min_size", 1),
            by_weight=zone_aware.enum("locality_basis") == "HEALTHY_HOSTS_WEIGHT",
        ),
    )


# Subsets


def _read_subset(config: Reader, policy: LbSettings) -> SubsetSettings:
    """Read a LbSubsetConfig, or the Subset message of the extension, which has the same fields and one more."""
    selectors = [_read_selector(selector) for selector in config.repeated("subset_selectors")]
    redundant = config.boolean("allow_redundant_keys") if config.type_name.startswith(_EXTENSION) else False
    return SubsetSettings(
        policy=policy,
        selectors=[selector for selector in selectors if selector.keys],
        fallback_policy=config.enum("fallback_policy"),
        default_subset=match_criteria(config.struct("default_subset")),
        locality_weight_aware=config.boolean("locality_weight_aware"),
        scale_locality_weight=config.boolean("scale_locality_weight"),
        panic_mode_any=config.boolean("panic_mode_any"),
        list_as_any=config.boolean("list_as_any"),
        allow_redundant_keys=redundant,
        fallback_list=config.enum("metadata_fallback_policy") == "FALLBACK_LIST",
    )


def _read_selector(selector: Reader) -> SubsetSelectorSettings:
    keys = tuple(sorted(set(selector.strings("keys"))))
    policy = selector.enum("fallback_policy")
    fallback_keys = frozenset(selector.strings("fallback_keys_subset"))
    if policy != "KEYS_SUBSET":
        if fallback_keys:
            text = "fallback_keys_subset can be set only for KEYS_SUBSET fallback_policy"
            raise selector.error("fallback_keys_subset", text)
    elif not fallback_keys:
        raise selector.error("fallback_keys_subset", "fallback_keys_subset cannot be empty")
    elif not fallback_keys.issubset(keys):
        raise selector.error("fallback_keys_subset", "fallback_keys_subset must be a subset of selector keys")
    elif len(fallback_keys) == len(keys):
        raise selector.error("fallback_keys_subset", "fallback_keys_subset cannot be equal to keys")
    return SubsetSelectorSettings(keys, policy, fallback_keys, selector.boolean("single_host_per_subset"))


# What hashing asks of the rest of a cluster


def check_hashing(reader: Reader, settings: ClusterSettings) -> None:
    """Refuse what cannot be hashed. Errors: ConfigError with Envoy's text."""
    common = reader.message_("common_lb_config")
    hashing = common.message_("consistent_hashing_lb_config") if common is not None else None
    if hashing is not None and hashing.boolean("use_hostname_for_hashing") and settings.discovery_type != "STRICT_DNS":
        kind = f"envoy.cluster.{settings.discovery_type.lower()}"
        text = f"Cannot use hostname for consistent hashing loadbalancing for cluster of type: '{kind}'"
        raise hashing.error("use_hostname_for_hashing", text)
    if common is not None:
        # Read where the policy hashes, and without effect, as in Envoy, where it does not.
        common.accept("consistent_hashing_lb_config")
    text = _against_weights(settings) if _hashes(settings.lb) else ""
    if text:
        raise reader.error("load_assignment", text)


def _hashes(settings: LbSettings) -> bool:
    inner = settings.policy if isinstance(settings, SubsetSettings) else settings
    return isinstance(inner, RingHashSettings | MaglevSettings)


def _against_weights(settings: ClusterSettings) -> str:
    """What there is against sums of weights; empty for nothing."""
    by_priority: dict[int, int] = {}
    for endpoint in settings.endpoints:
        by_priority[endpoint.priority] = by_priority.get(endpoint.priority, 0) + endpoint.weight
    if any(total > _MAX_SUM for total in by_priority.values()):
        return f"The sum of weights of all upstream hosts in a locality exceeds {_MAX_SUM}"
    if any(sum(weights.values()) > _MAX_SUM for weights in settings.locality_weights.values()):
        return f"The sum of weights of all localities at the same priority exceeds {_MAX_SUM}"
    return ""
