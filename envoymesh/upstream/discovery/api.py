"""What a discovery is to its cluster, and what discoveries share: known hosts are kept, priorities are filled.

This module must not find hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from envoymesh.network.api import Address
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.host import (
    FAILED_ACTIVE_HC,
    FAILED_EDS_HEALTH,
    PENDING_ACTIVE_HC,
    PENDING_DYNAMIC_REMOVAL,
    Host,
)
from envoymesh.upstream.host_set import PrioritySet
from envoymesh.upstream.settings import EndpointSettings, Locality

_NO_WEIGHTS: Final[dict[Locality, int]] = {}


class Discovery(Protocol):
    """Finds hosts."""

    def start(self, hosts: PrioritySet, on_initialised: Callable[[], None]) -> None:
        """Begin to fill `hosts`, and go on. `on_initialised` comes once, after the first attempt."""

    def stop(self) -> None:
        """No change and no callback from now on."""


def make_host(info: ClusterInfo, address: Address, endpoint: EndpointSettings) -> Host:
    """A host, counted with the transport socket that it has, even where a known host then takes its place."""
    info.transport_sockets.resolve(endpoint).total_match_count.inc()
    host = Host(address, endpoint)
    if info.has_health_checker:
        _begin_unchecked(info, host)
    return host


def _begin_unchecked(info: ClusterInfo, host: Host) -> None:
    """A host that is yet to be checked counts as one that has failed; as in Envoy, a logical DNS host does not."""
    checks, kind = host.endpoint.health_check, info.settings.discovery_type
    if kind == "LOGICAL_DNS" or (checks is not None and checks.disabled):
        return
    host.health_flag_set(FAILED_ACTIVE_HC)
    if kind != "STATIC" and info.settings.ignore_new_hosts_until_first_hc:
        host.health_flag_set(PENDING_ACTIVE_HC)


def set_priority(info: ClusterInfo, hosts: PrioritySet, priority: int, members: Iterable[Host]) -> None:
    """Make these the members of a priority, with what the cluster's settings say of it."""
    settings = info.settings
    hosts.update_hosts(
        priority,
        members,
        settings.locality_weights.get(priority, _NO_WEIGHTS),
        settings.overprovisioning_factor,
        settings.weighted_priority_health,
    )


def merge_hosts(known: Sequence[Host], found: Sequence[Host], stabilise: bool) -> list[Host]:
    """The hosts of an update: those found, in their order, the known object where the address is known.

    A known host takes over weight, health and metadata of the found one, but one of another locality is replaced.

    Args:
        found: hosts made anew; an address that comes again counts once.
        stabilise: whether active health checks decide on the hosts that were not found (Envoy keeps those that are
            healthy until they fail, unless `ignore_health_on_host_removal`).
    """
    by_address = {host.address: host for host in known}
    merged: dict[Address, Host] = {}
    for host in found:
        if host.address not in merged:
            before = by_address.get(host.address)
            merged[host.address] = host if before is None or not _took_over(before, host) else before
    if stabilise:
        for host in known:
            if host.address not in merged and not host.health_flag_get(FAILED_ACTIVE_HC | FAILED_EDS_HEALTH):
                host.health_flag_set(PENDING_DYNAMIC_REMOVAL)
                merged[host.address] = host
    return list(merged.values())


def _took_over(known: Host, found: Host) -> bool:
    """Whether a known host could become what was found now."""
    if known.locality != found.locality:
        return False
    known.health_flag_clear(PENDING_DYNAMIC_REMOVAL)
    if known.endpoint is not found.endpoint:
        known.take_over(found.endpoint)
    return True
