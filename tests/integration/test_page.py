"""The page of a real mesh, as a browser asks for it: it shows what happens to the mesh, and changes it."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from envoymesh.testing.mesh import free_ports

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 40.0
pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]


class PagedMesh:
    """`envoymesh up` with its page."""

    def __init__(self, folder: Path, example: str = "", page_port: int = 0) -> None:
        free = free_ports(4)
        self.port = page_port or free[3]
        ports = dict(zip(("PORT_PROXY", "PORT_HTTPS", "PORT_ADMIN"), map(str, free), strict=False))
        network = f"127.{random.randrange(10, 250)}.0.0/16"
        self._state = tempfile.TemporaryDirectory(prefix="envoymesh-")
        self._output = folder / "up.log"
        environment = {**os.environ, **ports, "PORT_PAGE": str(self.port), "ENVOYMESH_NETWORK": network}
        self.environment = {**environment, "ENVOYMESH_STATE": self._state.name}
        words = [sys.executable, "-m", "envoymesh", "up", *(["--example", example] if example else [])]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(words, cwd=ROOT, env=self.environment, stdout=output, stderr=output)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, trust_env=False)
        self.token = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """A line of what was printed."""
        found: list[re.Match[str]] = []

        def is_there() -> bool:
            assert self._process.poll() is None, self.printed
            found.extend(filter(None, [re.search(pattern, self.printed)]))
            return bool(found)

        until(is_there)
        return found[0]

    def start(self) -> None:
        """Wait for the page."""
        address = self.wait_for(r"Page: http://127\.0\.0\.1:(\d+)/#token=(\S+)")
        assert int(address[1]) == self.port
        self.token = address[2]

    @property
    def printed(self) -> str:
        return self._output.read_text()

    def mesh(self) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/api/mesh").raise_for_status().json()
        return found

    def node(self, id_: str) -> dict[str, Any] | None:
        return next((each for each in self.mesh()["nodes"] if each["id"] == id_), None)

    def edge(self, id_: str) -> dict[str, Any] | None:
        return next((each for each in self.mesh()["edges"] if each["id"] == id_), None)

    def do(self, what: str, **body: Any) -> Any:
        headers, end = {"x-envoymesh-token": self.token}, time.monotonic() + LIMIT
        answer = self.client.post(f"/api/{what}", json=body, headers=headers)
        # On a busy machine the front's admin may not have answered yet, which the page says.
        while answer.status_code == 503 and time.monotonic() < end:
            time.sleep(0.5)
            answer = self.client.post(f"/api/{what}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "envoymesh", *words], cwd=ROOT, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(60)
        self._state.cleanup()


def until(true: Callable[[], bool]) -> None:
    """Wait for it; how long that may take is a bound for tests that fail, not a promise."""
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture(scope="module")
def paged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagedMesh]:
    mesh = PagedMesh(tmp_path_factory.mktemp("page"))
    try:
        mesh.start()
        yield mesh
    finally:
        mesh.close()


def test_it_shows_the_mesh_and_its_files(paged: PagedMesh) -> None:
    names = [each["id"] for each in paged.mesh()["nodes"]]
    assert names == ["clients", "front-envoy-1", "service1-1", "service2-1"]
    assert "envoymesh" in paged.client.get("/").text
    rows = json.loads(paged.command("ps", "--format", "json"))
    assert [(each["Service"], each["State"]) for each in rows if each["Service"] == "page"] == [("page", "running")]
    assert f"#token={paged.token}" in paged.command("logs", "page-1")


def test_a_request_is_seen_in_both_tiers_with_its_explanation(paged: PagedMesh) -> None:
    with paged.client.stream("GET", "/api/events") as events:
        lines = events.iter_lines()
        while next(lines) != "event: mesh":
            pass
        until(lambda: bool(paged.edge("front-envoy-1>service2-1")))
        answer = paged.do("send", how="once", path="/service/2?seen=1")
        assert answer["status"] == 200
        assert "service 2" in answer["body"]
        records: list[dict[str, Any]] = []
        while len({each["proxy"] for each in records}) < 2:
            line = next(lines)
            if line.startswith("data: [{"):
                records += [each for each in json.loads(line[6:]) if each["path"] == "/service/2?seen=1"]
    front = next(each for each in records if each["proxy"] == "front-envoy-1")
    assert (front["upstream"], front["route"], front["virtual_host"]) == ("service2-1", "2", "backend")
    told = paged.client.get(f"/api/requests/{front['id']}").json()
    assert [each["proxy"] for each in told["tiers"]] == ["front-envoy-1", "service2-1"]
    assert told["tiers"][1]["time"] >= told["tiers"][0]["time"]
    taken = [each for each in told["explanation"]["routes"] if each["matches"]]
    assert taken[0]["place"]["file"] == "front-envoy/envoy.yaml"
    line = (ROOT / "front-envoy/envoy.yaml").read_text().splitlines()[taken[0]["place"]["line"] - 1]
    assert "/service/2" in line


def test_a_request_that_fails_says_why(paged: PagedMesh) -> None:
    with paged.client.stream("GET", "/api/events") as events:
        lines = events.iter_lines()
        while next(lines) != "event: mesh":
            pass
        paged.do("send", how="once", path="/nowhere")
        found = ""
        while '"/nowhere"' not in found:
            found = next(lines)
        record = next(each for each in json.loads(found[6:]) if each["path"] == "/nowhere")
    assert (record["status"], record["flags"]) == (404, "NR")
    assert paged.client.get(f"/api/requests/{record['id']}").json()["explanation"]["why"]["word"] == "NR"


def test_a_scale_appears_and_goes(paged: PagedMesh) -> None:
    paged.do("scale", service="service2", replicas=3)
    until(lambda: paged.edge("front-envoy-1>service2-3") is not None)
    assert paged.mesh()["totals"]["replicas"] == 4
    paged.do("scale", service="service2", replicas=1)
    until(lambda: paged.node("service2-3") is None)


def test_a_kill_appears_and_a_start(paged: PagedMesh) -> None:
    paged.do("replica", replica="service1-1", action="kill")
    until(lambda: (paged.node("service1-1") or {})["state"] == "stopped")
    paged.do("replica", replica="service1-1", action="start")
    until(lambda: (paged.node("service1-1") or {})["state"] == "healthy")


def test_a_pause_is_seen(paged: PagedMesh) -> None:
    paged.do("replica", replica="service2-1", action="pause")
    until(lambda: (paged.node("service2-1") or {})["state"] in ("unreachable", "unhealthy"))
    paged.do("replica", replica="service2-1", action="resume")
    until(lambda: (paged.node("service2-1") or {})["state"] == "healthy")


def test_what_cannot_be_done_is_a_sentence(paged: PagedMesh) -> None:
    headers = {"x-envoymesh-token": paged.token}
    for what, body, words in (
        ("scale", {"service": "nobody", "replicas": 1}, "There is no service nobody"),
        ("scale", {"service": "front-envoy", "replicas": 2}, "it cannot have 2 replicas"),
        ("replica", {"replica": "service1-1", "action": "frighten"}, "frighten is none of"),
        ("example", {"name": "nothing"}, "There is no example nothing"),
        ("runtime", {"proxy": "front-envoy-1", "values": {"a": "1"}}, "No admin layer"),
    ):
        answer = paged.client.post(f"/api/{what}", json=body, headers=headers)
        assert answer.status_code in (400, 409)
        assert words in answer.json()["error"]


def test_others_are_refused(paged: PagedMesh) -> None:
    body = {"service": "service1", "replicas": 2}
    token = {"x-envoymesh-token": paged.token}
    foreign = [{**token, "origin": "http://evil.example"}, {**token, "host": "evil.example"}]
    for headers in ({}, {"x-envoymesh-token": "x"}, *foreign):
        assert paged.client.post("/api/scale", json=body, headers=headers).status_code == 403
    assert paged.client.get("/api/mesh", headers={"host": "evil.example"}).status_code == 403
    # The port of another address of this machine, its own or another one of the loopback.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", paged.port), timeout=10)


def test_an_example_is_started_and_its_ejection_and_weights_are_seen(paged: PagedMesh) -> None:
    paged.do("example", name="outlier-ejection")
    paged.do("scale", service="service1", replicas=2)
    until(lambda: paged.edge("front-envoy-1>service1-2") is not None)
    assert paged.mesh()["example"] == "outlier-ejection"
    until(lambda: (paged.node("service1-2") or {}).get("faults") is not None)
    paged.do("faults", replica="service1-2", faults={"error_rate": 1})

    def is_ejected() -> bool:
        paged.do("send", how="burst", path="/service/1", count=20)
        return "failed_outlier_check" in (paged.edge("front-envoy-1>service1-2") or {"flags": []})["flags"]

    until(is_ejected)
    paged.do("example", name="canary-by-weight")
    until(lambda: len(paged.mesh()["weights"]) == 2)
    paged.do("runtime", proxy="front-envoy-1", values={"canary.weights.canary": "50"})
    until(lambda: [each["weight"] for each in paged.mesh()["weights"]] == [90, 50])
    examples = paged.client.get("/api/examples").json()
    assert [each["name"] for each in examples if each["running"]] == ["canary-by-weight"]
    paged.do("example", name=None)
    assert paged.mesh()["example"] is None


def test_a_taken_port_is_a_word_and_the_mesh_runs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        mesh = PagedMesh(tmp_path, page_port=taken.getsockname()[1])
        try:
            line = mesh.wait_for("The mesh runs without its page: .*")[0]
            assert f"page-1 cannot listen on 127.0.0.1:{taken.getsockname()[1]}: it is in use" in line
            assert "PORT_PAGE" in line
            assert "front-envoy-1" in mesh.command("ps")
        finally:
            mesh.close()
