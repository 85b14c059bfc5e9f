"""Two workers under one parent: what is shown is the whole, what is asked reaches each, and nobody is left behind."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import (
    Proxy,
    Upstream,
    bootstrap,
    catch_all,
    http_listener,
    run_to_end,
    socket_address,
    static_cluster,
    to_cluster,
    wait_for,
)
from tests.integration.worker_processes import (
    GET,
    TEA,
    TWO,
    ask,
    ask_or_nothing,
    by_worker,
    direct,
    is_running,
    post,
    workers_of,
)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with Proxy.ours(direct(), tmp_path, *TWO) as proxy:
        yield proxy


def test_both_workers_serve_one_port_and_their_counts_add_up(proxy: Proxy) -> None:
    for _ in range(60):
        assert ask(proxy.addresses["main"]).endswith(b"tea")
    assert proxy.stat("http.test.downstream_rq_2xx") == 60
    shares = by_worker(proxy)
    assert len(shares) == 2
    assert all(shares), "the kernel spreads connections over both"
    assert sum(shares) == 60
    assert proxy.stat("server.concurrency") == 2
    assert proxy.stat("listener_manager.workers_started") == 1
    assert json.loads(proxy.admin_get("/server_info"))["command_line_options"]["concurrency"] == 2
    histogram = json.loads(proxy.admin_get("/stats?format=json&filter=connections_accepted&histogram_buckets=detailed"))
    assert histogram["stats"]


def test_histograms_are_those_of_all_workers(tmp_path: Path) -> None:
    with Proxy.ours(direct(stats_flush_interval="0.1s"), tmp_path, *TWO) as proxy:
        for _ in range(30):
            ask(proxy.addresses["main"])

        def counted() -> int:
            text = proxy.admin_get("/stats/prometheus?filter=^http.test.downstream_cx_length_ms$")
            return int(re.search(r"_count\{[^}]*\} (\d+)", text)[1])  # type: ignore[index]

        wait_for(lambda: counted() == 30, "all connections are in the histogram")


def test_hosts_of_clusters_and_memory_are_added_up(tmp_path: Path) -> None:
    def answer(peer: Any, request: Any) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntea")

    with Upstream({"/": answer}) as upstream:
        config = bootstrap(
            [http_listener("main", catch_all(to_cluster("up")))], [static_cluster("up", upstream.address)]
        )
        with Proxy.ours(config, tmp_path, *TWO) as proxy:
            for _ in range(20):
                assert b"200 OK" in ask(proxy.addresses["main"])
            host = f"up::127.0.0.1:{upstream.address[1]}"
            lines = proxy.admin_get("/clusters").splitlines()
            assert f"{host}::rq_total::20" in lines
            assert lines.count(f"{host}::hostname::") == 1
            assert str(upstream.address[1]) in proxy.admin_get(
                "/config_dump?include_eds&resource=static_endpoint_configs"
            )
            assert proxy.stat("cluster.up.membership_total") == 1
            assert proxy.stat("cluster.up.upstream_rq_total") == 20
            resident = int(json.loads(proxy.admin_get("/memory"))["total_physical_bytes"])
            assert resident > proxy.resident_kib * 1024 * 2, "three processes"


def test_each_worker_ejects_by_itself_and_the_whole_is_shown(tmp_path: Path) -> None:
    def fail(peer: Any, request: Any) -> None:
        peer.send(b"HTTP/1.1 500 Oops\r\ncontent-length: 3\r\n\r\ntea")

    log = tmp_path / "events.log"
    detection = {"consecutive_5xx": 1, "max_ejection_percent": 100, "base_ejection_time": "60s"}
    with Upstream({"/": fail}) as upstream:
        cluster = static_cluster("up", upstream.address, outlier_detection=detection)
        config = bootstrap(
            [http_listener("main", catch_all(to_cluster("up")))],
            [cluster],
            cluster_manager={"outlier_detection": {"event_log_path": str(log)}},
        )
        with Proxy.ours(config, tmp_path, *TWO, "--file-flush-interval-msec", "20") as proxy:
            for _ in range(60):
                ask(proxy.addresses["main"])
            assert all(by_worker(proxy))
            assert proxy.stat("cluster.up.outlier_detection.ejections_enforced_total") == 2
            assert proxy.stat("cluster.up.outlier_detection.ejections_active") == 1
            flags = f"up::127.0.0.1:{upstream.address[1]}::health_flags::/failed_outlier_check"
            assert flags in proxy.admin_get("/clusters").splitlines()
            wait_for(lambda: log.exists() and log.read_text().count('"action":"EJECT"') == 2, "both workers' lines")


def test_an_order_reaches_every_worker(tmp_path: Path) -> None:
    layers = {"layers": [{"name": "admin", "admin_layer": {}}]}
    with Proxy.ours(direct(layered_runtime=layers), tmp_path, *TWO) as proxy:
        address = proxy.addresses["main"]
        ask(address)
        assert post(proxy, "/reset_counters") == "OK\n"
        assert proxy.stat("http.test.downstream_rq_total") == 0
        assert post(proxy, "/healthcheck/fail") == "OK\n"
        # A failed health check ends connections; with 20 of them both workers have had their turn.
        assert all(b"\r\nconnection: close\r\n" in ask(address) for _ in range(20))
        assert all(by_worker(proxy))
        post(proxy, "/healthcheck/ok")
        assert not any(b"\r\nconnection: close\r\n" in ask(address) for _ in range(20))
        limit = "envoy.resource_limits.listener.main.connection_limit"
        post(proxy, f"/runtime_modify?{limit}=0")
        assert all(ask_or_nothing(address) == b"" for _ in range(20))
        kill_and_wait_for_another(proxy, workers_of(proxy)[0])
        assert all(ask_or_nothing(address) == b"" for _ in range(20)), "a new worker knows what was changed"
        post(proxy, f"/runtime_modify?{limit}=")
        assert all(ask(address).endswith(b"tea") for _ in range(20))


def kill_and_wait_for_another(proxy: Proxy, pid: int) -> None:
    before = proxy.stat("server.worker_restarts")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: proxy.stat("server.worker_restarts") == before + 1, "the death is noticed")
    wait_for(lambda: len(workers_of(proxy)) == 2 and pid not in workers_of(proxy), "another process")


def test_log_levels_are_set_in_every_worker(proxy: Proxy) -> None:
    assert "main: debug" in post(proxy, "/logging?level=debug")
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert proxy.log.count("[debug][main]") >= 4, "each worker tells of its end only at this level"


def test_a_worker_that_dies_is_replaced_and_its_counts_stay(tmp_path: Path) -> None:
    with Proxy.ours(direct(), tmp_path, *TWO) as proxy:
        address = proxy.addresses["main"]
        for _ in range(20):
            ask(address)
        assert proxy.stat("http.test.downstream_rq_total") == 20
        victim = workers_of(proxy)[0]
        kill_and_wait_for_another(proxy, victim)
        assert f"(pid {victim}) ended (signal 9)" in proxy.log
        # No connection is refused meanwhile, nor lost: the parent holds the dead worker's queue for the next one.
        for _ in range(20):
            assert ask(address).endswith(b"tea")
        assert proxy.stat("http.test.downstream_rq_total") == 40
        assert len(by_worker(proxy)) == 2


def test_a_worker_that_hangs_does_not_hang_the_admin(proxy: Proxy) -> None:
    for _ in range(20):
        ask(proxy.addresses["main"])
    assert proxy.stat("http.test.downstream_rq_total") == 20
    stuck = workers_of(proxy)[0]
    os.kill(stuck, signal.SIGSTOP)
    try:
        assert proxy.stat("http.test.downstream_rq_total") == 20, "its last known figures count"
        assert proxy.stat("http.test.downstream_rq_total") == 20
        assert proxy.log.count("does not answer") == 1, "nobody waits for it again"
    finally:
        os.kill(stuck, signal.SIGCONT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_every_worker(number: signal.Signals, proxy: Proxy) -> None:
    address = proxy.addresses["main"]
    workers = workers_of(proxy)
    clients = [socket.create_connection(address, 10) for _ in range(20)]
    for client in clients:
        client.sendall(GET)
    for client in clients:
        received = b""
        while not received.endswith(b"tea"):
            received += client.recv(4096)
    assert all(by_worker(proxy))
    # As a terminal's Ctrl-C would: to the workers as well, who leave the decision to the parent.
    for pid in [*workers, proxy.process.pid]:
        os.kill(pid, number)
    for client in clients:
        assert client.recv(1) == b"", "an idle connection is closed in order"
        client.close()
    assert proxy.wait() == 0
    assert not any(map(is_running, workers))
    with pytest.raises(ConnectionRefusedError):
        ask(address)
    assert "Traceback" not in proxy.log
    assert "ended (" not in proxy.log


def test_a_signal_during_the_start_is_heeded(tmp_path: Path) -> None:
    proxy = Proxy.ours(direct(), tmp_path, *TWO)
    try:
        wait_for(lambda: "starting 2 workers" in proxy.log, "the workers begin", 20.0)
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
    finally:
        proxy.stop()


def test_a_second_signal_ends_all_at_once(proxy: Proxy) -> None:
    workers = workers_of(proxy)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    proxy.signal(signal.SIGTERM)
    wait_for(lambda: "draining" in proxy.log, "the first signal is noted")
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(5) == 0
    wait_for(lambda: not any(map(is_running, workers)), "the workers end")


def test_workers_end_with_their_parent(proxy: Proxy) -> None:
    workers = workers_of(proxy)
    proxy.signal(signal.SIGKILL)
    proxy.wait()
    wait_for(lambda: not any(map(is_running, workers)), "no orphan is left")
    with pytest.raises(ConnectionRefusedError):
        ask(proxy.addresses["main"])


def test_quitquitquit_ends_all(proxy: Proxy) -> None:
    workers = workers_of(proxy)
    assert post(proxy, "/quitquitquit") == "OK\n"
    assert proxy.wait() == 0
    assert not any(map(is_running, workers))


def test_drained_listeners_refuse_connections(proxy: Proxy) -> None:
    assert post(proxy, "/drain_listeners") == "OK\n"

    def refused() -> bool:
        try:
            socket.create_connection(proxy.addresses["main"], 1).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_for(refused, "no socket of the port is left, neither a worker's nor the parent's")
    assert proxy.stat("listener_manager.listener_stopped") == 1
    kill_and_wait_for_another(proxy, workers_of(proxy)[0])
    assert refused(), "a new worker does not listen again"


def test_logs_are_reopened_by_every_worker(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    kind = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
    log = {"name": "file", "typed_config": {"@type": kind, "path": str(path)}}
    config = bootstrap([http_listener("main", catch_all(TEA), access_log=[log])], [])
    with Proxy.ours(config, tmp_path / "run", *TWO, "--file-flush-interval-msec", "50") as proxy:
        path.rename(tmp_path / "old.log")
        proxy.signal(signal.SIGUSR1)
        wait_for(path.exists, "the file is there again")
        proxy.stat("server.live")  # answered by the workers after they did what they were told
        for _ in range(20):
            ask(proxy.addresses["main"])
        wait_for(lambda: path.read_text().count("\n") == 20, "both write to the new file")
        assert all(by_worker(proxy))


def test_one_socket_is_shared_without_reuse_port(tmp_path: Path) -> None:
    config = bootstrap([{**http_listener("main", catch_all(TEA)), "enable_reuse_port": False}], [])
    with Proxy.ours(config, tmp_path, *TWO) as proxy:
        for _ in range(20):
            assert ask(proxy.addresses["main"]).endswith(b"tea")
        assert sum(by_worker(proxy)) == 20


def test_a_busy_port_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        address = {"address": socket_address(busy.getsockname()[:2])}
        config = bootstrap([{**http_listener("main", catch_all(TEA)), **address}], [])
        code, log = run_to_end(config, tmp_path, *TWO)
    assert code == 1
    assert log.count("cannot bind") == 1
    assert "Traceback" not in log
    assert "starting 2 workers" not in log


def test_a_wrong_configuration_is_said_once(tmp_path: Path) -> None:
    config = bootstrap([http_listener("main", catch_all(to_cluster("nowhere")))], [])
    for mode in ("serve", "validate"):
        code, log = run_to_end(config, tmp_path / mode, *TWO, "--mode", mode)
        assert code == 1
        assert log.count("unknown cluster 'nowhere'") == 1


def test_one_worker_is_the_process_itself(tmp_path: Path) -> None:
    with Proxy.ours(direct(), tmp_path) as proxy:
        assert workers_of(proxy) == []
        assert ask(proxy.addresses["main"]).endswith(b"tea")
