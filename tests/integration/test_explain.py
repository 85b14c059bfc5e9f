"""What `explain` says is what happens: asked of the file, and of the running proxy, and then done."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from envoymesh.explain.question import read_question
from envoymesh.server.explaining import Explainer
from tests.integration.harness import (
    Address,
    Peer,
    Proxy,
    Request,
    Upstream,
    bootstrap,
    http_listener,
    refused_address,
    static_cluster,
    to_cluster,
    wait_for,
)
from tests.support.loggers import loggers_restored

HTTP = "type.googleapis.com/envoy.extensions.filters.http."
CORS = {"@type": HTTP + "cors.v3.CorsPolicy", "allow_origin_string_match": [{"exact": "http://ours"}]}
ROUTES = [
    {**to_cluster("up", "/rewritten", prefix_rewrite="/", host_rewrite_literal="inside", timeout="3s"),
     "request_headers_to_add": [{"header": {"key": "x-path", "value": "%REQ(:PATH)%"}}],
     "request_headers_to_remove": ["x-secret"],
     "response_headers_to_add": [{"header": {"key": "x-cluster", "value": "%UPSTREAM_CLUSTER%"}}]},
    {"match": {"prefix": "/small"}, "route": {"cluster": "up"},
     "typed_per_filter_config": {"buffer": {"@type": HTTP + "buffer.v3.BufferPerRoute",
                                            "buffer": {"max_request_bytes": 3}}}},
    {"match": {"prefix": "/redirect"}, "redirect": {"host_redirect": "other", "https_redirect": True}},
    {"match": {"prefix": "/say"}, "direct_response": {"status": 418, "body": {"inline_string": "tea"}}},
    {"match": {"prefix": "/only", "headers": [{"name": "x-a", "string_match": {"exact": "b"}}]},
     "route": {"cluster": "up"}},
    to_cluster("ill", "/ill"),
    to_cluster("empty", "/empty"),
    to_cluster("up", "/", retry_policy={"retry_on": "5xx"}),
]  # fmt: skip
FILTERS = [
    {"name": "cors", "typed_config": {"@type": HTTP + "cors.v3.Cors"}},
    {"name": "buffer", "typed_config": {"@type": HTTP + "buffer.v3.Buffer", "max_request_bytes": 100}},
    {"name": "router", "typed_config": {"@type": HTTP + "router.v3.Router"}},
]
OWN = {"x-request-id", "date", "x-envoy-upstream-service-time", "content-length", "connection", "transfer-encoding"}
"""Headers that differ from request to request, and HTTP/1's own."""


def answer(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def configuration(up: Address) -> dict[str, Any]:
    table = {
        "virtual_hosts": [
            {"name": "site", "domains": ["site", "site:*"], "routes": ROUTES, "typed_per_filter_config": {"cors": CORS}}
        ]
    }
    options = {"normalize_path": True, "http_filters": FILTERS, "use_remote_address": True}
    ill = static_cluster("ill", refused_address(), common_lb_config={"healthy_panic_threshold": {"value": 0}})
    ill["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["health_status"] = "UNHEALTHY"
    clusters = [static_cluster("up", up), ill, static_cluster("empty")]
    return bootstrap([http_listener("main", table, **options)], clusters)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream({"/": answer}) as upstream:
        yield upstream


@pytest.fixture(scope="module", params=["1", "2"])
def proxy(request: pytest.FixtureRequest, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("explain")
    with Proxy.ours(configuration(upstream.address), folder, "--concurrency", request.param) as proxy:
        yield proxy


REQUESTS: list[tuple[str, str, dict[str, str], str | None]] = [
    ("GET", "/rewritten/x/../y?q=1", {"x-secret": "s", "x-a": "1"}, None),
    ("POST", "/rewritten", {}, "body"),
    ("GET", "/elsewhere", {"x-envoy-retry-on": "5xx", "x-envoy-upstream-rq-timeout-ms": "5"}, None),
    ("GET", "/only", {"x-a": "b"}, None),
    ("GET", "/only", {"x-a": "c", "origin": "http://ours"}, None),
    ("OPTIONS", "/x", {"origin": "http://ours", "access-control-request-method": "PUT"}, None),
    ("POST", "/small", {}, "too much"),
    ("GET", "/redirect/x", {}, None),
    ("GET", "/say", {}, None),
    ("GET", "/ill", {}, None),
    ("GET", "/empty", {}, None),
    ("GET", "/a%00b", {}, None),
    ("BREW", "/x", {}, None),
    ("HEAD", "/say", {}, None),
]


def do(
    address: Address, method: str, path: str, headers: dict[str, str], body: str | None
) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"host": "site", **headers}.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("content-length", str(len(body)))
        connection.endheaders((body or "").encode() or None)
        response = connection.getresponse()
        response.read()
        return response.status, {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


def compared(pairs: Sequence[Sequence[str]]) -> dict[str, str]:
    """Without what differs from request to request."""
    return {name: value for name, value in pairs if name not in OWN and not name.startswith(":")}


def fields_of(request: Request) -> dict[str, str]:
    lines = request.head.decode().split("\r\n")[1:]
    pairs = [line.split(": ", 1) for line in lines if ": " in line]
    return compared([(name.lower(), value) for name, value in pairs])


def check(told: dict[str, Any], got: tuple[int, dict[str, str]], seen: Request | None) -> None:
    status, headers = got
    assert told["answer"]["status"] == status
    assert compared(told["answer"]["headers"]) == compared(list(headers.items()))
    sent = (told["upstream"] or {}).get("sent")
    assert (sent is None) == (seen is None)
    if seen is not None:
        pseudo = dict(map(tuple, sent))
        method, target, _ = seen.head.decode().split(" ", 2)
        assert (pseudo[":method"], pseudo[":path"]) == (method, target)
        told_fields = compared(sent)
        assert {**told_fields, "host": pseudo[":authority"]} == fields_of(seen)


@pytest.mark.parametrize(("method", "path", "headers", "body"), REQUESTS)
def test_what_is_said_is_what_happens(
    proxy: Proxy, upstream: Upstream, method: str, path: str, headers: dict[str, str], body: str | None
) -> None:
    upstream.requests.clear()
    got = do(proxy.addresses["main"], method, path, headers, body)
    seen = next((each for some in upstream.requests.values() for each in some), None)
    given = ["host: site", *(f"{name}: {value}" for name, value in headers.items())]
    with loggers_restored():
        offline = Explainer(str(proxy.config_path))
        question = read_question(path, method, given, body, listener="main")
        check(offline.explain(question), got, seen)
    query = "".join(f"&header={quote(each)}" for each in given) + ("" if body is None else f"&body={quote(body)}")
    asked = f"/explain?format=json&method={method}&url={quote(path)}&listener=main{query}"
    check(json.loads(proxy.admin_get(asked)), got, seen)


def test_the_admin_tells_people_and_changes_nothing(proxy: Proxy, upstream: Upstream) -> None:
    upstream.requests.clear()
    before = proxy.admin_get("/stats?filter=^(http.test|cluster.up)")
    port = proxy.addresses["main"][1]
    shown = proxy.admin_get(f"/explain?url=http://site:{port}/elsewhere")
    assert f"Listener main at 127.0.0.1:0  {proxy.config_path}:1\n  it has port {port}\n" in shown
    assert "8. route (prefix: '/') matches" in shown
    assert proxy.admin_get("/stats?filter=^(http.test|cluster.up)") == before
    assert not upstream.requests
    ill = proxy.admin_get("/explain?url=/ill&header=host:%20site")
    assert re.search(r"  the only host of ill is unhealthy by configuration, since 20\d\d-\d\d-\d\dT\S+Z\n", ill)
    assert "The proxy answers itself: 503 UH no_healthy_upstream" in ill
    assert "empty has no hosts" in proxy.admin_get("/explain?url=/empty&header=host:%20site")


def test_what_cannot_be_asked_is_a_bad_request(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection(*proxy.admin)
    connection.request("GET", "/explain?url=http://x:1x/")
    response = connection.getresponse()
    assert (response.status, response.read()) == (400, b"the URL's port is not one: http://x:1x/\n")
    connection.close()
    assert "/explain" not in proxy.admin_get("/help")


@pytest.mark.parametrize("concurrency", ["1", "2"])
def test_failures_are_remembered_with_why(concurrency: str, upstream: Upstream, tmp_path: Path) -> None:
    with Proxy.ours(configuration(upstream.address), tmp_path, "--concurrency", concurrency) as proxy:
        assert proxy.admin_get("/failures") == "no request has failed\n"
        address = proxy.addresses["main"]
        for _ in range(3):
            do(address, "GET", "/elsewhere", {}, None)
        assert do(address, "GET", "/ill", {}, None)[0] == 503
        assert do(address, "GET", "/say", {}, None)[0] == 418
        connection = http.client.HTTPConnection(*address)
        connection.request("GET", "/x", headers={"host": "nobody"})
        assert connection.getresponse().status == 404
        connection.close()
        told = json.loads(proxy.admin_get("/failures?format=json"))["failures"]
        assert [(each["path"], each["status"], each["flags"]) for each in told] == [
            ("/x", 404, "NR"),
            ("/ill", 503, "UH"),
        ]
        assert (told[1]["cluster"], told[1]["details"], told[1]["authority"]) == ("ill", "no_healthy_upstream", "site")
        assert told[1]["why"]["word"] == "UH"
        text = proxy.admin_get("/failures")
        assert '"GET site/ill" 503 UH no_healthy_upstream\n  cluster ill, ' in text
        assert "UH (NoHealthyUpstream): The route chose a cluster" in text
        for _ in range(250):
            do(address, "GET", "/empty", {}, None)
        assert len(json.loads(proxy.admin_get("/failures?format=json"))["failures"]) == 200


def test_the_runtime_and_a_drain_count(upstream: Upstream, tmp_path: Path) -> None:
    config = configuration(upstream.address) | {"layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]}}
    with Proxy.ours(config, tmp_path) as proxy:

        def asked() -> Any:
            return json.loads(proxy.admin_get("/explain?format=json&url=/x&header=host:%20site"))

        def post(path: str) -> None:
            connection = http.client.HTTPConnection(*proxy.admin)
            connection.request("POST", path)
            assert connection.getresponse().status == 200
            connection.close()

        assert asked()["answer"]["status"] == 200
        post("/runtime_modify?upstream.maintenance_mode.up=100")
        told = asked()
        assert (told["answer"]["status"], told["answer"]["flags"]) == (503, "UO")
        assert told["upstream"]["state"] == ["maintenance mode: 100% of the requests are refused"]
        post("/runtime_modify?upstream.maintenance_mode.up=")
        post("/healthcheck/fail")
        told = asked()
        assert told["notes"] == ["the proxy drains: answers ask the client to close its connection"]
        assert ["connection", "close"] in told["answer"]["headers"]
        post("/healthcheck/ok")
        assert asked()["notes"] == []


def test_an_open_circuit_breaker_counts(tmp_path: Path) -> None:
    holds = []

    def hold(peer: Peer, request: Request) -> None:
        holds.append(peer)
        peer.more()

    with Upstream({"/": hold}) as upstream:
        config = configuration(upstream.address)
        config["static_resources"]["clusters"][0]["circuit_breakers"] = {"thresholds": [{"max_requests": 1}]}
        with Proxy.ours(config, tmp_path) as proxy:
            connection = http.client.HTTPConnection(*proxy.addresses["main"])
            connection.request("GET", "/held", headers={"host": "site"})
            wait_for(lambda: holds, "the upstream has the request")
            told = json.loads(proxy.admin_get("/explain?format=json&url=/x&header=host:%20site"))
            assert (told["answer"]["status"], told["answer"]["flags"]) == (503, "UO")
            assert told["upstream"]["state"] == [
                "the circuit breaker is open: as many as max_requests allows are under way"
            ]
            connection.close()
