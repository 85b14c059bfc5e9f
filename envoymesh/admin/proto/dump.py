"""/config_dump: its messages (envoy.admin.v3.*ConfigDump), filters and JSON.

`*_dump` functions make the messages that the server hands to the admin; `dump_json` cuts them down and prints
them, both in steps. No secret may leave this file: every message passes `lazy_any`, which redacts.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import re2
from envoy.admin.v3 import config_dump_pb2, config_dump_shared_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import ScopedRoutes
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from envoymesh.admin.proto.answers import address_message, list_json
from envoymesh.admin.proto.printed import lazy_any
from envoymesh.admin.proto.trim import Mask, MaskError, unpacked
from envoymesh.admin.views import ClusterStatus, HealthFlags, HostStatus

T = TypeVar("T")
Making = Generator[None, None, T]
"""Makes something, one entry of it at each step."""


class DumpError(Exception):
    """The request cannot be met; the text is the answer. `is_absent` is a 404, else it is a 400."""

    def __init__(self, message: str, *, is_absent: bool = False) -> None:
        super().__init__(message)
        self.is_absent = is_absent


@dataclass(frozen=True)
class DumpRequest:
    """The query parameters; an empty one is not given."""

    resource: str = ""
    mask: str = ""
    name_regex: str = ""


def bootstrap_dump(
    bootstrap: Message, node: Message, last_updated: float
) -> Making[config_dump_pb2.BootstrapConfigDump]:
    """The bootstrap as loaded, with the node that it became; times are UNIX seconds."""
    yield
    dump = config_dump_pb2.BootstrapConfigDump(bootstrap=bootstrap)
    dump.bootstrap.node.CopyFrom(node)
    _set_time(dump, last_updated)
    return dump


def clusters_dump(
    static: Iterable[tuple[Message, float]], version_info: str = ""
) -> Making[config_dump_shared_pb2.ClustersConfigDump]:
    """The static clusters, each with when it was loaded."""
    dump = config_dump_shared_pb2.ClustersConfigDump(version_info=version_info)
    for cluster, last_updated in static:
        entry = dump.static_clusters.add()
        entry.cluster.Pack(cluster)
        _set_time(entry, last_updated)
        yield
    return dump


def listeners_dump(
    static: Iterable[tuple[Message, float]], version_info: str = ""
) -> Making[config_dump_shared_pb2.ListenersConfigDump]:
    """The static listeners, each with when it was loaded."""
    dump = config_dump_shared_pb2.ListenersConfigDump(version_info=version_info)
    for listener, last_updated in static:
        entry = dump.static_listeners.add()
        entry.listener.Pack(listener)
        _set_time(entry, last_updated)
        yield
    return dump


def scoped_routes_dump(
    inline: Iterable[tuple[ScopedRoutes, float]],
) -> Making[config_dump_shared_pb2.ScopedRoutesConfigDump]:
    """The `scoped_routes` of connection managers, each with when it was loaded."""
    dump = config_dump_shared_pb2.ScopedRoutesConfigDump()
    for scoped, last_updated in inline:
        entry = dump.inline_scoped_route_configs.add(name=scoped.name)
        for scope in scoped.scoped_route_configurations_list.scoped_route_configurations:
            entry.scoped_route_configs.add().Pack(scope)
            yield
        _set_time(entry, last_updated)
    yield
    return dump


def routes_dump(static: Iterable[tuple[Message, float]]) -> Making[config_dump_shared_pb2.RoutesConfigDump]:
    """The route tables written inside listeners, each with when it was loaded."""
    dump = config_dump_shared_pb2.RoutesConfigDump()
    for route_config, last_updated in static:
        entry = dump.static_route_configs.add()
        entry.route_config.Pack(route_config)
        _set_time(entry, last_updated)
        yield
    return dump


def secrets_dump(static: Iterable[tuple[str, Message]]) -> Making[config_dump_pb2.SecretsConfigDump]:
    """The static secrets by name; their keys are redacted when the dump is printed."""
    dump = config_dump_pb2.SecretsConfigDump()
    for name, secret in static:
        dump.static_secrets.add(name=name).secret.Pack(secret)
        yield
    return dump


def endpoints_dump(static: Iterable[ClusterStatus]) -> Making[config_dump_shared_pb2.EndpointsConfigDump]:
    """The static clusters' endpoints (ClusterLoadAssignment) as resolved."""
    dump = config_dump_shared_pb2.EndpointsConfigDump()
    for cluster in static:
        assignment = yield from _assignment(cluster)
        dump.static_endpoint_configs.add().endpoint_config.Pack(assignment)
    return dump


def _assignment(cluster: ClusterStatus) -> Making[endpoint_pb2.ClusterLoadAssignment]:
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster.eds_service_name or cluster.name)
    assignment.policy.overprovisioning_factor.value = cluster.overprovisioning_factor
    groups: dict[tuple[int, str, str, str], endpoint_components_pb2.LocalityLbEndpoints] = {}
    for host in cluster.hosts:
        place = (host.priority, host.region, host.zone, host.sub_zone)
        if place not in groups:
            groups[place] = assignment.endpoints.add(priority=host.priority)
            locality = base_pb2.Locality(region=host.region, zone=host.zone, sub_zone=host.sub_zone)
            groups[place].locality.CopyFrom(locality)
            groups[place].load_balancing_weight.value = cluster.locality_weights.get(place, 0)
        groups[place].lb_endpoints.append(_lb_endpoint(host))
        yield
    return assignment


def _lb_endpoint(host: HostStatus) -> endpoint_components_pb2.LbEndpoint:
    message = endpoint_components_pb2.LbEndpoint(health_status=_health_status(host.health))
    message.endpoint.address.CopyFrom(address_message(host.address))
    message.endpoint.hostname = host.hostname
    # Present though empty, as in Envoy.
    message.endpoint.health_check_config.SetInParent()
    message.endpoint.health_check_config.hostname = host.health_check_hostname
    message.endpoint.health_check_config.port_value = host.health_check_port
    for each in host.additional_addresses:
        message.endpoint.additional_addresses.add().address.CopyFrom(address_message(each))
    if host.has_metadata or host.metadata:
        message.metadata.SetInParent()
        for name, values in host.metadata.items():
            message.metadata.filter_metadata[name].update(values)
    message.load_balancing_weight.value = host.weight
    return message


def _health_status(health: HealthFlags) -> str:
    """A host's state as its endpoint has it: all that is against it, in one of three words."""
    if health.failed_active_health_check or health.failed_outlier_check:
        return "UNHEALTHY"
    if health.eds_health_status in ("UNHEALTHY", "DRAINING"):
        return "UNHEALTHY"
    return "DEGRADED" if health.failed_active_degraded_check else health.eds_health_status


def _set_time(entry: Message, seconds: float) -> None:
    entry.last_updated.FromMilliseconds(round(seconds * 1000))  # type: ignore[attr-defined]


def dump_json(makings: Iterable[Making[Message]], request: DumpRequest) -> Making[Iterator[str]]:
    """An envoy.admin.v3.ConfigDump of the dumps, cut down as asked: it is made in steps, and then is text in pieces.

    Errors: DumpError.
    """
    dumps: list[Message] = []
    for making in makings:
        dump = yield from making
        dumps.append(dump)
    if request.name_regex:
        yield from _keep_named(dumps, _compiled(request.name_regex))
    chosen = (yield from _resource(dumps, request)) if request.resource else _whole(dumps, request.mask)
    return list_json("configs", map(lazy_any, chosen))


def _whole(dumps: Sequence[Message], mask: str) -> Sequence[Message]:
    if not mask:
        return dumps
    trimmed = [dump for dump in dumps if _applies(Mask(mask), dump)]
    if not trimmed:
        raise DumpError(f"FieldMask {mask} could not be successfully applied to any configs.")
    return trimmed


def _applies(mask: Mask, message: Message) -> bool:
    try:
        mask.trim(message)
    except MaskError:
        return False
    return True


def _resource(dumps: Sequence[Message], request: DumpRequest) -> Making[Sequence[Message]]:
    holder = next((dump for dump in dumps if request.resource in dump.DESCRIPTOR.fields_by_name), None)
    if holder is None:
        raise DumpError(f"{request.resource} not found in config dump", is_absent=True)
    if not holder.DESCRIPTOR.fields_by_name[request.resource].is_repeated:
        raise DumpError(
            f"{request.resource} is not a repeated field. Use ?mask={request.resource} to get only this field"
        )
    entries: Sequence[Message] = list(getattr(holder, request.resource))
    if request.mask:
        mask = Mask(request.mask)
        for entry in entries:
            if not _applies(mask, entry):
                raise DumpError(f'FieldMask paths: "{request.mask}" could not be successfully used.')
            yield
    return entries


def _compiled(pattern: str) -> re2.Pattern:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        words = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise DumpError(f"INVALID_ARGUMENT: Error while parsing name_regex from {pattern}: {words}") from None


def _keep_named(dumps: Sequence[Message], pattern: re2.Pattern) -> Making[None]:
    for dump in dumps:
        for field, entries in dump.ListFields():
            if field.is_repeated and field.message_type is not None:
                for index in reversed(range(len(entries))):
                    if not pattern.fullmatch(_name(entries[index])):
                        del entries[index]
                    yield


def _name(entry: Message) -> str:
    """An entry's name: its own, or that of the configuration it holds."""
    return next((name for name in _names(entry) if name), "")


def _names(entry: Message) -> Iterator[str]:
    if "name" in entry.DESCRIPTOR.fields_by_name:
        yield str(entry.name)  # type: ignore[attr-defined]
    for _, value in entry.ListFields():
        if isinstance(value, Any):
            held = unpacked(value)
            yield str(getattr(held, "name", "") or getattr(held, "cluster_name", ""))
