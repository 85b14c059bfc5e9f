"""Filters and loggers in Python, as a person would try them: on a real proxy, with the file saved under its feet."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from envoymesh.server.main import refusals
from tests.integration.exchanges import get
from tests.integration.harness import (
    ROUTER,
    Peer,
    Proxy,
    Request,
    Until,
    Upstream,
    bootstrap,
    catch_all,
    exchange,
    http_listener,
    static_cluster,
    to_cluster,
)

# What README tells a person to write: with its test in tests/unit/scripting/test_trial.py twenty lines together.
WHO = """
from envoymesh.api import HttpFilter, Request

class Who(HttpFilter[object]):
    async def on_request(self, request: Request) -> None:
        answer = await self.fetch("who", "/who")
        request.headers["x-who"] = answer.text
"""
OWN = "type.googleapis.com/envoymesh."


def own(kind: str, **value: Any) -> dict[str, Any]:
    """What stands for a type that only this proxy knows."""
    return {"@type": "type.googleapis.com/xds.type.v3.TypedStruct", "type_url": OWN + kind, "value": value}


def says(text: bytes) -> Callable[[Peer, Request], None]:
    def answer(peer: Peer, request: Request) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))

    return answer


@pytest.fixture
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    with (
        Upstream({"/": says(b"hello"), "/own": says(b"own"), "/b": says(b"b")}) as up,
        Upstream({"/who": says(b"anna")}) as who,
    ):
        yield up, who


def configuration(upstreams: tuple[Upstream, Upstream], file: Path | None, *routes: Any, **more: Any) -> dict[str, Any]:
    filters: list[Any] = [{"name": "router", "typed_config": {"@type": ROUTER}}]
    if file is not None:
        typed = own("http.PythonFilter", file=str(file))
        filters.insert(0, {"name": "mine", "is_optional": True, "typed_config": typed})
    listener = http_listener("plain", catch_all(*routes, to_cluster("up")), http_filters=filters, **more)
    up, who = upstreams
    return bootstrap([listener], [static_cluster("up", up.address), static_cluster("who", who.address)])


def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come soon."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def status(proxy: Proxy) -> list[dict[str, Any]]:
    return json.loads(proxy.admin_get("/python"))["python"]  # type: ignore[no-any-return]


def test_a_header_that_a_cluster_knows(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    file = tmp_path / "who.py"
    file.write_text(WHO)
    with Proxy.ours(configuration(upstreams, file), tmp_path) as proxy:
        answer = exchange(proxy.addresses["plain"], [get("/")])
    assert answer.data.endswith(b"hello")
    ((request,),) = upstreams[0].requests.values()
    assert b"x-who: anna\r\n" in request.head
    ((asked,),) = upstreams[1].requests.values()
    assert asked.head.startswith(b"GET /who HTTP/1.1\r\nhost: who\r\n")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_saved_file_serves_the_next_request(
    tmp_path: Path, upstreams: tuple[Upstream, Upstream], workers: str
) -> None:
    file = tmp_path / "mark.py"
    text = "async def on_response(response, me):\n    response.headers['x-mark'] = 'one'\n    await me.sleep(DELAY)\n"
    file.write_text(text.replace("DELAY", "2.5"))
    with Proxy.ours(configuration(upstreams, file), tmp_path, "--concurrency", workers) as proxy:
        asking = exchange_later(proxy.addresses["plain"])
        time.sleep(0.3)
        file.write_text(text.replace("DELAY", "0").replace("one", "two"))
        until(lambda: b"x-mark: two" in exchange(proxy.addresses["plain"], [get("/"), Until(b"hello")], 0.01).data)
        assert b"x-mark: one" in asking()  # it was in flight, and kept what it began with
        file.write_text(text + "def broken(\n")
        until(lambda: status(proxy)[0]["error"] is not None)
        assert (status(proxy)[0]["line"], status(proxy)[0]["class"]) == (4, "mark")
        time.sleep(0.6)
        for _ in range(4):
            assert b"x-mark: two" in exchange(proxy.addresses["plain"], [get("/"), Until(b"hello")], 0.01).data
        assert proxy.log.count(f"{file}:4: SyntaxError") == 1


def test_a_running_proxy_explains_with_the_saved_file(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    file = tmp_path / "mark.py"
    file.write_text("def on_request(request):\n    request.headers['x-mark'] = 'one'\n")
    with Proxy.ours(configuration(upstreams, file), tmp_path) as proxy:
        asked = f"/explain?url=http://127.0.0.1:{proxy.addresses['plain'][1]}/"
        assert "+ x-mark: one" in proxy.admin_get(asked)
        file.write_text(file.read_text().replace("one", "two"))
        assert "+ x-mark: two" in proxy.admin_get(asked)


def exchange_later(address: Any) -> Callable[[], bytes]:
    """A request whose answer is asked for later."""
    import threading

    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(exchange(address, [get("/"), Until(b"hello")], 0.1).data))
    thread.start()

    def wait() -> bytes:
        thread.join(20)
        return found[0]

    return wait


def test_a_fault_costs_its_request(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    file = tmp_path / "bad.py"
    file.write_text("def on_request(request):\n    if request.path == '/b':\n        1 / 0\n")
    with Proxy.ours(configuration(upstreams, file), tmp_path) as proxy:
        assert exchange(proxy.addresses["plain"], [get("/b")]).data.startswith(b"HTTP/1.1 500 ")
        assert exchange(proxy.addresses["plain"], [get("/")]).data.endswith(b"hello")
        assert f'File "{file}", line 3, in on_request' in proxy.log


def test_a_route_has_settings_that_are_checked(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    file = tmp_path / "tag.py"
    file.write_text(
        "from dataclasses import dataclass\n@dataclass\nclass Config:\n    tag: str = 'all'\n"
        "def on_request(request, me):\n    request.headers['x-tag'] = me.config.tag\n"
    )
    route = {
        **to_cluster("up", "/own"),
        "typed_per_filter_config": {"mine": own("http.PythonFilter", config={"tag": "route"})},
    }
    with Proxy.ours(configuration(upstreams, file, route), tmp_path) as proxy:
        for path in ("/", "/own"):
            exchange(proxy.addresses["plain"], [get(path)])
    heads = [each.head for requests in upstreams[0].requests.values() for each in requests]
    assert [b"x-tag: all" in each for each in heads] == [True, False]
    assert b"x-tag: route" in heads[1]
    route["typed_per_filter_config"]["mine"] = own("http.PythonFilter", config={"tag": 1})
    path = tmp_path / "wrong.yaml"
    path.write_text(json.dumps(configuration(upstreams, file, route)))
    (error,) = refusals(str(path))
    assert "typed_per_filter_config[mine]: config.tag: str is expected (value: 1)" in str(error)


def test_a_network_filter_and_a_logger(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    file, lines = tmp_path / "both.py", tmp_path / "lines.log"
    file.write_text(
        "from envoymesh.api import AccessLogger, NetworkFilter\n"
        "class Shout(NetworkFilter):\n"
        "    def on_data(self, data, end):\n        return data.replace(b'/x', b'/b')\n"
        "    def on_write(self, data, end):\n        self.stats.counter('out').add(len(data))\n"
        "class Lines(AccessLogger):\n"
        "    def on_log(self, entry):\n        return f'{entry.request.path} {entry.format(\"%RESPONSE_CODE%\")}'\n"
    )
    log = {
        "name": "l",
        "typed_config": own("access_loggers.PythonAccessLog", file=str(file), path=str(lines), **{"class": "Lines"}),
    }
    config = configuration(upstreams, None, access_log=[log])
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    chain["filters"].insert(
        0, {"name": "s", "typed_config": own("network.PythonFilter", file=str(file), **{"class": "Shout"})}
    )
    with Proxy.ours(config, tmp_path, "--file-flush-interval-msec", "50") as proxy:
        got = exchange(proxy.addresses["plain"], [get("/x")])
        until(lambda: lines.read_text() == "/b 200\n")
        stats = proxy.admin_get("/stats?filter=python")
    assert got.data.endswith(b"\r\n\r\nb")
    assert f".python.Shout.out: {len(got.data)}\n" in stats


def test_trying_out_needs_no_yaml(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    file = tmp_path / "who.py"
    file.write_text(WHO)
    with Proxy.ours(configuration(upstreams, None), tmp_path, "--filter", str(file)) as proxy:
        exchange(proxy.addresses["plain"], [get("/")])
    ((request,),) = upstreams[0].requests.values()
    assert b"x-who: anna\r\n" in request.head


def test_check_and_explain_name_it(tmp_path: Path, upstreams: tuple[Upstream, Upstream]) -> None:
    file, path = tmp_path / "who.py", tmp_path / "envoy.yaml"
    file.write_text("from envoymesh.api import HttpFilter\nclass Who(HttpFilter):\n    def on_request(self, request):\n"
                    "        request.headers['x-who'] = 'me'\n")  # fmt: skip
    path.write_text(json.dumps(configuration(upstreams, file)))

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "envoymesh", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    explained = run("explain", "-c", str(path), "http://localhost/")
    assert f"a filter in Python: {file}" in explained
    assert "x-who: me" in explained
    file.write_text("def on_request(:\n")
    checked = run("check", "-c", str(path))
    assert f"{file}:1: SyntaxError" in checked


@pytest.mark.oracle
def test_the_real_envoy_takes_the_same_file(tmp_path: Path, upstreams: tuple[Upstream, Upstream], oracle: Path) -> None:
    file = tmp_path / "who.py"
    file.write_text(WHO)
    optional = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "is_optional": True}
    route = {
        **to_cluster("up", "/own"),
        "typed_per_filter_config": {"mine": {**optional, "config": own("http.PythonFilter")}},
    }
    config = configuration(upstreams, file, route)
    with Proxy.real(oracle, config, tmp_path / "real") as proxy:
        exchange(proxy.addresses["plain"], [get("/own")])
    with Proxy.ours(config, tmp_path / "ours") as proxy:
        exchange(proxy.addresses["plain"], [get("/own")])
    heads = [each.head for requests in upstreams[0].requests.values() for each in requests]
    assert [b"x-who: anna" in each for each in heads] == [False, True]
