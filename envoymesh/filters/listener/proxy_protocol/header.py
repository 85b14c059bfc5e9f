"""Reads a PROXY protocol header of either version from the first bytes of a connection (HAProxy's proxy-protocol.txt).

Sans-I/O, on untrusted bytes: any input gives a header, an error or asks for more, and never for more than the longest
header. What is an error is what is one to Envoy. This module must not know connections.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from envoymesh.network.api import Address, Tlv
from envoymesh.network.proxy_protocol import V1_START, V2_SIGNATURE

V2_HEADER: Final = 16
"""Bytes of version 2 before the addresses: signature, version and command, family and protocol, length."""

LONGEST_V1: Final = 108
"""Bytes of version 1's line at most."""

_ADDRESSES: Final = {1: 12, 2: 36}
"""Bytes of both addresses and ports, by family (AF_INET, AF_INET6)."""

_LOCAL: Final = 0
_PROXY: Final = 1


class HeaderError(Exception):
    """The bytes are no header."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header says.

    Args:
        length: of it, in bytes.
        source, destination: None where the connection's own addresses count (UNKNOWN, LOCAL).
    """

    length: int
    source: Address | None = None
    destination: Address | None = None
    tlvs: tuple[Tlv, ...] = ()


def could_begin(data: bytes, start: bytes) -> bool:
    """Whether bytes, however few, are how something begins."""
    return start.startswith(data[: len(start)])


def version_of(data: bytes) -> int:
    """1 or 2 where that is clear, 0 where it is not yet. Errors: HeaderError."""
    if len(data) >= V2_HEADER:
        if data.startswith(V2_SIGNATURE):
            return 2
        if not data.startswith(V1_START):
            raise HeaderError("neither version's beginning")
    return 1 if _end_of_line(data) else 0


def _end_of_line(data: bytes) -> int:
    """How many bytes a line has with its CR LF, 0 where it has no end yet. Errors: HeaderError where none comes."""
    if data.startswith(b"\r\n"):
        return 0  # what begins like version 2 has no lines
    end = data.find(b"\r\n")
    if end < 0 and len(data) > LONGEST_V1:
        raise HeaderError("a line that is too long")
    return end + 2 if end >= 0 else 0


def read_version_1(data: bytes) -> ProxyHeader:
    """Read the line, which is there. Errors: HeaderError."""
    length = _end_of_line(data)
    if length > LONGEST_V1:
        raise HeaderError("a line that is too long")
    words = data[:length].rstrip().split(b" ")
    words = [word for word in words if word]
    if len(words) < 2 or words[0] != b"PROXY":
        raise HeaderError("no PROXY line")
    if words[1] == b"UNKNOWN":
        return ProxyHeader(length)
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise HeaderError("not a family and two addresses with ports")
    is_ipv6 = words[1] == b"TCP6"
    return ProxyHeader(length, _address(words[2], words[4], is_ipv6), _address(words[3], words[5], is_ipv6))


def _address(host: bytes, port: bytes, is_ipv6: bool) -> Address:
    kind = ipaddress.IPv6Address if is_ipv6 else ipaddress.IPv4Address
    try:
        if b"%" in host:
            raise HeaderError("an address with a zone")
        address = kind(host.decode("ascii"))
    except ValueError as error:
        raise HeaderError("not an address") from error
    if not port.isdigit() or int(port) > 0xFFFF:
        raise HeaderError("not a port")
    return _unicast(address, int(port))


def _unicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> Address:
    # As in Envoy: 0.0.0.0, :: and broadcast are nobody's.
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        raise HeaderError("not the address of anybody")
    return Address(str(address), port)


def read_version_2(data: bytes) -> ProxyHeader | None:
    """Read the header, of which V2_HEADER bytes are there; None asks for more. Errors: HeaderError."""
    version, command, family = data[12] >> 4, data[12] & 0xF, data[13] >> 4
    if version != 2:
        raise HeaderError("another version")
    length = V2_HEADER + int.from_bytes(data[14:16], "big")
    if command == _LOCAL:
        return ProxyHeader(length) if len(data) >= length else None
    size = _ADDRESSES.get(family)
    if size is None or V2_HEADER + size > length:
        raise HeaderError("no IP addresses, or no room for them")
    if len(data) < V2_HEADER + size:
        return None
    if command != _PROXY or data[13] & 0xF not in (1, 2):
        raise HeaderError("another command or protocol")
    if len(data) < length:
        return None
    source, destination = _addresses(data[V2_HEADER : V2_HEADER + size])
    return ProxyHeader(length, source, destination, _tlvs(data[V2_HEADER + size : length]))


def _addresses(data: bytes) -> tuple[Address, Address]:
    half = (len(data) - 4) // 2
    ports = (int.from_bytes(data[at : at + 2], "big") for at in (2 * half, 2 * half + 2))
    hosts = (ipaddress.ip_address(data[at : at + half]) for at in (0, half))
    source, destination = (_unicast(host, port) for host, port in zip(hosts, ports, strict=True))
    return source, destination


def _tlvs(data: bytes) -> tuple[Tlv, ...]:
    found: list[Tlv] = []
    at = 0
    while at < len(data):
        value = at + 3
        end = value + int.from_bytes(data[at + 1 : value], "big")
        if value > len(data) or end > len(data):
            raise HeaderError("an extension that is cut short")
        found.append((data[at], data[value:end]))
        at = end
    return tuple(found)
