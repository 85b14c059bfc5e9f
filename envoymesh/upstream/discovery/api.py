"""What a discovery is to its cluster, and a cluster to its discovery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from envoymesh.network.api import Address
from envoymesh.upstream.host import Host
from envoymesh.upstream.settings import EndpointSettings

HostKey = tuple[str, int]
OnUpdate = Callable[[Sequence[Host]], None]


class Discovery(Protocol):
    """Finds hosts."""

    def start(self, on_update: OnUpdate, on_initialised: Callable[[], None]) -> None:
        """Begin. `on_update` gets all hosts, at each change; `on_initialised` comes once, after the first attempt."""

    def stop(self) -> None:
        """No callback from now on."""


def merge_hosts(known: Sequence[Host], wanted: Sequence[tuple[Address, EndpointSettings]]) -> list[Host]:
    """Hosts for `wanted`, in its order, keeping the object of a known address whose settings are the same."""
    by_address = {host.address: host for host in known}
    merged: list[Host] = []
    for address, endpoint in dict(wanted).items():
        host = by_address.get(address)
        merged.append(host if host is not None and host.endpoint == endpoint else Host(address, endpoint))
    return merged
