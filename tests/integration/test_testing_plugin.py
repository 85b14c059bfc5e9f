"""The pytest plugin on real proxies: listeners, protocols, what fakes do, and that nothing is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from envoymesh.errors import ConfigError
from envoymesh.testing import REFUSE, Reply, Request, Reset, hosts
from envoymesh.testing.errors import TestingError
from envoymesh.testing.plugin import Proxies
from tests.integration.harness import bootstrap, catch_all, http_listener, static_cluster, to_cluster, wait_for

ROOT = Path(__file__).resolve().parents[2]
FRONT = ROOT / "front-envoy/envoy.yaml"
HTTP2 = {
    "typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
}
ANYWHERE = ("127.0.0.1", 1)


def one_cluster(name: str = "up", hosts: int = 1, **options: object) -> dict[str, object]:
    """A listener and a cluster; options are the cluster's."""
    return bootstrap(
        [http_listener("main", catch_all(to_cluster(name)))], [static_cluster(name, *[ANYWHERE] * hosts, **options)]
    )


def test_the_front_as_it_is(envoymesh: Proxies) -> None:
    proxy = envoymesh(FRONT, upstreams={"service1": [503, "hi"], "*": 404})
    assert [proxy.get("/service/1").status_code, proxy.get("/service/1").text] == [503, "hi"]
    answer = proxy.get("/service/1", http2=True)
    assert (answer.http_version, answer.text) == ("HTTP/2", "hi")
    assert proxy.get("https://shop.example.com:8443/service/1").text == "hi"
    assert proxy.get("/service/1", listener="https", http2=True).http_version == "HTTP/2"
    assert proxy.get("/service/2", listener=8080).status_code == 404
    fake = proxy.upstreams["service1"]
    assert [request.protocol for request in fake.requests] == ["HTTP/2"] * 5
    assert fake.requests[0].authority == "localhost:8080"
    assert fake.requests[3].authority == "shop.example.com:8443"
    assert fake.requests[3].header("X-Forwarded-Proto") == "https"
    assert len(proxy.log.lines(6)) == 6
    assert proxy.config["configs"]
    assert proxy.log.process.count("starting main dispatch loop") == 1
    told = proxy.explain("/service/1")
    line = FRONT.read_text().splitlines()[told["action"]["place"]["line"] - 1]
    assert (told["action"]["place"]["file"], line.strip()) == (str(FRONT), "route: { cluster: service1 }")


@pytest.mark.parametrize("options", [{}, HTTP2], ids=["HTTP/1.1", "HTTP/2"])
def test_what_fakes_answer(envoymesh: Proxies, options: dict[str, object]) -> None:
    body = os.urandom(300_000)
    answers = [
        {"json": 1},
        (201, "made"),
        Reply(body=body, pieces=10, pause=0.001, headers={"X-Mine": "yes"}),
        Reply(204),
        Reply(body="with trailers", trailers={"x-last": "word"}),
        Reset(),
        Reply(body=body, cut=True),
        Reply(delay=0.01),
    ]
    proxy = envoymesh(one_cluster(**options), upstreams={"up": answers})
    assert proxy.get("/").json() == {"json": 1}
    assert (proxy.post("/", content=body).status_code, proxy.upstreams["up"].requests[-1].body) == (201, body)
    slow = proxy.get("/")
    assert (slow.content, slow.headers["x-mine"]) == (body, "yes")
    assert proxy.get("/").status_code == 204
    assert proxy.get("/").text == "with trailers"
    assert proxy.get("/").status_code == 503
    with pytest.raises(Exception, match=r"peer closed|incomplete|reset|disconnected"):
        proxy.get("/")
    assert [proxy.get("/").status_code for _ in range(2)] == [200, 200]
    assert {each.protocol for each in proxy.upstreams["up"].requests} == {"HTTP/2" if options else "HTTP/1.1"}
    assert proxy.request("HEAD", "/").content == b""


def test_functions(envoymesh: Proxies) -> None:
    gate = threading.Event()

    def wait(request: Request) -> str:
        assert gate.wait(10)
        return request.path

    async def soon(request: Request) -> tuple[int, str]:
        return 202, request.method

    proxy = envoymesh(one_cluster(), upstreams={"up": hosts(wait, soon)})
    threading.Timer(0.05, gate.set).start()
    answers = {proxy.get("/path?query").text for _ in range(4)}
    assert answers == {"/path?query", "GET"}


def test_a_function_that_raises_fails_the_test(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        f"""
        def broken(request):
            raise LookupError("no cats")

        def test_it(envoymesh):
            proxy = envoymesh({str(FRONT)!r}, upstreams={{"service1": broken, "*": 404}})
            assert proxy.get("/service/1").status_code == 500
        """,
    )
    assert done.returncode == 1
    assert "LookupError: no cats" in done.stdout
    assert "1 passed, 1 error" in done.stdout
    assert "envoymesh: log of the proxies" in done.stdout


def test_hosts_come_and_go(envoymesh: Proxies) -> None:
    proxy = envoymesh(one_cluster(hosts=3), upstreams={"up": "all"})
    fake = proxy.upstreams["up"]
    assert [proxy.get("/").text for _ in range(6)] == ["all"] * 6
    assert [len(host.requests) for host in fake.hosts] == [2, 2, 2]
    fake.hosts[1].refuse()
    assert sorted(proxy.get("/").status_code for _ in range(3)) == [200, 200, 503]
    fake.hosts[1].answer("back")
    assert sorted(proxy.get("/").text for _ in range(3)) == ["all", "all", "back"]
    fake.answer(REFUSE)
    assert proxy.get("/").status_code == 503
    assert proxy.stats["cluster.up.upstream_cx_connect_fail"] >= 1


def test_health_checks_are_answered_and_not_recorded(envoymesh: Proxies) -> None:
    check = {"timeout": "1s", "interval": "0.1s", "no_traffic_interval": "0.1s", "unhealthy_threshold": 1}
    check |= {"healthy_threshold": 1, "http_health_check": {"path": "/healthz"}}
    proxy = envoymesh(one_cluster(hosts=2, health_checks=[check]), upstreams={"up": ["the only answer"]})
    fake = proxy.upstreams["up"]
    assert proxy.stats["cluster.up.membership_healthy"] == 2
    fake.hosts[0].healthy = False
    wait_for(lambda: proxy.stats["cluster.up.membership_healthy"] == 1, "the host fails its check")
    assert {proxy.get("/").text for _ in range(4)} == {"the only answer"}
    assert [len(host.requests) for host in fake.hosts] == [0, 4]


def test_workers_and_signals(envoymesh: Proxies) -> None:
    proxy = envoymesh(one_cluster(), upstreams={"up": 200}, flags=["--concurrency", "2"])
    assert proxy.get("/").status_code == 200
    assert proxy.stats["server.concurrency"] == 2
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0


def test_ipv6_and_a_cluster_that_is_left_alone(envoymesh: Proxies) -> None:
    other = envoymesh(one_cluster(), upstreams={"up": "from the other"})
    config = bootstrap(
        [http_listener("main", catch_all(to_cluster("real", "/real"), to_cluster("fake")))],
        [static_cluster("real", other.address("main")), static_cluster("fake", ANYWHERE)],
    )
    config["static_resources"]["listeners"][0]["address"] = {
        "socketAddress": {"address": "::", "portValue": 8080, "ipv4Compat": True}
    }
    proxy = envoymesh(config, upstreams={"fake": "fake"})
    assert proxy.address("main")[0] == "::1"
    assert [proxy.get("/real").text, proxy.get("http://a.test:8080/").text] == ["from the other", "fake"]


def test_errors_say_what_is_wrong(envoymesh: Proxies) -> None:
    with pytest.raises(TestingError, match="no cluster servise1; there are service1, service2"):
        envoymesh(FRONT, upstreams={"servise1": 200})
    with pytest.raises(TestingError, match=r"REFUSE.*is no answer to a request: .*hosts\(REFUSE"):
        envoymesh(FRONT, upstreams={"service1": [200, REFUSE]})
    with pytest.raises(TestingError, match=r"the proxy ended with 1:(?s:.*)static_resources.clusters\[0\]"):
        envoymesh(one_cluster(lb_policy="NO_SUCH"), upstreams={"up": 200})
    broken = ROOT / "docs/testing.md"
    with pytest.raises(ConfigError, match=r"testing.md"):
        envoymesh(broken)
    proxy = envoymesh(FRONT, upstreams={"*": 200})
    with pytest.raises(TestingError, match=r"no listener nowhere; there are http \(8080\), https \(8443\)"):
        proxy.get("/", listener="nowhere")
    with pytest.raises(TestingError, match="no listener at port 8081"):
        proxy.get("http://localhost:8081/")
    with pytest.raises(KeyError, match=r"there are .*cluster.service1.upstream_rq_retry"):
        proxy.stats["cluster.service1.upstream_rq_retri"]
    with pytest.raises(TestingError, match=r"not within 0\.05 s"):
        proxy.stats.until("cluster.service1.upstream_rq_total", 1, 0.05)


EXAMPLES = sorted((ROOT / "examples").glob("*/*envoy*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_as_they_are(envoymesh: Proxies, path: Path) -> None:
    asked = {"blue-green": "/blue/", "path-rewriting": "/hello/1"}.get(path.parent.name, "/service/1")
    proxy = envoymesh(path, upstreams={"*": "fake"})
    assert proxy.get(asked).text == "fake"
    assert any(fake.requests for fake in proxy.upstreams.values())


# Nothing is left


def run(folder: Path, test: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = prepared(folder, test, *words)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def prepared(folder: Path, test: str, *words: str) -> list[str]:
    """Write a test file; how it is run."""
    lines = test.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    (folder / "test_it.py").write_text("\n".join(line[indent:] for line in lines))
    (folder / "pytest.ini").write_text("[pytest]\n")
    # Who runs in a shell's background inherits that SIGINT is ignored.
    (folder / "conftest.py").write_text("import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n")
    return [sys.executable, "-m", "pytest", "-p", "envoymesh.testing.plugin", "-p", "no:cacheprovider", *words]


WAITING = f"""
import time
from pathlib import Path

def test_it(envoymesh):
    proxy = envoymesh({str(FRONT)!r}, upstreams={{"*": 200}}, flags=["--concurrency", "2"])
    Path("pid").write_text(str(proxy.pid))
    Path("ready").touch()
    time.sleep(50)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("real", [False, True])
def test_nothing_is_left_of_a_run_that_is_broken_off(
    tmp_path: Path, number: signal.Signals, real: bool, request: pytest.FixtureRequest
) -> None:
    words = [f"--envoymesh-envoy={request.getfixturevalue('oracle')}"] if real else []
    with subprocess.Popen(prepared(tmp_path, WAITING, *words), cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for((tmp_path / "ready").exists, "the proxy is up", 40)
            pid = int((tmp_path / "pid").read_text())
            assert is_running(pid)
            process.send_signal(number)
            process.wait(20)
        finally:
            process.kill()
    wait_for(lambda: not is_running(pid), "the proxy has ended")


def test_a_run_without_it_imports_nothing_of_it(tmp_path: Path) -> None:
    test = """
    import sys

    def test_it():
        found = [name for name in sys.modules if name.startswith("envoymesh")]
        words = ["envoymesh.errors", "envoymesh.testing.answers", "envoymesh.testing.errors"]
        assert sorted(found) == sorted(["envoymesh", "envoymesh.testing", "envoymesh.testing.plugin", *words])
    """
    done = run(tmp_path, test)
    assert "1 passed" in done.stdout, done.stdout


def test_a_second_start_is_quick(envoymesh: Proxies, record_property: pytest.RecordProperty) -> None:
    """Not asserted, for times are not: how long it took stands in the report of `--junitxml`."""
    envoymesh(FRONT, upstreams={"*": 200})
    begun = time.perf_counter()
    proxy = envoymesh(FRONT, upstreams={"*": 200})
    record_property("seconds", time.perf_counter() - begun)
    assert proxy.get("/service/1").status_code == 200
