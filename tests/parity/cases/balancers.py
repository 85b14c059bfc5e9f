"""Load balancing policies beside the real Envoy: hashes, weights, priorities, localities, zones, subsets, retries.

Hosts are `h-1` to `h-8`. Each cluster is one row of a table, and is reached by its name as the first part of the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.integration.exchanges import get
from tests.integration.harness import Peer, Request, catch_all, http_listener, socket_address, to_cluster
from tests.parity.case import Case, Show
from tests.parity.cases.showing import hosts_in_order, hosts_seen, in_turn, percents, statuses
from tests.parity.setup import Json, Places, Setup, bootstrap_of, says
from tests.parity.steps import Answers, CaseStep, Do, in_order
from tests.parity.upstreams import Recorder

if TYPE_CHECKING:
    from tests.parity.client import Client

AREA = "balancing"
POLICY = "type.googleapis.com/envoy.extensions.load_balancing_policies."
PREDICATE = "type.googleapis.com/envoy.extensions.retry.host."
PRIORITIES = "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
KEYS = 12
COMMON = "common_lb_config"
BY_KEY = {"hash_policy": [{"header": {"header_name": "x-key"}}]}


def endpoint(number: int, weight: int = 1, health: str = "", **metadata: Any) -> Json:
    """Host h-NUMBER; `metadata` are values of its ``envoy.lb`` besides the hash key."""
    made: Json = {"host": number, "load_balancing_weight": weight}
    if health:
        made["health_status"] = health
    return {**made, "metadata": {"filter_metadata": {"envoy.lb": {"hash_key": f"key-{number}", **metadata}}}}


def group(*endpoints: Json, priority: int = 0, zone: str = "", weight: int = 0) -> Json:
    """One LocalityLbEndpoints."""
    made: Json = {"lb_endpoints": list(endpoints), "priority": priority}
    if zone:
        made["locality"] = {"zone": zone}
    if weight:
        made["load_balancing_weight"] = weight
    return made


def plain(*weights: int) -> list[Json]:
    """One group of hosts 1, 2, ... with these weights."""
    return [group(*(endpoint(number, weight) for number, weight in enumerate(weights, 1)))]


def policy(kind: str, **fields: Any) -> Json:
    """A `load_balancing_policy` of one policy."""
    return {"policies": [one_policy(kind, **fields)]}


def one_policy(kind: str, **fields: Any) -> Json:
    """An entry of it."""
    message = "".join(part.title() for part in kind.split("_"))
    typed = {"@type": f"{POLICY}{kind}.v3.{message}", **fields}
    return {"typed_extension_config": {"name": f"envoy.load_balancing_policies.{kind}", "typed_config": typed}}


class Table:
    """Clusters and their routes, in the order in which they are added."""

    def __init__(self) -> None:
        self.clusters: list[tuple[str, Sequence[Json], Json, Json]] = []
        self.routes: list[Json] = []

    def add(self, name: str, groups: Sequence[Json], route: Json | None = None, **cluster: Any) -> None:
        """A cluster, and the route to it; `assignment` are fields of its assignment's policy."""
        self.clusters.append((name, groups, cluster.pop("assignment", {}), cluster))
        self.routes.append(to_cluster(name, f"/{name}/", **(route or {})))

    def route(self, prefix: str, action: Json) -> None:
        """One more route."""
        self.routes.insert(0, {"match": {"prefix": f"/{prefix}/"}, "route": action})

    def configuration(self, places: Places, **more: Any) -> Json:
        """The bootstrap."""
        addresses = places.group("h")
        clusters = [_cluster(*each, addresses) for each in self.clusters]
        return bootstrap_of([http_listener("main", catch_all(*self.routes))], clusters, **more)


def _cluster(name: str, groups: Sequence[Json], assignment: Json, options: Json, addresses: Sequence[Any]) -> Json:
    placed = [{**each, "lb_endpoints": [_placed(one, addresses) for one in each["lb_endpoints"]]} for each in groups]
    load: Json = {"cluster_name": name, "endpoints": placed}
    if assignment:
        load["policy"] = assignment
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": load, **options}


def _placed(made: Json, addresses: Sequence[Any]) -> Json:
    fields = {name: value for name, value in made.items() if name != "host"}
    return {"endpoint": {"address": socket_address(addresses[made["host"] - 1])}, **fields}


def keyed(cluster: str, count: int = KEYS) -> tuple[CaseStep, ...]:
    """Requests with the keys 0, 1, ..., each after the answer to the one before."""
    steps: list[CaseStep] = []
    for number in range(count):
        steps += [get(f"/{cluster}/", f"x-key: {number}"), Answers(number + 1)]
    return tuple(steps)


def often(cluster: str, count: int) -> tuple[CaseStep, ...]:
    """The same request so many times."""
    return in_order(get(f"/{cluster}/"), count)


@dataclass(frozen=True)
class Naming(Do):
    """A request that names hosts by their addresses, which are others in each half."""

    numbers: tuple[int, ...]

    def take(self, client: Client) -> None:
        addresses = [client.side.upstreams[f"h-{number}"].address for number in self.numbers]
        names = ["1.2.3.4:5", *(f"{host}:{port}" for host, port in addresses)]
        client.current.send(get("/named/", f"x-to: {', '.join(names)}"))


# Hashes


def _hashing() -> Table:
    table = Table()
    sick = [group(endpoint(1), endpoint(2, health="UNHEALTHY"), endpoint(3)), group(endpoint(4), priority=1)]
    localities = [group(endpoint(1), zone="a", weight=1), group(endpoint(2), endpoint(3), zone="b", weight=4)]
    weighted = {COMMON: {"locality_weighted_lb_config": {}}}
    bounded = {COMMON: {"consistent_hashing_lb_config": {"hash_balance_factor": 200}}}
    for name, legacy in (("ring", "RING_HASH"), ("maglev", "MAGLEV")):
        table.add(name, plain(1, 1, 1, 1, 1), BY_KEY, lb_policy=legacy)
        table.add(f"{name}-weights", plain(1, 2, 7), BY_KEY, lb_policy=legacy)
        table.add(f"{name}-priorities", sick, BY_KEY, lb_policy=legacy)
        table.add(f"{name}-panic", [group(endpoint(1, health="UNHEALTHY"), endpoint(2, health="UNHEALTHY"))], BY_KEY,
                  lb_policy=legacy)  # fmt: skip
        table.add(f"{name}-localities", localities, BY_KEY, lb_policy=legacy, **weighted)
        table.add(f"{name}-bounded", plain(1, 1, 1), BY_KEY, lb_policy=legacy, **bounded)
        table.add(f"{name}-chance", plain(1, 1), lb_policy=legacy)
        table.add(f"{name}-nobody", [], BY_KEY, lb_policy=legacy)
    sizes = {"minimum_ring_size": 8, "maximum_ring_size": 9}
    table.add("ring-small", plain(1, 2, 3), BY_KEY, lb_policy="RING_HASH", ring_hash_lb_config=sizes)
    murmur = {"hash_function": "MURMUR_HASH_2"}
    table.add("ring-murmur", plain(1, 2, 3), BY_KEY, lb_policy="RING_HASH", ring_hash_lb_config=murmur)
    table.add("maglev-small", plain(1, 2, 3), BY_KEY, lb_policy="MAGLEV", maglev_lb_config={"table_size": 7})
    ring = policy("ring_hash", minimum_ring_size=16, hash_function="MURMUR_HASH_2")
    table.add("ring-extension", plain(1, 2, 3), BY_KEY, load_balancing_policy=ring)
    table.add("maglev-extension", localities, BY_KEY,
              load_balancing_policy=policy("maglev", table_size=13, locality_weighted_lb_config={}))  # fmt: skip
    previous = {"retry_host_predicate": [_predicate("previous_hosts")], "host_selection_retry_max_attempts": 40}
    retry = {**BY_KEY, "timeout": "0s", "retry_policy": {**RETRY, "num_retries": 2, **previous}}
    table.add("ring-retry", plain(1, 1, 1, 1), retry, lb_policy="RING_HASH")
    table.add("maglev-retry", plain(1, 1, 1, 1), retry, lb_policy="MAGLEV")
    return table


RETRY: Json = {"retry_on": "5xx", "retry_back_off": {"base_interval": "0.001s"}}


def _predicate(kind: str, **fields: Any) -> Json:
    message = {"previous_hosts": "PreviousHostsPredicate", "omit_canary_hosts": "OmitCanaryHostsPredicate"}
    name = message.get(kind, "OmitHostMetadataConfig")
    typed = {"@type": f"{PREDICATE}{kind}.v3.{name}", **fields}
    return {"name": f"envoy.retry_host_predicates.{kind}", "typed_config": typed}


# Weights, priorities, localities


def _spread() -> Table:
    table = Table()
    for name, weights in (("1-9", (1, 9)), ("1-2-3", (1, 2, 3)), ("large", (60_000_000, 20_000_000))):
        table.add(f"round-{name}", plain(*weights))
        table.add(f"least-{name}", plain(*weights), lb_policy="LEAST_REQUEST")
    table.add("random-weights", plain(1, 4_000_000), lb_policy="RANDOM")
    bias = {"active_request_bias": {"default_value": 2.0, "runtime_key": "bias"}}
    table.add("least-bias", plain(1, 3), lb_policy="LEAST_REQUEST", least_request_lb_config=bias)
    slow = {"slow_start_config": {"slow_start_window": "60s", "min_weight_percent": {"value": 20}}}
    table.add("round-slow", plain(1, 1, 1), round_robin_lb_config=slow)
    table.add("least-slow", plain(1, 3), lb_policy="LEAST_REQUEST", least_request_lb_config=slow)
    table.add("round-extension", plain(1, 2), lb_policy="RANDOM", load_balancing_policy=policy("round_robin"))
    full = policy("least_request", selection_method="FULL_SCAN")
    table.add("least-extension", plain(1, 1, 1), load_balancing_policy=full)
    table.add("random-extension", plain(1, 1), load_balancing_policy=policy("random"))
    several = {"policies": [one_policy("round_robin"), one_policy("random")]}
    table.add("first-extension", plain(1, 1, 1), load_balancing_policy=several)
    _add_priorities(table)
    _add_localities(table)
    return table


def _add_priorities(table: Table) -> None:
    sick, degraded = "UNHEALTHY", "DEGRADED"
    second = group(endpoint(4), priority=1)
    table.add("second", [group(endpoint(1, health=sick)), second])
    table.add("both", [group(endpoint(1), endpoint(2, health=sick)), second])
    table.add("enough", [group(*(endpoint(n) for n in (1, 2, 3)), endpoint(5, health=sick)), second])
    table.add("factor", [group(*(endpoint(n) for n in (1, 2, 3)), endpoint(5, health=sick)), second],
              assignment={"overprovisioning_factor": 100})  # fmt: skip
    table.add("by-weight", [group(endpoint(1), endpoint(2, weight=1000, health=sick)), second],
              assignment={"weighted_priority_health": True})  # fmt: skip
    table.add("degraded", [group(endpoint(1, health=degraded), endpoint(2, health=sick))])
    table.add("degraded-too", [group(endpoint(1), endpoint(2, health=degraded))])
    table.add("degraded-second", [group(endpoint(1, health=degraded)), second])
    table.add("draining", [group(endpoint(1), *(endpoint(n, health="DRAINING") for n in (2, 3, 5)))])
    all_sick = [group(endpoint(1, health=sick), endpoint(2, health=sick)), group(endpoint(4, health=sick), priority=1)]
    table.add("panic", all_sick)
    table.add("no-panic", all_sick, **{COMMON: {"healthy_panic_threshold": {"value": 0}}})
    table.add("fail-on-panic", all_sick, **{COMMON: {"zone_aware_lb_config": {"fail_traffic_on_panic": True}}})
    one_of_four = [group(endpoint(1), *(endpoint(n, health=sick) for n in (2, 3, 4)))]
    table.add("threshold-25", one_of_four, **{COMMON: {"healthy_panic_threshold": {"value": 25}}})
    table.add("threshold-26", one_of_four, **{COMMON: {"healthy_panic_threshold": {"value": 26}}})
    half = [group(endpoint(1), endpoint(2, health=degraded), *(endpoint(n, health=sick) for n in (3, 4)))]
    table.add("threshold-half", half)
    table.add("gap", [group(endpoint(1, health=sick)), group(endpoint(4), priority=3)])


def _add_localities(table: Table) -> None:
    weighted = {COMMON: {"locality_weighted_lb_config": {}}}
    two = [group(endpoint(1), zone="a", weight=1), group(endpoint(2), zone="b", weight=3)]
    table.add("localities", two, **weighted)
    table.add("localities-unasked", two)
    extension = policy("round_robin", locality_lb_config={"locality_weighted_lb_config": {}})
    table.add("localities-extension", two, load_balancing_policy=extension)
    table.add("localities-sick", [
        group(endpoint(1), zone="a", weight=1),
        group(endpoint(2, health="UNHEALTHY"), zone="b", weight=3), group(endpoint(3), zone="c", weight=1)],
        **weighted)  # fmt: skip
    table.add("localities-zero", [group(endpoint(1), zone="a", weight=1), group(endpoint(2), zone="b")], **weighted)
    table.add("localities-degraded", [
        group(endpoint(1, health="DEGRADED"), zone="a", weight=1),
        group(endpoint(2, health="DEGRADED"), zone="b", weight=3)], **weighted)  # fmt: skip
    table.add("localities-weights", [
        group(endpoint(1, 1), endpoint(2, 3), zone="a", weight=1), group(endpoint(3), zone="b", weight=1)],
        **weighted)  # fmt: skip


# Zones


def _zones() -> Table:
    """This proxy is in zone a; beside it, the local cluster has a proxy each in a and b."""
    table = Table()

    def zone(**fields: Any) -> Json:
        return {COMMON: {"zone_aware_lb_config": {"min_cluster_size": 1, **fields}}}

    def at(*numbers: int, name: str) -> Json:
        return group(*map(endpoint, numbers), zone=name)

    table.add("local", [at(7, name="a"), at(8, name="b")])
    fair = [at(1, 2, name="a"), at(3, 4, name="b")]
    table.add("fair", fair, **zone())
    table.add("fair-least", fair, lb_policy="LEAST_REQUEST", **zone())
    table.add("small", fair)
    table.add("off", fair, **zone(routing_enabled={"value": 0}))
    table.add("one-zone", [at(1, 2, name="a")], **zone())
    table.add("elsewhere", [at(1, name="b"), at(2, name="c")], **zone())
    table.add("more-than-enough", [at(1, 2, 3, name="a"), at(4, name="b")], **zone())
    forced = {"zone_aware_lb_config": {"min_cluster_size": 1, "force_local_zone": {"min_size": 1}}}
    few = [at(1, name="a"), at(2, 3, 4, name="b")]
    table.add("forced", few, load_balancing_policy=policy("round_robin", locality_lb_config=forced))
    large = {"zone_aware_lb_config": {"min_cluster_size": 1, "locality_basis": "HEALTHY_HOSTS_WEIGHT"}}
    heavy = [group(endpoint(1, 9), zone="a"), group(endpoint(2), endpoint(3), endpoint(4), zone="b")]
    table.add("by-weight", heavy, load_balancing_policy=policy("round_robin", locality_lb_config=large))
    return table


# Subsets


def _subsets() -> Table:
    table = Table()
    members = [group(
        endpoint(1, version="1", stage="prod"), endpoint(2, version="1", stage="test"),
        endpoint(3, version="2", stage="prod"), endpoint(4), endpoint(5, version=["3", "4"], stage="prod"),
    )]  # fmt: skip

    def add(name: str, *selectors: Json, **fields: Any) -> None:
        table.add(name, members, lb_subset_config={"subset_selectors": list(selectors), **fields})

    version, both = {"keys": ["version"]}, {"keys": ["version", "stage"]}
    add("none", version, both)
    add("any", version, fallback_policy="ANY_ENDPOINT")
    add("default", version, fallback_policy="DEFAULT_SUBSET", default_subset={"stage": "test"})
    add("lost", version, fallback_policy="DEFAULT_SUBSET", default_subset={"stage": "x"}, panic_mode_any=True)
    add("own-any", {**version, "fallback_policy": "ANY_ENDPOINT"})
    add("own-none", {**version, "fallback_policy": "NO_FALLBACK"}, fallback_policy="ANY_ENDPOINT")
    add("own-default", {**version, "fallback_policy": "DEFAULT_SUBSET"}, default_subset={"stage": "test"})
    fewer = {"fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["version"]}
    add("fewer", version, {**both, **fewer})
    add("lists", version, list_as_any=True)
    add("single", {**version, "single_host_per_subset": True})
    add("listed", version, metadata_fallback_policy="FALLBACK_LIST")
    inner = policy("round_robin")
    redundant = policy("subset", subset_selectors=[version, both], allow_redundant_keys=True, subset_lb_policy=inner)
    table.add("redundant", members, load_balancing_policy=redundant)
    hashed = policy("subset", subset_selectors=[version], subset_lb_policy=policy("maglev"))
    table.add("hashed", members, BY_KEY, load_balancing_policy=hashed)
    localities = [
        group(endpoint(1, v="1"), endpoint(2), zone="a", weight=2),
        group(endpoint(3, v="1"), zone="b", weight=1),
    ]
    aware = {"subset_selectors": [{"keys": ["v"]}], "locality_weight_aware": True}
    weighted = {COMMON: {"locality_weighted_lb_config": {}}}
    table.add("aware", localities, lb_subset_config=aware, **weighted)
    table.add("scaled", localities, lb_subset_config={**aware, "scale_locality_weight": True}, **weighted)
    names = [name for name, *_ in table.clusters]
    for name in names:
        for short, criteria in CRITERIA.items():
            keys = BY_KEY if name == "hashed" else {}
            table.route(f"{short}/{name}", {"cluster": name, "metadata_match": labels(**criteria), **keys})
    entry = {"name": "none", "weight": 1, "metadata_match": labels(stage="test")}
    weighted_route = {"weighted_clusters": {"clusters": [entry]}, "metadata_match": labels(version="1", stage="prod")}
    table.route("weighted", weighted_route)
    return table


def labels(**values: Any) -> Json:
    """A Metadata with values for the balancer."""
    return {"filter_metadata": {"envoy.lb": values}}


CRITERIA: dict[str, Json] = {
    "v1": {"version": "1"}, "v2": {"version": "2"}, "v4": {"version": "4"}, "v9": {"version": "9"},
    "v1-test": {"version": "1", "stage": "test"}, "v1-x": {"version": "1", "stage": "x"},
    "v1-more": {"version": "1", "stage": "test", "other": "x"}, "v": {"v": "1"},
    "list": {"version": "9", "fallback_list": [{"version": "8"}, {"version": "2"}]},
}  # fmt: skip


# Retries, and hosts that requests name


def _retries() -> Table:
    table = Table()

    def add(name: str, groups: Sequence[Json], **retry: Any) -> None:
        hashed = retry.pop("hashed", False)
        route = {**BY_KEY, "timeout": "0s", "retry_policy": {**RETRY, "host_selection_retry_max_attempts": 30, **retry}}
        table.add(name, groups, route, lb_policy="MAGLEV" if hashed else "ROUND_ROBIN")

    previous = {"retry_host_predicate": [_predicate("previous_hosts")]}
    add("fail/previous", plain(1, 1, 1), num_retries=2, **previous)
    # So often that the light host has its turn, too.
    add("fail/previous-weights", plain(1, 50), num_retries=1, **{**previous, "host_selection_retry_max_attempts": 120})
    add("fail/previous-all", plain(1, 1), num_retries=3, **previous)
    canary = [group(endpoint(1), endpoint(2, canary=True))]
    add("fail/canary", canary, hashed=True, num_retries=3, retry_host_predicate=[_predicate("omit_canary_hosts")])
    omit = _predicate("omit_host_metadata", metadata_match=labels(stage="test"))
    staged = [group(endpoint(1, stage="prod"), endpoint(2, stage="test"))]
    add("fail/metadata", staged, hashed=True, num_retries=3, retry_host_predicate=[omit])
    add("fail/metadata-none", staged, num_retries=1,
        retry_host_predicate=[_predicate("omit_host_metadata", metadata_match=labels())])  # fmt: skip
    three = [group(endpoint(1)), group(endpoint(2), priority=1), group(endpoint(3), priority=2)]
    for frequency in (1, 2):
        priorities = {"name": "p", "typed_config": {"@type": PRIORITIES, "update_frequency": frequency}}
        add(f"fail/priorities-{frequency}", three, num_retries=3, retry_priority=priorities)
    sources = [{"header": "x-to"}, {"metadata": {"key": "a.b", "path": [{"key": "c"}]}}]
    table.add("named", plain(1, 1, 1), load_balancing_policy=policy(
        "override_host", override_host_sources=sources, fallback_policy=policy("round_robin")))  # fmt: skip
    return table


def says_503(name: str) -> Any:
    """An answer of a host that fails and says who it is."""
    answer = f"HTTP/1.1 503 Service Unavailable\r\nx-host: {name}\r\ncontent-length: 0\r\n\r\n".encode()

    def send(peer: Peer, request: Request) -> None:
        peer.send(answer)

    return send


def _hosts() -> dict[str, Any]:
    """Hosts h-1 to h-8, which fail below /fail/ and for keys that begin with one of the retrying clusters."""
    made: dict[str, Any] = {}
    for number in range(1, 9):
        name = f"h-{number}"
        failing = {f"/{path}/": says_503(name) for path in ("fail", "ring-retry", "maglev-retry")}
        made[name] = partial(Recorder, {"/": says(name), **failing})
    return made


def _setup(name: str, table: Table, **more: Any) -> Setup:
    return Setup(name, lambda places: table.configuration(places, **more), _hosts())


HASHING = _setup("hashing", _hashing())
SPREAD = _setup("spread", _spread(), layered_runtime={"layers": [{"name": "s", "static_layer": {"bias": 1.0}}]})
LOCAL = {
    "node": {"id": "n", "cluster": "c", "locality": {"zone": "a"}},
    "cluster_manager": {"local_cluster_name": "local"},
}
ZONES = _setup("zones", _zones(), **LOCAL)
SUBSETS = _setup("subsets", _subsets())
RETRIES = _setup("retries", _retries())


def case(setup: Setup, name: str, *steps: CaseStep, show: Show = hosts_in_order) -> Case:
    return Case(AREA, name, steps, "main", show=show, setup=setup)


def _hashed_cases() -> list[Case]:
    texts = {
        "": "keys go to their hosts", "-weights": "and weights", "-priorities": "and priorities",
        "-panic": "in a panic",
        "-localities": "and localities", "-bounded": "with a bound", "-nobody": "without hosts",
    }  # fmt: skip
    cases = [
        case(HASHING, f"{name}: {text}", *keyed(f"{name}{ending}"))
        for name in ("ring", "maglev") for ending, text in texts.items()
    ]  # fmt: skip
    cases += [case(HASHING, f"{name} without a hash", *often(f"{name}-chance", 24), show=hosts_seen)
              for name in ("ring", "maglev")]  # fmt: skip
    more = (
        "ring-small",
        "ring-murmur",
        "maglev-small",
        "ring-extension",
        "maglev-extension",
        "ring-retry",
        "maglev-retry",
    )
    return cases + [case(HASHING, name.replace("-", ", "), *keyed(name)) for name in more]


def _spread_cases() -> list[Case]:
    by_share = {
        "round-1-9": 100, "least-1-9": 100, "round-1-2-3": 120, "least-1-2-3": 120, "round-large": 60,
        "least-large": 60, "least-bias": 60, "least-slow": 60, "round-extension": 60, "localities": 60,
        "localities-extension": 60, "localities-weights": 80, "localities-degraded": 60, "localities-sick": 60,
    }  # fmt: skip
    seen = {
        "random-weights": 30, "least-extension": 40, "random-extension": 30, "both": 40, "factor": 60,
        "by-weight": 12, "round-slow": 12, "degraded-too": 40, "degraded-second": 12, "panic": 50,
    }  # fmt: skip
    turns = {"first-extension": 7, "enough": 7, "localities-unasked": 6, "threshold-26": 9}
    fixed = ("second", "degraded", "draining", "no-panic", "fail-on-panic", "threshold-25", "gap", "localities-zero")
    cases = [case(SPREAD, name, *often(name, count), show=percents) for name, count in by_share.items()]
    cases += [case(SPREAD, name, *often(name, count), show=hosts_seen) for name, count in seen.items()]
    cases += [case(SPREAD, name, *often(name, count), show=in_turn) for name, count in turns.items()]
    cases += [case(SPREAD, name, *often(name, 4)) for name in fixed]
    return [*cases, case(SPREAD, "threshold-half", *often("threshold-half", 40), show=hosts_seen)]


def _zone_cases() -> list[Case]:
    turns = ("fair", "small", "off", "one-zone", "more-than-enough", "forced")
    cases = [case(ZONES, f"zones, {name}", *often(name, 8), show=in_turn) for name in turns]
    cases += [case(ZONES, f"zones, {name}", *often(name, 24), show=hosts_seen) for name in ("fair-least", "elsewhere")]
    return [*cases, case(ZONES, "zones, by-weight", *often("by-weight", 8))]


def _subset_cases() -> list[Case]:
    asked = {
        "none": ("v1", "v9", "v1-test", "v1-x"), "any": ("v2", "v9"), "default": ("v1", "v9"), "lost": ("v9",),
        "own-any": ("v9",), "own-none": ("v9", "v2"), "own-default": ("v9",), "fewer": ("v1-x", "v1-test"),
        "lists": ("v4", "v9"), "single": ("v1", "v2"), "listed": ("list", "v1"), "redundant": ("v1-more", "v2"),
    }  # fmt: skip
    cases = [
        case(SUBSETS, f"subsets, {name}: {short}", *often(f"{short}/{name}", 12), show=hosts_seen)
        for name, criteria in asked.items() for short in criteria
    ]  # fmt: skip
    cases += [
        case(SUBSETS, f"subsets, {name} without criteria", *often(name, 20), show=hosts_seen)
        for name in ("none", "any")
    ]
    cases += [case(SUBSETS, f"subsets, {name}", *often(f"v/{name}", 60), show=percents) for name in ("aware", "scaled")]
    cases.append(case(SUBSETS, "subsets, hashed", *keyed("v1/hashed")))
    return [*cases, case(SUBSETS, "subsets of a weighted cluster", *often("weighted", 3))]


def _retry_cases() -> list[Case]:
    cases = [
        case(RETRIES, f"retries, {name}", get(f"/fail/{name}/"), show=statuses)
        for name in ("previous", "previous-weights", "previous-all", "metadata-none")
    ]
    # After a first try at the key's host, all others go to the one host that is left.
    cases += [case(RETRIES, f"retries, {name}", *keyed(f"fail/{name}", 4)) for name in ("canary", "metadata")]
    cases += [case(RETRIES, f"retries, priorities-{n}", get(f"/fail/priorities-{n}/")) for n in (1, 2)]
    cases.append(
        case(
            RETRIES, "named hosts that are not there", *in_order(get("/named/", "x-to: 1.2.3.4:5, ,x"), 4), show=in_turn
        )
    )
    named = (Naming((3,)), Answers(1), Naming((2, 1)), Answers(2), Naming((1,)), Answers(3))
    cases.append(replace(case(RETRIES, "named hosts", *named), bytes_counted=False))
    return [*cases, case(RETRIES, "no named host", *often("named", 4), show=in_turn)]


CASES = [*_hashed_cases(), *_spread_cases(), *_zone_cases(), *_subset_cases(), *_retry_cases()]
