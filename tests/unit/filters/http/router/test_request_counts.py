"""What virtual clusters and routes with a stat_prefix count of requests that go upstream."""

from __future__ import annotations

from typing import Any

from envoymesh.http.codec import StreamResetReason
from envoymesh.router.request_counts import RequestCounts, VirtualCluster
from envoymesh.router.retry import RetryPolicy
from envoymesh.router.table import ClusterAction
from envoymesh.stats import Store
from tests.support.router import RouterBench


class Counted:
    """A bench whose virtual host has one virtual cluster for all, and what that has counted."""

    def __init__(self, action: ClusterAction, **options: Any) -> None:
        self.store = Store()
        counts = RequestCounts(self.store.scope("vhost.v.vcluster.c.", verbatim=True))
        self.bench = RouterBench(action, virtual_clusters=[VirtualCluster("c", (), counts)], **options)

    @property
    def found(self) -> dict[str, int]:
        prefix = "vhost.v.vcluster.c.upstream_rq_"
        return {
            name.removeprefix(prefix): each.value for name, each in self.store.counters.by_name.items() if each.value
        }


def retry(times: int) -> RetryPolicy:
    return RetryPolicy(frozenset({"5xx", "reset"}), num_retries=times)


def test_an_answer_is_counted_by_its_code() -> None:
    counted = Counted(ClusterAction("c"))
    stream = answer(counted.bench, 204)
    assert counted.found == {"total": 1, "completed": 1, "2xx": 1, "204": 1}
    assert "vhost.v.vcluster.c.upstream_rq_time" in counted.store.histograms.by_name
    assert stream is not None


def answer(bench: RouterBench, status: int) -> Any:
    bench.send()
    stream = bench.cluster.ready()
    stream.answer(status)
    return stream


def test_retries_are_counted() -> None:
    counted = Counted(ClusterAction("c", retry=retry(1)))
    bench = counted.bench
    bench.send()
    bench.cluster.ready().fail(StreamResetReason.REMOTE_RESET)
    bench.dispatcher.advance(1.0)
    bench.cluster.ready().answer(200)
    assert counted.found == {"total": 2, "retry": 1, "retry_success": 1, "completed": 1, "2xx": 1, "200": 1}


def test_retries_that_are_used_up_are_counted() -> None:
    counted = Counted(ClusterAction("c", retry=retry(0)))
    counted.bench.send()
    counted.bench.cluster.ready().fail(StreamResetReason.REMOTE_RESET)
    assert counted.found == {"total": 1, "retry_limit_exceeded": 1, "completed": 1, "5xx": 1, "503": 1}


def test_retries_that_have_no_room_are_counted() -> None:
    counted = Counted(ClusterAction("c", retry=retry(1)), max_retries=0)
    counted.bench.send()
    counted.bench.cluster.ready().fail(StreamResetReason.REMOTE_RESET)
    assert counted.found["retry_overflow"] == 1


def test_a_timeout_is_counted() -> None:
    counted = Counted(ClusterAction("c", timeout=1.0))
    counted.bench.send()
    counted.bench.cluster.ready()
    counted.bench.dispatcher.advance(2.0)
    assert counted.found == {"total": 1, "timeout": 1, "completed": 1, "5xx": 1, "504": 1}
