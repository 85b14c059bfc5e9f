"""Whether connections should end (Envoy's `DrainManagerImpl`): asked by connection managers at each response."""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.network.api import Dispatcher


class DrainManager:
    """Decides drain-close.

    Args:
        drain_time: seconds over which the `gradual` strategy comes to close every connection.
        random: uniform in [0, 1).
    """

    def __init__(self, dispatcher: Dispatcher, drain_time: float, strategy: str, random: Callable[[], float]) -> None:
        self._dispatcher = dispatcher
        self._drain_time = drain_time
        self._strategy = strategy
        self._random = random
        self._started: float | None = None
        self.health_check_failed = False

    @property
    def draining(self) -> bool:
        """Whether a drain sequence has begun."""
        return self._started is not None

    def start(self) -> None:
        """Begin the drain sequence; does nothing where it has begun."""
        if self._started is None:
            self._started = self._dispatcher.now()

    def drain_close(self) -> bool:
        """Whether a connection that could end now should."""
        return self.health_check_failed or self.drain_close_modify_only()

    def drain_close_modify_only(self) -> bool:
        """The same for a listener whose `drain_type` is MODIFY_ONLY: it does not drain for a failed health check."""
        if self._started is None:
            return False
        if self._strategy == "immediate" or not self._drain_time:
            return True
        elapsed = self._dispatcher.now() - self._started
        return self._random() < elapsed / self._drain_time
