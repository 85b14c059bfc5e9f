"""What a case is: where a client connects, what it sends, and in which dialect its bytes are shown.

A case says nothing about what is right: the real Envoy does. This file must not know proxies.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.integration.outcomes import shown
from tests.parity.frames import show_http2
from tests.parity.setup import Setup
from tests.parity.steps import CaseStep

Show = Callable[[bytes], str]


@dataclass(frozen=True)
class Tls:
    """A client's side of a handshake; `context` is made from the folder of certificates."""

    context: Callable[[str], ssl.SSLContext]
    server_name: str | None = "a.example.com"


@dataclass(frozen=True)
class Case:
    """One exchange, on a connection of its own or on several.

    Args:
        setup: what it runs against; None is the common bootstrap (configuration.py).
        listener: a listener of the configuration, or ``admin``.
        quiet: seconds of silence to watch for, where the case is about a timer; 0 lets agreement decide.
        show: bytes from the proxy -> text to compare.
        lines: how many lines of the access log to wait for, where it is not one for each request.
        bytes_counted: whether counters of bytes on the wire are determined (not where HPACK or TLS packs them).
    """

    area: str
    name: str
    steps: tuple[CaseStep, ...]
    listener: str = "plain"
    quiet: float = 0.0
    show: Show = shown
    tls: Tls | None = None
    bytes_counted: bool = True
    lines: int | None = None
    setup: Setup | None = None

    @property
    def id(self) -> str:
        """How the case is called in reports and in the list of intended differences."""
        return f"{self.area}: {self.name}"

    def in_area(self, area: str) -> Case:
        """The same case elsewhere."""
        return replace(self, area=area)


def http2_case(area: str, name: str, *steps: CaseStep, on: str = "plain", quiet: float = 0.0) -> Case:
    """A case whose client speaks HTTP/2."""
    return Case(area, name, steps, on, quiet, show_http2, bytes_counted=False)
