"""Finds workers that hang: pings over their channels, and what follows when no answer comes.

A worker that is silent for `megamiss_timeout` counts as down, and others serve its connections; one that is silent for
`kill_timeout` is killed, its last known stack in the log. Silence is counted in ticks of the parent's own timer: a time
in which the parent did not run either (a stopped process group, a paused machine) is not held against a worker.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

from envoymesh.network.api import Dispatcher
from envoymesh.server.watchdog import WatchdogSettings
from envoymesh.server.workers.process import WorkerProcess

_log = logging.getLogger("envoymesh.main")

HUNG_AFTER = 5.0
"""Seconds: the kill timeout where `worker_watchdog` has none. Envoy kills nobody then: it could only kill itself."""

START_TIME = 60.0
"""Seconds that a worker may be silent while it starts: it imports and reads the configuration before it can answer."""

LONGEST_TICK = 0.5
SHORTEST_TICK = 0.05
"""Seconds between two pings."""

STACK_TIME = 0.2
"""Seconds that a hung worker has to write its stack."""


class Watch:
    """Watches all workers.

    Args:
        settings: `watchdogs.worker_watchdog`.
        kill_after: seconds of silence before a worker is killed; 0 is never.
        workers: those whose processes run.
        on_silent: this worker has missed by so much that others should serve for it; called again while it lasts.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        settings: WatchdogSettings,
        kill_after: float,
        workers: Callable[[], Sequence[WorkerProcess]],
        on_silent: Callable[[WorkerProcess], None],
    ) -> None:
        self._dispatcher = dispatcher
        self._settings = settings
        self._kill_after = kill_after
        self._workers = workers
        self._on_silent = on_silent
        times = [LONGEST_TICK, settings.megamiss_timeout / 2, kill_after / 4, settings.multikill_timeout / 4]
        self.tick = max(SHORTEST_TICK, min(filter(None, times)))
        self._timer = dispatcher.create_timer(self._look)

    def start(self) -> None:
        """Begin to watch."""
        self._timer.enable(self.tick)

    def stop(self) -> None:
        """Stop watching."""
        self._timer.disable()

    def _look(self) -> None:
        self._timer.enable(self.tick)
        for worker in list(self._workers()):
            if worker.owes:
                worker.silent += self.tick
                self._judge(worker)
            else:
                worker.ping()
        for worker in self._several_that_hang():
            self._condemn(worker)

    def _judge(self, worker: WorkerProcess) -> None:
        if worker.started and worker.silent >= self._settings.megamiss_timeout:
            self._on_silent(worker)
        patience = self._kill_after if worker.started else max(self._kill_after, START_TIME)
        if self._kill_after and worker.silent >= patience:
            self._condemn(worker)

    def _several_that_hang(self) -> list[WorkerProcess]:
        """The workers that `multikill_timeout` ends. In Envoy workers are threads: there the whole process ends."""
        timeout = self._settings.multikill_timeout
        running = [worker for worker in self._workers() if worker.started]
        hanging = [worker for worker in running if worker.silent >= timeout]
        enough = max(2, math.ceil(len(running) * self._settings.multikill_threshold))
        return hanging if timeout and len(hanging) >= enough else []

    def _condemn(self, worker: WorkerProcess) -> None:
        if worker.condemned:
            return
        worker.condemned = True
        worker.ask_stack()
        self._dispatcher.create_timer(lambda: self._execute(worker)).enable(STACK_TIME)

    def _execute(self, worker: WorkerProcess) -> None:
        if not worker.owes:
            worker.condemned = False  # it has answered meanwhile
            return
        if worker not in self._workers():
            return
        state = worker.system_state() or "unknown"
        stack = worker.last_stack() or "no stack: it does not run"
        _log.critical(
            "%r has not answered for %.1f s and is killed; its state: %s\n%s", worker, worker.silent, state, stack
        )
        worker.kill()
