"""The parent of worker processes: a server that serves the admin only, and speaks for the whole.

What the admin asks it to do it does to itself and tells every worker; what it shows is gathered from them. It must not
accept a connection that is not the admin's, nor send a request upstream.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from envoymesh.admin.context import AdminParts
from envoymesh.admin.filter import admin_filter_factory
from envoymesh.admin.process_memory import process_memory
from envoymesh.admin.proto.dump import endpoints_dump
from envoymesh.admin.registry import Admin
from envoymesh.admin.views import ClusterStatus, ServerState
from envoymesh.config.load import LoadedBootstrap
from envoymesh.http.failed_requests import FailedRequest, latest
from envoymesh.http.filter import FilterFactory
from envoymesh.http.recent_requests import JoinedRequests, Recent
from envoymesh.options import Options
from envoymesh.server.admin import make_admin_context
from envoymesh.server.config import AdminSettings
from envoymesh.server.log import ProcessLog
from envoymesh.server.server import Server
from envoymesh.server.workers.fleet import Fleet
from envoymesh.server.workers.fleet_health import FleetHealth, Told
from envoymesh.server.workers.fleet_views import FleetCpuProfiler, FleetLogLevels, FleetRuntime, FleetStore
from envoymesh.server.workers.protocol import ClusterUsed, Command, HostFailed, Sockets, Start, Verb
from envoymesh.server.workers.snapshot import Ended, Snapshot, whole_clusters, whole_memory, whole_stats
from envoymesh.server.workers.sockets import WorkerSockets
from envoymesh.server.workers.watch import HUNG_AFTER
from envoymesh.stats.image import StoreImage, images_of, show

_log = logging.getLogger("envoymesh.main")

FAREWELL = 3.0
"""Seconds that workers have to end after they were told to, or after the drain time, before they are killed."""


class Parent(Server):
    """The parent of `options.concurrency` workers."""

    def __init__(
        self, options: Options, loaded: LoadedBootstrap, process_log: ProcessLog, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(options, loaded, process_log, loop)
        worker = self.settings.watchdogs.worker
        kill_after = worker.kill_after(HUNG_AFTER, self.chance)
        self._fleet = Fleet(self.dispatcher, options.concurrency, self, worker, kill_after)
        self._sockets: list[WorkerSockets] = []
        self._ended = Ended()
        self._joined = JoinedRequests()
        self._health = FleetHealth(self.clusters.clusters(), self.dispatcher, self._tell_health)
        self._waiting: list[Callable[[], None]] = []
        self._gathering = False
        scope = self.store.scope("server.")
        self._restarts = scope.counter("worker_restarts")
        self._workers_down = scope.gauge("workers_down")

    def _kill_after(self) -> float:
        # Only the parent's own watchdog; the fleet watches the workers.
        return self.settings.watchdogs.main_thread.kill_after(0.0, self.chance)

    # Starting

    def _bind(self) -> None:
        super()._bind()
        for listener in self.listeners:
            self._sockets.append(WorkerSockets(listener, self.options.concurrency))

    async def _start_serving(self) -> None:
        # Workers are told of the first checks when they start.
        self.clusters.initialise(self._initialised.set, only_checked=True)
        await self._initialised.wait()
        if self._stopping:
            return
        _log.info("starting %d workers", self.options.concurrency)
        await self._fleet.start()
        self._listener_stats.listener_create_success.add(len(self.listeners))

    def _go_live(self) -> None:
        super()._go_live()
        self.store.scope("").gauge("server.concurrency").set(self.options.concurrency)

    def start_message(self, index: int) -> Start:
        """Everything that a worker needs; a later one is also told what has changed since the start."""
        return Start(
            index=index,
            options=self.options,
            bootstrap=self.loaded.message.SerializeToString(),
            contents=self.loaded.source.contents,
            logs={**self._access_logs.descriptors(), **self.process_log.descriptors()},
            sockets=tuple(sockets.of(index) for sockets in self._sockets),
            commands=tuple(self._changes()),
        )

    def sockets_of(self, index: int) -> Sockets:
        """What others accept from while this worker does not."""
        return tuple(sockets.own(index) for sockets in self._sockets)

    def _changes(self) -> list[Command]:
        changes = [
            Command(Verb.SET_LOG_LEVELS, (dict(self.process_log.levels()),)),
            Command(Verb.FAIL_HEALTH_CHECK, (self._drain.health_check_failed,)),
        ]
        if self.runtime.overrides:
            changes.append(Command(Verb.MODIFY_RUNTIME, (self.runtime.overrides,)))
        if self._drain.draining:
            changes.append(Command(Verb.START_DRAIN))
        if self.store.lookups.enabled:
            changes.append(Command(Verb.ENABLE_LOOKUPS, (True,)))
        if self.cpu_profiler.enabled:
            changes.append(Command(Verb.PROFILE_CPU, (True,)))
        changes += [Command(Verb.TELL_HEALTH, told) for told in self._health.everything()]
        return changes

    def _tell_health(self, cluster: str, told: Told) -> None:
        self.tell(Verb.TELL_HEALTH, cluster, told)

    # The whole

    def _admin_filter(self, admin: AdminSettings) -> FilterFactory:
        context = make_admin_context(self, admin)
        return admin_filter_factory(Admin(self._context_of_the_whole(context)), self._slices, self._gather)

    def _context_of_the_whole(self, context: AdminParts) -> AdminParts:
        self._whole = FleetStore(self.store, self.tell, self.reset_counters)
        return replace(
            context,
            store=self._whole,
            log_levels=FleetLogLevels(context.log_levels, self.tell),
            runtime=FleetRuntime(context.runtime, self.tell),
            cpu_profiler=FleetCpuProfiler(context.cpu_profiler, self.tell),
            clusters=self._whole_clusters,
            endpoint_dump=lambda: endpoints_dump(self._whole_clusters()),
            memory=lambda: whole_memory([process_memory(), *(each.memory for each in self._fleet.snapshots)]),
        )

    def tell(self, verb: Verb, *arguments: object) -> None:
        """Give every worker a command."""
        self._fleet.tell(Command(verb, arguments))

    def _gather(self, then: Callable[[], None]) -> None:
        self._waiting.append(then)
        if not self._gathering:
            self._gather_for_all()

    def _gather_for_all(self) -> None:
        """Gather once for all requests that wait. A request that comes meanwhile waits for the next time, since it may
        have changed something that the answers under way do not show."""
        waiting, self._waiting = self._waiting, []
        self._gathering = bool(waiting)
        if waiting:
            self._fleet.ask(lambda: self._slices.add(self._adding_up(waiting)))

    def _adding_up(self, waiting: Sequence[Callable[[], None]]) -> Iterator[None]:
        try:
            yield from self._show_the_whole()
            for then in waiting:
                then()
        finally:
            self._gather_for_all()

    def _show_the_whole(self) -> Iterator[None]:
        told = self._fleet.snapshots
        own = StoreImage()
        for part in images_of(self.store):
            own.add(part)
            yield
        whole = yield from whole_stats(own, [self._ended.stats, *(each.stats for each in told)])
        show(whole, self._whole)
        self._whole.lookups.gather([each.lookups for each in told])

    def _whole_clusters(self) -> Iterable[ClusterStatus]:
        told = [each.clusters for each in self._fleet.snapshots]
        # While no worker runs, show what ended workers told last.
        return whole_clusters(told, self._ended.clusters) if told else self._ended.clusters

    def reset_counters(self) -> None:
        """``/reset_counters`` of the whole."""
        self.store.reset_counters()
        self._ended.reset_counters()
        self.tell(Verb.RESET_COUNTERS)

    def _flush_stats(self) -> None:
        super()._flush_stats()
        # So that little of what a worker has counted is lost if it dies before an admin request asks.
        self._fleet.ask(lambda: None)

    def failures(self) -> Sequence[FailedRequest]:
        """Those of all workers, also of workers that have ended."""
        return latest([self._ended.failures, *(each.failures for each in self._fleet.snapshots)])

    def recent(self) -> Recent:
        """Those of all workers, which keep them from now on."""
        self.tell(Verb.KEEP_REQUESTS)
        return self._joined.join(each.recent for each in self._fleet.snapshots)

    def _open_connections(self) -> int:
        return sum(each.connections for each in self._fleet.snapshots)

    def on_health_seen(self, seen: HostFailed | ClusterUsed) -> None:
        """A worker tells what the checks of health must know."""
        if isinstance(seen, HostFailed):
            self._health.on_failed(seen.cluster, seen.host)
        else:
            self._health.on_used(seen.cluster)

    # Workers that end

    def on_worker_ended(self, last: Snapshot | None) -> None:
        """Keep what it counted."""
        if last is not None:
            self._ended.add(last)

    def on_worker_died(self, index: int, *, hung: bool) -> None:
        """Count it. A worker that hung could not count its own missed watchdog touches: count those for it."""
        self._restarts.inc()
        if hung:
            for prefix in ("workers.", f"server.worker_{index}."):
                self._ended.count(f"{prefix}watchdog_miss")
                self._ended.count(f"{prefix}watchdog_mega_miss")

    def on_down_changed(self) -> None:
        """Show it at once."""
        self._workers_down.set(self._fleet.down)
        self._stats.set_state(self.state)

    # ServerLifecycle

    @property
    def state(self) -> ServerState:
        """As one server's; INITIALIZING while no worker serves, for then nobody's connection is accepted."""
        state = super().state
        return state if self._fleet.serves or state is not ServerState.LIVE else ServerState.INITIALIZING

    def fail_health_check(self, fail: bool) -> None:
        """``/healthcheck/fail`` and ``/healthcheck/ok``."""
        super().fail_health_check(fail)
        self.tell(Verb.FAIL_HEALTH_CHECK, fail)

    def drain_listeners(self, *, graceful: bool, inbound_only: bool, skip_exit: bool) -> None:
        """``/drain_listeners``; the parent times the drain and then stops everybody's listeners."""
        super().drain_listeners(graceful=graceful, inbound_only=inbound_only, skip_exit=skip_exit)
        if self._drain.draining:
            self.tell(Verb.START_DRAIN)

    def _stop_listeners(self) -> None:
        super()._stop_listeners()
        for listener, sockets in zip(self.listeners, self._sockets, strict=True):
            if not listener.bound_sockets:
                sockets.close()
        self.tell(Verb.STOP_LISTENERS, self._inbound_only)

    def reopen_logs(self) -> None:
        """SIGUSR1 and ``/reopen_logs``."""
        super().reopen_logs()
        self.tell(Verb.REOPEN_LOGS)

    # Stopping

    def drain_and_stop(self) -> None:
        """Tell the workers to drain, and stop when they have ended."""
        self._fleet.let_end()
        super().drain_and_stop()
        for sockets in self._sockets:
            sockets.close()
        self.tell(Verb.DRAIN_AND_STOP)

    def _stop_when_drained(self) -> None:
        # Workers have the same deadline; the farewell is for one that does not keep to it.
        if not self._fleet.running or self.dispatcher.now() >= self._deadline + FAREWELL:
            self._stopped.set()
        else:
            self._drain_timer.enable(0.02)

    def leave_at_once(self) -> None:
        """No worker outlives the parent's sudden end."""
        self._fleet.kill()

    async def _close(self) -> None:
        self._fleet.let_end()
        self.tell(Verb.STOP)
        await self._fleet.end(FAREWELL)
        for sockets in self._sockets:
            sockets.close()
        await super()._close()
