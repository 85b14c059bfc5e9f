"""A worker process: a whole server without an admin, which takes its sockets and its orders from its parent.

`python -m envoymesh.server.workers CHANNEL STACKS` runs one; both are descriptors. It ignores signals, since a
terminal's Ctrl-C reaches parent and workers alike, and the parent decides. When the channel ends, the parent is gone,
and the worker ends too.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping

from envoymesh.admin.cluster_view import cluster_status
from envoymesh.admin.process_memory import process_memory
from envoymesh.config.load import LoadedBootstrap
from envoymesh.config.messages import new_bootstrap
from envoymesh.config.source import Source
from envoymesh.errors import EnvoymeshError
from envoymesh.native.loader import SOURCE, STALE
from envoymesh.network.listener.tcp_listener import TcpListener
from envoymesh.network.loop.dispatcher import new_event_loop
from envoymesh.server import collector
from envoymesh.server.log import PROCESS_LOG, ProcessLog
from envoymesh.server.server import Server
from envoymesh.server.workers.channel import Channel
from envoymesh.server.workers.process import STACK_SIGNAL
from envoymesh.server.workers.protocol import (
    Answer,
    Ask,
    ClusterUsed,
    Command,
    Failed,
    FrameReader,
    HostFailed,
    Lend,
    Message,
    Ping,
    Pong,
    Start,
    Started,
    Verb,
    encode,
)
from envoymesh.server.workers.snapshot import Lookups, Snapshot, renamed_for, snapshot_parts
from envoymesh.stats.image import images_of, names_of
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.health.told import HostHealth, HostKey, ToldHealth

PR_SET_PDEATHSIG = 1

DIRECTED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
"""The signals that the parent answers for its workers."""


class Worker(Server):
    """One worker's server.

    Args:
        sock: its end of the channel, from which `start` was read.
    """

    log_level_of_steps = logging.DEBUG

    def __init__(
        self, start: Start, sock: socket.socket, process_log: ProcessLog, loop: asyncio.AbstractEventLoop
    ) -> None:
        bootstrap = new_bootstrap()
        bootstrap.MergeFromString(start.bootstrap)
        self._start = start
        self._health: dict[str, ToldHealth] = {}
        self._renamed = renamed_for(start.index)
        # What files held when the parent read them: nothing is read from disk again.
        loaded = LoadedBootstrap(bootstrap, Source(contents=start.contents))
        super().__init__(start.options, loaded, process_log, loop, start.logs)
        self._sock = sock
        # The parent has read the same configuration, and so has made the same stats.
        self._known = {name for name in names_of(self.store) if self._renamed(name) == name}
        self._verbs: Mapping[Verb, Callable[..., object]] = {
            Verb.FAIL_HEALTH_CHECK: self.fail_health_check,
            Verb.START_DRAIN: self._drain.start,
            Verb.GIVE_BACK: self._give_back,
            Verb.STOP_LISTENERS: self._stop_these_listeners,
            Verb.REOPEN_LOGS: self.reopen_logs,
            Verb.RESET_COUNTERS: self.store.reset_counters,
            Verb.MODIFY_RUNTIME: self.runtime.modify,
            Verb.SET_LOG_LEVELS: self._set_log_levels,
            Verb.ENABLE_LOOKUPS: self.store.lookups.enable,
            Verb.CLEAR_LOOKUPS: self.store.lookups.clear,
            Verb.TELL_HEALTH: self._take_health,
            Verb.KEEP_REQUESTS: self.recent,
            Verb.PROFILE_CPU: self._profile_cpu,
            Verb.DRAIN_AND_STOP: self.drain_and_stop,
            Verb.STOP: self._stopped.set,
        }

    def _kill_after(self) -> float:
        return 0.0  # never: the parent kills a worker that hangs, and starts another one

    def _profile_path(self) -> str:
        return f"{super()._profile_path()}.worker_{self._start.index}"

    def _make_admin(self) -> TcpListener | None:
        return None

    def _bind(self) -> None:
        for listener, descriptors in zip(self.listeners, self._start.sockets, strict=True):
            listener.adopt([socket.socket(fileno=descriptor) for descriptor in descriptors])

    async def _start_serving(self) -> None:
        channel = Channel(self._sock, self._on_message, self._on_parent_gone)
        self._send = channel.send
        for command in self._start.commands:
            self._obey(command)
        await super()._start_serving()
        self._send(Started())

    # The parent's messages

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Command):
            self._obey(message)
        elif isinstance(message, Ask):
            self._slices.add(self._answering(message.number))
        elif isinstance(message, Ping):
            self._send(Pong())
            self._tell_of_use()
        elif isinstance(message, Lend):
            self._borrow(message)

    def _obey(self, command: Command) -> None:
        self._verbs[command.verb](*command.arguments)

    def _borrow(self, lent: Lend) -> None:
        self.listeners[lent.listener].listen_for(lent.owner, socket.socket(fileno=lent.descriptor))

    # Health, which the parent checks

    def _told_health(self, cluster: Cluster) -> ToldHealth:
        health = self._health[cluster.name] = ToldHealth(
            cluster.info, cluster.priority_set, self.dispatcher,
            cluster.on_host_health_failure, cluster.on_host_health_success, self._report_failure,
        )  # fmt: skip
        return health

    def _take_health(self, cluster: str, hosts: Mapping[HostKey, HostHealth]) -> None:
        self._health[cluster].take(hosts)

    def _report_failure(self, cluster: str, host: HostKey) -> None:
        self._send(HostFailed(cluster, host))

    def _tell_of_use(self) -> None:
        for name, health in self._health.items():
            if health.is_newly_used():
                self._send(ClusterUsed(name))

    def _give_back(self, owner: int) -> None:
        for listener in self.listeners:
            listener.stop_listening_for(owner)

    def _stop_these_listeners(self, inbound_only: bool) -> None:
        self._inbound_only = inbound_only
        self._stop_listeners()

    def _set_log_levels(self, levels: Mapping[str, str]) -> None:
        for component, level in levels.items():
            self.process_log.set_level(component, level)

    def _profile_cpu(self, wanted: bool) -> None:
        if wanted:
            self.cpu_profiler.start()
        else:
            self.cpu_profiler.stop()

    def _on_parent_gone(self) -> None:
        if not self._stopped.is_set():
            logging.getLogger("envoymesh.main").critical("worker %d: the parent is gone, exiting", self._start.index)
        self._initialised.set()
        self._stopped.set()

    def _answering(self, number: int) -> Iterator[None]:
        """Tell what was counted, in parts and in slices: a question comes with each look at the admin."""
        images = images_of(self.store, self._renamed, self._known)
        clusters = map(cluster_status, tuple(self.clusters.clusters().values()))
        for part in snapshot_parts(images, clusters):
            if part is not None:
                self._send(Answer(number, part, last=False))
            yield
        rest = Snapshot(
            memory=process_memory(),
            connections=self._open_connections(),
            lookups=Lookups.of(self.store.lookups),
            failures=self.failures(),
            recent=self._parts.http.recent.told(),
        )
        self._send(Answer(number, rest))


def end_with_parent() -> None:
    """Have the system kill this process with its parent, however the parent ends (prctl(2), PR_SET_PDEATHSIG).

    A worker sees the end of its channel too, but not one that hangs: it would keep its share of the port for ever.
    Where there is no prctl, the channel's end has to do.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def receive_start(sock: socket.socket) -> Start | None:
    """The first message, waited for; None when the parent is gone before it. What follows stays for the channel."""
    reader = FrameReader()
    while data := sock.recv(reader.wanted):
        for message in reader.feed(data):
            assert isinstance(message, Start)
            return message
    return None


def main(descriptor: int, stacks: int, running: str = SOURCE) -> int:
    """Run a worker until it is told to stop. Gives the exit code.

    Args:
        descriptor: its end of the channel.
        stacks: the pipe into which it writes its stack when the parent asks, for the log.
        running: for the log, as the parent's.
    """
    end_with_parent()
    # C code writes the stack, in the signal's handler: also of a worker whose loop stands still.
    faulthandler.register(STACK_SIGNAL, file=stacks, all_threads=True)
    for number in DIRECTED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, DIRECTED)
    sock = socket.socket(fileno=descriptor)
    start = receive_start(sock)
    return 0 if start is None else _run(start, sock, running)


def _run(start: Start, sock: socket.socket, running: str) -> int:
    options = start.options
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        log = ProcessLog(
            options.log_level,
            options.component_log_level,
            options.log_format,
            options.log_path,
            start.logs.get(PROCESS_LOG),
        )
        if running == STALE:
            logging.getLogger("envoymesh.main").warning("data path: %s", running)
        worker = Worker(start, sock, log, loop)
        collector.release()
        loop.run_until_complete(worker.run())
    except (EnvoymeshError, OSError) as error:
        sock.setblocking(True)
        sock.sendall(encode(Failed(str(error))))
        return 1
    finally:
        loop.close()
    return 0
