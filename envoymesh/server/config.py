"""envoy.config.bootstrap.v3.Bootstrap -> the parts that the composition root assembles.

Fields below listeners, clusters and filters are read by their own rooms; what no one reads is refused by its path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from envoy.config.core.v3.base_pb2 import Node

from envoymesh.access_loggers import AccessLog
from envoymesh.access_loggers.config import AccessLogFactoryContext, default_access_log, read_access_log
from envoymesh.admin.proto.node import Build, Extension, local_node
from envoymesh.config.reader import Reader
from envoymesh.filters.http.registry import FILTERS
from envoymesh.filters.listener.registry import LISTENER_FILTERS
from envoymesh.filters.network.registry import NETWORK_FILTERS
from envoymesh.matching.config import read_string_matcher
from envoymesh.matching.strings import BytesMatcher
from envoymesh.network.api import Address
from envoymesh.network.config import read_address, read_listener
from envoymesh.network.connection.config import read_bind_config
from envoymesh.network.settings import ListenerSettings
from envoymesh.options import Options
from envoymesh.server.runtime import flatten
from envoymesh.server.version import SEMANTIC_VERSION, version_metadata
from envoymesh.server.watchdog import Watchdogs, WatchdogSettings
from envoymesh.upstream.config import read_cluster
from envoymesh.upstream.health.config import HealthCheckFactoryContext
from envoymesh.upstream.settings import ClusterSettings, Locality

DEFAULT_PROFILE_PATH = "/var/log/envoy/envoy.prof"


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The bootstrap's `admin`."""

    address: Address
    access_logs: Sequence[AccessLog]
    profile_path: str = DEFAULT_PROFILE_PATH
    allow_paths: Sequence[BytesMatcher] = ()
    ignore_global_conn_limit: bool = False

    def allows(self, target: str) -> bool:
        """Whether a request target may be asked for; all may without `allow_paths`."""
        return not self.allow_paths or any(each.matches(target.encode()) for each in self.allow_paths)


@dataclass(frozen=True, slots=True)
class BootstrapSettings:
    """What a bootstrap asks for.

    Attributes:
        listeners: settings and reader of each listener, in order.
        stats_flush_interval: seconds.
        watchdogs: how stalls are noticed, and when they are ended.
        node: as the proxy names itself.
        locality: where this proxy is, or None.
        local_cluster: the name of the cluster that this proxy is one of, or empty.
        outlier_event_log_path: where ejected hosts are told of, or empty.
        configured_node: the bootstrap's, completed by build and filters but not by the command line.
    """

    listeners: Sequence[tuple[ListenerSettings, Reader]]
    clusters: Sequence[ClusterSettings]
    cluster_readers: Sequence[Reader]
    admin: AdminSettings | None
    stats_flush_interval: float
    watchdogs: Watchdogs
    node: Node
    configured_node: Node
    locality: Locality | None
    local_cluster: str = ""
    outlier_event_log_path: str = ""


def read_bootstrap(
    reader: Reader,
    options: Options,
    access_logs: AccessLogFactoryContext,
    health_checks: HealthCheckFactoryContext | None = None,
) -> BootstrapSettings:
    """Read a bootstrap. Errors: ConfigError with the field's path."""
    static, admin, runtime = reader.message_("static_resources"), reader.message_("admin"), access_logs.runtime
    listeners = [] if static is None else static.each("listeners", lambda each: (read_listener(each), each))
    manager = reader.message_("cluster_manager")
    bind = None if manager is None else read_bind_config(manager.message_("upstream_bind_config"), "Bootstrap")
    clusters = (
        []
        if static is None
        else static.each("clusters", lambda each: (read_cluster(each, runtime, bind, health_checks), each))
    )
    _check_listeners(listeners)
    _check_clusters(clusters)
    return BootstrapSettings(
        listeners=listeners,
        clusters=[settings for settings, _ in clusters],
        cluster_readers=[each for _, each in clusters],
        admin=None if admin is None else admin.attempt(lambda each: _read_admin(each, access_logs)),
        stats_flush_interval=reader.duration("stats_flush_interval", 5.0) or 5.0,
        watchdogs=_read_watchdogs(reader),
        node=_read_node(reader, options),
        configured_node=_read_node(reader, Options()),
        locality=_own_locality(_read_node(reader, options)),
        local_cluster=_read_local_cluster(manager, [settings for settings, _ in clusters]),
        outlier_event_log_path=_read_outlier_log(manager),
    )


def _check_listeners(listeners: Sequence[tuple[ListenerSettings, Reader]]) -> None:
    seen: dict[str, str] = {}
    names: set[str] = set()
    for settings, reader in listeners:
        if settings.name in names:
            raise reader.error("name", f"error adding listener: duplicate listener name '{settings.name}'")
        names.add(settings.name)
        address = str(settings.address)
        if not settings.bind_to_port or (settings.address.ip and settings.address.port == 0):
            continue
        if address in seen:
            raise reader.error(
                "address",
                f"error adding listener: '{settings.name}' has duplicate address '{address}' as existing "
                f"listener '{seen[address]}'",
            )
        seen[address] = settings.name


def _check_clusters(clusters: Sequence[tuple[ClusterSettings, Reader]]) -> None:
    names: set[str] = set()
    for settings, reader in clusters:
        if settings.name in names:
            raise reader.error("name", f"cluster manager: duplicate cluster '{settings.name}'")
        names.add(settings.name)


def _read_local_cluster(manager: Reader | None, clusters: Sequence[ClusterSettings]) -> str:
    """Read `ClusterManager.local_cluster_name`: a cluster with one priority."""
    name = manager.string("local_cluster_name") if manager is not None else ""
    if manager is None or not name:
        return ""
    local = next((each for each in clusters if each.name == name), None)
    if local is None:
        raise manager.error("local_cluster_name", f"local cluster '{name}' must be defined")
    if any(endpoint.priority for endpoint in local.endpoints):
        raise manager.error("local_cluster_name", f"Unexpected non-zero priority for local cluster '{name}'.")
    return name


def _read_outlier_log(manager: Reader | None) -> str:
    """Read `ClusterManager.outlier_detection.event_log_path`."""
    outliers = None if manager is None else manager.message_("outlier_detection")
    return "" if outliers is None else outliers.string("event_log_path")


def _read_admin(admin: Reader, access_logs: AccessLogFactoryContext) -> AdminSettings | None:
    path = admin.string("profile_path") or DEFAULT_PROFILE_PATH
    allowed = [read_string_matcher(each) for each in admin.repeated("allow_paths")]
    logs = admin.each("access_log", lambda each: read_access_log(each, access_logs))
    log_path = admin.string("access_log_path")
    if log_path:
        logs.append(default_access_log(log_path, access_logs))
    unlimited = admin.boolean("ignore_global_conn_limit")
    if not admin.has("address"):
        return None
    return AdminSettings(read_address(admin, "address"), logs, path, allowed, unlimited)


def read_runtime_layers(reader: Reader) -> list[tuple[str, Mapping[str, str] | None]]:
    """Read a bootstrap's `layered_runtime`: (name, flattened values) lowest first; None for the admin layer."""
    layered = reader.message_("layered_runtime")
    if layered is None:
        return []
    layers: list[tuple[str, Mapping[str, str] | None]] = []
    for layer in layered.repeated("layers"):
        kind = layer.which("layer_specifier")
        name = layer.string("name")
        if any(name == other for other, _ in layers):
            raise layer.error("name", f"Duplicate layer name: {name}")
        if kind == "static_layer":
            layers.append((name, flatten(layer.struct("static_layer"))))
        elif kind == "admin_layer":
            layer.message_("admin_layer")
            if any(values is None for _, values in layers):
                raise layer.error(
                    kind, "Too many admin layers specified in LayeredRuntime, at most one may be specified"
                )
            layers.append((name, None))
        else:
            raise layer.error(kind or "layer_specifier", "only static_layer and admin_layer are supported by envoymesh")
    # As in Envoy: without any layers there is an admin layer, which can be changed.
    return layers or [("", None)]


def _read_watchdogs(reader: Reader) -> Watchdogs:
    both, each = reader.message_("watchdog"), reader.message_("watchdogs")
    if both is not None and each is not None:
        raise reader.error("watchdog", "Only one of watchdog or watchdogs should be set!")
    if both is not None:
        settings = _read_watchdog(both)
        return Watchdogs(settings, settings)
    if each is None:
        return Watchdogs()
    main_thread, worker = each.message_("main_thread_watchdog"), each.message_("worker_watchdog")
    return Watchdogs(
        WatchdogSettings() if main_thread is None else _read_watchdog(main_thread),
        WatchdogSettings() if worker is None else _read_watchdog(worker),
    )


def _read_watchdog(reader: Reader) -> WatchdogSettings:
    default = WatchdogSettings()
    reader.refuse("actions")
    return WatchdogSettings(
        miss_timeout=reader.duration("miss_timeout", default.miss_timeout) or 0.0,
        megamiss_timeout=reader.duration("megamiss_timeout", default.megamiss_timeout) or 0.0,
        kill_timeout=reader.duration("kill_timeout"),
        max_kill_timeout_jitter=reader.duration("max_kill_timeout_jitter") or 0.0,
        multikill_timeout=reader.duration("multikill_timeout") or 0.0,
        multikill_threshold=reader.percent("multikill_threshold") or 0.0,
    )


def _own_locality(node: Node) -> Locality | None:
    where = node.locality
    return Locality(where.region, where.zone, where.sub_zone) if node.HasField("locality") else None


def _read_node(reader: Reader, options: Options) -> Node:
    """The node as ``/server_info`` shows it: the bootstrap's, completed by command line, build and filters."""
    given = reader.message_("node")
    if given is not None:
        given.json()
    return local_node(
        Node() if given is None else given.message,
        Build(SEMANTIC_VERSION, version_metadata()),
        [
            *(Extension(each.name, "envoy.filters.http", (type_url,)) for type_url, each in FILTERS.items()),
            *(Extension(each.name, "envoy.filters.listener", (url,)) for url, each in LISTENER_FILTERS.items()),
            *(Extension(each.name, "envoy.filters.network", (type_url,)) for type_url, each in NETWORK_FILTERS.items()),
        ],
        service_cluster=options.service_cluster,
        service_node=options.service_node,
        service_zone=options.service_zone,
    )
