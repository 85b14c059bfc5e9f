"""Ports for tests that must name one before somebody listens on it. Where port 0 will do, that is better."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000


def unclaimed_port(host: str = "127.0.0.1") -> int:
    """A free port that the system gives to nobody who asks for any: one that it gave for port 0 and got back is given
    to the next who asks, which under load is another test.

    Processes begin their search at different places, so that two do not find the same one.
    """
    # Where it is not to be known: the range of IANA, which BSD and macOS use, begins above these ports.
    first = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 49_152
    count = first - _LOWEST
    for step in range(count):
        port = _LOWEST + (os.getpid() * 97 + step) % count
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError("every port is taken")
