"""/explain on a running proxy: a dry server beside it (`dry_run.py`), which is told what the proxy knows now.

What it knows are the hosts of each cluster with their health, open circuit breakers, the runtime, and whether it
drains; with workers, as they say together. The dry server is made when it is first asked for, in a thread, so that
nobody waits for it who does not ask. It must not change anything of the proxy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from envoymesh.admin.context import AdminParts
from envoymesh.admin.views import ClusterStatus, HostStatus, ServerState
from envoymesh.errors import EnvoymeshError
from envoymesh.explain.question import Question, QuestionError
from envoymesh.network.api import Address, PipeAddress
from envoymesh.stats import Store, sanitize
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.discovery.api import set_priority
from envoymesh.upstream.host import (
    ACTIVE_HC_TIMEOUT,
    DEGRADED_ACTIVE_HC,
    EXCLUDED_VIA_IMMEDIATE_HC_FAIL,
    FAILED_ACTIVE_HC,
    FAILED_OUTLIER_CHECK,
    PENDING_ACTIVE_HC,
    PENDING_DYNAMIC_REMOVAL,
    Host,
)
from envoymesh.upstream.settings import EndpointSettings, Locality

if TYPE_CHECKING:
    from envoymesh.explain.places import Places
    from envoymesh.server.dry_run import DryServer
    from envoymesh.server.server import Server

_WITHOUT_HOSTS: Final = ("AGGREGATE", "ORIGINAL_DST")
"""Clusters whose hosts are others', or as requests say."""

_HOSTS_TOLD: Final = 10

_FLAGS: Final = (
    ("failed_active_health_check", FAILED_ACTIVE_HC),
    ("failed_outlier_check", FAILED_OUTLIER_CHECK),
    ("failed_active_degraded_check", DEGRADED_ACTIVE_HC),
    ("pending_dynamic_removal", PENDING_DYNAMIC_REMOVAL),
    ("pending_active_hc", PENDING_ACTIVE_HC),
    ("excluded_via_immediate_hc_fail", EXCLUDED_VIA_IMMEDIATE_HC_FAIL),
    ("active_hc_timeout", ACTIVE_HC_TIMEOUT),
)
"""What the admin's view calls a host's health flags."""


class LiveExplainer:
    """Implements `admin.context.LiveExplainer`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._dry: DryServer | None = None
        self._failure = ""
        self._waiting: list[Callable[[], None]] = []
        self._known: dict[str, object] = {}
        self._places: Places | None = None

    # Getting ready

    def when_ready(self, then: Callable[[], None]) -> None:
        """Make the dry server, once."""
        if self._dry is not None:
            then()
            return
        self._waiting.append(then)
        if len(self._waiting) == 1:
            loop = self._server.dispatcher.loop
            threading.Thread(target=lambda: self._make(loop.call_soon_threadsafe), name="explain", daemon=True).start()

    def _make(self, call_soon: Callable[..., object]) -> None:
        # Not at the top: a dry server is a server, and nobody pays for it who does not ask.
        from envoymesh.server.dry_run import DryServer

        made: DryServer | None = None
        failure = ""
        try:
            server = self._server
            made = DryServer(server.options, server.loaded, server.process_log)
        except EnvoymeshError as error:
            failure = str(error)  # such as a certificate that has been taken away since
        except Exception as error:  # noqa: BLE001 whoever waits is told
            failure = repr(error)
        try:
            call_soon(lambda: self._is_made(made, failure))
        except RuntimeError:
            pass  # the proxy has ended meanwhile

    def _is_made(self, made: DryServer | None, failure: str) -> None:
        self._dry, self._failure = made, failure
        waiting, self._waiting = self._waiting, []
        for then in waiting:
            then()

    # Answers

    def explain(self, question: Question, context: AdminParts) -> dict[str, Any]:
        """What the proxy would do now. Errors: QuestionError."""
        from envoymesh.explain.explanation import World, explanation
        from envoymesh.explain.places import Places

        dry = self._dry
        if dry is None:
            raise QuestionError(f"nothing can be explained: {self._failure}")
        statuses = {status.name: status for status in context.clusters()}
        for script in dry.scripts.scripts:
            script.look()  # nobody watches files for it: its loop stands still
        dry.runtime.take_over(self._server.runtime)
        dry.fail_health_check(self._server.state is ServerState.DRAINING)
        for name, cluster in dry.clusters.clusters().items():
            self._take_over(cluster, statuses.get(name), context.store)
        for told, listener in zip(dry.dry_listeners, self._server.listeners, strict=False):
            told.bound = {address.port for address in listener.addresses}
        run = dry.run_dry(question)
        paths = {reader.string("name"): reader.path for reader in self._server.settings.cluster_readers}
        notes = []
        if self._server.state is ServerState.DRAINING:
            notes.append("the proxy drains: answers ask the client to close its connection")
        if self._places is None:
            self._places = Places(self._server.loaded)

        def state(name: str) -> Sequence[str]:
            return self._state(name, statuses.get(name), context.store)

        def since(name: str) -> float:
            status = statuses.get(name)
            return 0.0 if status is None else status.hosts_changed

        return explanation(run, World(self._places, dry.clusters.get, paths, _host_name, notes, state, since))

    def _take_over(self, cluster: Cluster, status: ClusterStatus | None, store: Store) -> None:
        """Give a cluster of the dry server the hosts and the limits that the proxy has."""
        resources = cluster.resource_manager()
        prefix = f"cluster.{sanitize(cluster.settings.stat_name)}.circuit_breakers.default."
        for name, resource in (("rq_open", resources.requests), ("rq_pending_open", resources.pending_requests)):
            resource.count = resource.maximum if _gauge(store, prefix + name) else 0
        if status is None or cluster.settings.discovery_type in _WITHOUT_HOSTS:
            return
        hosts = list(status.hosts)
        signature = [_signature(each) for each in hosts]
        if self._known.get(cluster.name) == signature:
            return
        self._known[cluster.name] = signature
        _replace_hosts(cluster, [_host(each) for each in hosts])

    def _state(self, name: str, status: ClusterStatus | None, store: Store) -> Sequence[str]:
        """What is worth knowing of a cluster now."""
        dry = self._dry
        cluster = None if dry is None else dry.clusters.get(name)
        if cluster is None:
            return ()
        prefix = f"cluster.{sanitize(cluster.settings.stat_name)}."
        found = []
        limits = (
            ("rq_open", "max_requests"),
            ("rq_pending_open", "max_pending_requests"),
            ("cx_open", "max_connections"),
        )
        for gauge, limit in limits:
            if _gauge(store, f"{prefix}circuit_breakers.default.{gauge}"):
                found.append(f"the circuit breaker is open: as many as {limit} allows are under way")
        if cluster.settings.discovery_type.endswith("DNS") and not cluster.hosts:
            attempts, failed = _counter(store, f"{prefix}update_attempt"), _counter(store, f"{prefix}update_failure")
            found.append(f"DNS gives no address for it: {attempts} queries, {failed} of them failed")
        if cluster.maintenance_mode.share:
            found.append(f"maintenance mode: {cluster.maintenance_mode.share:.0%} of the requests are refused")
        healthy, total = len([host for host in cluster.hosts if not host.health_flags]), len(cluster.hosts)
        if cluster.stats.lb_healthy_panic.value and total:
            found.append(f"panic: {healthy} of {total} hosts are healthy, so that health is not looked at")
        cluster.stats.lb_healthy_panic.reset()
        return [*found, *_connect_failures(status)]


def _connect_failures(status: ClusterStatus | None) -> list[str]:
    """Hosts to which connections have failed."""
    found = []
    for host in () if status is None else status.hosts:
        failed, total = host.counters.get("cx_connect_fail", 0), host.counters.get("cx_total", 0)
        if failed:
            found.append(f"{failed} of {total} connections to {host.address} have failed so far")
    return found[:_HOSTS_TOLD]


def _gauge(store: Store, name: str) -> int:
    gauge = store.gauges.by_name.get(name)
    return 0 if gauge is None else gauge.value


def _counter(store: Store, name: str) -> int:
    counter = store.counters.by_name.get(name)
    return 0 if counter is None else counter.value


def _host_name(address: Address, hostname: str) -> str:
    return f"{address} ({hostname})" if hostname and hostname != address.host else str(address)


def _signature(status: HostStatus) -> tuple[object, ...]:
    """All of a host that a balancer looks at."""
    locality = (status.region, status.zone, status.sub_zone)
    return (str(status.address), status.health, status.weight, status.priority, locality, repr(status.metadata))


def _host(status: HostStatus) -> Host:
    where = status.address
    port = where.port or 0
    address = PipeAddress(where.address) if where.port is None else Address(where.address, port)
    endpoint = EndpointSettings(
        host=where.address,
        port=port,
        hostname=status.hostname,
        weight=status.weight,
        health_status=status.health.eds_health_status,
        locality=Locality(status.region, status.zone, status.sub_zone),
        priority=status.priority,
        is_pipe=where.port is None,
        metadata={"UPSTREAM_HOST": dict(status.metadata)} if status.metadata else None,
    )
    host = Host(address, endpoint)
    for name, flag in _FLAGS:
        if getattr(status.health, name):
            host.health_flag_set(flag)
    return host


def _replace_hosts(cluster: Cluster, hosts: Iterable[Host]) -> None:
    by_priority: dict[int, list[Host]] = {place: [] for place in range(len(cluster.priority_set.host_sets))}
    for host in hosts:
        by_priority.setdefault(host.priority, []).append(host)
    for priority, members in sorted(by_priority.items()):
        set_priority(cluster.info, cluster.priority_set, priority, members)
