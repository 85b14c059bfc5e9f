"""The parts of an authority, as whoever connects to it wants them. It must not know requests."""

from __future__ import annotations


def host_of(authority: str) -> str:
    """An authority without its port, and an IPv6 address without brackets (`Http::Utility::parseAuthority`)."""
    host, colon, _ = authority.rpartition(":")
    if not colon or port_of(authority) is None:
        host = authority
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def port_of(authority: str) -> int | None:
    """The port of an authority; None where it says none. An IPv6 address without brackets has no port."""
    host, colon, port = authority.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")) or not port.isascii() or not port.isdigit():
        return None
    return int(port) if int(port) <= 65535 else None
