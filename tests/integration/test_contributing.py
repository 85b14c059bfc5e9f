"""CONTRIBUTING.md's recipes "Add a filter" and "Add a network filter", word for word in a copy of the package."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from tests.integration.exchanges import get
from tests.integration.harness import (
    ROUTER,
    Peer,
    Proxy,
    Request,
    ShutdownWrite,
    Until,
    Upstream,
    bootstrap,
    catch_all,
    exchange,
    http_listener,
    socket_address,
    static_cluster,
    to_cluster,
)

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 30
BLOCK = re.compile(
    r"(?:^ *`(?P<file>envoymesh/[\w/]+\.py)`\n\n)?"
    r"^(?P<indent> *)```(?P<kind>\w+)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
EMPTY = "google.protobuf.Empty"
NETWORK = "Add a network filter"
ECHO = {"name": "e", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}}


def recipe(title: str) -> str:
    """A section of CONTRIBUTING.md."""
    return ROOT.joinpath("CONTRIBUTING.md").read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]


def blocks(kind: str, title: str = "Add a filter") -> list[tuple[str, str]]:
    """(file or nothing, text) of the recipe's blocks in a language."""
    return [
        (each["file"] or "", dedent(each["text"])) for each in BLOCK.finditer(recipe(title)) if each["kind"] == kind
    ]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which somebody has followed the recipe."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "envoymesh", folder / "envoymesh", ignore=shutil.ignore_patterns("built", "__pycache__"))
    registry = folder / "envoymesh/filters/http/registry.py"
    (entry,) = [text for file, text in blocks("python") if file.endswith("registry.py")]
    # The recipe's second filter is registered in the same way.
    imported = "from envoymesh.filters.http.replace.filter import ReplaceFilter\n"
    entry += f'"{EMPTY}": HttpFilter("example.replace", lambda reader, context: add_replace),\n'
    text = registry.read_text()
    text = text.replace(
        "from envoymesh.filters.http.factory_context import",
        imported + "from envoymesh.filters.http.factory_context import",
        1,
    )
    begin = "FILTERS: dict[str, HttpFilter] = {\n"
    assert begin in text
    add = "def add_replace(callbacks):\n    callbacks.add_encoder_filter(ReplaceFilter())\n\n\n"
    registry.write_text(text.replace(begin, add + begin + entry, 1))
    write_files(folder, blocks("python"))
    follow_network_recipe(folder)
    return folder


def write_files(folder: Path, found: list[tuple[str, str]]) -> None:
    """Write the recipe's new files."""
    for file, code in found:
        if file and not file.endswith("registry.py"):
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).with_name("__init__.py").touch()
            (folder / file).write_text(code)


def follow_network_recipe(folder: Path) -> None:
    """Do what "Add a network filter" says."""
    found = blocks("python", NETWORK)
    (entry,) = [text for file, text in found if file.endswith("registry.py")]
    registry = folder / "envoymesh/filters/network/registry.py"
    text = registry.read_text()
    begin = "NETWORK_FILTERS: dict[str, NetworkFilterKind | TerminalFilterKind] = {\n"
    assert begin in text
    registry.write_text(text.replace(begin, begin + entry, 1))
    write_files(folder, found)


def cats(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\n ca\r\n2\r\nt.\r\n0\r\n\r\n")


def configuration(upstream: tuple[str, int]) -> dict[str, Any]:
    ((_, stamp), (_, route_stamp)) = blocks("yaml")
    replace = {"name": "replace", "typed_config": {"@type": f"type.googleapis.com/{EMPTY}"}}
    router = {"name": "router", "typed_config": {"@type": ROUTER}}
    own = {**to_cluster("up", "/own"), "typed_per_filter_config": yaml.safe_load(route_stamp)}
    routes = catch_all(own, to_cluster("up"))
    listener = http_listener("plain", routes, http_filters=[yaml.safe_load(stamp), replace, router])
    return bootstrap([listener], [static_cluster("up", upstream)])


def test_the_recipe_works_at_the_first_try(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)  # where `python -m` looks first
    with Upstream({"/": cats, "/own": cats}) as upstream:
        command = [sys.executable, "-m", "envoymesh", "proxy"]
        with Proxy(command, configuration(upstream.address), tmp_path) as proxy:
            answers = [exchange(proxy.addresses["plain"], [get(path)]) for path in ("/", "/own")]
        heads = [request.head for request in upstream.requests[b""]]
    for answer, head, stamp in zip(answers, heads, (b"all", b"route"), strict=True):
        assert b"x-stamp: " + stamp in head
        assert b"\r\nx-stamp: " + stamp + b"\r\n" in answer.data
        assert b"\r\ncontent-length: 10\r\n" in answer.data
        assert answer.data.endswith(b"\r\n\r\none tiger.")


def test_the_network_recipe_works_at_the_first_try(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)  # where `python -m` looks first
    ((_, shout),) = blocks("yaml", NETWORK)
    chain = {"filters": [yaml.safe_load(shout), ECHO]}
    listener = {"name": "echo", "address": socket_address(("127.0.0.1", 0)), "filter_chains": [chain]}
    with Proxy([sys.executable, "-m", "envoymesh", "proxy"], bootstrap([listener], []), tmp_path) as proxy:
        steps = [b"one\ntw", Until(b"ONE\n"), b"o\nthree", Until(b"TWO\n"), ShutdownWrite()]
        assert exchange(proxy.addresses["echo"], steps).data == b"ONE\nTWO\nTHREE"


def test_a_filter_is_short() -> None:
    found = blocks("python") + blocks("python", NETWORK)
    files = [code for file, code in found if file.endswith("filter.py")]
    assert len(files) == 3
    for code in files:
        assert len(code.splitlines()) < MOST_LINES
