"""Headers that routes, virtual hosts and route configurations add and remove (log_listeners.mutation_routes)."""

from __future__ import annotations

from tests.integration.exchanges import get, message
from tests.integration.harness import http_listener, static_cluster, to_cluster
from tests.parity.case import Case
from tests.parity.setup import Json, Places, Setup, bootstrap_of, hosts
from tests.parity.upstreams import Refusing

AREA = "header mutations"

PRESENT = (
    "x-append_if_exists_or_add: here", "x-add_if_absent: here", "x-overwrite_if_exists_or_add: here",
    "x-overwrite_if_exists: here", "x-default: here", "x-old: here",
)  # fmt: skip
TWICE = (*PRESENT, *PRESENT)
REMOVED = ("x-remove-route: 1", "x-remove-host: 1", "x-remove-table: 1", "X-Remove-Route: 2", "x-stays: 1")
TAKEN = ("x-taken: 1", "user-agent: curl", "x-upper-taken: 1", "x-forwarded-proto: https", "content-type: a/b")
KEPT = ("x-overwrite-empty: a", "x-overwrite-dropped: b", "x-kept: c")
SINGLE = ("user-agent: curl", "via: 1.1 other", "cookie: a=b", "x-given: g")


def _on(listener: str) -> list[Case]:
    def case(name: str, request: bytes) -> Case:
        return Case(AREA, f"{listener}: {name}", (request,), listener)

    return [
        case("absent", get("/m/x")),
        case("present", get("/m/x", *PRESENT)),
        case("present twice", get("/m/x", *TWICE)),
        case("removed", get("/m/x", *REMOVED)),
        case("direct", get("/m/direct", *PRESENT, *REMOVED)),
        case("direct, values", get("/m/valued?k=v", "x-given: given")),
        case("redirect", get("/m/there", *PRESENT)),
        case("dead upstream", get("/m/dead", *PRESENT)),
        case("no route", get("/nowhere", *PRESENT)),
        case("values", get("/m/values?k=v", "x-given: given")),
        case("values, nothing given", get("/m/values")),
        case("values, given twice", get("/m/values", "x-given: one", "x-given: two")),
        case("values, post", message("POST /m/values", "content-length: 3", body=b"abc")),
        case("kept and dropped", get("/m/kept")),
        case("kept and dropped, present", get("/m/kept", *KEPT)),
        case("headers of one field", get("/m/single", *SINGLE)),
        case("headers of one field, absent", get("/m/single")),
        case("known headers removed", get("/m/removed", *TAKEN)),
        case("http2 upstream", get("/m/trailers", *PRESENT)),
        case("malformed", b"GET\r\n\r\n"),
    ]


ATTEMPTS = {
    "removed": {"response_headers_to_remove": ["x-envoy-attempt-count"]},
    "overwritten": {
        "response_headers_to_add": [
            {
                "header": {"key": "x-envoy-attempt-count", "value": "z"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ]
    },
    "read": {"response_headers_to_add": [{"header": {"key": "x-read", "value": "%RESP(x-envoy-attempt-count)%"}}]},
    "mapped": {
        "response_headers_to_add": [{"header": {"key": "x-plain", "value": "1"}}],
        "response_headers_to_remove": ["x-host"],
    },
}
"""What a route does with the header that its virtual host asks for (`include_attempt_count_in_response`)."""


def _attempts(places: Places) -> Json:
    routes = [
        {**to_cluster(cluster, f"/{cluster}/{name}"), **changes}
        for name, changes in ATTEMPTS.items()
        for cluster in ("up", "dead")
    ]
    host = {"name": "all", "domains": ["*"], "include_attempt_count_in_response": True, "routes": routes}
    listener = http_listener("main", {"virtual_hosts": [host]})
    clusters = [static_cluster("up", *places.group("one")), static_cluster("dead", places["dead"])]
    return bootstrap_of([listener], clusters)


ATTEMPTS_SETUP = Setup("attempts", _attempts, {**hosts("one", 1), "dead": Refusing})

CASES = [
    *_on("mutated"),
    *_on("mutated-specific"),
    *[
        Case(AREA, f"attempt count {name}, {cluster}", (get(f"/{cluster}/{name}"),), "main", setup=ATTEMPTS_SETUP)
        for name in ATTEMPTS
        for cluster in ("up", "dead")
    ],
]
