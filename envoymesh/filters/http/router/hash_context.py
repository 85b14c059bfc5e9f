"""What a balancer may ask of a request that is sent once. It must not compute a hash that nobody wants."""

from __future__ import annotations

from abc import abstractmethod

from mypy_extensions import trait

from envoymesh.upstream.api import LoadBalancerContext
from envoymesh.upstream.host import Host


@trait
class HashedRequest:
    """A request that may have a `hash_policy`."""

    __slots__ = ()

    @abstractmethod
    def hash_key(self) -> int | None:
        """The hash; None where there is no policy, or it finds nothing to hash."""


class HashContext(LoadBalancerContext):
    """The LoadBalancerContext of a request with a `hash_policy` and without retries."""

    __slots__ = ("_request",)

    def __init__(self, request: HashedRequest) -> None:
        self._request = request

    def hash_key(self) -> int | None:
        """The route's `hash_policy`."""
        return self._request.hash_key()

    def should_select_another_host(self, host: Host) -> bool:
        """Never: no host has been tried."""
        return False

    def host_selection_attempts(self) -> int:
        """None."""
        return 0
