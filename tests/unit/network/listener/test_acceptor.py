"""Accepting on a real socket: so many a turn, what is refused, what waits at the end, and a shortage in between."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from envoymesh.errors import BindError
from envoymesh.network.listener.acceptor import RETRY, Acceptor
from envoymesh.network.listener.tcp_listener import TcpListener
from envoymesh.network.loop.shortage import QUIET, Shortage
from tests.support.network import Net, plain_listener
from tests.unit.network.conftest import Run


class Counting(asyncio.Protocol):
    """A connection that is only counted."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        type(self).made += 1
        transport.close()


class Unwilling:
    """A listening socket whose accept fails as told, then goes on."""

    def __init__(self, sock: socket.socket, *failures: int) -> None:
        self.sock = sock
        self.failures = list(failures)

    def accept(self) -> Any:
        if self.failures:
            raise OSError(self.failures.pop(0), "unwilling")
        return self.sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


class Bench:
    """An acceptor on a port, its turns, and clients."""

    def __init__(self, net: Net, *failures: int, limit: int = 4) -> None:
        Counting.made = 0
        self.turns: list[int] = []
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        self.address = sock.getsockname()
        self.sock = Unwilling(sock, *failures)
        shortage = Shortage(net.dispatcher)
        self.acceptor = Acceptor(net.dispatcher, self.sock, Counting, limit, self.turns.append, shortage)  # type: ignore[arg-type]
        self.acceptor.listen(100)
        self.clients: list[socket.socket] = []

    def connect(self, count: int) -> None:
        self.clients += [socket.create_connection(self.address, 10) for _ in range(count)]

    async def until(self, made: int) -> None:
        async with asyncio.timeout(10):
            while Counting.made < made:
                await asyncio.sleep(0.005)

    def close(self) -> None:
        self.acceptor.close()
        for client in self.clients:
            client.close()


def test_so_many_a_turn_and_the_rest_in_the_next(run: Run) -> None:
    async def main(net: Net) -> None:
        bench = Bench(net)
        bench.connect(10)
        await bench.until(10)
        assert bench.turns[:3] == [4, 4, 2]
        bench.close()

    run(main)


@pytest.mark.parametrize("failure", [errno.ECONNABORTED, errno.EPERM, errno.EPROTO])
def test_a_connection_that_is_gone_does_not_stop_the_next(run: Run, failure: int) -> None:
    async def main(net: Net) -> None:
        bench = Bench(net, failure)
        bench.connect(2)
        await bench.until(2)
        assert bench.turns[0] == 2, "in the same turn"
        bench.close()

    run(main)


@pytest.mark.slow
@pytest.mark.parametrize("failure", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL])
def test_a_shortage_is_waited_out_and_said_once(run: Run, failure: int, caplog: pytest.LogCaptureFixture) -> None:
    async def main(net: Net) -> None:
        bench = Bench(net, failure, failure)
        bench.connect(1)
        started = net.dispatcher.now()
        await bench.until(1)
        assert bench.turns[:2] == [0, 0]
        assert net.dispatcher.now() - started > RETRY, "the loop does not spin meanwhile"
        bench.close()

    with caplog.at_level(logging.WARNING):
        run(main)
    [record] = caplog.records
    assert "cannot accept connections on 127.0.0.1:" in record.getMessage()


@pytest.mark.slow
def test_a_shortage_is_over_when_nothing_failed_for_a_while(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main(net: Net) -> None:
        shortage = Shortage(net.dispatcher)
        for _ in range(2):
            shortage.note("x", OSError(errno.EMFILE, ""))
            shortage.note("y", OSError(errno.EMFILE, ""))
            await asyncio.sleep(QUIET + 0.3)

    with caplog.at_level(logging.WARNING):
        run(main)
    said = [record.getMessage()[:1] for record in caplog.records]
    assert said == ["x", "c", "x", "c"]


def test_the_end_takes_who_waits_and_lets_no_one_in(run: Run) -> None:
    async def main(net: Net) -> None:
        bench = Bench(net)
        bench.connect(10)
        bench.acceptor.end()
        assert not bench.acceptor.idle, "a turn takes four"
        with socket.socket() as late:
            late.settimeout(0.05)
            assert late.connect_ex(bench.address) == errno.EAGAIN, "its SYN is overlooked"
            await bench.until(10)
            async with asyncio.timeout(10):
                while not bench.acceptor.idle:
                    await asyncio.sleep(0.005)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(bench.address, 1).close()
        assert sum(bench.turns) == Counting.made == 10
        bench.close()

    run(main)


def test_a_shortage_at_the_end_is_waited_out(run: Run) -> None:
    async def main(net: Net) -> None:
        bench = Bench(net, errno.EMFILE)
        bench.connect(3)
        bench.acceptor.end()
        assert not bench.acceptor.idle
        await bench.until(3)
        bench.close()

    run(main)


def longest_queue(listener: TcpListener) -> int:
    """What Linux says of a listening socket: tcp_info's tcpi_sacked is then the queue's limit."""
    [acceptor] = listener._acceptors
    return int.from_bytes(acceptor._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)[28:], sys.byteorder)


def test_the_backlog(run: Run) -> None:
    async def main(net: Net) -> None:
        somaxconn = int(Path("/proc/sys/net/core/somaxconn").read_text())
        assert longest_queue(await net.listen(plain_listener())) == somaxconn
        assert longest_queue(await net.listen(plain_listener(tcp_backlog_size=5))) == 5

    run(main)


def test_a_port_where_somebody_listens_is_a_bind_error(run: Run) -> None:
    """Both may bind (SO_REUSEADDR), one may listen."""

    async def main(net: Net) -> None:
        first = await net.listen(plain_listener(reuse_port=False))
        with pytest.raises(BindError, match=r"cannot bind '127.0.0.1:\d+': Address already in use"):
            await net.listen(plain_listener(reuse_port=False, address=first.addresses[0]))

    run(main)
