"""What a balancer is told of a request: only where it may want to know, and what the route and its retries say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from envoymesh.http.stream_info import UpstreamOverrideHost
from envoymesh.metadata import MatchCriteria, match_criteria
from envoymesh.router.retry import HostPredicates, RetryPolicy
from envoymesh.router.table import ClusterAction
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.host import Host
from envoymesh.upstream.lb.api import LoadBalancer
from envoymesh.upstream.lb.priorities import PriorityLoad
from tests.support.balancing import host, number_of, priority_set
from tests.support.router import RouterBench
from tests.support.stand_ins import stands_for


class Asked(stands_for(LoadBalancer)):
    """A balancer that keeps what it is asked with, and gives hosts of the test."""

    def __init__(self, bench: RouterBench, *hosts: Host) -> None:
        self.contexts: list[LoadBalancerContext | None] = []
        self._hosts = list(hosts) or list(bench.cluster.hosts)
        self.question: Callable[[LoadBalancerContext], Any] = lambda context: None
        self.answer: Any = None
        bench.cluster.real.balancer = self

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        self.contexts.append(context)
        if context is not None and context.is_retry():
            self.answer = self.question(context)
        return self._hosts[(len(self.contexts) - 1) % len(self._hosts)]


def context_of(action: ClusterAction, dynamic: Any = None) -> LoadBalancerContext:
    bench = RouterBench(action)
    bench.cluster.real.wants_request = True
    asked = Asked(bench)
    if dynamic is not None:
        bench.info.set_dynamic_metadata("envoy.lb", dynamic)
    bench.send(x_a="b")
    [context] = asked.contexts
    assert context is not None
    return context


def retried(
    hosts: list[Host], question: Callable[[LoadBalancerContext], Any], predicates: HostPredicates, **policy: Any
) -> Any:
    """What the balancer is answered at a retry, after one try at the first host."""
    retry = RetryPolicy(frozenset({"5xx"}), 2, host_predicates=predicates, **policy)
    bench = RouterBench(ClusterAction("c", retry=retry))
    asked = Asked(bench, *hosts)
    asked.question = question
    bench.send()
    assert asked.answer is None
    bench.cluster.ready().answer(500)
    bench.dispatcher.advance(0.1)
    return asked.answer


def refusals(*hosts: Host) -> Callable[[LoadBalancerContext], list[bool]]:
    return lambda context: [context.should_select_another_host(each) for each in hosts]


def test_a_balancer_that_does_not_want_to_know_is_told_nothing() -> None:
    bench = RouterBench(ClusterAction("c", metadata_match=match_criteria({"a": "b"})))
    asked = Asked(bench)
    bench.send()
    assert asked.contexts == [None]


def test_a_request_without_any_wishes() -> None:
    context = context_of(ClusterAction("c"))
    assert not context.is_retry()
    assert (context.hash_key(), context.metadata_match_criteria(), context.override_host_to_select()) == (None,) * 3
    assert context.host_selection_attempts() == 1
    assert not context.should_select_another_host(host(1))
    load = PriorityLoad([100], [0])
    assert context.determine_priority_load(priority_set(), load) is load
    headers, info = context.downstream_headers(), context.request_stream_info()
    assert headers is not None
    assert headers.get(b"x-a") == b"b"
    assert info is not None
    assert info.attempt_count == 1


@pytest.mark.parametrize(
    ("route", "dynamic", "expected"),
    [
        ({"a": "1"}, None, {"a": "1"}),
        ({"a": "1", "b": "2"}, {"b": "3", "c": "4"}, {"a": "1", "b": "3", "c": "4"}),
        (None, {"c": "4"}, {"c": "4"}),
    ],
)
def test_criteria_of_the_route_and_of_the_request(route: Any, dynamic: Any, expected: Any) -> None:
    criteria: MatchCriteria | None = None if route is None else match_criteria(route)
    context = context_of(ClusterAction("c", metadata_match=criteria), dynamic)
    assert context.metadata_match_criteria() == context.metadata_match_criteria() == match_criteria(expected)


def test_a_host_that_a_filter_has_set() -> None:
    bench = RouterBench(ClusterAction("c"), hosts=3)
    bench.info.upstream_override_host = UpstreamOverrideHost("10.0.0.3:80", False)
    bench.send()
    assert number_of(bench.cluster.waits[0].host) == 3


def test_a_retry_may_leave_the_host_that_a_filter_has_set() -> None:
    policy = RetryPolicy(frozenset({"5xx"}), 1, host_predicates=HostPredicates(previous_hosts=True))
    bench = RouterBench(ClusterAction("c", retry=policy), hosts=2)
    bench.info.upstream_override_host = UpstreamOverrideHost("10.0.0.2:80", True)
    bench.send()
    bench.cluster.ready().answer(500)
    bench.dispatcher.advance(0.1)
    assert [number_of(wait.host) for wait in bench.cluster.waits] == [2, 1]


def test_previous_hosts() -> None:
    first, second = host(1), host(2)
    found = retried([first, second], refusals(first, second), HostPredicates(previous_hosts=True))
    assert found == [True, False]


def test_canary_hosts_and_hosts_by_metadata() -> None:
    canary, staged, other = host(1, metadata={"canary": True}), host(2, metadata={"s": ["x", "y"]}), host(3)
    predicates = HostPredicates(canary_hosts=True, metadata=(match_criteria({"s": "y"}),))
    assert retried([other], refusals(canary, staged, other), predicates) == [True, True, False]


def test_how_often_a_balancer_may_look_further() -> None:
    def attempts(context: LoadBalancerContext) -> int:
        return context.host_selection_attempts()

    assert retried([host(1)], attempts, HostPredicates(), host_selection_attempts=7) == 7


def test_priorities_that_were_tried() -> None:
    hosts = priority_set([host(1)], [host(2, priority=1)])

    def load(context: LoadBalancerContext) -> list[int]:
        return context.determine_priority_load(hosts, PriorityLoad([100, 0], [0, 0])).healthy

    assert retried(list(hosts.hosts()), load, HostPredicates(), previous_priorities_frequency=1) == [0, 100]
