"""Each example proves what it says it shows, on the embedded runtime and in Docker."""

import asyncio
import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import aiohttp
import httpx
import pytest

from tests.sandbox.answers import HELLO, hostname, stats
from tests.sandbox.conftest import DOCKER, EMBEDDED
from tests.sandbox.meshes import FRONT, ROOT, DockerMesh, EmbeddedMesh, Mesh, Ports, free_ports
from tests.sandbox.test_scenarios import until

pytestmark = pytest.mark.slow

NAMES = sorted(each.parent.name for each in (ROOT / "examples").glob("*/compose.yaml"))
PATH = "/service/1"


class Scene(NamedTuple):
    """A running example: its mesh, a keep-alive client of the front, and one of the front's admin."""

    mesh: Mesh
    client: httpx.Client
    admin: httpx.Client

    def replicas(self, service: str) -> list[str]:
        """The names of the running replicas of a service."""
        return [each.name for each in self.mesh.replicas() if each.service == service]

    def fault(self, replica: str, **faults: object) -> None:
        """These faults hold at a replica from now on."""
        said = json.loads(self.mesh.at(replica, "PUT", "/faults", json.dumps(faults)))
        assert said["faults"].items() >= faults.items()

    def services(self) -> dict[str, str]:
        """The service by the host name that its replicas greet with."""
        return {each.hostname: each.service for each in self.mesh.replicas()}

    def answered(self, requests: int, path: str = PATH, **headers: str) -> Counter[str]:
        """How many of so many requests, all of which must succeed, each service answered."""
        names = [hostname(self.client.get(path, headers=headers)) for _ in range(requests)]
        services = self.services()
        return Counter(services[name] for name in names)

    def statuses(self, requests: int, path: str = PATH) -> Counter[int]:
        """How many of so many requests, one after the other, got each status."""
        return Counter(self.client.get(path).status_code for _ in range(requests))

    def together(self, requests: int) -> list[httpx.Response]:
        """So many requests at the same time, each on a connection of its own."""
        begin = threading.Barrier(requests)

        def ask(_: int) -> httpx.Response:
            begin.wait()
            return httpx.get(f"http://localhost:{self.mesh.ports.proxy}{PATH}", timeout=20)

        with ThreadPoolExecutor(requests) as pool:
            return list(pool.map(ask, range(requests)))

    def members(self, cluster: str, count: int) -> None:
        """Wait until a cluster of the front has so many hosts."""
        name = f"cluster.{cluster}.membership_total"
        until(lambda: stats(self.admin)[name] == count, 20, f"{count} hosts in {cluster}")

    def stat(self, name: str) -> int:
        """A counter or gauge of the front's, without `cluster.`."""
        return stats(self.admin)[f"cluster.{name}"]


class EmbeddedExamples:
    """Each example is a mesh of its own, on addresses of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: EmbeddedMesh | None = None

    def up(self, name: str) -> Mesh:
        """envoymesh up --example."""
        os.environ["ENVOYMESH_NETWORK"] = f"127.{100 + os.getpid() % 100}.0.0/16"
        self._running = EmbeddedMesh(self._folder / name, name)
        self._running.start()
        return self._running

    def after(self) -> None:
        """Stop the one that runs."""
        if self._running:
            self._running.stop()
        os.environ.pop("ENVOYMESH_NETWORK", None)

    def close(self) -> None:
        """Nothing is left."""


class DockerExamples:
    """One mesh that goes from one example to the next: only what differs is made anew, mostly the front alone."""

    def __init__(self) -> None:
        self._ports: Ports = free_ports()
        self._running: DockerMesh | None = None

    def up(self, name: str) -> Mesh:
        """docker compose -f docker-compose.yaml -f examples/NAME/compose.yaml up."""
        overlay = ROOT / "examples" / name / "compose.yaml"
        self._running = DockerMesh(f"envoymesh-examples-{os.getpid()}", overlay, self._ports)
        self._running.start()
        return self._running

    def after(self) -> None:
        """The next example has no fault of this one's."""
        for each in self._running.replicas() if self._running else []:
            if each.service != FRONT:
                self._running.at(each.name, "DELETE", "/faults")

    def close(self) -> None:
        """docker compose down."""
        if self._running:
            self._running.stop()


Examples = EmbeddedExamples | DockerExamples


@pytest.fixture(scope="module", params=[EMBEDDED, DOCKER])
def examples(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """What runs one example after the other."""
    made: Examples
    if request.param == "embedded":
        made = EmbeddedExamples(tmp_path_factory.mktemp("examples"))
    else:
        request.getfixturevalue("docker_engine")
        made = DockerExamples()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def mesh(request: pytest.FixtureRequest, examples: Examples) -> Iterator[Mesh]:
    """The example that the test is named after, running: test_canary_by_weight, or test_canary_by_weight__more."""
    name = request.function.__name__.removeprefix("test_").partition("__")[0].replace("_", "-")
    try:
        yield examples.up(name)
    finally:
        examples.after()


@pytest.fixture
def scene(mesh: Mesh) -> Iterator[Scene]:
    """The same, with clients."""
    base = "http://localhost:{}"
    with (
        httpx.Client(base_url=base.format(mesh.ports.proxy), timeout=20) as client,
        httpx.Client(base_url=base.format(mesh.ports.admin), timeout=20) as admin,
    ):
        yield Scene(mesh, client, admin)


def modify_runtime(scene: Scene, **keys: int) -> None:
    parameters = {name.replace("__", "."): str(value) for name, value in keys.items()}
    assert scene.admin.post("/runtime_modify", params=parameters).text == "OK\n"


# Bounds of what chance decides are five standard deviations wide: a wrong alarm comes once in a million runs.


def test_canary_by_weight(scene: Scene) -> None:
    counted = scene.answered(400)
    assert counted.keys() == {"service1", "service2"}
    assert 10 <= counted["service2"] <= 70, counted
    assert scene.stat("canary.upstream_rq_total") == counted["service2"]
    assert scene.stat("stable.upstream_rq_total") == counted["service1"]
    modify_runtime(scene, canary__weights__stable=50, canary__weights__canary=50)
    assert 150 <= scene.answered(400)["service2"] <= 250
    modify_runtime(scene, canary__weights__stable=0, canary__weights__canary=100)
    assert scene.answered(50) == {"service2": 50}


def test_canary_by_header(scene: Scene) -> None:
    assert scene.answered(20) == {"service1": 20}
    assert scene.answered(20, **{"x-canary": "true"}) == {"service2": 20}
    assert scene.answered(5, **{"x-canary": "false"}) == {"service1": 5}
    assert scene.answered(5, cookie="a=1; canary=true; b=2") == {"service2": 5}
    assert scene.answered(5, cookie="notcanary=true") == {"service1": 5}


def test_blue_green(scene: Scene) -> None:
    services = scene.services()

    def release() -> tuple[str, str]:
        response = scene.client.get(f"{PATH}?a=b", follow_redirects=True)
        return response.url.path, services[hostname(response)]

    first = scene.client.get(f"{PATH}?a=b")
    assert (first.status_code, httpx.URL(first.headers["location"]).raw_path) == (307, b"/blue/service/1?a=b")
    assert {release() for _ in range(5)} == {("/blue/service/1", "service1")}
    modify_runtime(scene, release__green=100)
    assert {release() for _ in range(5)} == {("/green/service/1", "service2")}
    assert scene.answered(5, f"/blue{PATH}") == {"service1": 5}, "who is on blue stays there"
    modify_runtime(scene, release__green=0)
    assert release() == ("/blue/service/1", "service1")


def test_mirror(scene: Scene) -> None:
    assert scene.answered(10) == {"service1": 10}
    until(lambda: scene.stat("mirror.upstream_rq_200") == 10, 10, "ten copies answered")
    assert scene.stat("mirror.upstream_rq_total") == 10
    scene.fault(scene.replicas("service2")[0], hang=True)
    begin = time.monotonic()
    assert scene.answered(5) == {"service1": 5}
    assert time.monotonic() - begin < 5
    until(lambda: scene.stat("mirror.upstream_rq_total") == 15, 10, "copies to a mirror that hangs")
    assert scene.stat("mirror.upstream_rq_200") == 10


def test_path_rewriting(scene: Scene) -> None:
    for path, service, asked in (
        ("/hello/1?a=b", 1, "/service/1?a=b"),
        ("/api/v2/greetings/2", 2, "/service/2"),
        ("/", 1, "/service/1"),
    ):
        response = scene.client.get(path)
        assert scene.services()[hostname(response, service)] == f"service{service}"
        assert response.headers["x-rewritten"] == f"{path} -> {asked}"
    missing = scene.client.get(PATH)
    assert missing.status_code == 404
    assert missing.headers.get("x-answered-by") is None


def test_retries(scene: Scene) -> None:
    flaky, steady = scene.replicas("service1")
    scene.members("service1", 2)
    scene.fault(flaky, error_rate=1)
    assert scene.statuses(20, f"/plain{PATH}") == {200: 10, 503: 10}
    assert scene.stat("service1.upstream_rq_retry") == 0
    # A retry takes its turn as well, so after the first failure each request begins at the replica that fails.
    assert scene.statuses(20) == {200: 20}
    assert scene.stat("service1.upstream_rq_retry") in (19, 20)
    assert scene.stat("service1.upstream_rq_retry_success") == scene.stat("service1.upstream_rq_retry")
    # Now one of them dies of a request, which the other one answers.
    scene.fault(flaky, crash=True)
    assert scene.statuses(20) == {200: 20}
    until(lambda: _crash_is_over(scene, flaky), 30, "the crashed replica is back, without its fault")
    assert set(scene.replicas("service1")) == {flaky, steady}


def _crash_is_over(scene: Scene, replica: str) -> bool:
    try:
        return json.loads(scene.mesh.at(replica, "GET", "/faults"))["faults"]["crash"] is False
    except (httpx.TransportError, subprocess.CalledProcessError):
        return False


def test_timeouts(scene: Scene) -> None:
    slow = scene.replicas("service1")[0]
    scene.members("service1", 2)
    scene.fault(slow, delay=3)
    begin = time.monotonic()
    assert scene.statuses(4) == {200: 2, 504: 2}
    assert 1.9 <= time.monotonic() - begin < 2.9
    assert scene.stat("service1.upstream_rq_timeout") == 2
    begin = time.monotonic()
    assert scene.statuses(4, f"/patient{PATH}") == {200: 4}
    tries = scene.stat("service1.upstream_rq_per_try_timeout")
    assert tries >= 1
    assert 0.4 * tries <= time.monotonic() - begin < 2.9
    assert scene.stat("service1.upstream_rq_retry_success") == tries


def test_circuit_breaker(scene: Scene) -> None:
    scene.fault(scene.replicas("service1")[0], delay=1.5)
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(scene.together, 5)
        until(lambda: scene.stat("service1.circuit_breakers.default.rq_open") == 1, 5, "an open breaker")
        assert scene.stat("service1.circuit_breakers.default.remaining_rq") == 0
        responses = answers.result()
    assert Counter(each.status_code for each in responses) == {200: 2, 503: 3}
    for each in responses:
        assert (each.headers.get("x-envoy-overloaded") == "true") == (each.status_code == 503)
        assert (each.elapsed.total_seconds() < 1.4) == (each.status_code == 503)
    assert scene.stat("service1.upstream_rq_active_overflow") == 3
    assert scene.stat("service1.circuit_breakers.default.rq_open") == 0
    scene.mesh.at(scene.replicas("service1")[0], "DELETE", "/faults")
    assert scene.statuses(5) == {200: 5}


def test_ring_hash(scene: Scene) -> None:
    scene.members("service1", 3)

    def homes() -> dict[str, str]:
        return {user: hostname(scene.client.get(PATH, headers={"x-user": user})) for user in map(str, range(300))}

    before = homes()
    assert homes() == before, "a user always meets the same replica"
    assert min(Counter(before.values()).values()) >= 50
    assert len(set(before.values())) == 3
    _sticks_by_cookie(scene)
    gone = scene.replicas("service1")[0]
    name = next(each.hostname for each in scene.mesh.replicas() if each.name == gone)
    scene.mesh.kill(gone)
    scene.members("service1", 2)
    after = homes()
    assert name not in after.values()
    others = [user for user, home in before.items() if home != name]
    # The ring has as many points as before, so those that stay have more of them: one in six of the others may move.
    assert sum(after[user] != before[user] for user in others) / len(others) < 0.3


def _sticks_by_cookie(scene: Scene) -> None:
    met = set()
    for _ in range(12):
        with httpx.Client(base_url=scene.client.base_url, timeout=20) as browser:
            first = browser.get(PATH)
            assert "Max-Age=3600" in first.headers["set-cookie"]
            assert {hostname(browser.get(PATH)) for _ in range(3)} == {hostname(first)}
            met.add(hostname(first))
    # All twelve at one of three by chance: once in 177,147 runs.
    assert len(met) > 1


def test_zone_aware(scene: Scene) -> None:
    scene.members("service1", 4)
    assert scene.answered(40) == {"service1": 40}
    assert scene.stat("service1.lb_zone_routing_all_directly") == 40
    scene.mesh.scale("service1", 1)
    scene.members("service1", 3)
    counted = scene.answered(300)
    assert 150 <= counted["service1"] <= 250, counted
    assert scene.stat("service1.lb_zone_routing_cross_zone") == counted["service2"]
    assert scene.stat("service1.lb_zone_routing_sampled") == counted["service1"]


def test_locality_weights(scene: Scene) -> None:
    scene.members("service1", 3)
    names = Counter(hostname(scene.client.get(PATH)) for _ in range(80))
    services = scene.services()
    assert sum(count for name, count in names.items() if services[name] == "service1") in range(58, 63)
    shares = [count for name, count in names.items() if services[name] == "service2"]
    assert len(shares) == 2
    assert abs(shares[0] - shares[1]) <= 1
    assert scene.admin.get("/clusters").text.count("::region::america") == 2


def test_subsets(scene: Scene) -> None:
    assert scene.answered(20, **{"x-version": "v2"}) == {"service2": 20}
    selected = scene.stat("service1.lb_subsets_selected")
    assert scene.answered(20, **{"x-version": "v3"}) == {"service1": 20}
    assert scene.stat("service1.lb_subsets_fallback") == 20
    assert scene.stat("service1.lb_subsets_selected") == selected == 20
    counted = scene.answered(400)
    assert 10 <= counted["service2"] <= 70, counted
    assert counted["service1"] == 400 - counted["service2"]


def test_outlier_ejection(scene: Scene) -> None:
    bad = scene.replicas("service1")[0]
    scene.members("service1", 3)
    name = next(each.hostname for each in scene.mesh.replicas() if each.name == bad)
    scene.fault(bad, error_rate=1)
    assert scene.statuses(9) == {200: 6, 503: 3}
    assert scene.statuses(20) == {200: 20}
    assert scene.stat("service1.outlier_detection.ejections_active") == 1
    assert scene.stat("service1.outlier_detection.ejections_enforced_consecutive_5xx") == 1
    assert scene.admin.get("/clusters").text.count("/failed_outlier_check") == 1
    scene.mesh.at(bad, "DELETE", "/faults")
    until(lambda: scene.stat("service1.outlier_detection.ejections_active") == 0, 10, "the end of the ejection")
    assert name in {hostname(scene.client.get(PATH)) for _ in range(6)}


def test_health_check_failover(scene: Scene) -> None:
    first, second = scene.replicas("service1")

    def healthy(count: int) -> None:
        until(lambda: scene.stat("service1.membership_healthy") == count, 20, f"{count} healthy hosts")
        # The second of two changes within a second may wait for the end of that second (update_merge_window).
        time.sleep(1.1)

    scene.members("service1", 3)
    healthy(3)
    assert scene.answered(40) == {"service1": 40}
    scene.fault(first, health_status=503)
    healthy(2)
    # Half of the first priority is well: 1.4 times that is its share (overprovisioning factor 140).
    assert 160 <= scene.answered(300)["service1"] <= 250
    scene.fault(second, health_status=503)
    healthy(1)
    assert scene.admin.get("/clusters").text.count("/failed_active_hc") == 2
    assert scene.answered(40) == {"service2": 40}
    assert json.loads(scene.client.get(f"/primary{PATH}/faults").text)["faults"]["health_status"] == 503
    for each in (first, second):
        scene.mesh.at(each, "DELETE", "/faults")
    healthy(3)
    assert scene.answered(40) == {"service1": 40}


def test_websocket(scene: Scene) -> None:
    url = f"ws://localhost:{scene.mesh.ports.proxy}{PATH}/echo"

    async def talk(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(url, max_msg_size=0) as socket:
            assert HELLO.fullmatch(await socket.receive_str())
            for each in ("text", "x" * 70_000):
                await socket.send_str(each)
                assert await socket.receive_str() == each
            await socket.send_bytes(bytes(1 << 20))
            assert await socket.receive_bytes() == bytes(1 << 20)
        assert socket.close_code == 1000

    async def run() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as open_meanwhile:
            await open_meanwhile.receive_str()
            await asyncio.gather(*(talk(session) for _ in range(20)))
            assert stats(scene.admin)["http.ingress_http.downstream_cx_upgrades_active"] == 1
            await open_meanwhile.send_str("still here")
            assert await open_meanwhile.receive_str() == "still here"

    asyncio.run(asyncio.wait_for(run(), 30))
    assert stats(scene.admin)["http.ingress_http.downstream_cx_upgrades_total"] == 21
    assert scene.stat("service1.upstream_cx_http2_total") == 1
    assert scene.answered(3) == {"service1": 3}, "what is no upgrade is a request as any other"


# What holds for all of them.


def test_each_example_has_its_test() -> None:
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert not [name for name in NAMES if name not in tested]


@pytest.mark.oracle
@pytest.mark.parametrize("name", NAMES)
def test_real_envoy_accepts(name: str, oracle: Path) -> None:
    for file in sorted((ROOT / "examples" / name).glob("*envoy*.yaml")):
        command = [oracle, "--mode", "validate", "-c", file]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
        assert done.returncode == 0, done.stderr
