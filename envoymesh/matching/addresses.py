"""Ranges of IP addresses (envoy.config.core.v3.CidrRange), and a look-up of the ranges that hold an address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final, Generic, TypeVar

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NOTHING: Final = ()
T = TypeVar("T")


class AddressTable(Generic[T]):
    """Values by ranges of addresses: one dictionary for each length of prefix that there is.

    Args:
        entries: ranges and what they stand for; several may be alike, or one within the other.
    """

    __slots__ = ("_by_length",)

    def __init__(self, entries: Iterable[tuple[Network, T]]) -> None:
        lengths: dict[tuple[int, int], dict[int, list[T]]] = {}
        for network, value in entries:
            places = lengths.setdefault((network.version, network.prefixlen), {})
            places.setdefault(_leading(int(network.network_address), network.prefixlen, network.max_prefixlen), [])
            places[_leading(int(network.network_address), network.prefixlen, network.max_prefixlen)].append(value)
        self._by_length = sorted(lengths.items(), key=lambda each: -each[0][1])

    def find(self, text: str) -> Sequence[T]:
        """The values of all ranges that hold an address: the longest prefix first, of one range in their order.

        Text that is no address is in no range.
        """
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return NOTHING
        number, version, size = int(address), address.version, address.max_prefixlen
        found: list[T] = []
        for (kind, length), places in self._by_length:
            if kind == version:
                found.extend(places.get(_leading(number, length, size), NOTHING))
        return found


def is_address(text: str) -> bool:
    """Whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _leading(number: int, length: int, size: int) -> int:
    """The first bits of an address."""
    return number >> (size - length)


class AddressMatcher:
    """Whether an address is in any of some ranges (envoy.type.matcher.v3.AddressMatcher)."""

    __slots__ = ("_table", "ranges")

    def __init__(self, ranges: Sequence[Network]) -> None:
        self.ranges = tuple(ranges)
        self._table = AddressTable([(each, True) for each in ranges])

    def matches(self, text: str) -> bool:
        """Whether the text is an address in the ranges."""
        return bool(self._table.find(text))

    def __repr__(self) -> str:
        return f"AddressMatcher({[str(each) for each in self.ranges]})"
