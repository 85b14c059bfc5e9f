"""The admin at a Unix domain socket, ours beside the real Envoy: what it shows, its log, and the file."""

from __future__ import annotations

import re
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.integration.harness import Proxy, ask_pipe, wait_for
from tests.integration.pipes import mesh

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

ASKED = [
    "/ready", "/listeners", "/listeners?format=json", "/clusters", "/clusters?format=json",
    "/config_dump?mask=bootstrap.admin.address", "/stats?usedonly&filter=^listener.*downstream_cx_total",
    "/stats?usedonly&filter=^cluster.back.upstream_rq_200",
]  # fmt: skip
_TIME = re.compile(r"\[[^]]*\] ")
_DURATION = re.compile(r"( 200 - 0 )\d+ \d+ ")


class Sides:
    """Both proxies, each in its folder."""

    def __init__(self, oracle: Path, folder: Path) -> None:
        self._stack = ExitStack()
        self._makers = {"real": partial(Proxy.real, oracle), "ours": Proxy.ours}
        self.folders = {name: folder / name for name in self._makers}

    def __enter__(self) -> dict[str, Proxy]:
        with ExitStack() as stack:
            started = {}
            for name, make in self._makers.items():
                folder = self.folders[name]
                folder.mkdir()
                with socket.socket(socket.AF_UNIX) as stale:
                    stale.bind(str(folder / "admin.sock"))
                started[name] = stack.enter_context(make(mesh(folder), folder, "--file-flush-interval-msec", "20"))
            self._stack = stack.pop_all()
        return started

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def common(self, name: str, text: str) -> str:
        """Text without what tells the sides apart."""
        folder = self.folders[name]
        return re.sub(rf"@[\w-]*-{folder.name}", "@BACK", text.replace(str(folder), "FOLDER"))


@pytest.fixture(scope="module")
def sides(oracle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sides, dict[str, Proxy]]]:
    made = Sides(oracle, tmp_path_factory.mktemp("pipes"))
    with made as proxies:
        for name in proxies:
            assert ask_pipe(str(made.folders[name] / "front.sock"), "/") == (200, "tea")
        yield made, proxies


@pytest.mark.parametrize("target", ASKED)
def test_what_is_shown(sides: tuple[Sides, dict[str, Proxy]], target: str) -> None:
    made, proxies = sides
    shown = {}
    for name, proxy in proxies.items():
        status, text = ask_pipe(proxy.admin_pipe, target)
        shown[name] = (status, made.common(name, text))
    if "clusters" in target and "json" not in target:  # its lines are in an order of the real one's own
        shown = {name: (status, "\n".join(sorted(text.splitlines()))) for name, (status, text) in shown.items()}
    if "cx_total" in target:  # the admin's own differ by how often a test looks
        shown = {name: (status, re.sub(r"(admin.*): \d+", r"\1", text)) for name, (status, text) in shown.items()}
    assert shown["ours"] == shown["real"]


def test_the_files_and_their_modes(sides: tuple[Sides, dict[str, Proxy]]) -> None:
    made, proxies = sides
    for name in ("admin.sock", "front.sock"):
        modes = {side: stat.S_IMODE((made.folders[side] / name).stat().st_mode) for side in proxies}
        assert modes["ours"] == modes["real"]
    assert [proxy.admin_pipe for proxy in proxies.values()] == [
        str(made.folders[name] / "admin.sock") for name in proxies
    ]


def test_the_log(sides: tuple[Sides, dict[str, Proxy]]) -> None:
    made, proxies = sides
    lines = {}
    for name, proxy in proxies.items():
        log = made.folders[name] / "admin.log"
        ask_pipe(proxy.admin_pipe, "/hot_restart_version", host="log.example")
        wait_for(lambda log=log: "log.example" in log.read_text(), "the admin's log")
        (line,) = [each for each in log.read_text().splitlines() if "log.example" in each]
        lines[name] = _DURATION.sub(r"\1", _TIME.sub("", line))
    assert lines["ours"] == lines["real"]
