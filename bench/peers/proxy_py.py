"""proxy.py with its reverse proxy plugin: one acceptor, requests served in it.

Run: python proxy_py.py PORT HOST:PORT
"""

from __future__ import annotations

import signal
import sys

import proxy
from proxy.http.server import ReverseProxyBasePlugin


class Forward(ReverseProxyBasePlugin):
    """Everything goes to the one upstream."""

    def routes(self) -> list[tuple[str, list[bytes]]]:
        """Pattern and upstreams."""
        return [(r"/.*$", [b"http://" + sys.argv[2].encode() + b"/"])]


if __name__ == "__main__":
    listen = ["--hostname", "127.0.0.1", "--port", sys.argv[1], "--num-acceptors", "1", "--num-workers", "1"]
    serve = ["--enable-web-server", "--enable-reverse-proxy", "--disable-http-proxy", "--log-level", "ERROR"]
    with proxy.Proxy([*listen, *serve], plugins=[Forward]):
        signal.pause()
