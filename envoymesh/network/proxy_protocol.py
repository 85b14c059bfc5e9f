"""Headers of the PROXY protocol, versions 1 and 2, as they are written (HAProxy's proxy-protocol.txt).

This module must not know connections, nor read headers: `filters/listener/proxy_protocol` does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from envoymesh.network.api import Address, Tlv

V1_START: Final = b"PROXY "
V2_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""The first twelve bytes of version 2."""

_PROXY: Final = 0x21
_LOCAL: Final = 0x20
_LARGEST: Final = 0xFFFF
"""Bytes of addresses and TLVs together, whose number has two bytes."""


def version_1(source: Address, destination: Address) -> bytes:
    """The line of version 1; without IP addresses it says that nothing is known."""
    if not (source.ip and destination.ip):
        return b"PROXY UNKNOWN\r\n"
    family = "TCP6" if source.is_ipv6 else "TCP4"
    return f"PROXY {family} {source.ip} {destination.ip} {source.port} {destination.port}\r\n".encode()


def version_2(source: Address, destination: Address, tlvs: Sequence[Tlv] = ()) -> tuple[bytes, bool]:
    """The header of version 2, and whether the extensions had room in it: else there are none."""
    if not (source.ip and destination.ip):
        return version_2_local(), True
    addresses = b"".join(ipaddress.ip_address(each.ip).packed for each in (source, destination))
    addresses += source.port.to_bytes(2, "big") + destination.port.to_bytes(2, "big")
    extensions = b"".join(bytes([kind]) + len(value).to_bytes(2, "big") + value for kind, value in tlvs)
    fits = len(addresses) + len(extensions) <= _LARGEST
    content = addresses + (extensions if fits else b"")
    family = 0x21 if source.is_ipv6 else 0x11
    return V2_SIGNATURE + bytes([_PROXY, family]) + len(content).to_bytes(2, "big") + content, fits


def version_2_local() -> bytes:
    """The header of a connection of our own, such as a health check's."""
    return V2_SIGNATURE + bytes([_LOCAL, 0, 0, 0])
