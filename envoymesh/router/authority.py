"""The parts of a request's authority. It must not know routes."""

from __future__ import annotations


def split_port(host: bytes) -> tuple[bytes, bytes]:
    """Split ``name:80`` into (``name``, ``:80``); the second is empty without a port. IPv6 literals keep brackets."""
    colon = host.rfind(b":")
    if colon < 0 or not host[colon + 1 :].isdigit():
        return host, b""
    if b":" in host[:colon] and not host.startswith(b"["):
        return host, b""
    return host[:colon], host[colon:]
