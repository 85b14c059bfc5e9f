"""The TCP proxy between two fake connections, on a clock that stands still."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.filters.network.registry import read_network_filters
from envoymesh.http.stream_info import TextState, connection_info
from envoymesh.network.api import CloseType, ConnectionEvent
from envoymesh.stats import Store
from envoymesh.upstream.outlier.api import HostMonitor
from envoymesh.upstream.settings import EndpointSettings, ThresholdSettings
from tests.support.fakes import FakeConnection, FakeDispatcher
from tests.support.network_filters import Clusters, LogFile, cluster, context_of, reader_of
from tests.support.stand_ins import stands_for

TCP_PROXY = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
FORMAT = (
    "%ACCESS_LOG_TYPE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% "
    "%UPSTREAM_HOSTS_ATTEMPTED% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %DOWNSTREAM_LOCAL_CLOSE_REASON% %DURATION%\n"
)
LOG = {
    "name": "l",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": "p", "log_format": {"text_format_source": {"inline_string": FORMAT}},
    },
}  # fmt: skip


class Bench:
    """One connection to a TCP proxy of these settings. `up` is the last upstream connection."""

    def __init__(self, *clusters: Any, before: Any = None, **fields: Any) -> None:
        self.dispatcher = FakeDispatcher()
        store = Store()
        self.clusters = Clusters(self.dispatcher, store, *(clusters or (cluster("up"), cluster("other"))))
        self.log = LogFile()
        context = context_of(self.dispatcher, self.clusters, self.log)
        if "weighted_clusters" not in fields:
            fields.setdefault("cluster", "up")
        reader = reader_of(TCP_PROXY, stat_prefix="t", access_log=[LOG], **fields)
        chain = read_network_filters(reader, [("tcp_proxy", reader)], context)
        reader.finish()
        self.terminal: Any = chain.terminal
        self.stats = self.terminal._context.stats
        self.down = FakeConnection()
        if before is not None:
            before(self)
        chain.start(self.down, chain.create(self.down))  # type: ignore[arg-type]

    @property
    def up(self) -> FakeConnection:
        return self.clusters.connector.last

    def of(self, name: str = "up") -> Any:
        """A cluster's stats."""
        found = self.clusters.get(name)
        assert found is not None
        return found.stats


def connected(**fields: Any) -> Bench:
    bench = Bench(**fields)
    bench.up.established()
    return bench


def test_nothing_is_read_before_the_upstream_is_there() -> None:
    bench = Bench()
    bench.down.receive(b"in")
    assert bench.down.read_disable_count == 1
    bench.up.established()
    assert bench.up.take_written() == b"in"
    bench.up.receive(b"out")
    assert bench.down.take_written() == b"out"
    bench.down.remote_close()
    assert bench.log.lines == ["TcpConnectionEnd - 2 3 10.0.0.1:80 up 10.0.0.1:80 1 - 0"]
    assert (bench.stats.downstream_cx_rx_bytes_total.value, bench.stats.downstream_cx_tx_bytes_total.value) == (2, 3)
    assert (bench.of().upstream_cx_rx_bytes_total.value, bench.of().upstream_cx_tx_bytes_total.value) == (3, 2)


def test_ends_are_passed_on_in_halves() -> None:
    bench = connected()
    bench.down.receive_eof()
    assert bench.up.write_ended
    assert not bench.up.closed
    bench.up.receive(b"last words")
    bench.up.receive_eof()
    assert bench.down.take_written() == b"last words"
    assert bench.down.write_ended
    bench.down.take_turn()
    assert bench.up.closed
    assert bench.down.closed
    assert (bench.of().upstream_cx_destroy_remote.value, bench.of().upstream_cx_active.value) == (1, 0)


def test_a_reset_is_passed_on() -> None:
    bench = connected()
    bench.down.reset()
    assert bench.up.close_types == [CloseType.ABORT_RESET]
    bench = connected()
    bench.up.reset()
    assert bench.down.close_types == [CloseType.ABORT_RESET]
    assert bench.log.lines[0].startswith("TcpConnectionEnd UR ")


def test_attempts() -> None:
    bench = Bench(max_connect_attempts=3)
    for _ in range(3):
        bench.up.remote_close("refused")
    assert len(bench.clusters.connector.connections) == 3
    assert bench.down.close_types == [CloseType.NO_FLUSH]
    hosts = ",".join(["10.0.0.1:80"] * 3)
    assert bench.log.lines == [f"TcpConnectionEnd UF,URX 0 0 10.0.0.1:80 up {hosts} 3 tcp_initializion_failure:0 0"]
    assert bench.of().upstream_cx_connect_attempts_exceeded.value == 1
    assert bench.of().upstream_cx_connect_fail.value == 3


def test_attempts_with_pauses() -> None:
    backoff = {"base_interval": "1s", "max_interval": "1.5s"}
    bench = Bench(max_connect_attempts=4, backoff_options=backoff)
    pauses = []
    for count in range(1, 4):
        bench.up.remote_close("refused")
        began = bench.dispatcher.now()
        while len(bench.clusters.connector.connections) == count:
            bench.dispatcher.advance(0.05)
        pauses.append(round(bench.dispatcher.now() - began, 2))
    assert pauses == [0.5, 0.75, 0.75]


def test_the_connect_timeout_is_another_attempt() -> None:
    bench = Bench(max_connect_attempts=2)
    bench.up.time_out()
    bench.up.established()
    bench.down.remote_close()
    assert bench.log.lines[0].startswith("TcpConnectionEnd UF ")
    assert bench.of().upstream_cx_connect_timeout.value == 1


def test_a_client_that_goes_takes_the_attempt_with_it() -> None:
    bench = Bench(max_connect_attempts=2)
    bench.down.remote_close()
    assert bench.up.closed
    assert bench.of().upstream_rq_cancelled.value == 1
    assert bench.of().upstream_rq_pending_active.value == 0
    assert len(bench.clusters.connector.connections) == 1


def test_a_client_that_goes_during_a_pause_ends_the_attempts() -> None:
    bench = Bench(max_connect_attempts=9, backoff_options={"base_interval": "1s"})
    bench.up.remote_close()
    bench.down.remote_close()
    assert not bench.dispatcher.timers


@pytest.mark.parametrize(
    ("settings", "fields", "line"),
    [
        ((), {"cluster": "none"}, "NC 0 0 - - - 0 tcp_initializion_failure:3"),
        ((cluster("up", endpoints=()),), {}, "UH 0 0 - up - 0 tcp_initializion_failure:1"),
        (
            (cluster("up", default_thresholds=ThresholdSettings(max_connections=0)),),
            {},
            "UO 0 0 - up - 0 tcp_initializion_failure:2",
        ),
        (
            (cluster("up", default_thresholds=ThresholdSettings(max_pending_requests=0)),),
            {"max_connect_attempts": 5000},
            f"URX 0 0 - up {','.join(['10.0.0.1:80'] * 5000)} 5000 tcp_initializion_failure:0",
        ),
    ],
)
def test_no_connection(settings: Any, fields: Any, line: str) -> None:
    bench = Bench(*settings, **fields)
    assert bench.down.close_types == [CloseType.NO_FLUSH]
    assert bench.log.lines == [f"TcpConnectionEnd {line} 0"]


def test_weights() -> None:
    weights = {"clusters": [{"name": "other", "weight": 1}, {"name": "up", "weight": 2}]}
    assert Bench(weighted_clusters=weights).of("up").upstream_cx_total.value == 1  # chance is 0.5
    weights["clusters"][0]["weight"] = 3
    assert Bench(weighted_clusters=weights).of("other").upstream_cx_total.value == 1


def test_another_filter_names_the_cluster() -> None:
    def name(bench: Bench) -> None:
        info = connection_info(bench.down, 0.0, 0.0)  # type: ignore[arg-type]
        info.set_filter_state("envoy.tcp_proxy.cluster", TextState("other"))

    assert Bench(before=name).of("other").upstream_cx_total.value == 1


def test_watermarks_stop_the_other_side() -> None:
    bench = connected()
    bench.up.above_high_watermark()
    assert bench.down.read_disable_count == 1
    bench.up.below_low_watermark()
    assert bench.down.read_disable_count == 0
    bench.down.above_high_watermark()
    assert bench.up.read_disable_count == 1
    bench.down.below_low_watermark()
    assert bench.up.read_disable_count == 0
    stats = bench.stats
    assert stats.downstream_flow_control_paused_reading_total.value == 1
    assert stats.downstream_flow_control_resumed_reading_total.value == 1
    assert bench.of().upstream_flow_control_paused_reading_total.value == 1
    assert bench.of().upstream_flow_control_resumed_reading_total.value == 1


def test_idle() -> None:
    bench = connected(idle_timeout="10s")
    bench.dispatcher.advance(6.0)
    bench.down.receive(b"in")
    bench.dispatcher.advance(6.0)
    bench.up.receive(b"out")
    bench.dispatcher.advance(9.9)
    assert not bench.down.closed
    bench.dispatcher.advance(0.2)
    assert bench.down.close_types == bench.up.close_types == [CloseType.NO_FLUSH]
    assert bench.stats.idle_timeout.value == 1
    assert bench.log.lines[0].split()[-2] == "tcp_session_idle_timeout"


def test_a_peer_that_still_takes_bytes_is_not_idle() -> None:
    bench = connected(idle_timeout="10s")
    bench.dispatcher.advance(5.0)
    bench.up.receive(b"much")
    bench.down.buffered = (0, 600)
    bench.dispatcher.advance(5.0)
    for left in (500, 400, 300):
        bench.down.buffered = (0, left)
        bench.dispatcher.advance(10.0)
        assert not bench.down.closed
    bench.dispatcher.advance(20.0)
    assert bench.down.closed


def test_never_idle() -> None:
    bench = connected(idle_timeout="0s")
    bench.dispatcher.advance(1e6)
    assert not bench.down.closed


def test_a_longest_duration_with_chance_added() -> None:
    bench = connected(
        max_downstream_connection_duration="10s", max_downstream_connection_duration_jitter_percentage={"value": 50}
    )
    bench.dispatcher.advance(12.4)
    assert not bench.down.closed
    bench.dispatcher.advance(0.2)
    assert bench.down.closed
    assert bench.stats.max_downstream_connection_duration.value == 1
    assert bench.log.lines[0].split()[1] == "DT"


def test_what_a_client_left_is_written_to_its_end() -> None:
    bench = connected()
    bench.up.flushes = False
    bench.up.buffered = (0, 5)
    bench.down.remote_close()
    assert bench.up.close_types == [CloseType.FLUSH_WRITE]
    assert (bench.stats.upstream_flush_total.value, bench.stats.upstream_flush_active.value) == (1, 1)
    assert bench.log.lines
    bench.up.delayed_close_timed_out = True
    bench.up.remote_close()
    assert (bench.stats.upstream_flush_active.value, bench.stats.idle_timeout.value) == (0, 1)


def test_logs_between() -> None:
    options = {"flush_access_log_on_connected": True, "access_log_flush_interval": "5s"}
    bench = connected(access_log_options=options)
    bench.dispatcher.advance(11.0)
    bench.down.remote_close()
    kinds = [line.split()[0] for line in bench.log.lines]
    assert kinds == ["TcpUpstreamConnected", "TcpPeriodic", "TcpPeriodic", "TcpConnectionEnd"]


def test_the_older_fields_of_logs() -> None:
    bench = connected(flush_access_log_on_connected=True, access_log_flush_interval="5s")
    bench.dispatcher.advance(6.0)
    assert [line.split()[0] for line in bench.log.lines] == ["TcpUpstreamConnected", "TcpPeriodic"]


def test_bytes_before_the_upstream_is_there() -> None:
    bench = Bench(max_early_data_bytes=4)
    bench.down.receive(b"abc")
    assert not bench.down.read_disable_count
    bench.down.receive(b"def")
    assert bench.down.read_disable_count == 1
    bench.down.receive(b"ghi")
    bench.up.established()
    assert bench.up.take_written() == b"abcdefghi"
    assert bench.stats.early_data_received_count_total.value == 1


def test_connecting_when_something_comes() -> None:
    bench = Bench(max_early_data_bytes=0, upstream_connect_mode="ON_DOWNSTREAM_DATA")
    assert not bench.clusters.connector.connections
    bench.down.receive(b"abc")
    bench.down.receive_eof()
    bench.up.established()
    assert bench.up.take_written() == b"abc"
    assert bench.up.write_ended


def test_connecting_when_the_client_has_ended() -> None:
    bench = Bench(max_early_data_bytes=9, upstream_connect_mode="ON_DOWNSTREAM_DATA")
    bench.down.receive_eof()
    bench.up.established()
    assert bench.up.write_ended


def test_buffers_are_sampled() -> None:
    bench = connected()
    bench.down.buffered = (3, 4)
    bench.terminal.sample_buffers()
    assert bench.stats.downstream_cx_rx_bytes_buffered.value == 3
    assert bench.stats.downstream_cx_tx_bytes_buffered.value == 4
    assert len(bench.terminal._context.connections) == 1


def test_a_failed_handshake_counts() -> None:
    bench = connected()
    bench.terminal.count_failed_handshake(True)
    assert bench.stats.downstream_cx_total.value == 2


def test_a_log_that_raises_is_nobodys_fault() -> None:
    bench = connected()
    bench.dispatcher.expects_errors = True
    bench.log.write = None  # type: ignore[method-assign,assignment]
    bench.down.remote_close()
    assert bench.dispatcher.reported
    assert bench.up.closed


def test_a_cluster_that_ends_closes_its_connections() -> None:
    bench = connected()
    up = bench.clusters.get("up")
    assert up is not None
    bench.up.buffered = (1, 2)
    up.sample_buffers()
    assert up.stats.upstream_cx_tx_bytes_buffered.value == 2
    up.shutdown()
    assert bench.up.closed
    assert bench.down.closed


def test_a_host_with_a_name() -> None:
    bench = Bench(cluster("up", endpoints=(EndpointSettings("10.0.0.1", 80, hostname="host"),)))
    bench.up.established()
    assert connection_info(bench.down, 0.0, 0.0).upstream_host_name == "host"  # type: ignore[arg-type]
    assert bench.down.events == []
    bench.up.remote_close()
    assert bench.down.events == [ConnectionEvent.LOCAL_CLOSE]


class Told(stands_for(HostMonitor)):
    """Keeps what it was told."""

    success_rate = local_origin_success_rate = -1.0

    def __init__(self) -> None:
        self.told: list[object] = []

    def put_http_response_code(self, code: int) -> None:
        self.told.append(code)

    def put_connect_success(self) -> None:
        self.told.append("connected")

    def put_connect_success_final(self) -> None:
        self.told.append("connected at last")

    def put_connect_failure(self) -> None:
        self.told.append("failed")

    def put_timeout(self) -> None:
        self.told.append("timeout")


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda up: up.established(), ["connected at last"]),
        (lambda up: up.remote_close(), ["failed"]),
        (lambda up: up.time_out(), ["timeout"]),
        (lambda up: up.fail_here("no port"), []),
    ],
)
def test_the_outlier_monitor_hears_of_each_attempt(end: Any, expected: list[object]) -> None:
    monitor = Told()

    def watch(bench: Bench) -> None:
        found = bench.clusters.get("up")
        assert found is not None
        for host in found.hosts:
            host.outlier_detector = monitor  # type: ignore[assignment]

    bench = Bench(before=watch)
    end(bench.up)
    assert monitor.told == expected
    bench.down.remote_close()
    assert monitor.told == expected
