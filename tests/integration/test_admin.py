"""The admin of a real process: long answers, clients that do not read them, and pages that must not use it."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded

from tests.integration.harness import (
    Address,
    Proxy,
    Until,
    bootstrap,
    catch_all,
    exchange,
    http_listener,
    refused_address,
    static_cluster,
)

TEA = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "tea"}}}
CLUSTERS = 300
KIB = 1024


@pytest.fixture(scope="module", params=["1", "2"])
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """One with some 30,000 stats: several MiB of text. In one process, and with worker processes."""
    clusters = [static_cluster(f"cluster{index}", refused_address()) for index in range(CLUSTERS)]
    config = bootstrap([http_listener("main", catch_all(TEA))], clusters)
    folder = tmp_path_factory.mktemp("admin")
    with Proxy.ours(config, folder, "--concurrency", request.param) as proxy:
        yield proxy


def ask(address: Address, method: str, target: str, **headers: str) -> tuple[int, str]:
    """Status and body."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request(method, target, headers={name.replace("_", "-"): text for name, text in headers.items()})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.slow
def test_long_answers_are_whole(proxy: Proxy) -> None:
    names = {f"cluster{index}" for index in range(CLUSTERS)}
    lines = proxy.admin_get("/stats").splitlines()
    first_histogram = next(place for place, line in enumerate(lines) if line.endswith("No recorded values"))
    assert lines[:first_histogram] == sorted(lines[:first_histogram], key=lambda line: line.partition(":")[0])
    assert {line.split(".")[1] for line in lines if line.startswith("cluster.")} == names
    assert len(json.loads(proxy.admin_get("/stats?format=json"))["stats"]) > 100 * CLUSTERS
    assert proxy.admin_get("/stats?format=html").endswith("</pre>\n</body>\n</html>\n")
    for metric in ("envoy_cluster_upstream_rq_total", "envoy_cluster_membership_total"):
        assert proxy.admin_get("/stats/prometheus").count(f"\n{metric}{{") == CLUSTERS
    status, body = ask(proxy.admin, "GET", "/config_dump?include_eds")
    kinds = {config["@type"].rpartition(".")[2]: config for config in json.loads(body)["configs"]}
    assert status == 200
    assert {each["name"] for each in kinds["BootstrapConfigDump"]["bootstrap"]["static_resources"]["clusters"]} == names
    assert {each["cluster"]["name"] for each in kinds["ClustersConfigDump"]["static_clusters"]} == names
    assert len(kinds["EndpointsConfigDump"]["static_endpoint_configs"]) == CLUSTERS
    assert {each["name"] for each in json.loads(proxy.admin_get("/clusters?format=json"))["cluster_statuses"]} == names
    assert proxy.admin_get("/clusters").count("::health_flags::healthy\n") == CLUSTERS
    assert ask(proxy.admin, "HEAD", "/stats") == (200, "")


def lazy_client(address: Address, target: str) -> socket.socket:
    """One that asks and does not read; its window is small, so that the kernel does not read for it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
    client.settimeout(30)
    client.connect(address)
    client.sendall(f"GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    return client


@pytest.mark.slow
def test_a_client_that_does_not_read_holds_its_own_answer_only(proxy: Proxy) -> None:
    whole = len(proxy.admin_get("/stats/prometheus"))
    assert whole > 3 * KIB * KIB
    before = proxy.resident_kib
    lazy = [lazy_client(proxy.admin, "/stats/prometheus") for _ in range(20)]
    try:
        assert proxy.admin_get("/ready") == "LIVE\n"
        assert len(proxy.admin_get("/stats/prometheus")) >= whole
        assert exchange(proxy.addresses["main"], [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", Until(b"tea")]).data
        # Each may fill its write buffer, 1 MiB by default: less than half of what the answers are in all.
        assert proxy.resident_kib - before < 20 * 1.5 * KIB
        for client in lazy[2:]:
            client.close()
        for client in lazy[:2]:
            answer = client.makefile("rb").read()
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"\r\n0\r\n\r\n")
            assert len(answer) >= whole
    finally:
        for client in lazy:
            client.close()


def test_pages_of_other_sites(proxy: Proxy) -> None:
    host, port = proxy.admin
    own, other = f"http://{host}:{port}", "http://evil.example"
    rebound = f"evil.example:{port}"
    assert ask(proxy.admin, "POST", "/reset_counters", origin=other)[0] == 403
    assert ask(proxy.admin, "POST", "/reset_counters", origin="null")[0] == 403
    assert ask(proxy.admin, "POST", "/quitquitquit", origin=f"http://{host}:{port + 1}")[0] == 403
    assert ask(proxy.admin, "POST", "/quitquitquit", sec_fetch_site="same-site")[0] == 403
    assert ask(proxy.admin, "POST", "/quitquitquit", host=rebound, origin=f"http://{rebound}")[0] == 403
    assert ask(proxy.admin, "GET", "/config_dump", host=rebound)[0] == 403
    assert ask(proxy.admin, "GET", "/ready", host=rebound, x_forwarded_host="localhost")[0] == 403
    assert proxy.process.poll() is None
    assert ask(proxy.admin, "POST", "/reset_counters", origin=own, sec_fetch_site="same-origin") == (200, "OK\n")
    assert ask(proxy.admin, "POST", "/reset_counters") == (200, "OK\n")
    assert ask(proxy.admin, "GET", "/ready", origin=other, x_forwarded_host=rebound) == (200, "LIVE\n")


def http2_status(address: Address, method: str, path: str, *fields: tuple[str, str]) -> str:
    """The status of one request over cleartext HTTP/2."""
    h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
    h2.initiate_connection()
    h2.send_headers(1, [(":method", method), (":scheme", "http"), (":path", path), *fields], end_stream=True)
    with socket.create_connection(address, timeout=10) as client:
        status = ""
        while True:
            client.sendall(h2.data_to_send())
            for event in h2.receive_data(client.recv(65536)):
                if isinstance(event, ResponseReceived):
                    status = dict(event.headers)[":status"]
                elif isinstance(event, DataReceived):
                    h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    return status


def test_the_same_over_http2(proxy: Proxy) -> None:
    own = f"{proxy.admin[0]}:{proxy.admin[1]}"
    assert http2_status(proxy.admin, "GET", "/stats", (":authority", own)) == "200"
    assert http2_status(proxy.admin, "GET", "/stats", (":authority", "evil.example")) == "403"
    foreign = [(":authority", own), ("origin", "https://evil.example")]
    assert http2_status(proxy.admin, "POST", "/reset_counters", *foreign) == "403"
    assert (
        http2_status(proxy.admin, "POST", "/reset_counters", (":authority", own), ("origin", f"http://{own}")) == "200"
    )
