"""Hedged requests (envoy.config.route.v3.HedgePolicy): a try that takes too long goes on beside the next one, and the
first good response wins.

As in Envoy that begins when a try's timeout is over and the policy has a retry left; each try is hedged once. The
request is complete by then, so that nothing of it is still to be sent to several. What is decided about tries is the
router filter's; this module has what such a try knows, and who is under way.
"""

from __future__ import annotations

from abc import abstractmethod

from mypy_extensions import trait

from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo, UpstreamInfo
from envoymesh.network.api import Dispatcher
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.host import Host
from envoymesh.upstream.upstream_request import UpstreamRequest, UpstreamRequestOwner


@trait
class HedgingOwner(UpstreamRequestOwner):
    """Whoever has several tries under way."""

    __slots__ = ()

    @abstractmethod
    def on_soft_timeout(self, request: HedgedTry) -> None:
        """The try took too long, and goes on."""

    @abstractmethod
    def on_hedge_wins(self, request: HedgedTry) -> None:
        """Something of this try goes to the client: no other is wanted."""


class HedgedTry(UpstreamRequest):
    """One try that may not be the only one.

    Attributes:
        retried: another try has been, or will be, begun in its stead.
    """

    __slots__ = ("_hedging", "retried")

    def __init__(
        self,
        owner: HedgingOwner,
        cluster: Cluster,
        host: Host,
        info: StreamInfo,
        dispatcher: Dispatcher,
        headers: RequestHeaders,
        end_stream: bool,
        per_try_timeout: float,
        per_try_idle_timeout: float,
    ) -> None:
        super().__init__(
            owner, cluster, host, info, dispatcher, headers, end_stream, per_try_timeout, per_try_idle_timeout
        )
        self._hedging = owner
        self.retried = False

    def step_aside(self) -> None:
        """Another try begins, and the request's log is about that one, as in Envoy: from here on this try keeps what it
        learns to itself."""
        own = UpstreamInfo()
        own.take_upstream(self._info)
        self._info = own

    def come_back(self, info: StreamInfo) -> None:
        """The log is about this try after all."""
        own = self._info
        if own is not info:
            info.return_to_try(own)
            self._info = info

    def decode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response, which the client gets."""
        if not self.done:
            self._hedging.on_hedge_wins(self)
        super().decode_1xx_headers(headers)

    def _on_per_try_timeout(self) -> None:
        self.tell_timeout()
        if not self.retried:
            self._hedging.on_soft_timeout(self)

    def _on_per_try_idle_timeout(self) -> None:
        self.tell_timeout()
        if not self.retried:
            self._hedging.on_soft_timeout(self)


class Hedge:
    """The tries of one request that are under way, the newest last."""

    __slots__ = ("tries",)

    def __init__(self) -> None:
        self.tries: list[HedgedTry] = []

    def step_aside(self) -> None:
        """Another one is about to begin."""
        if self.tries:
            self.tries[-1].step_aside()

    def forget(self, request: UpstreamRequest) -> UpstreamRequest | None:
        """This one is over; the newest of the others, if there is any."""
        self.tries = [each for each in self.tries if each is not request]
        return self.tries[-1] if self.tries else None

    def take_others(self, request: UpstreamRequest | None) -> list[HedgedTry]:
        """All but this one; they are to be reset."""
        others = [each for each in self.tries if each is not request]
        self.tries = [each for each in self.tries if each is request]
        return others
