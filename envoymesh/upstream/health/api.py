"""What keeps the active health of a cluster's hosts, as the cluster sees it. It must not know who checks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from mypy_extensions import trait


@trait
class ClusterHealth:
    """A checker of a cluster's hosts, or somebody who is told by one."""

    __slots__ = ()

    @abstractmethod
    def on_discovered(self, done: Callable[[], None]) -> None:
        """The cluster has found its first hosts; `done` is called when their health is known."""

    @abstractmethod
    def stop(self) -> None:
        """Check no more."""
