"""What is counted of the process as a whole, and what is measured at each flush of the stats.

The rooms count what they do themselves; here is what no room owns. It must not decide anything for the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from envoymesh.admin.certificate_view import NEVER, days_until_first_expires
from envoymesh.admin.process_memory import process_memory
from envoymesh.admin.views import CertificateEntry, ServerState
from envoymesh.network.loop.dispatcher import LoopDispatcher
from envoymesh.server.version import revision
from envoymesh.server.watchdog import Lifeline, Watchdog, Watchdogs
from envoymesh.stats import Store
from envoymesh.stats.server import (
    ListenerManagerStats,
    ServerStats,
    ThreadLocalClusterManagerStats,
    UnusedOverloadStats,
    WatchdogStats,
)
from envoymesh.upstream.stats import AsyncClientStats


class ProcessStats:
    """The structs of the process. `listeners` is the listener manager's, `async_client` counts requests from inside."""

    def __init__(self, store: Store, dispatcher: LoopDispatcher) -> None:
        root = store.scope("")
        self._store = store
        self._server = ServerStats.create(root.scope("server."))
        self.listeners = ListenerManagerStats.create(root.scope("listener_manager."))
        UnusedOverloadStats.create(root)
        self.async_client = AsyncClientStats.create(root.scope("http.async-client."))
        self._dispatcher = dispatcher
        self._main_thread = [WatchdogStats.create(root.scope("main_thread.")), self._server.main_thread]
        self._workers = [WatchdogStats.create(root.scope("workers.")), self._server.worker]
        self._watchdog: Watchdog | None = None
        self._inflated = [
            ThreadLocalClusterManagerStats.create(root.scope(f"thread_local_cluster_manager.{thread}."))
            for thread in ("main_thread", "worker_0")
        ]
        self._server.hot_restart_generation.set(1)
        self._server.version.set(int(revision()[:6], 16))
        dispatcher.on_error = self._server.envoy_bug_failures.inc

    def watch(self, watchdogs: Watchdogs, kill_after: float) -> None:
        """Say how the loop is watched, once the server is live; `kill_after` in seconds, 0 is never."""
        watched = [(watchdogs.main_thread, self._main_thread), (watchdogs.worker, self._workers)]
        self._watchdog = Watchdog(self._dispatcher, watched, Lifeline(kill_after) if kill_after else None)

    def loaded(self, unknown_fields: int, clusters: int) -> None:
        """The configuration was read."""
        server = self._server
        server.static_unknown_fields.add(unknown_fields)
        # Envoy has looked for each, and shows that it has.
        for counter in (server.static_unknown_fields, server.unused.dynamic_unknown_fields, server.unused.wip_protos):
            counter.show()
        for stats in self._inflated:
            stats.clusters_inflated.set(clusters)

    def starting(self) -> None:
        """The server begins to run, with its one worker."""
        self._server.concurrency.set(1)

    def live(self, listeners: int, milliseconds: int) -> None:
        """The worker has started, so long after the process."""
        self.listeners.total_listeners_active.set(listeners)
        self.listeners.workers_started.set(1)
        self._server.initialization_time_ms.record(milliseconds)
        if self._watchdog is not None:
            self._watchdog.start()

    def stopping(self) -> None:
        """The server is about to end."""
        if self._watchdog is not None:
            self._watchdog.stop()

    def set_live(self, state: ServerState) -> None:
        """The server's state has changed; `server.state` tells it with the next flush."""
        self._server.live.set(int(state is ServerState.LIVE))

    def set_state(self, state: ServerState) -> None:
        """Tell the state in full."""
        self.set_live(state)
        self._server.state.set(int(state))

    def flushing(self, certificates: Iterable[CertificateEntry]) -> Iterator[None]:
        """End the histograms' interval and look at the certificates, one of either at each step."""
        yield from self._store.flushing()
        days = NEVER
        for entry in certificates:
            days = min(days, days_until_first_expires([entry]))
            yield
        self._server.days_until_first_cert_expiring.set(days)

    def measure(self, state: ServerState, uptime: float, connections: int) -> None:
        """Measure what is measured at each flush; the last that a flush does.

        Args:
            uptime: seconds.
            connections: open downstream connections.
        """
        server = self._server
        self.set_state(state)
        server.uptime.set(int(uptime))
        memory = process_memory()
        server.memory_allocated.set(memory.allocated)
        server.memory_heap_size.set(memory.heap_size)
        server.memory_physical_size.set(memory.total_physical_bytes)
        server.total_connections.set(connections)
        server.stats_recent_lookups.set(self._store.lookups.total)
