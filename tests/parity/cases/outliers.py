"""Outlier detection: who is ejected by what, who is not, who comes back, and what counters, log and admin say of it."""

from __future__ import annotations

from typing import Any

from tests.integration.harness import Until, Wait
from tests.parity.case import Case
from tests.parity.cases.assigned import cluster_of, host, hosts_of
from tests.parity.cases.showing import statuses
from tests.parity.outlier_setup import HTTP2, KEYS, REST, Events, Shown, ShownAsJson, Table, asks
from tests.parity.setup import Json, Places, Setup
from tests.parity.steps import Admin, CaseStep, Closed, Connect, UntilStat

AREA = "outliers"
NEVER = {"consecutive_5xx": 1000}
RETRY = {"retry_on": "5xx", "num_retries": 3, "retry_back_off": {"base_interval": "0.3s"}}
TABLE = Table("outliers")


def case(name: str, *steps: CaseStep, setup: Setup | None = None, **more: Any) -> Case:
    return Case(AREA, name, steps, "main", setup=setup or SETUP, **more)


def ejected(cluster: str, count: int = 1) -> UntilStat:
    return UntilStat(f"cluster.{cluster}.outlier_detection.ejections_active", count, exactly=True)


def _failures() -> list[Case]:
    """What counts as a failure: requests until a host is ejected, or not, and those that follow."""
    gateway = {"consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100}
    two = {"consecutive_5xx": 2}
    rows: list[tuple[str, Json, tuple[str, ...], tuple[str, ...]]] = [
        ("five", {"cluster": {}}, ("/500",) * 5, ("/500", "/500")),
        ("three", {"consecutive_5xx": 3}, ("/500", "/503", "/504"), ("/500",)),
        ("one", {"consecutive_5xx": 1}, ("/502",), ("/",)),
        ("an-answer-between", two, ("/500", "/404", "/500", "/", "/500", "/500"), ("/",)),
        ("closed", two, ("/close", "/close"), ("/",)),
        ("reset", two, ("/reset", "/reset"), ("/",)),
        ("gateway", gateway, ("/502", "/500", "/503", "/504"), ("/",)),
        ("gateway-and-5xx", {**gateway, **two}, ("/503", "/502"), ("/",)),
        ("gateway-detected-only", {**two, "consecutive_gateway_failure": 2}, ("/503", "/503"), ("/",)),
        ("half", {**two, "max_ejection_percent": 50}, ("/500", "/500"), ("/500",)),
        ("one-always", {**two, "max_ejection_percent": 10, "always_eject_one_host": True}, ("/500", "/500"), ("/",)),
    ]
    kept: list[tuple[str, Json, int]] = [
        ("none", {"consecutive_5xx": 0}, 0),
        ("enforced-never", {**two, "enforcing_consecutive_5xx": 0}, 2),
        ("too-many", {**two, "max_ejection_percent": 10}, 0),
    ]
    made = []
    for name, fields, before, after in rows:
        TABLE.pair(name, **fields)
        steps = *asks(name, *before), ejected(name), *asks(name, *after, begin=len(before)), Shown(name)
        made.append(case(name.replace("-", " "), *steps, Events(name, 2 if name == "gateway-detected-only" else 1)))
    for name, fields, events in kept:
        TABLE.pair(name, **fields)
        made.append(case(name.replace("-", " "), *asks(name, *("/500",) * 5), Shown(name), Events(name, events)))
    return made


def _ends() -> list[Case]:
    """Ends of requests that are no answers, and answers that are not what their status says."""
    slow = {"route": {"timeout": "0.15s"}}
    TABLE.pair("refused", "dead", consecutive_5xx=3)
    TABLE.pair("late", consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100, **slow)
    TABLE.pair("cut", consecutive_5xx=1)
    TABLE.pair("grpc", consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100)
    TABLE.pair("overflow", consecutive_5xx=1, cluster={"circuit_breakers": {"thresholds": [{"max_requests": 0}]}})
    TABLE.pair("gone", consecutive_5xx=1)
    TABLE.pair("http2-pair", "second", "second-spare", consecutive_5xx=2, cluster={
        "typed_extension_protocol_options": HTTP2})  # fmt: skip
    return [
        case("refused", *asks("refused", "/", "/", "/"), ejected("refused"), *asks("refused", "/", begin=3)),
        case("late", *asks("late", "/slow", "/slow"), ejected("late"), *asks("late", "/", begin=2), Events("late", 1)),
        case("cut amid the answer", *asks("cut", "/cut"), Closed(), ejected("cut"), Connect(), *asks("cut", "/"),
             Events("cut", 1)),
        case("a status of gRPC", *asks("grpc", "/not-found", "/unavailable", "/not-found", "/unavailable",
                                       "/unavailable", grpc=True), ejected("grpc"), Events("grpc", 1)),
        case("a status of gRPC in another answer", *asks("grpc", "/")),
        case("a breaker is no failure of the host", *asks("overflow", "/", "/"), Shown("overflow")),
        case("a client that goes away", *asks("gone", "/slow")[:1], Wait(0.1), Shown("gone")),
        case("http2: answers", *asks("http2-pair", "/500", "/reset"), ejected("http2-pair"),
             *asks("http2-pair", "/", begin=2), Events("http2-pair", 1), bytes_counted=False),
    ]  # fmt: skip


def _split() -> list[Case]:
    """Failures to connect and timeouts, told apart from answers."""
    split: Json = {"split_external_local_origin_errors": True}
    local = {**split, "consecutive_local_origin_failure": 2}
    TABLE.pair("split-refused", "dead", **local, consecutive_5xx=1)
    TABLE.pair("split-answers", **local, consecutive_5xx=3)
    TABLE.pair("split-late", **local, route={"timeout": "0.15s"})
    TABLE.pair("split-closed", **local)
    TABLE.pair("split-between", **local, consecutive_5xx=100)
    TABLE.pair("split-enforced-never", "dead", **local, enforcing_consecutive_local_origin_failure=0)
    return [
        case("split refused", *asks("split-refused", "/", "/"), ejected("split-refused"),
             *asks("split-refused", "/", begin=2), Shown("split-refused"), Events("split-refused", 1)),
        case("split refused, enforced never", *asks("split-enforced-never", "/", "/", "/"),
             Shown("split-enforced-never"), Events("split-enforced-never", 1)),
        case("split answers", *asks("split-answers", "/500", "/500", "/500"), ejected("split-answers"),
             *asks("split-answers", "/500", begin=3), Events("split-answers", 1)),
        case("split late", *asks("split-late", "/slow", "/slow"), ejected("split-late"),
             *asks("split-late", "/", begin=2), Events("split-late", 1)),
        # A connection comes about each time: no two failures follow each other.
        case("split closed", *asks("split-closed", "/close", "/close", "/close"), Shown("split-closed")),
        case("split, an answer between", *asks("split-between", "/close", "/500", "/close"), Shown("split-between")),
    ]  # fmt: skip


def _retries() -> list[Case]:
    tries = {**RETRY, "per_try_timeout": "0.15s"}
    TABLE.pair("retried", consecutive_5xx=2, route={"retry_policy": RETRY, "timeout": "0s"})
    TABLE.pair("retried-refused", "dead", consecutive_5xx=1, route={"retry_policy": RETRY, "timeout": "0s"})
    TABLE.pair("retried-late", consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100,
               route={"retry_policy": tries, "timeout": "0s"})  # fmt: skip
    return [
        case("a request that is tried again", *asks("retried", "/500", "/"), Events("retried", 1)),
        case("refused, and tried again", *asks("retried-refused", "/", "/"), Events("retried-refused", 1)),
        case("each try takes too long", *asks("retried-late", "/slow"), Until(b"spare"), Events("retried-late", 1)),
    ]


def _rest() -> list[Case]:
    """Who comes back."""
    soon = {"consecutive_5xx": 2, "interval": "0.1s", "base_ejection_time": "0.4s"}
    TABLE.pair("back", **soon)
    TABLE.pair("back-and-out", **soon)
    TABLE.pair("back-at-last", **{**soon, "base_ejection_time": "0.2s", "max_ejection_time": "0.3s",
                                  "max_ejection_time_jitter": "0.1s"})  # fmt: skip
    TABLE.whole("alone", lambda places: _alone("alone", places))
    TABLE.whole("alone-no-panic", lambda places: _alone("alone-no-panic", places, healthy_panic_threshold={"value": 0}))
    first = *asks("back", "/500", "/500"), ejected("back"), *asks("back", "/", begin=2)
    out = asks("back-and-out", "/500", "/500"), asks("back-and-out", "/500", "/500", begin=2)
    last = asks("back-at-last", "/500", "/500"), asks("back-at-last", "/500", "/500", begin=2)
    return [
        case("back", *first, ejected("back", 0), *asks("back", "/500", "/", begin=3), Events("back", 2), Shown("back")),
        case("back and out again", *out[0], ejected("back-and-out"), ejected("back-and-out", 0), *out[1],
             ejected("back-and-out"), *asks("back-and-out", "/", begin=4), ejected("back-and-out", 0),
             Events("back-and-out", 4)),
        case("back for the second time", *last[0], ejected("back-at-last"), ejected("back-at-last", 0), *last[1],
             ejected("back-at-last"), ejected("back-at-last", 0), *asks("back-at-last", "/", begin=4),
             Events("back-at-last", 4)),
        case("panic", *asks("alone", "/500", "/500"), ejected("alone"), *asks("alone", "/500", "/", begin=2),
             Shown("alone")),
        case("no panic", *asks("alone-no-panic", "/500", "/500"), ejected("alone-no-panic"),
             *asks("alone-no-panic", "/", begin=2), Shown("alone-no-panic")),
    ]  # fmt: skip


def _alone(name: str, places: Places, **common: Any) -> Json:
    detection = {**REST, "consecutive_5xx": 2}
    made = cluster_of(name, hosts_of(host(places["bad"])), outlier_detection=detection)
    return {**made, "common_lb_config": {"update_merge_window": "0s", **common}}


def modify(**keys: int) -> Admin:
    return Admin("POST /runtime_modify?" + "&".join(f"outlier_detection.{key}={value}" for key, value in keys.items()))


SHARES = Table("outliers-shares")
SHORT, LONG = 50, 2000
"""Milliseconds of an interval: between cases, and of the one that a case's requests are in."""


def _in_one_interval(*requests: CaseStep) -> list[CaseStep]:
    """Requests that no end of an interval parts, however slow the machine is: parted, they are too few to be judged.

    When an interval ends is not to be seen, and each side has its own. So intervals are short, and the next one is made
    long: after a moment it has begun, and the requests have most of it.
    """
    return [modify(interval_ms=LONG), Wait(4 * SHORT / 1000), *requests]


def _shares() -> list[Case]:
    """Success rates and shares of failures, of two hosts that requests choose."""
    rates = {**NEVER, "success_rate_minimum_hosts": 2, "success_rate_request_volume": 6,
             "success_rate_stdev_factor": 500}  # fmt: skip
    shares = {**NEVER, "failure_percentage_minimum_hosts": 2, "failure_percentage_request_volume": 6,
              "failure_percentage_threshold": 50, "enforcing_failure_percentage": 100}  # fmt: skip
    local = {"split_external_local_origin_errors": True, "consecutive_local_origin_failure": 1000}
    for name, fields in {
        "rates": rates,
        "rates-detected-only": {**rates, "enforcing_success_rate": 0},
        "rates-few-hosts": {**rates, "success_rate_minimum_hosts": 3},
        "rates-few-requests": {**rates, "success_rate_request_volume": 100},
        "rates-wide": {**rates, "success_rate_stdev_factor": 1900},
        "rates-shown": rates,
        "shares": shares,
        "shares-detected-only": {**shares, "enforcing_failure_percentage": 0},
        "shares-below": {**shares, "failure_percentage_threshold": 51},
    }.items():
        SHARES.ring(name, "h-1", "h-2", **fields)
    SHARES.ring("rates-local", "h-1", "dead", **rates, **local)
    SHARES.ring("shares-local", "h-1", "dead", **shares, **local, enforcing_local_origin_success_rate=0,
                enforcing_failure_percentage_local_origin=100)  # fmt: skip
    return [*_outliers_by_share(), *_no_outliers_by_share(), _rates_shown()]


def _share_case(cluster: str, requests: list[CaseStep], *after: CaseStep, **more: Any) -> Case:
    """Intervals are short again when this one is over."""
    steps = *_in_one_interval(*requests), modify(interval_ms=SHORT), *after
    return case(cluster.replace("-", " "), *steps, setup=BY_SHARE, **more)


def _outliers_by_share() -> list[Case]:
    made = []
    for name in ("rates", "rates-detected-only", "shares", "shares-detected-only"):
        detected = f"cluster.{name}.outlier_detection.ejections_detected_"
        kind = "success_rate" if name.startswith("rates") else "failure_percentage"
        made.append(_share_case(name, _half_of(name), UntilStat(detected + kind, 1), Events(name, 1)))
    made += [
        _share_case(name, _refused(name), ejected(name), Events(name, 1)) for name in ("rates-local", "shares-local")
    ]
    return made


def _no_outliers_by_share() -> list[Case]:
    over = Wait((LONG + SHORT) / 1000)
    return [
        _share_case(name, _half_of(name), over, show=statuses)
        for name in ("rates-few-hosts", "rates-few-requests", "rates-wide", "shares-below")
    ]


def _rates_shown() -> Case:
    """The last of its setup: rates are shown until the next interval ends, so that one stays long, too."""
    shown = ejected("rates-shown"), Shown("rates-shown"), ShownAsJson("rates-shown")
    return case("rates shown", *_in_one_interval(*_half_of("rates-shown")), *shown, setup=BY_SHARE)


def _half_of(cluster: str) -> list[CaseStep]:
    """Eight requests to the one host, all of them well, and eight to the other, half of them not."""
    steps: list[CaseStep] = []
    for turn in range(8):
        steps += asks(cluster, "/", begin=2 * turn, key=0)
        steps += asks(cluster, "/500" if turn % 2 else "/404", begin=2 * turn + 1, key=2)
    return steps


def _refused(cluster: str) -> list[CaseStep]:
    steps: list[CaseStep] = []
    for turn in range(8):
        steps += asks(cluster, "/", begin=2 * turn, key=0)
        steps += asks(cluster, "/", begin=2 * turn + 1, key=2)
    return steps


def _several() -> list[Case]:
    """Several hosts: how many may be out at once, and who is asked then."""
    hosts = ("h-1", "h-2", "h-3", "h-4")
    TABLE.ring("several-half", *hosts, consecutive_5xx=1, max_ejection_percent=50)
    TABLE.ring("several-most", *hosts, consecutive_5xx=1, max_ejection_percent=75)
    TABLE.ring("several-by-default", *hosts, base_ejection_time="60s", consecutive_5xx=1, max_ejection_percent=10)
    TABLE.ring("several-first-only", *hosts, consecutive_5xx=1, max_ejection_percent=10, always_eject_one_host=True)

    def each(cluster: str, out: int) -> list[CaseStep]:
        """Each host fails once; then each of the keys is asked for again."""
        steps: list[CaseStep] = []
        for number, key in enumerate(KEYS.values()):
            steps += [*asks(cluster, "/500", begin=number, key=key), ejected(cluster, min(number + 1, out))]
        for number, key in enumerate(KEYS.values(), len(KEYS)):
            steps += asks(cluster, "/", begin=number, key=key)
        return steps

    most = {"several-half": 2, "several-most": 3, "several-by-default": 0, "several-first-only": 1}
    return [
        case(name.replace("-", " "), *each(name, out), Shown(name), Events(name, out)) for name, out in most.items()
    ]


def _others() -> list[Case]:
    """Clusters of clusters, subsets, bytes, and what the admin shows."""
    aggregate = {"name": "envoy.clusters.aggregate", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig",
        "clusters": ["part", "part-spare"]}}  # fmt: skip
    TABLE.whole("part", lambda places: _alone("part", places))
    TABLE.whole("part-spare", lambda at: cluster_of("part-spare", hosts_of(host(at["spare"]))))
    TABLE.whole("sum", lambda at: {"name": "sum", "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED",
                                   "cluster_type": aggregate})  # fmt: skip
    TABLE.pair("bytes", "dead", "speaks", consecutive_5xx=2)
    TABLE.pair("bytes-split", "dead", "speaks", split_external_local_origin_errors=True,
               consecutive_local_origin_failure=2, consecutive_5xx=1)  # fmt: skip
    TABLE.pair("shown", consecutive_5xx=2)
    for name in ("bytes", "bytes-split"):
        TABLE.tcp(name)
    made = [
        case("a part of a sum", *asks("sum", "/500", "/500"), ejected("part"), *asks("sum", "/", begin=2),
             Shown("part"), Events("part", 1)),
        case("what the admin shows", *asks("shown", "/500", "/500"), ejected("shown"), ShownAsJson("shown"),
             Admin("GET /stats?filter=cluster.shown.outlier_detection")),
        case("names without a detector", Admin("GET /stats?filter=cluster.part-spare.outlier_detection")),
    ]  # fmt: skip
    for name in ("bytes", "bytes-split"):
        steps = (
            Closed(),
            Connect(),
            Closed(),
            ejected(name),
            Connect(),
            Until(b"hello"),
            b"bye",
            Closed(),
            Shown(name),
        )
        made.append(Case(AREA, name.replace("-", " "), steps, name, lines=3, setup=SETUP))
    return made


SETUP = TABLE.setup()
BY_SHARE = SHARES.setup({"outlier_detection.interval_ms": SHORT})
MADE = [case for make in (_failures, _ends, _split, _retries, _rest, _shares, _several, _others) for case in make()]

KEYED = Table("outliers-runtime")
for each in ("limit", "enforcing", "percent", "rest"):
    KEYED.pair(each, consecutive_5xx=5, base_ejection_time="60s")
RUNTIME = KEYED.setup({"outlier_detection.consecutive_5xx": 2, "outlier_detection.interval_ms": 100})


BY_RUNTIME = [
    case("runtime: a limit", *asks("limit", "/500", "/500"), ejected("limit"), *asks("limit", "/", begin=2),
         Events("limit", 1), setup=RUNTIME),
    case("runtime: enforced never", modify(enforcing_consecutive_5xx=0), *asks("enforcing", "/500", "/500", "/"),
         Events("enforcing", 1), Admin("POST /runtime_modify?outlier_detection.enforcing_consecutive_5xx="),
         setup=RUNTIME),
    case("runtime: too many", modify(max_ejection_percent=10), *asks("percent", "/500", "/500", "/500"),
         Admin("POST /runtime_modify?outlier_detection.max_ejection_percent="), setup=RUNTIME),
    case("runtime: back soon", modify(base_ejection_time_ms=200), *asks("rest", "/500", "/500"), ejected("rest"),
         ejected("rest", 0),
         *asks("rest", "/500", begin=2), Events("rest", 2),
         Admin("POST /runtime_modify?outlier_detection.base_ejection_time_ms="), setup=RUNTIME),
]  # fmt: skip

CASES = [*MADE, *BY_RUNTIME]
