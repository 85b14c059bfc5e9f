"""Microseconds of Python for one proxied request: the whole proxy in this process, with fake transports.

One real exchange connects everything; then the connections' transports are replaced and bytes go in by hand. That
leaves the system calls and the neighbours out, so that a change of 2% can be seen. HTTP/1 to HTTP/1 only.

Run: .venv/bin/python -m bench.hot_path [--profile]. It asserts nothing.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import json
import pstats
import sys
import time
from pathlib import Path

from bench.mesh_config import Ports, Setup, bootstrap
from bench.processes import free_port
from envoymesh.config.load import load_bootstrap
from envoymesh.network.connection.tcp_connection import TcpConnection
from envoymesh.network.loop.dispatcher import new_event_loop
from envoymesh.options import Options
from envoymesh.server.log import ProcessLog
from envoymesh.server.server import Server

REQUEST = b"GET /service/1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n"
HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 92\r\nConnection: keep-alive\r\n\r\n"
)
RESPONSE = HEAD + b"x" * 92
ROUNDS = 60
REQUESTS = 500


class Sink:
    """A transport that takes everything and sends nothing."""

    def write(self, data: bytes) -> None:
        """Gone."""

    def get_write_buffer_size(self) -> int:
        """Never anything."""
        return 0

    def abort(self) -> None:
        """There is nothing to end."""


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The upstream of the one real exchange."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(RESPONSE)


async def connected(port: int) -> asyncio.StreamWriter:
    """A client connection that has had its answer."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            await asyncio.sleep(0.01)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(92)
    return writer


def make_server(ports: Ports, loop: asyncio.AbstractEventLoop) -> Server:
    """The proxy of the plain scenario."""
    config = json.dumps(bootstrap(Setup(), ports, Path("/nowhere"), None))
    options = Options(config_yaml=config, log_level="warning")
    log = ProcessLog(options.log_level, "", options.log_format, "")
    return Server(options, load_bootstrap(None, config), log, loop)


async def measure(profile: cProfile.Profile | None) -> list[float]:
    """Microseconds per request, one figure a round."""
    upstream = await asyncio.start_server(answer, "127.0.0.1", 0)
    ports = Ports(free_port(), free_port(), upstream.sockets[0].getsockname()[1])
    server = make_server(ports, asyncio.get_running_loop())
    serving = asyncio.ensure_future(server.run())
    client = await connected(ports.listener)
    down, up = _tame(ports.upstream)
    gc.collect()
    gc.freeze()
    flush = server.dispatcher._flush_all
    if profile is not None:
        profile.enable()
    results = [_round(down, up, flush) for _ in range(ROUNDS)]
    if profile is not None:
        profile.disable()
    client.close()
    serving.cancel()
    upstream.close()
    return results


def _tame(upstream_port: int) -> tuple[TcpConnection, TcpConnection]:
    """The downstream and the upstream connection, with fake transports."""
    ours = [each for each in gc.get_objects() if isinstance(each, TcpConnection) and each.established]
    up = next(each for each in ours if each.remote_address and each.remote_address.port == upstream_port)
    down = next(each for each in ours if each is not up)
    for each in (up, down):
        each._transport = Sink()  # type: ignore[assignment]  # all that the path asks of it
    return down, up


def _round(down: TcpConnection, up: TcpConnection, flush: object) -> float:
    began = time.process_time()
    for _ in range(REQUESTS):
        down.data_received(REQUEST)
        flush()  # type: ignore[operator]
        up.data_received(RESPONSE)
        flush()  # type: ignore[operator]
    return (time.process_time() - began) / REQUESTS * 1e6


def main() -> None:
    """Print the rounds' least (what it costs undisturbed) and median."""
    profile = cProfile.Profile() if "--profile" in sys.argv else None
    loop = new_event_loop()
    results = sorted(loop.run_until_complete(measure(profile)))
    print(f"{results[0]:.1f} us/request at best, median {results[len(results) // 2]:.1f}")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(60)


if __name__ == "__main__":
    main()
