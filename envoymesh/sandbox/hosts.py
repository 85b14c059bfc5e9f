"""The hosts files that stand for Docker's name service: c-ares reads the file that CARES_HOSTS names. Pure functions.

This module must not write files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

HEADER = "# Written by envoymesh; c-ares reads it because CARES_HOSTS names it.\n"


def hosts_text(names: Mapping[str, Iterable[str]]) -> str:
    """A hosts file of name -> addresses: one line for each address, as c-ares wants it."""
    lines = [f"{address} {name}\n" for name, addresses in names.items() for address in addresses]
    return HEADER + "".join(lines)


def names_for(
    replica: str, service: str, address: str, members: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """The names that one replica can resolve: its own host name, and every service with its members' addresses.

    Its own service is left out: c-ares joins two names that share an address into one entry, so that the replica's host
    name would have the addresses of all replicas of its service.
    """
    others = {name: addresses for name, addresses in members.items() if name != service}
    return {replica: [address], **others}
