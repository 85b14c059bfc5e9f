"""A cluster: its facts, its hosts, where they come from, who picks one, and its pools (Envoy's `ThreadLocalCluster`).

Each of these is a part with a name, which knows nothing of the others; this module brings them together, and must not
do what one of them can.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from mypy_extensions import trait

from envoymesh.http.codec import HttpProtocol, ResponseDecoder
from envoymesh.http.stream_info import UpstreamOverrideHost
from envoymesh.network.api import ClientTls, Connector, Dispatcher
from envoymesh.runtime import RuntimeReader
from envoymesh.upstream.api import Cancellable, LoadBalancerContext, PoolCallbacks
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.api import Discovery, set_priority
from envoymesh.upstream.health.api import ClusterHealth
from envoymesh.upstream.host import FAILED_ACTIVE_HC, Host
from envoymesh.upstream.host_set import Hosts, PrioritySet, PrioritySetObserver
from envoymesh.upstream.lb.api import LbParams, LoadBalancer, Random
from envoymesh.upstream.lb.factory import make_load_balancer, zone_of
from envoymesh.upstream.lb.override_host import HostsByAddress, select_override_host
from envoymesh.upstream.lb.settings import wants_request
from envoymesh.upstream.outlier.detector import OutlierDetector
from envoymesh.upstream.pool.options import DEFAULT_OPTIONS, PoolOptions
from envoymesh.upstream.pool.pools import ConnectionPools
from envoymesh.upstream.pool.tcp import TcpPoolCallbacks
from envoymesh.upstream.resource_manager import ResourceManager
from envoymesh.upstream.settings import Locality
from envoymesh.upstream.update_counts import UpdateCounts


@trait
class PoolsOfHosts:
    """Finds the pools of hosts that belong to other clusters (those of an aggregate)."""

    __slots__ = ()

    @abstractmethod
    def pools_of(self, host: Host) -> ConnectionPools:
        """The pools of the cluster that a host is of."""


class Cluster(PrioritySetObserver):
    """One upstream cluster.

    Attributes:
        info: what it is, whichever hosts it has; what requests ask for stands here as well.
        priority_set: its hosts now.
        pools: its connections.
        discovery: what finds its hosts; None before `start`.
        health: who keeps the active health of its hosts; None where nobody checks them.
        balancer: who picks among them.
        drop_overload: share of requests that are refused, 0 to 1.
        max_stream_duration: seconds a try may take from its beginning to the response's end; 0 is no limit.
        predicts: whether connections are made to hosts that are likely to be picked next.
        separator: says which requests may share connections; None where all may.
        hosts_changed: when hosts or their health changed last, UNIX seconds.
        wants_request: whether the balancer wants to know the request that it picks for.
        outlier_detector: who watches its hosts for outliers; None where nobody does.
        owners: whose connections are used, where the hosts are those of other clusters; else None.

    Args:
        local_locality: this proxy's own (`node.locality`), or None.
        local_priority_set: the hosts of the cluster that this proxy is one of, or None.
    """

    def __init__(
        self,
        info: ClusterInfo,
        connector: Connector,
        dispatcher: Dispatcher,
        random: Random,
        runtime: RuntimeReader,
        local_locality: Locality | None = None,
        local_priority_set: PrioritySet | None = None,
    ) -> None:
        self.info = info
        self.name = info.name
        self.settings = info.settings
        self.metadata = info.metadata
        self.scope = info.scope
        self.stats = info.stats
        self.code_stats = info.code_stats
        self.maintenance_mode = info.maintenance_mode
        self.drop_overload = info.settings.drop_overload
        self.separator = info.separator
        self.predicts = info.settings.predictive_preconnect_ratio > 1.0
        self.max_stream_duration = info.settings.max_stream_duration
        self.hosts_changed = 0.0
        self._dispatcher = dispatcher
        self.wants_request = False
        self.priority_set = PrioritySet(local_locality)
        self.pools = ConnectionPools(info, connector, dispatcher, random)
        self.owners: PoolsOfHosts | None = None
        self.discovery: Discovery | None = None
        self.outlier_detector: OutlierDetector | None = None
        self.health: ClusterHealth | None = None
        self._panic_percent = runtime.number(
            "upstream.healthy_panic_threshold", info.settings.healthy_panic_percent, self._on_panic_percent
        )
        self._hosts_by_address: HostsByAddress | None = None
        self._updates: UpdateCounts | None = None
        self.wants_request = wants_request(info.settings.lb)
        self.balancer: LoadBalancer = self._make_balancer(dispatcher, random, runtime, local_priority_set)
        self.priority_set.add_observer(self)

    def _make_balancer(
        self, dispatcher: Dispatcher, random: Random, runtime: RuntimeReader, local: PrioritySet | None
    ) -> LoadBalancer:
        settings = self.settings.lb
        zone = zone_of(settings, local, runtime) if local is not None else None
        percent = self._panic_percent.value
        return make_load_balancer(
            settings, LbParams(self.priority_set, self.stats, self.scope, random, dispatcher.now, percent, zone)
        )

    def __repr__(self) -> str:
        return f"<Cluster {self.name} {self.settings.protocol} {self.priority_set!r}>"

    @property
    def hosts(self) -> Hosts:
        """All hosts now."""
        return self.priority_set.hosts()

    @property
    def panic_threshold(self) -> int:
        """Percent of healthy hosts below which health is not believed, as the runtime has it now."""
        return self._panic_percent.value

    def resource_manager(self, priority: str = "DEFAULT") -> ResourceManager:
        """The circuit breakers of a priority, ``DEFAULT`` or ``HIGH``."""
        return self.info.resource_manager(priority)

    # Hosts

    def start(self, discovery: Discovery, on_initialised: Callable[[], None]) -> None:
        """Begin discovery; initialised when the first hosts are found, and checked where they are."""
        self.discovery = discovery
        if self.outlier_detector is not None:
            self.outlier_detector.start()
        health = self.health
        if health is None:
            discovery.start(self.priority_set, on_initialised)
        else:
            discovery.start(self.priority_set, lambda: health.on_discovered(on_initialised))

    def update_hosts(self, hosts: Sequence[Host]) -> None:
        """Make these the members of priority 0."""
        set_priority(self.info, self.priority_set, 0, hosts)

    def count_updates(self, updates: UpdateCounts) -> None:
        """From now on, when it has been initialised, count each change of its hosts there too."""
        self._updates = updates

    def on_members_changed(self, priority: int, added: Sequence[Host], removed: Sequence[Host]) -> None:
        """Drain the hosts that left, and count the change."""
        if added or removed:
            self.stats.membership_change.inc()
            if self._updates is not None:
                self._updates.count_members(priority)
        self._show_membership()
        for host in removed:
            self.pools.drain_host(host)
        if self.settings.close_connections_on_host_set_change and (added or removed):
            for host in self.hosts:
                self.pools.drain_connections(host)

    def on_health_changed(self, priority: int) -> None:
        """The health of hosts changed, and nothing else."""
        if self._updates is not None:
            self._updates.count_health(len(self.priority_set.host_sets))
        self._show_membership()

    def _show_membership(self) -> None:
        self.hosts_changed = self._dispatcher.wall_time()
        stats, sets = self.stats, self.priority_set.host_sets
        stats.membership_total.set(sum(len(each.hosts) for each in sets))
        stats.membership_healthy.set(sum(len(each.healthy_hosts) for each in sets))
        stats.membership_degraded.set(sum(len(each.degraded_hosts) for each in sets))
        stats.membership_excluded.set(sum(len(each.excluded_hosts) for each in sets))

    def on_host_health_success(self, host: Host) -> None:
        """An active check of the host has passed. Where no check has failed it, it is no outlier any more."""
        if self.outlier_detector is not None and not host.health_flag_get(FAILED_ACTIVE_HC):
            self.outlier_detector.on_successful_health_check(host)

    def on_host_health_failure(self, host: Host) -> None:
        """A check found a host unhealthy that was not: connections to it take no more requests."""
        self.pools.drain_connections(host)
        if self.settings.close_connections_on_host_health_failure:
            self.pools.close_tcp_connections(host)

    def _on_panic_percent(self, percent: int) -> None:
        self.balancer.set_panic_threshold(percent)

    def choose_host(self, context: LoadBalancerContext | None) -> Host | None:
        """The balancer's host, or the one that a filter has set; or None (counted as `upstream_cx_none_healthy`)."""
        override = context.override_host_to_select() if context is not None else None
        host = self.balancer.choose_host(context) if override is None else self._override(override, context)
        if host is None:
            self.stats.upstream_cx_none_healthy.inc()
        return host

    def _override(self, override: UpstreamOverrideHost, context: LoadBalancerContext | None) -> Host | None:
        if self._hosts_by_address is None:
            self._hosts_by_address = HostsByAddress(self.priority_set)
        host = select_override_host(self._hosts_by_address, override.address, self.settings.override_host_status)
        return self.balancer.choose_host(context) if host is None and not override.strict else host

    # Streams

    def new_stream(
        self,
        host: Host,
        decoder: ResponseDecoder,
        callbacks: PoolCallbacks,
        downstream_protocol: HttpProtocol | None,
        options: PoolOptions | None = None,
        context: LoadBalancerContext | None = None,
    ) -> Cancellable | None:
        """A stream to a host: called back before this returns (and None is given) when a connection is ready."""
        pools = self.pools if self.owners is None else self.owners.pools_of(host)
        if self.predicts:
            pools.preconnect(lambda: self.balancer.peek_another_host(context), downstream_protocol, options)
        return pools.new_stream(host, decoder, callbacks, downstream_protocol, options)

    def new_tcp_connection(
        self, host: Host, callbacks: TcpPoolCallbacks, options: PoolOptions = DEFAULT_OPTIONS
    ) -> Cancellable | None:
        """A connection of the caller's own to a host (Envoy's `tcpConnPool().newConnection()`); None where a circuit
        breaker is open, which `callbacks` has then been told."""
        pools = self.pools if self.owners is None else self.owners.pools_of(host)
        return pools.new_tcp_connection(host, callbacks, options)

    def charge_response(self, status: int, internal: bool, host: Host | None) -> None:
        """Count a response by its code, and an error (5xx) as the host's that gave it, where there is one.

        `internal` says whether the request came from inside (x-envoy-internal).
        """
        if host is None:
            self.code_stats.charge(status, internal)
            return
        self.code_stats.charge(status, internal, host.canary, host.locality.zone)
        if status >= 500:
            host.stats.rq_error.inc()

    def record_response_time(self, milliseconds: int, internal: bool, host: Host | None) -> None:
        """Record how long a response took, since the request was complete."""
        if host is None:
            self.code_stats.record_time(milliseconds, internal)
        else:
            self.code_stats.record_time(milliseconds, internal, host.canary, host.locality.zone)

    def shutdown(self) -> None:
        """Stop checks and discovery, and close every connection."""
        if self.health is not None:
            self.health.stop()
        if self.discovery is not None:
            self.discovery.stop()
        if self.outlier_detector is not None:
            self.outlier_detector.stop()
        self.pools.close()

    def tls_contexts(self) -> list[ClientTls]:
        """What its connections are secured with, one for all that a transport socket's pools speak."""
        sockets = (match.socket for match in self.info.transport_sockets.all())
        return [next(iter(socket.values())) for socket in sockets if socket]

    def sample_buffers(self) -> None:
        """Set the gauges of buffered bytes."""
        waiting = self.pools.buffered()
        self.stats.upstream_cx_rx_bytes_buffered.set(sum(received for received, _ in waiting))
        self.stats.upstream_cx_tx_bytes_buffered.set(sum(written for _, written in waiting))
