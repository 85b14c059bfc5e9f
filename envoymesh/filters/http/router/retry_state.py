"""The bookkeeping of one request's retries: what is left, what was sent, when the next try comes.

Decisions are `router.retry.RetryPolicy`'s; the cluster's retry circuit breaker is asked here. It must not send.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from envoymesh.filters.http.router.settings import RouterFilterConfig
from envoymesh.http.codec import StreamResetReason
from envoymesh.http.filter import StreamDecoderFilterCallbacks
from envoymesh.http.headers import HeaderMap, ResponseHeaders
from envoymesh.http.stream_info import ResponseFlag
from envoymesh.network.api import Timer
from envoymesh.router.request_counts import NO_COUNTS, Counts
from envoymesh.router.retry import RetryPolicy
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.previous_priorities import PreviousPriorities
from envoymesh.upstream.lb.priorities import PriorityLoad
from envoymesh.upstream.lb.subset import label_match
from envoymesh.upstream.resource_manager import RetryLimit
from envoymesh.upstream.upstream_request import UpstreamRequest

_CONNECT_FAILURES: Final = frozenset(
    {
        StreamResetReason.LOCAL_CONNECTION_FAILURE,
        StreamResetReason.REMOTE_CONNECTION_FAILURE,
        StreamResetReason.CONNECTION_TIMEOUT,
    }
)


class RetryState:
    """Retries of one request, and what they ask of the balancer.

    Args:
        config: the share of retries that are allowed, and random numbers for the back-off.
        buffer_limit: body bytes kept for the next try, 0 for any number, less for none. A larger one is not sent again.
        counts: who counts retries beside the cluster.
        limit: of retries under way; the default priority's where it is None.
    Attributes:
        refused: a retry was wanted, and there was none left, or too many at once.
    """

    __slots__ = (
        "_asked_interval",
        "_body",
        "_buffer_limit",
        "_callbacks",
        "_cluster",
        "_config",
        "_counts",
        "_holds_resource",
        "_limit",
        "_policy",
        "_priorities",
        "_retries",
        "_timer",
        "_tried",
        "refused",
    )

    def __init__(
        self,
        policy: RetryPolicy,
        config: RouterFilterConfig,
        cluster: Cluster,
        callbacks: StreamDecoderFilterCallbacks,
        buffer_limit: int,
        counts: Counts = NO_COUNTS,
        limit: RetryLimit | None = None,
    ) -> None:
        self._policy = policy
        self._config = config
        self._cluster = cluster
        self._callbacks = callbacks
        self._buffer_limit = buffer_limit
        self._counts = counts
        self._limit: RetryLimit = cluster.resource_manager().retries if limit is None else limit
        self._body: bytearray | None = None  # one object: a client may send its body byte by byte
        self._retries = 0
        self._tried: list[Host] = []
        frequency = policy.previous_priorities_frequency
        self._priorities: PreviousPriorities | None = PreviousPriorities(frequency) if frequency else None
        self._timer: Timer | None = None
        self._holds_resource = False
        self._asked_interval: float | None = None
        self.refused = False

    def __repr__(self) -> str:
        return f"<RetryState {self._retries}/{self._policy.num_retries} waiting={self.is_waiting}>"

    # What the balancer asks (see `LoadBalancerContext`)

    def refuses(self, host: Host) -> bool:
        """Whether the balancer should look further than this host (`retry_host_predicate`)."""
        predicates = self._policy.host_predicates
        if predicates.previous_hosts and host in self._tried:
            return True
        if predicates.canary_hosts and host.canary:
            return True
        return any(label_match(host.metadata, labels, True) for labels in predicates.metadata)

    @property
    def host_selection_attempts(self) -> int:
        """How often the balancer may look further (`host_selection_retry_max_attempts`)."""
        return self._policy.host_selection_attempts

    def determine_priority_load(self, priority_set: PrioritySet, original: PriorityLoad) -> PriorityLoad:
        """The load of the priorities (`retry_priority`)."""
        if self._priorities is None:
            return original
        return self._priorities.determine_priority_load(priority_set, original)

    # The request body

    def keep(self, data: bytes) -> bool:
        """Remember body bytes; False when they are too many, and there can be no other try."""
        body = self._body
        if body is None:
            body = self._body = bytearray()
        if self._buffer_limit and self._buffer_limit < len(body) + len(data):
            return False
        body += data
        return True

    def replay(self, request: UpstreamRequest, host: Host, ended: bool, trailers: HeaderMap | None) -> None:
        """Give a new try what has come so far."""
        self._tried.append(host)
        if self._priorities is not None:
            self._priorities.on_host_attempted(host)
        if self._body:
            request.send_data(bytes(self._body), ended and trailers is None)
        if trailers is not None:
            request.send_trailers(trailers)

    # Decisions

    def wants_response(self, headers: ResponseHeaders) -> bool:
        """Whether to drop this response and try again."""
        wanted = self._decide(self._policy.wants_response(headers))
        back_off = self._policy.rate_limited_back_off
        if wanted and back_off is not None:
            self._asked_interval = back_off.interval(headers, self._callbacks.dispatcher.wall_time())
        return wanted

    def wants_reset(self, reason: StreamResetReason, request_started: bool) -> bool:
        """Whether to try again after a try that ended without a response."""
        wanted = self._policy.wants_reset(
            refused=reason is StreamResetReason.REMOTE_REFUSED_STREAM_RESET,
            connect_failure=reason in _CONNECT_FAILURES,
            overflow=reason is StreamResetReason.OVERFLOW,
            request_started=request_started,
        )
        return self._decide(wanted)

    def wants_hedge(self) -> bool:
        """Whether to try again beside a try that takes too long: always, as long as there are retries left."""
        return self._decide(True)

    def would_retry(self, headers: ResponseHeaders) -> bool:
        """Whether this response is one that would be tried again."""
        return self._policy.wants_response(headers)

    def _decide(self, wanted: bool) -> bool:
        """Whether there is to be a retry; a refusal sets its response flag (`RetryStateImpl::shouldRetry`)."""
        stats, info = self._cluster.stats, self._callbacks.stream_info
        if not wanted and self._holds_resource:
            stats.upstream_rq_retry_success.inc()
            for each in self._counts:
                each.stats.upstream_rq_retry_success.inc()
        if not wanted:
            self._release()
            return False
        if self._retries >= self._policy.num_retries:
            stats.upstream_rq_retry_limit_exceeded.inc()
            for each in self._counts:
                each.stats.upstream_rq_retry_limit_exceeded.inc()
            info.flags |= ResponseFlag.UPSTREAM_RETRY_LIMIT_EXCEEDED
            self.refused = True
            return False
        # Not before: the try that was begun last may still be a success, beside the one that is asked about.
        self._release()
        self._retries += 1
        if not self._limit.can_create():
            stats.upstream_rq_retry_overflow.inc()
            for each in self._counts:
                each.stats.upstream_rq_retry_overflow.inc()
            info.flags |= ResponseFlag.UPSTREAM_OVERFLOW
            self.refused = True
            return False
        if not self._config.use_retry.holds(self._config.random):
            return False
        self._limit.inc()
        self._holds_resource = True
        stats.upstream_rq_retry.inc()
        for each in self._counts:
            each.stats.upstream_rq_retry.inc()
        return True

    def schedule(self, retry: Callable[[], None]) -> None:
        """Call `retry` after the back-off."""
        if self._timer is None:
            self._timer = self._callbacks.create_timer(retry)
        self._timer.enable(self._back_off())

    def _back_off(self) -> float:
        """Seconds to wait: what the response has asked for, else ever longer."""
        stats, asked, random = self._cluster.stats, self._asked_interval, self._config.random
        if asked is not None and asked > 0.001:
            self._asked_interval = None
            stats.upstream_rq_retry_backoff_ratelimited.inc()
            return asked * (1 + 0.5 * random())
        stats.upstream_rq_retry_backoff_exponential.inc()
        return self._policy.backoff(self._retries, random, self._config.base_retry_backoff.value / 1000)

    @property
    def is_waiting(self) -> bool:
        """Whether a retry is scheduled."""
        return self._timer is not None and self._timer.enabled

    def cancel(self) -> None:
        """There will be no retry any more."""
        self._release()
        if self._timer is not None:
            self._timer.disable()

    def _release(self) -> None:
        if self._holds_resource:
            self._holds_resource = False
            self._limit.dec()
