"""What a balancer may ask of a request on its way through the router filter.

There is one only where it may be asked: the balancer wants to know the request, a filter has set a host, or there may
be retries. This module must not decide whether there is a retry.
"""

from __future__ import annotations

from abc import abstractmethod

from mypy_extensions import trait

from envoymesh.filters.http.router.retry_state import RetryState
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import StreamInfo, UpstreamOverrideHost
from envoymesh.metadata import MatchCriteria, match_criteria, merged_criteria
from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.lb.priorities import PriorityLoad


@trait
class BalancedRequest:
    """A request on its way to a host that a balancer picks."""

    __slots__ = ()

    info: StreamInfo

    @property
    @abstractmethod
    def retry(self) -> RetryState | None:
        """Its retries; None where there are none."""

    @property
    @abstractmethod
    def request_headers(self) -> RequestHeaders:
        """Its headers."""

    @property
    @abstractmethod
    def metadata_match(self) -> MatchCriteria | None:
        """The `metadata_match` of its route."""

    @abstractmethod
    def hash_key(self) -> int | None:
        """The hash of its `hash_policy`; None where there is no policy, or it finds nothing to hash."""


class RequestContext(LoadBalancerContext):
    """The LoadBalancerContext of a request."""

    __slots__ = ("_criteria", "_request")

    def __init__(self, request: BalancedRequest) -> None:
        self._request = request
        self._criteria: MatchCriteria | None = None

    def is_retry(self) -> bool:
        """Whether a host has been tried."""
        return self._request.info.attempt_count > 1 and self._request.retry is not None

    def should_select_another_host(self, host: Host) -> bool:
        """The retry policy's `retry_host_predicate`."""
        retry = self._request.retry
        return retry is not None and retry.refuses(host)

    def host_selection_attempts(self) -> int:
        """The retry policy's `host_selection_retry_max_attempts`."""
        retry = self._request.retry
        return 1 if retry is None else retry.host_selection_attempts

    def determine_priority_load(self, priority_set: PrioritySet, original: PriorityLoad) -> PriorityLoad:
        """The retry policy's `retry_priority`."""
        retry = self._request.retry
        return original if retry is None else retry.determine_priority_load(priority_set, original)

    def hash_key(self) -> int | None:
        """The route's `hash_policy`."""
        return self._request.hash_key()

    def metadata_match_criteria(self) -> MatchCriteria | None:
        """The route's `metadata_match`, with what filters have put into the request's own ``envoy.lb`` over it."""
        criteria = self._criteria
        if criteria is None:
            criteria = self._request.metadata_match
            dynamic = self._request.info.dynamic_metadata
            own = dynamic.get("envoy.lb") if dynamic is not None else None
            if own is not None:
                criteria = merged_criteria(criteria or (), match_criteria(own))
            self._criteria = criteria
        return criteria

    def override_host_to_select(self) -> UpstreamOverrideHost | None:
        """The host that a filter has set; a retry may go elsewhere."""
        return None if self.is_retry() else self._request.info.upstream_override_host

    def downstream_headers(self) -> RequestHeaders | None:
        """The request's headers."""
        return self._request.request_headers

    def request_stream_info(self) -> StreamInfo | None:
        """The request's facts."""
        return self._request.info
