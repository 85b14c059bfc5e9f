"""Who accepts the connections of a worker that does not: every other worker that serves.

The kernel spreads connections over all listening sockets of a port, also over those of a worker that is dead or hangs:
the parent keeps them open. So they are lent: each worker that serves gets a copy (SCM_RIGHTS) and accepts from it until
the owner is back. Nothing is lost, neither what waits in the queue nor what comes; closing the sockets instead would
reset what waits, unless `net.ipv4.tcp_migrate_req` is set, which by default it is not. It must not start nor end
anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envoymesh.server.workers.process import WorkerProcess
from envoymesh.server.workers.protocol import Command, Lend, Sockets, Verb


class Shares:
    """Lends and gives back.

    Args:
        sockets_of: the sockets that are one worker's own, by its index.
        workers: those whose processes run.
        on_change: `down` has changed.
    """

    def __init__(
        self,
        sockets_of: Callable[[int], Sockets],
        workers: Callable[[], Sequence[WorkerProcess]],
        on_change: Callable[[], None],
    ) -> None:
        self.down: set[int] = set()
        self._sockets_of = sockets_of
        self._workers = workers
        self._on_change = on_change

    @property
    def serving(self) -> list[WorkerProcess]:
        """The workers that accept connections."""
        return [worker for worker in self._workers() if worker.started and worker.index not in self.down]

    def take_over(self, index: int) -> None:
        """This worker does not serve: the others do it for it."""
        if index in self.down:
            return
        self.down.add(index)
        for worker in self.serving:
            self._lend(index, worker)
        self._on_change()

    def give_back(self, owner: WorkerProcess) -> None:
        """This worker serves again: it gets its own sockets back, and those of workers that do not serve."""
        if owner.index in self.down:
            self.down.discard(owner.index)
            for worker in self._workers():
                if worker is not owner:
                    worker.send(Command(Verb.GIVE_BACK, (owner.index,)))
            self._on_change()
        for index in sorted(self.down):
            self._lend(index, owner)

    def _lend(self, owner: int, to: WorkerProcess) -> None:
        # It may still have them from an earlier loan: while it did not serve itself, it was not told to give them back.
        to.send(Command(Verb.GIVE_BACK, (owner,)))
        for listener, descriptors in enumerate(self._sockets_of(owner)):
            for descriptor in descriptors:
                to.send(Lend(owner, listener, descriptor))
