"""The admin's JSON answers, as the official admin messages (envoy.admin.v3) print.

Field order is by number, names are the proto's own, and `with_defaults` prints scalars and lists that are empty, as
Envoy does for some of its answers. It must not gather facts: it is given snapshots.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

from envoy.admin.v3 import (
    certs_pb2,
    clusters_pb2,
    init_dump_pb2,
    listeners_pb2,
    memory_pb2,
    metrics_pb2,
    server_info_pb2,
)
from envoy.config.cluster.v3 import circuit_breaker_pb2
from envoy.config.core.v3 import address_pb2, base_pb2
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from envoymesh.admin.context import AdminParts
from envoymesh.admin.json_text import LazyList, LazyObject, pretty, pretty_pieces
from envoymesh.admin.views import (
    CertificateDetails,
    CertificateEntry,
    ClusterStatus,
    HealthFlags,
    HostStatus,
    ListenerStatus,
    MemoryUsage,
    OutlierThresholds,
    SocketAddress,
    Thresholds,
)

_ANY = "google.protobuf.Any"


def to_json_value(message: Message, *, with_defaults: bool = False) -> Any:
    """A message as JSON-ready values, its fields by number: a dictionary, but for Timestamp and its like."""
    value: Any = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=with_defaults
    )
    return _ordered(value, message.DESCRIPTOR) if isinstance(value, dict) else value


def _ordered(value: dict[str, Any], descriptor: Any) -> dict[str, Any]:
    if descriptor.full_name == _ANY and "@type" in value:
        inner = descriptor_pool.Default().FindMessageTypeByName(value["@type"].rpartition("/")[2])
        rest = {name: item for name, item in value.items() if name != "@type"}
        return {"@type": value["@type"], **_ordered(rest, inner)}
    if descriptor.full_name.startswith("google.protobuf."):
        return {name: _whole(item) for name, item in value.items()}
    fields = descriptor.fields_by_name
    return {name: _ordered_field(value[name], fields[name]) for name in _names(descriptor) if name in value}


def _ordered_field(value: Any, field: FieldDescriptor) -> Any:
    if field.message_type is None:
        return _whole(value)
    if field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {key: _ordered_field(item, inner) for key, item in value.items()}
    if isinstance(value, list):
        return [_ordered(item, field.message_type) if isinstance(item, dict) else item for item in value]
    return _ordered(value, field.message_type) if isinstance(value, dict) else value


def _whole(value: Any) -> Any:
    """As Envoy writes numbers: 1, not 1.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def server_info_json(context: AdminParts) -> str:
    """/server_info."""
    server = context.server
    info = server_info_pb2.ServerInfo(
        version=context.version,
        state=server_info_pb2.ServerInfo.State.Value(server.state.name),
        hot_restart_version=context.hot_restart_version,
        node=context.node,
    )
    info.uptime_current_epoch.FromSeconds(int(server.uptime_current_epoch()))
    info.uptime_all_epochs.FromSeconds(int(server.uptime_all_epochs()))
    newer = _set_options(info.command_line_options, context.command_line_options)
    value = to_json_value(info, with_defaults=True)
    value["command_line_options"].update(newer)
    value["hot_restart_initializing"] = False
    return pretty(value)


def _set_options(message: Message, options: Mapping[str, object]) -> dict[str, object]:
    """Fill the message; return the options that Envoy has and the message's version does not know yet."""
    known = message.DESCRIPTOR.fields_by_name
    json_format.ParseDict({name: value for name, value in options.items() if name in known}, message)
    return {name: value for name, value in options.items() if name not in known}


def list_json(name: str, items: Iterable[object]) -> Iterator[str]:
    """A message with one repeated field, in pieces; the field is not there where it is empty."""
    rest = iter(items)
    first = next(rest, None)
    members = () if first is None else ((name, LazyList(chain([first], rest))),)
    return pretty_pieces(LazyObject(members))


def clusters_json(clusters: Iterable[ClusterStatus]) -> Iterator[str]:
    """/clusters?format=json, in pieces."""
    return list_json("cluster_statuses", map(_cluster_value, clusters))


def _cluster_value(cluster: ClusterStatus) -> LazyObject:
    message = _cluster(cluster)
    value: dict[str, object] = to_json_value(message)
    if cluster.hosts:
        value["host_statuses"] = LazyList(to_json_value(_host(host)) for host in cluster.hosts)
    return LazyObject([(name, value[name]) for name in _names(message.DESCRIPTOR) if name in value])


@cache
def _names(descriptor: Any) -> tuple[str, ...]:
    """A message's fields, by number."""
    return tuple(field.name for field in sorted(descriptor.fields, key=lambda field: field.number))


def _cluster(cluster: ClusterStatus) -> clusters_pb2.ClusterStatus:
    """The message without its hosts."""
    message = clusters_pb2.ClusterStatus(
        name=cluster.name,
        added_via_api=cluster.added_via_api,
        observability_name=cluster.observability_name,
        eds_service_name=cluster.eds_service_name,
    )
    if cluster.outlier is not None:
        _set_outlier(message, cluster.outlier)
    thresholds = message.circuit_breakers.thresholds
    thresholds.append(_thresholds(cluster.default, base_pb2.DEFAULT))
    thresholds.append(_thresholds(cluster.high, base_pb2.HIGH))
    return message


def _set_outlier(message: clusters_pb2.ClusterStatus, outlier: OutlierThresholds) -> None:
    for name in ("success_rate_ejection_threshold", "local_origin_success_rate_ejection_threshold"):
        if (percent := getattr(outlier, name)) >= 0:
            getattr(message, name).value = percent


def _thresholds(limits: Thresholds, priority: int) -> circuit_breaker_pb2.CircuitBreakers.Thresholds:
    message = circuit_breaker_pb2.CircuitBreakers.Thresholds(priority=priority)
    for name in ("max_connections", "max_pending_requests", "max_requests", "max_retries"):
        getattr(message, name).value = getattr(limits, name)
    return message


def _host(host: HostStatus) -> clusters_pb2.HostStatus:
    message = clusters_pb2.HostStatus(
        address=address_message(host.address),
        health_status=_health(host.health),
        weight=host.weight,
        hostname=host.hostname,
        priority=host.priority,
        locality=base_pb2.Locality(region=host.region, zone=host.zone, sub_zone=host.sub_zone),
    )
    for kind, figures in (("COUNTER", host.counters), ("GAUGE", host.gauges)):
        for name, value in sorted(figures.items()):
            message.stats.add(type=metrics_pb2.SimpleMetric.Type.Value(kind), name=name, value=value)
    for name in ("success_rate", "local_origin_success_rate"):
        if (percent := getattr(host, name)) >= 0:
            getattr(message, name).value = percent
    return message


def _health(health: HealthFlags) -> clusters_pb2.HostHealthStatus:
    flags = {name: value for name, value in vars(health).items() if name != "eds_health_status"}
    return clusters_pb2.HostHealthStatus(eds_health_status=health.eds_health_status, **flags)


def address_message(address: SocketAddress) -> address_pb2.Address:
    """An envoy.config.core.v3.Address."""
    if address.port is None:
        return address_pb2.Address(pipe=address_pb2.Pipe(path=address.address))
    socket = address_pb2.SocketAddress(address=address.address, port_value=address.port)
    return address_pb2.Address(socket_address=socket)


def listeners_json(listeners: Iterable[ListenerStatus]) -> Iterator[str]:
    """/listeners?format=json, in pieces."""
    return list_json("listener_statuses", (to_json_value(_listener(listener)) for listener in listeners))


def _listener(listener: ListenerStatus) -> listeners_pb2.ListenerStatus:
    return listeners_pb2.ListenerStatus(
        name=listener.name,
        local_address=address_message(listener.local_address),
        additional_local_addresses=map(address_message, listener.additional_local_addresses),
    )


def certs_json(certificates: Iterable[CertificateEntry]) -> Iterator[str]:
    """/certs, in pieces; the list is there also where it is empty."""
    shown = LazyList(to_json_value(_certificates(entry), with_defaults=True) for entry in certificates)
    return pretty_pieces(LazyObject([("certificates", shown)]))


def _certificates(entry: CertificateEntry) -> certs_pb2.Certificate:
    return certs_pb2.Certificate(
        ca_cert=map(_certificate, entry.ca_cert), cert_chain=map(_certificate, entry.cert_chain)
    )


def _certificate(details: CertificateDetails) -> certs_pb2.CertificateDetails:
    message = certs_pb2.CertificateDetails(
        path=details.path,
        serial_number=details.serial_number,
        days_until_expiration=max(0, details.days_until_expiration),
        subject_alt_names=[{kind: value} for kind, value in details.subject_alt_names],
    )
    message.valid_from.FromSeconds(details.valid_from)
    message.expiration_time.FromSeconds(details.expiration_time)
    return message


def memory_json(memory: MemoryUsage) -> str:
    """/memory."""
    return pretty(to_json_value(memory_pb2.Memory(**vars(memory)), with_defaults=True))


def init_dump_json(targets: Mapping[str, Sequence[str]]) -> str:
    """/init_dump: unready target names by manager."""
    message = init_dump_pb2.UnreadyTargetsDumps()
    for name, names in targets.items():
        message.unready_targets_dumps.add(name=name, target_names=names)
    return pretty(to_json_value(message))
