"""The compiled data path, as processes run it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from envoymesh.native.loader import VARIABLE
from envoymesh.native.modules import fingerprint, manifest_file
from tests.conftest import missing
from tests.integration.harness import (
    ROUTER,
    Peer,
    Proxy,
    Request,
    Upstream,
    bootstrap,
    catch_all,
    http_listener,
    static_cluster,
    to_cluster,
)

TEA = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "tea"}}}
CONFIG = bootstrap([http_listener("main", catch_all(TEA))], [])


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes insist on compiled modules."""
    manifest = manifest_file()
    if not manifest.is_file() or fingerprint() not in manifest.read_text():
        missing("native", "the data path is not compiled, or has changed since (make native)")
    monkeypatch.setenv(VARIABLE, "1")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_compiled_modules_answer(compiled: None, tmp_path: Path, workers: str) -> None:
    with Proxy.ours(CONFIG, tmp_path, "--concurrency", workers) as proxy:
        with socket.create_connection(proxy.addresses["main"], 10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
        pids = [proxy.process.pid, *_children(proxy.process.pid)]
        assert all("envoymesh__mypyc" in Path(f"/proc/{pid}/maps").read_text() for pid in pids)
        assert len(pids) == (1 if workers == "1" else 3)
        assert "data path: compiled" in proxy.log


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_source_is_run_where_that_is_asked_for(tmp_path: Path) -> None:
    with Proxy.ours(CONFIG, tmp_path) as proxy:
        assert "envoymesh__mypyc" not in Path(f"/proc/{proxy.process.pid}/maps").read_text()
        assert "data path: source" in proxy.log


def test_every_module_of_the_list_comes_compiled(compiled: None) -> None:
    script = """
from envoymesh.native.loader import activate
from envoymesh.native.modules import MODULES
import importlib
activate()
print([m for m in MODULES if not importlib.import_module("envoymesh." + m).__file__.endswith(".so")])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout == "[]\n"


def hello(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")


def test_filters_that_are_not_compiled_stand_in_a_compiled_chain(compiled: None, tmp_path: Path) -> None:
    cors, buffer = "envoy.extensions.filters.http.cors.v3", "envoy.extensions.filters.http.buffer.v3"
    policy = {"@type": f"type.googleapis.com/{cors}.CorsPolicy", "allow_origin_string_match": [{"exact": "*"}]}
    filters = [
        {"name": "cors", "typed_config": {"@type": f"type.googleapis.com/{cors}.Cors"}},
        {"name": "buffer", "typed_config": {"@type": f"type.googleapis.com/{buffer}.Buffer", "max_request_bytes": 5}},
        {"name": "router", "typed_config": {"@type": ROUTER}},
    ]
    routes = catch_all({**to_cluster("up"), "typed_per_filter_config": {"cors": policy}})
    listener = http_listener("main", routes, http_filters=filters)
    with Upstream({"/": hello}) as upstream:
        config = bootstrap([listener], [static_cluster("up", upstream.address)])
        with Proxy.ours(config, tmp_path) as proxy, socket.create_connection(proxy.addresses["main"], 10) as client:
            head = b"POST / HTTP/1.1\r\nhost: a\r\norigin: b\r\ncontent-length: "
            client.sendall(head + b"3\r\n\r\nabc")
            answer = client.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\naccess-control-allow-origin: b\r\n" in answer
            client.sendall(head + b"6\r\n\r\nabcdef")
            assert client.recv(4096).startswith(b"HTTP/1.1 413 Payload Too Large\r\n")
        assert [request.body for request in upstream.requests[b""]] == [b"abc"]
