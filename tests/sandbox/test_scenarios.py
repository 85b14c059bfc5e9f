"""The five steps of the sandbox's document, as a user takes them, in both runtimes."""

import re
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from cryptography import x509

from tests.sandbox.answers import HEADERS, HELLO, hostname, stats
from tests.sandbox.conftest import DOCKER
from tests.sandbox.meshes import FRONT, DockerMesh, Mesh, Rights

pytestmark = pytest.mark.slow

# The document's promise for step 3: the interval of DNS discovery (5 s) and a little.
DISCOVERY = 6.0


@pytest.fixture
def client(mesh: Mesh) -> Iterator[httpx.Client]:
    """A keep-alive HTTP/1.1 client of the front's plain port."""
    with httpx.Client(base_url=f"http://localhost:{mesh.ports.proxy}", timeout=20) as made:
        yield made


@pytest.fixture
def admin(mesh: Mesh) -> Iterator[httpx.Client]:
    """A client of the front's admin port."""
    with httpx.Client(base_url=f"http://localhost:{mesh.ports.admin}", timeout=20) as made:
        yield made


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Ask again and again until the condition holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds} s still not: {what}"
        time.sleep(0.05)


def answering(client: httpx.Client, requests: int) -> set[str]:
    """The replicas that answer so many requests; empty when one of them fails."""
    names = set()
    for _ in range(requests):
        try:
            response = client.get("/service/1")
        except httpx.TransportError:
            return set()
        if response.status_code != 200:
            return set()
        names.add(hostname(response))
    return names


def scaled(mesh: Mesh, client: httpx.Client, count: int) -> None:
    """service1 runs `count` replicas, and each answers."""
    if len([each for each in mesh.replicas() if each.service == "service1"]) != count:
        mesh.scale("service1", count)
    until(lambda: len(answering(client, 2 * count)) == count, 20, f"{count} replicas answering")


def test_every_replica_is_healthy(mesh: Mesh) -> None:
    replicas = mesh.replicas()
    assert {each.service for each in replicas} == {FRONT, "service1", "service2"}
    assert {each.health for each in replicas} == {"healthy"}


@pytest.mark.parametrize("service", [1, 2])
def test_http(client: httpx.Client, service: int) -> None:
    response = client.get(f"/service/{service}")
    hostname(response, service)
    assert response.http_version == "HTTP/1.1"
    assert [name.decode() for name, _ in response.headers.raw] == HEADERS
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["server"] == "envoy"
    assert response.headers["x-envoy-upstream-service-time"].isdigit()


@pytest.mark.parametrize("service", [1, 2])
def test_https(mesh: Mesh, service: int) -> None:
    with httpx.Client(verify=False, timeout=20) as client:
        response = client.get(f"https://localhost:{mesh.ports.https}/service/{service}")
    hostname(response, service)
    assert [name.decode() for name, _ in response.headers.raw] == HEADERS


def test_https_certificate_is_the_fronts_own(mesh: Mesh) -> None:
    pem = ssl.get_server_certificate(("localhost", mesh.ports.https), timeout=20)
    certificate = x509.load_pem_x509_certificate(pem.encode())
    assert certificate.subject.rfc4514_string() == "CN=front-envoy"
    assert certificate.issuer.rfc4514_string() == "CN=front-envoy"


def test_https_agrees_to_no_protocol(mesh: Mesh) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("localhost", mesh.ports.https), timeout=20)
    with plain, context.wrap_socket(plain) as secured:
        assert secured.selected_alpn_protocol() is None


def test_http2_with_prior_knowledge(mesh: Mesh) -> None:
    with httpx.Client(http1=False, http2=True, timeout=20) as client:
        response = client.get(f"http://localhost:{mesh.ports.proxy}/service/1")
    hostname(response)
    assert response.http_version == "HTTP/2"


def test_a_burst_from_h2load(mesh: Mesh, tool: Callable[[str], str]) -> None:
    command = [tool("h2load"), "-n", "5000", "-c", "50", "-m", "100", f"http://localhost:{mesh.ports.proxy}/service/1"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "5000 succeeded, 0 failed, 0 errored, 0 timeout" in output, output


def test_unknown_path_is_not_found(client: httpx.Client) -> None:
    assert client.get("/nowhere").status_code == 404


def test_scaled_up_replicas_take_turns(mesh: Mesh, client: httpx.Client) -> None:
    scaled(mesh, client, 1)
    mesh.scale("service1", 3)
    until(lambda: len(answering(client, 6)) == 3, DISCOVERY, "three replicas answering")
    turns = [hostname(client.get("/service/1")) for _ in range(30)]
    assert sorted(Counter(turns).values()) == [10, 10, 10]
    assert turns == turns[:3] * 10


def test_scaling_down_loses_no_request(mesh: Mesh, client: httpx.Client, admin: httpx.Client) -> None:
    scaled(mesh, client, 3)
    with load(mesh) as answers:
        until(lambda: len(answers) > 50, 20, "load on three replicas")
        mesh.scale("service1", 1)
        until(lambda: stats(admin)["cluster.service1.membership_total"] == 1, 2 * DISCOVERY, "one member left")
        settled = len(answers)
        until(lambda: len(answers) > settled + 50, 20, "load on the one replica")
    assert Counter(answers).keys() == {"200"}, Counter(answers)


@contextmanager
def load(mesh: Mesh, workers: int = 4) -> Iterator[list[str]]:
    """Keep-alive clients asking for service 1 without a break; yields the growing list of statuses and failures."""
    answers: list[str] = []
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=20) as client:
            while not over.wait(0.01):
                try:
                    response = client.get(f"http://localhost:{mesh.ports.proxy}/service/1")
                    answers.append(str(response.status_code))
                except httpx.TransportError as error:
                    answers.append(repr(error))

    threads = [threading.Thread(target=ask) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_a_killed_replica_is_done_without_and_comes_back(mesh: Mesh, client: httpx.Client) -> None:
    scaled(mesh, client, 3)
    mesh.kill(next(each.name for each in mesh.replicas() if each.service == "service1"))
    until(lambda: len(answering(client, 12)) >= 2, 2 * DISCOVERY, "twelve good answers in a row")
    mesh.scale("service1", 3)
    until(lambda: len(answering(client, 6)) == 3, 2 * DISCOVERY, "three replicas answering again")


def test_a_restarted_front_answers_again(mesh: Mesh, client: httpx.Client, admin: httpx.Client) -> None:
    before = float(admin.get("/server_info").json()["uptime_current_epoch"].rstrip("s"))
    mesh.restart(next(each.name for each in mesh.replicas() if each.service == FRONT))
    until(lambda: bool(answering(client, 1)), 20, "an answer from the restarted front")
    after = float(admin.get("/server_info").json()["uptime_current_epoch"].rstrip("s"))
    assert after <= before + 1
    assert stats(admin)["cluster.service1.upstream_rq_total"] <= 20


def test_server_info(admin: httpx.Client) -> None:
    info = admin.get("/server_info").json()
    assert info["state"] == "LIVE"
    assert info["version"]
    assert info["hot_restart_version"]
    assert re.fullmatch(r"\d+s", info["uptime_current_epoch"])
    assert re.fullmatch(r"\d+s", info["uptime_all_epochs"])
    options = info["command_line_options"]
    expected = {
        "base_id": "0",
        "use_dynamic_base_id": False,
        "base_id_path": "",
        "config_yaml": "",
        "allow_unknown_static_fields": False,
        "reject_unknown_dynamic_fields": False,
        "ignore_unknown_dynamic_fields": False,
        "admin_address_path": "",
        "local_address_ip_version": "v4",
        "log_level": "info",
        "component_log_level": "",
        "log_format": "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v",
        "log_format_escaped": False,
        "log_path": "",
        "service_cluster": "front-proxy",
        "service_node": "",
        "service_zone": "",
        "drain_strategy": "Gradual",
        "mode": "Serve",
        "restart_epoch": 0,
        "cpuset_threads": False,
        "disabled_extensions": [],
        "file_flush_interval": "10s",
        "drain_time": "600s",
        "parent_shutdown_time": "900s",
    }
    assert {name: options.get(name) for name in expected} == expected
    assert options["config_path"].endswith("envoy.yaml")
    assert options["concurrency"] >= 1


@pytest.mark.parametrize("service", [1, 2])
def test_stats_count_what_was_asked(client: httpx.Client, admin: httpx.Client, service: int) -> None:
    cluster = f"cluster.service{service}"
    hostname(client.get(f"/service/{service}"), service)
    before = stats(admin)
    for _ in range(7):
        hostname(client.get(f"/service/{service}"), service)
    after = stats(admin)
    for name in ("external.upstream_rq_200", "upstream_rq_total"):
        assert after[f"{cluster}.{name}"] - before[f"{cluster}.{name}"] == 7
    assert after[f"{cluster}.upstream_cx_http2_total"] >= 1
    assert after[f"{cluster}.membership_change"] >= 1
    assert after[f"{cluster}.membership_total"] >= 1


def test_stats_count_the_members(mesh: Mesh, client: httpx.Client, admin: httpx.Client) -> None:
    scaled(mesh, client, 3)
    assert stats(admin)["cluster.service1.membership_total"] == 3
    assert stats(admin)["cluster.service2.membership_total"] == 1


@pytest.mark.parametrize("mesh", [DOCKER], indirect=True)
def test_curl_from_inside_the_front(mesh: DockerMesh) -> None:
    said = HELLO.fullmatch(mesh.inside(FRONT, "curl -s localhost:8080/service/1"))
    assert said
    assert said["service"] == "1"
    assert '"state": "LIVE"' in mesh.inside(FRONT, "curl -s localhost:8001/server_info")
    assert "cluster.service2.membership_total: 1" in mesh.inside(FRONT, "curl -s localhost:8001/stats")
    assert mesh.inside(FRONT, "id -u").strip() != "0"


@pytest.mark.parametrize("mesh", [DOCKER], indirect=True)
def test_containers_have_no_rights_to_speak_of(mesh: DockerMesh) -> None:
    for replica in mesh.replicas():
        rights = mesh.rights(replica.name)
        assert rights == Rights(user="10001", read_only=True, capabilities={"0" * 16}, no_new_privileges=True), replica


def test_the_page_shows_the_mesh(mesh: Mesh, client: httpx.Client) -> None:
    token = re.findall(r"Page: http://127\.0\.0\.1:(\d+)/#token=(\S+)", mesh.logs())[-1]
    assert int(token[0]) == mesh.ports.page
    with httpx.Client(base_url=f"http://127.0.0.1:{mesh.ports.page}", timeout=30) as page:

        def edges() -> dict[str, float]:
            client.get("/service/2")
            return {each["to"]: each["rps"] for each in page.get("/api/mesh").json()["edges"] if each["cluster"]}

        until(lambda: edges().get("service2-1", 0) > 0, 20, "requests on the edge to service 2")
        asked = {"replica": "service2-1", "faults": {"error_rate": 1}}
        with_token = {"x-envoymesh-token": token[1]}
        assert page.post("/api/faults", json=asked).status_code == 403
        assert page.post("/api/faults", json=asked, headers=with_token).json()["faults"]["error_rate"] == 1
        assert client.get("/service/2").status_code == 503
        page.post("/api/faults", json={**asked, "faults": {}}, headers=with_token)
        assert client.get("/service/2").status_code == 200
