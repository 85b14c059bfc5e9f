"""Workers that die, hang or cannot start again, while a client opens new connections all the while: each is served.

A request that a dying worker has already accepted is lost, as with any process; so the visitor is between two requests
whenever a worker is hit, and then nothing may be lost.
"""

import os
import re
import shutil
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError

import pytest
import trustme

from tests.integration.harness import (
    Address,
    Peer,
    Proxy,
    Request,
    Upstream,
    bootstrap,
    catch_all,
    http_listener,
    socket_address,
    static_cluster,
    to_cluster,
    wait_for,
)
from tests.integration.worker_processes import GET, TEA, TWO, ask, direct, is_running, listening, post, workers_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MOST = 6000
"""Turns of one thread: a bound for the case that a test goes wrong."""


def watched(**times: str) -> dict[str, Any]:
    """A bootstrap's part: how workers are watched."""
    return {"watchdogs": {"worker_watchdog": times}}


NEVER_KILLED = watched(megamiss_timeout="0.3s", kill_timeout="0s")
SOON_KILLED = watched(megamiss_timeout="0.3s", kill_timeout="1s")


class Background:
    """Does one thing again and again in a thread, from `with` to its end."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for _ in range(MOST):
            if self._stopped.is_set():
                return
            self.turn()
            time.sleep(0.01)

    def turn(self) -> None:
        """The thing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()


class Visitor(Background):
    """A client that opens one connection after another, in a thread: `served` of them, and `lost` with the reasons.

    Args:
        visit: one exchange on a connection of its own; raises when it fails.
    """

    def __init__(self, visit: Callable[[], object]) -> None:
        super().__init__()
        self.served = 0
        self.lost: list[str] = []
        self._visit = visit
        self._between = threading.Lock()

    def turn(self) -> None:
        with self._between:
            try:
                self._visit()
                self.served += 1
            except (OSError, AssertionError) as error:
                self.lost.append(repr(error))

    @contextmanager
    def pause(self) -> Iterator[None]:
        """While no request is under way."""
        with self._between:
            yield

    def see_more(self, count: int = 30) -> None:
        """Until so many more have been served, over all sockets of the port in all likelihood."""
        wanted = self.served + count
        wait_for(lambda: self.served >= wanted or self.lost, f"{count} more are served", 60.0)
        assert not self.lost


def visiting(address: Address) -> Visitor:
    def visit() -> None:
        assert ask(address).endswith(b"tea"), "an answer cut short"

    return Visitor(visit)


def hit(visitor: Visitor, pid: int, number: signal.Signals) -> None:
    with visitor.pause():
        os.kill(pid, number)


def down(proxy: Proxy) -> int:
    return proxy.stat("server.workers_down")


def state(proxy: Proxy) -> str:
    """The word of /ready, and the status if it is not 200."""
    try:
        return proxy.admin_get("/ready").strip()
    except HTTPError as error:
        return f"{error.read().decode().strip()} {error.code}"


class Killer(Background):
    """Kills each worker as soon as it is there, so that no replacement starts.

    Args:
        spared: processes that are let live.
    """

    def __init__(self, proxy: Proxy, *spared: int) -> None:
        super().__init__()
        self.killed: set[int] = set()
        self._proxy = proxy
        self._spared = spared

    def turn(self) -> None:
        for pid in set(workers_of(self._proxy)) - set(self._spared):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
                self.killed.add(pid)


def test_one_that_is_killed_costs_no_connection(tmp_path: Path) -> None:
    with Proxy.ours(direct(), tmp_path, *TWO) as proxy, visiting(proxy.addresses["main"]) as visitor:
        visitor.see_more()
        hit(visitor, workers_of(proxy)[0], signal.SIGKILL)
        visitor.see_more()
        wait_for(lambda: down(proxy) == 0, "another has started", 60.0)
        assert state(proxy) == "LIVE"
        visitor.see_more()
        assert proxy.stat("server.worker_restarts") == 1


def test_ten_that_are_killed_in_a_row_cost_no_connection(tmp_path: Path) -> None:
    with Proxy.ours(direct(), tmp_path, *TWO) as proxy, visiting(proxy.addresses["main"]) as visitor:
        for times in range(1, 11):
            visitor.see_more(10)
            hit(visitor, workers_of(proxy)[0], signal.SIGKILL)
            wait_for(lambda: proxy.stat("server.worker_restarts") == times, "the death is noticed")  # noqa: B023
            wait_for(lambda: down(proxy) == 0, "another has started", 60.0)
        visitor.see_more()
        assert len(workers_of(proxy)) == 2
        # The parent keeps nothing of those that are gone.
        before = proxy.descriptors
        hit(visitor, workers_of(proxy)[0], signal.SIGKILL)
        wait_for(lambda: proxy.stat("server.worker_restarts") == 11 and down(proxy) == 0, "an eleventh", 60.0)
        wait_for(lambda: proxy.descriptors <= before, "its descriptors are given back")


def test_one_that_cannot_start_again_leaves_its_share_to_the_others(tmp_path: Path) -> None:
    six = {**http_listener("six", catch_all(TEA)), "address": socket_address(("::1", 0))}
    shared = {**http_listener("shared", catch_all(TEA)), "enable_reuse_port": False}
    config = bootstrap([http_listener("main", catch_all(TEA)), six, shared], [])
    with Proxy.ours(config, tmp_path, *TWO) as proxy, visiting(proxy.addresses["main"]) as visitor:
        victim, other = workers_of(proxy)
        own, lent = listening(other), listening(victim) - listening(other)
        assert (len(own), len(lent)) == (3, 2), "of three listeners, one has a socket that both share"
        hit(visitor, victim, signal.SIGKILL)
        with Killer(proxy, other) as killer:
            wait_for(lambda: len(killer.killed) >= 3, "its successors are killed as well", 60.0)
            visitor.see_more(60)
            for address in proxy.addresses.values():
                assert all(ask(address).endswith(b"tea") for _ in range(20))
            assert (down(proxy), state(proxy)) == (1, "LIVE")
            assert proxy.admin_get("/clusters") == ""
            assert not is_running(victim)
            assert listening(other) == own | lent
        wait_for(lambda: down(proxy) == 0, "at last one starts", 60.0)
        wait_for(lambda: listening(other) == own, "and gets its sockets back")
        visitor.see_more(60)
        assert len(re.findall("has started", proxy.log)) == 1


def test_nobody_serves_is_said_and_who_came_meanwhile_is_served(tmp_path: Path) -> None:
    with Proxy.ours(direct(), tmp_path, *TWO) as proxy:
        address = proxy.addresses["main"]
        with Killer(proxy) as killer:
            wait_for(lambda: len(killer.killed) >= 4 and down(proxy) == 2, "all are dead, and successors", 60.0)
            assert state(proxy) == "INITIALIZING 503"
            assert (proxy.stat("server.state"), proxy.stat("server.live")) == (3, 0)
            assert "downstream_cx_total" in proxy.admin_get("/stats")
            waiting = [socket.create_connection(address, 30) for _ in range(20)]
        for client in waiting:
            with client:
                client.sendall(GET)
                assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")
        wait_for(lambda: (down(proxy), state(proxy)) == (0, "LIVE"), "both serve again", 60.0)


def test_one_that_is_stopped_is_killed_and_its_share_served_by_others(tmp_path: Path) -> None:
    with Proxy.ours(direct(**SOON_KILLED), tmp_path, *TWO) as proxy, visiting(proxy.addresses["main"]) as visitor:
        visitor.see_more()
        stuck = workers_of(proxy)[0]
        hit(visitor, stuck, signal.SIGSTOP)
        wait_for(lambda: down(proxy) == 1, "its silence is noticed")
        assert state(proxy) == "LIVE"
        assert "up::" not in proxy.admin_get("/clusters")
        visitor.see_more(60)
        wait_for(lambda: not is_running(stuck), "it is killed")
        wait_for(lambda: down(proxy) == 0, "another has started", 60.0)
        visitor.see_more()
        assert f"(pid {stuck}) does not answer" in proxy.log
        assert re.search(rf"\(pid {stuck}\) has not answered for .* is killed; its state: stopped", proxy.log)
        assert proxy.stat("workers.watchdog_mega_miss") >= 1


def test_one_that_is_stopped_for_a_while_lives_on(tmp_path: Path) -> None:
    with Proxy.ours(direct(**NEVER_KILLED), tmp_path, *TWO) as proxy, visiting(proxy.addresses["main"]) as visitor:
        before = workers_of(proxy)
        for _ in range(3):
            hit(visitor, before[0], signal.SIGSTOP)
            wait_for(lambda: down(proxy) == 1, "its silence is noticed")
            visitor.see_more()
            os.kill(before[0], signal.SIGCONT)
            wait_for(lambda: down(proxy) == 0, "it is heard again")
            visitor.see_more()
        assert workers_of(proxy) == before
        assert proxy.stat("server.worker_restarts") == 0


def test_all_that_are_stopped_at_once_are_killed_by_the_multikill_timeout(tmp_path: Path) -> None:
    together = watched(kill_timeout="0s", megamiss_timeout="0.3s", multikill_timeout="0.5s")
    with Proxy.ours(direct(**together), tmp_path, *TWO) as proxy:
        stuck = workers_of(proxy)
        for pid in stuck:
            os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: not any(map(is_running, stuck)), "both are killed")
        wait_for(lambda: down(proxy) == 0, "others have started", 60.0)
        assert ask(proxy.addresses["main"]).endswith(b"tea")


HANGS = """
import signal, time

def stand_still(*_):
    time.sleep(120)

signal.signal(signal.SIGWINCH, stand_still)
"""
"""What each interpreter runs at its start (`sitecustomize`): a signal makes its main thread, and so its loop, hang."""

STACK = r'most recent call first\):\n\s+File ".*sitecustomize\.py", line \d+ in stand_still'


@contextmanager
def hanging(folder: Path, monkeypatch: pytest.MonkeyPatch, *flags: str) -> Iterator[Proxy]:
    """A proxy of which a loop stands still: a worker's, or its own where it has none."""
    (folder / "sitecustomize.py").write_text(HANGS)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    config = bootstrap([http_listener("main", catch_all(TEA))], [], **SOON_KILLED)
    with Proxy.ours(config, folder / "run", *flags) as proxy:
        os.kill([*workers_of(proxy), proxy.process.pid][0], signal.SIGWINCH)
        yield proxy


def test_a_loop_that_stands_still_shows_its_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hanging(tmp_path, monkeypatch, *TWO) as proxy:
        wait_for(lambda: "is killed" in proxy.log, "a worker hangs", 30.0)
        wait_for(lambda: proxy.stat("server.worker_restarts"), "it is replaced", 30.0)
        assert re.search(rf"\) has not answered for .* is killed; its state: .*\n.*{STACK}", proxy.log)


def test_one_process_ends_itself_where_a_kill_timeout_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hanging(tmp_path, monkeypatch) as proxy:
        assert proxy.wait(30) == 1
        assert re.search(STACK, proxy.log)


def tls_files(folder: Path) -> tuple[trustme.CA, dict[str, Any]]:
    """A CA, and the TLS of a listener whose certificate, key and CA are files."""
    ca = trustme.CA()
    own = ca.issue_cert("mesh.test")
    own.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "chain.pem").write_bytes(b"".join(each.bytes() for each in own.cert_chain_pems))
    ca.cert_pem.write_to_path(folder / "ca.pem")
    pair = {name: {"filename": str(folder / f"{file}.pem")} for name, file in (
        ("certificate_chain", "chain"), ("private_key", "key")
    )}  # fmt: skip
    common = {"tls_certificates": [pair], "validation_context": {"trusted_ca": {"filename": str(folder / "ca.pem")}}}
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    return ca, {"name": "tls", "typed_config": {"@type": kind, "common_tls_context": common}}


def test_a_worker_starts_from_what_was_checked_whatever_became_of_the_files(tmp_path: Path) -> None:
    """Keys, certificates, bodies, formats and open logs are handed over: no file is looked for again."""
    files = tmp_path / "files"
    files.mkdir()
    ca, tls = tls_files(files)
    (files / "body").write_text("tea")
    (files / "format").write_text("%RESPONSE_CODE% %REQ(:PATH)%\n")
    kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    log_format = {"text_format_source": {"filename": str(files / "format")}}
    log = {"@type": kind, "path": str(files / "access.log"), "log_format": log_format}
    body = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"filename": str(files / "body")}}}
    listener = http_listener("main", catch_all(body), access_log=[{"name": "file", "typed_config": log}])
    listener["filter_chains"][0]["transport_socket"] = tls
    config = bootstrap([listener], [])
    flags = (*TWO, "--log-path", str(files / "proxy.log"), "--file-flush-interval-msec", "10")
    with Proxy.ours(config, tmp_path / "run", *flags) as proxy:
        context = ssl.create_default_context()
        ca.configure_trust(context)

        def visit() -> None:
            with socket.create_connection(proxy.addresses["main"], 10) as plain:
                client = context.wrap_socket(plain, server_hostname="mesh.test")
                client.sendall(GET)
                answer = b""
                while not answer.endswith(b"tea") and (data := client.recv(4096)):
                    answer += data
                client.close()
                assert answer.endswith(b"tea"), answer

        def logged() -> str:
            return os.pread(logs[0], 1 << 20, 0).decode()

        certs, dump = proxy.admin_get("/certs"), proxy.admin_get("/config_dump")
        logs = [os.open(files / name, os.O_RDONLY) for name in ("access.log", "proxy.log")]
        with Visitor(visit) as visitor:
            visitor.see_more(5)
            shutil.rmtree(files)
            files.write_text("in the place of the folder")
            for times in (1, 2):
                with visitor.pause():
                    # Lines that a killed process has not written yet are lost.
                    wait_for(lambda: logged().count("200 /\n") == visitor.served, "all is logged")
                    os.kill(workers_of(proxy)[0], signal.SIGKILL)
                wait_for(lambda: proxy.stat("server.worker_restarts") == times, "it is noticed")  # noqa: B023
                wait_for(lambda: down(proxy) == 0, "another has started", 60.0)
                visitor.see_more(20)
        assert proxy.admin_get("/certs") == certs
        assert str(files / "body") in dump, "where it came from is still shown"
        assert proxy.admin_get("/config_dump") == dump
        for _ in (1, 2):
            post(proxy, "/logging?level=debug")
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        own = os.read(logs[1], 1 << 20).decode()
        assert logged().count("200 /\n") == visitor.served
        for each in logs:
            os.close(each)
        assert own.count("[debug][main] [server/server.py") >= 4, "the new workers write to the open log"


def test_one_that_is_killed_while_all_drain_does_not_stop_the_others(tmp_path: Path) -> None:
    release = threading.Event()

    def answer(peer: Peer, request: Request) -> None:
        release.wait(60)
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntea")

    with Upstream({"/": answer}) as upstream:
        config = bootstrap(
            [http_listener("main", catch_all(to_cluster("up", timeout="0s")))], [static_cluster("up", upstream.address)]
        )
        with Proxy.ours(config, tmp_path, *TWO) as proxy:
            clients = [socket.create_connection(proxy.addresses["main"], 60) for _ in range(20)]
            for client in clients:
                client.sendall(GET)
            wait_for(lambda: sum(map(len, upstream.requests.values())) == 20, "all are upstream")
            proxy.signal(signal.SIGTERM)
            wait_for(lambda: "draining" in proxy.log, "the drain begins")
            victim, other = workers_of(proxy)
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: workers_of(proxy) == [other], "it is gone, and not replaced")
            release.set()
            answers = [received(client) for client in clients]
            assert proxy.wait() == 0
            assert not is_running(other)
        assert sorted(set(answers)) == [b"", b"tea"], "those of the killed worker, and the others"


def received(client: socket.socket) -> bytes:
    """The last three bytes that come."""
    data = b""
    with client:
        try:
            while more := client.recv(4096):
                data += more
        except ConnectionResetError:
            pass
    return data[-3:]


def test_one_that_is_killed_while_listeners_drain_is_replaced_until_they_close(tmp_path: Path) -> None:
    flags = (*TWO, "--drain-time-s", "6")
    with Proxy.ours(direct(), tmp_path, *flags) as proxy, visiting(proxy.addresses["main"]) as visitor:
        visitor.see_more()
        assert post(proxy, "/drain_listeners?graceful") == "OK\n"
        hit(visitor, workers_of(proxy)[0], signal.SIGKILL)
        visitor.see_more(60)
        # The visitor goes on until it is refused: from then on nobody may be accepted, by whichever socket.
        wait_for(lambda: visitor.lost, "the listeners close", 60.0)
        wait_for(lambda: proxy.stat("listener_manager.listener_stopped") == 1, "said by the admin")
        wait_for(lambda: down(proxy) == 0, "another has started", 60.0)
    for _ in range(10):
        with pytest.raises(ConnectionRefusedError):
            ask(proxy.addresses["main"])


@pytest.mark.parametrize("stopped", [False, True], ids=["all run", "one is stopped"])
def test_workers_end_with_a_parent_that_is_killed_and_the_port_is_free(stopped: bool, tmp_path: Path) -> None:
    with Proxy.ours(direct(**NEVER_KILLED), tmp_path / "first", *TWO) as proxy:
        address = proxy.addresses["main"]
        workers = workers_of(proxy)
        if stopped:
            os.kill(workers[0], signal.SIGSTOP)
        proxy.signal(signal.SIGKILL)
        proxy.wait()
        wait_for(lambda: not any(map(is_running, workers)), "no orphan is left")
    with pytest.raises(ConnectionRefusedError):
        ask(address)
    again = {**http_listener("main", catch_all(TEA)), "address": socket_address(address)}
    with Proxy.ours(bootstrap([again], []), tmp_path / "second", *TWO) as proxy:
        assert all(ask(proxy.addresses["main"]).endswith(b"tea") for _ in range(20))
        assert proxy.addresses["main"] == address
