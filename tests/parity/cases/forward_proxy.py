"""The dynamic forward proxy: hosts that requests name, resolved as they are asked for."""

from __future__ import annotations

from typing import Any

from tests.integration.exchanges import get
from tests.integration.harness import catch_all, http_listener, to_cluster
from tests.parity.case import Case
from tests.parity.setup import FILE_LOG, Json, Places, Setup, bootstrap_of, hosts
from tests.parity.steps import Admin, Answers, CaseStep, Connect, UntilStat, in_order
from tests.parity.upstreams import Refusing

AREA = "dynamic forward proxy"
NAME = "envoy.filters.http.dynamic_forward_proxy"
EXTENSIONS = "type.googleapis.com/envoy.extensions."
NOWHERE = "nowhere.onion"  # which no resolver asks a server for (RFC 7686)
QUIET = {
    "dns_refresh_rate": "600s",
    "dns_min_refresh_rate": "600s",
}  # so that nothing is asked while a case is measured
LOG = (
    "code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% host=%UPSTREAM_HOST% "
    "name=%UPSTREAM_HOST_NAME% cluster=%UPSTREAM_CLUSTER% address=%FILTER_STATE(envoy.stream.upstream_address:PLAIN)%\n"
)


def _cache(name: str, **more: Any) -> Json:
    return {"name": name, "dns_lookup_family": "V4_ONLY", **QUIET, **more}


def _cluster(name: str, cache: Json, **more: Any) -> Json:
    config = {"@type": EXTENSIONS + "clusters.dynamic_forward_proxy.v3.ClusterConfig", "dns_cache_config": cache}
    kind = {"name": "envoy.clusters.dynamic_forward_proxy", "typed_config": config}
    return {"name": name, "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s", "cluster_type": kind, **more}


def _filters(cache: Json, **more: Any) -> list[Json]:
    config = {"@type": EXTENSIONS + "filters.http.dynamic_forward_proxy.v3.FilterConfig", "dns_cache_config": cache}
    router = {"@type": EXTENSIONS + "filters.http.router.v3.Router"}
    return [{"name": NAME, "typed_config": {**config, **more}}, {"name": "router", "typed_config": router}]


def _rewritten(prefix: str, cluster: str, **how: str) -> Json:
    config = {"@type": EXTENSIONS + "filters.http.dynamic_forward_proxy.v3.PerRouteConfig", **how}
    return {**to_cluster(cluster, prefix), "typed_per_filter_config": {NAME: config}}


def _listener(name: str, places: Places, cache: Json, *routes: Json, **more: Any) -> Json:
    port, dead = places["one-1"][1], places["dead"][1]
    found = [
        *routes,
        _rewritten("/name/", name, host_rewrite_literal=f"localhost:{port}"),
        _rewritten("/under/", name, host_rewrite_literal=f"a.localhost:{port}"),
        _rewritten("/address/", name, host_rewrite_literal=f"127.0.0.1:{port}"),
        _rewritten("/sixth/", name, host_rewrite_literal=f"[::1]:{port}"),
        _rewritten("/dead/", name, host_rewrite_literal=f"localhost:{dead}"),
        _rewritten("/by-header/", name, host_rewrite_header="x-host"),
        to_cluster(name, "/rewritten-by-route/", host_rewrite_literal=f"localhost:{port}"),
        to_cluster("plain", "/plain/"),
        to_cluster(name),
    ]
    log = {"@type": FILE_LOG, "path": str(places.log), "log_format": {"text_format_source": {"inline_string": LOG}}}
    filters = _filters(cache, **more)
    return http_listener(
        name, catch_all(*found), http_filters=filters, access_log=[{"name": "file", "typed_config": log}]
    )


def _configuration(places: Places) -> Json:
    caches = {
        "main": _cache("main"),
        "small": _cache("small", max_hosts=1),
        "none-may-wait": _cache("none-may-wait", dns_cache_circuit_breaker={"max_pending_requests": 0}),
        "known": _cache("known", preresolve_hostnames=[{"address": "localhost", "port_value": places["one-1"][1]}]),
        "short": _cache("short", host_ttl="0.1s", dns_refresh_rate="1s", dns_min_refresh_rate="1s"),
        "no-refresh": _cache("no-refresh", disable_dns_refresh_on_failure=True),
        "often": _cache("often", dns_failure_refresh_rate={"base_interval": "0.05s", "max_interval": "0.05s"}),
    }
    saved = {"main": {"save_upstream_address": True}}
    listeners = [_listener(name, places, cache, **saved.get(name, {})) for name, cache in caches.items()]
    plain: Json = {
        "name": "plain",
        "load_assignment": {
            "cluster_name": "plain",
            "endpoints": [
                {
                    "lb_endpoints": [
                        {
                            "endpoint": {
                                "address": {
                                    "socket_address": {"address": "127.0.0.1", "port_value": places["one-1"][1]}
                                }
                            }
                        }
                    ]
                }
            ],
        },
    }
    return bootstrap_of(listeners, [*(_cluster(name, cache) for name, cache in caches.items()), plain])


SETUP = Setup("forward-proxy", _configuration, {**hosts("one", 1), "dead": Refusing})


def case(name: str, *steps: CaseStep, on: str = "main", alone: bool = False) -> Case:
    setup = SETUP if not alone else Setup("forward-proxy-alone", SETUP.configuration, SETUP.upstreams, alone=True)
    return Case(AREA, name, steps, on, setup=setup)


def to(host: str, path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()


STATS = Admin("GET /stats?filter=^dns_cache.main")

CASES = [
    case("a name", *in_order(get("/name/"), 1), alone=True),
    case("a name, twice", *in_order(get("/name/"), 2), STATS, alone=True),
    case("two names of a host", get("/name/"), Answers(1), get("/under/"), Answers(2), STATS, alone=True),
    case("two clients ask for a name", get("/name/"), Connect(), get("/name/"), Answers(1), STATS, alone=True),
    case("an address", *in_order(get("/address/"), 2)),
    case("an address of the other family", *in_order(get("/sixth/"), 1)),
    case("nobody listens", *in_order(get("/dead/"), 1)),
    case("a name that nobody has", *in_order(to(NOWHERE), 2), STATS, alone=True),
    case(
        "a name that nobody has, with a body", b"POST / HTTP/1.1\r\nhost: nowhere.onion\r\ncontent-length: 3\r\n\r\nabc"
    ),
    case("a name by a header", b"GET /by-header/ HTTP/1.1\r\nhost: a\r\nx-host: nowhere.onion:1\r\n\r\n"),
    case("a name by a header that is not there", b"GET /by-header/ HTTP/1.1\r\nhost: nowhere.onion:2\r\n\r\n"),
    case("a host that the route rewrites", b"GET /rewritten-by-route/ HTTP/1.1\r\nhost: nowhere.onion\r\n\r\n"),
    case("an odd port", to("localhost:99999")),
    case("no port and nobody there", to("127.0.0.1")),
    case("a name that is none", to("a..b")),
    case("another kind of cluster", get("/plain/")),
    case("a post with a body", b"POST /name/ HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc", alone=True),
    case("no room for another name", *in_order(to(NOWHERE), 1), get("/name/"), Answers(2), on="small", alone=True),
    case(
        "no room, but the name is there",
        *in_order(to(NOWHERE), 3),
        Admin("GET /stats?filter=^dns_cache.small"),
        on="small",
        alone=True,
    ),
    case("nobody may wait", *in_order(get("/name/"), 2), on="none-may-wait"),
    case(
        "a name that is known",
        UntilStat("dns_cache.known.dns_query_success", 1),
        *in_order(get("/name/"), 1),
        on="known",
    ),
    case(
        "a name that nobody asks for any more",
        *in_order(get("/name/"), 1),
        UntilStat("dns_cache.short.host_removed", 1),
        get("/name/"),
        Answers(2),
        on="short",
        alone=True,
    ),
    case(
        "a failure is asked again at once",
        *in_order(to(NOWHERE), 2),
        Admin("GET /stats?filter=^dns_cache.no-refresh"),
        on="no-refresh",
        alone=True,
    ),
    case(
        "a failure is asked again by the clock",
        *in_order(to(NOWHERE), 1),
        UntilStat("dns_cache.often.dns_query_failure", 3),
        on="often",
        alone=True,
    ),
    case(
        "hosts in the admin",
        *in_order(get("/name/"), 1),
        get("/address/"),
        Answers(2),
        Admin("GET /clusters?format=json", body=False),
        Admin("GET /stats?filter=^cluster.main.membership"),
        alone=True,
    ),
]
