"""What the router filter's tries tell the outlier monitor of their host."""

from __future__ import annotations

import pytest

from envoymesh.http.codec import HttpProtocol, StreamResetReason
from envoymesh.router.retry import RetryPolicy
from envoymesh.router.table import ClusterAction
from envoymesh.upstream.api import PoolFailureReason
from envoymesh.upstream.outlier.api import HostMonitor
from tests.support.router import RouterBench
from tests.support.stand_ins import stands_for


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


def watched(action: ClusterAction | None = None) -> tuple[RouterBench, list[object]]:
    bench, monitor = RouterBench(action or ClusterAction("c", timeout=2.0)), Told()
    bench.cluster.first_hosts[0].outlier_detector = monitor
    return bench, monitor.told


def test_an_answer_counts_by_its_status() -> None:
    bench, told = watched()
    bench.send()
    bench.cluster.ready().answer(404)
    assert told == ["connected", 404]
    bench.check_ended()


@pytest.mark.parametrize(
    ("status", "code"), [("0", 200), ("5", 200), ("14", 503), ("4", 504), ("13", 500), ("99", 200), ("x", 500)]
)
def test_a_grpc_answer_counts_by_its_grpc_status(status: str, code: int) -> None:
    bench, told = watched()
    bench.send(content_type="application/grpc")
    bench.cluster.ready().answer(200, grpc_status=status)
    assert told == ["connected", code]


def test_a_grpc_status_in_trailers_comes_too_late() -> None:
    bench, told = watched()
    bench.send(content_type="application/grpc")
    bench.cluster.ready().answer(200, b"message")
    assert told == ["connected", 200]


def test_a_grpc_status_of_another_request_is_no_status() -> None:
    bench, told = watched()
    bench.send()
    bench.cluster.ready().answer(200, grpc_status="14")
    assert told == ["connected", 200]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (PoolFailureReason.REMOTE_CONNECTION_FAILURE, ["failed"]),
        (PoolFailureReason.LOCAL_CONNECTION_FAILURE, ["failed"]),
        (PoolFailureReason.TIMEOUT, ["failed"]),
        (PoolFailureReason.OVERFLOW, []),
        (PoolFailureReason.NO_POOL, []),
    ],
)
def test_no_connection(reason: PoolFailureReason, expected: list[object]) -> None:
    bench, told = watched()
    bench.send()
    bench.cluster.refuse(reason)
    assert told == expected
    bench.check_ended()


def test_no_pool_is_as_no_host() -> None:
    bench, _ = watched()
    bench.send()
    bench.cluster.refuse(PoolFailureReason.NO_POOL)
    assert (bench.client.status, bench.client.body, bench.client.details) == (
        503, b"no healthy upstream", "no_healthy_upstream",
    )  # fmt: skip


@pytest.mark.parametrize("protocol", [HttpProtocol.HTTP11, HttpProtocol.HTTP2])
def test_a_reset(protocol: HttpProtocol) -> None:
    bench, told = watched()
    bench.cluster.protocol = protocol
    bench.send()
    bench.cluster.ready().fail(StreamResetReason.REMOTE_RESET)
    assert told == ["connected", "failed"]


def test_a_reset_amid_the_answer_counts_besides() -> None:
    bench, told = watched()
    bench.send()
    stream = bench.cluster.ready()
    stream.begin(200)
    stream.fail(StreamResetReason.CONNECTION_TERMINATION)
    assert told == ["connected", 200, "failed"]


def test_no_answer_in_time() -> None:
    bench, told = watched()
    bench.send()
    bench.cluster.ready()
    bench.dispatcher.advance(2.0)
    assert told == ["connected", "timeout"]
    bench.check_ended()


def test_the_end_of_an_answer_that_is_late_is_no_timeout() -> None:
    bench, told = watched()
    bench.send()
    bench.cluster.ready().begin(200)
    bench.dispatcher.advance(2.0)
    assert told == ["connected", 200]


def test_each_try_is_told_once() -> None:
    policy = RetryPolicy(frozenset({"5xx"}), per_try_timeout=0.5)
    bench, told = watched(ClusterAction("c", timeout=5.0, retry=policy))
    bench.send()
    bench.cluster.ready()
    bench.dispatcher.advance(0.6)
    bench.cluster.ready()
    bench.dispatcher.advance(0.6)
    assert told == ["connected", "timeout", "connected", "timeout"]
    bench.check_ended()


def test_a_retried_answer_counts() -> None:
    bench, told = watched(ClusterAction("c", retry=RetryPolicy(frozenset({"5xx"}))))
    bench.send()
    bench.cluster.ready().answer(503)
    bench.dispatcher.advance(1.0)
    bench.cluster.ready().answer(200)
    assert told == ["connected", 503, "connected", 200]


def test_a_client_that_leaves_tells_nothing() -> None:
    bench, told = watched()
    bench.send()
    bench.cluster.ready()
    bench.destroy()
    assert told == ["connected"]


# Priorities of connections


@pytest.mark.parametrize(("is_high", "options"), [(True, "HIGH"), (False, None)])
def test_a_routes_priority_has_its_own_connections_and_retries(is_high: bool, options: str | None) -> None:
    action = ClusterAction("c", retry=RetryPolicy(frozenset({"5xx"})), high_priority=is_high)
    bench, _ = watched(action)
    bench.send()
    bench.cluster.ready().answer(503)
    counts = [bench.cluster.resource_manager(priority).retries.count for priority in ("DEFAULT", "HIGH")]
    assert counts == ([0, 1] if is_high else [1, 0])
    asked = bench.cluster.options
    assert (asked and asked.priority) == options
    bench.dispatcher.advance(1.0)
    bench.cluster.ready().answer(200)
    bench.check_ended()
