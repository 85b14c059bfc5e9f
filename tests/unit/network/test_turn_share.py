"""A connection's handler is called once in a turn of the loop, and gets again what it did not take, in order."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from envoymesh.network.api import CloseType, ConnectionEvent
from envoymesh.network.connection.tcp_connection import READ_SHARE
from envoymesh.network.settings import CertificateSettings
from tests.support.network import Net, Watcher, plain_listener, tls_chain
from tests.unit.network.conftest import Run
from tests.unit.network.tls.test_tls_connection import client_context

SENT = bytes(range(256)) * 4000


class Nibbler(Watcher):
    """Takes a little at a time, and notes in which turn of the loop."""

    def __init__(self, net: Net, bite: int) -> None:
        super().__init__()
        self._net = net
        self._bite = bite
        self.turn = 0
        self.turns: list[int] = []
        self._count()

    def _count(self) -> None:
        self.turn += 1
        if not self.events:
            self._net.dispatcher.post(self._count)

    def on_data(self, data: bytes) -> int:
        self.turns.append(self.turn)
        return super().on_data(data[: self._bite])


@pytest.fixture(params=["plain", "tls"])
def served(request: pytest.FixtureRequest, certificate: CertificateSettings, ca: Any) -> Any:
    """A function that gives (send, close, the server's connection): the client is asyncio's own."""

    async def start(net: Net) -> tuple[Any, Any]:
        chains = {"filter_chains": (tls_chain(certificate),)} if request.param == "tls" else {}
        listener = await net.listen(plain_listener(**chains))
        address = listener.addresses[0]
        options = {"ssl": client_context(ca), "server_hostname": "a.test"} if chains else {}
        _, writer = await asyncio.open_connection(address.host, address.port, **options)
        server = await net.next_accepted()
        net.at_end.append(lambda: writer.transport.abort())
        return writer, server.connection

    return start


@pytest.mark.parametrize("bite", [5_000, READ_SHARE - 1, len(SENT)])
def test_once_in_a_turn(run: Run, served: Any, bite: int) -> None:
    async def main(net: Net) -> None:
        writer, connection = await served(net)
        nibbler = Nibbler(net, bite)
        connection.set_handler(nibbler)
        writer.write(SENT)
        await nibbler.until(lambda: len(nibbler.data) == len(SENT))
        assert bytes(nibbler.data) == SENT
        assert connection.bytes_received == len(SENT)
        assert len(set(nibbler.turns)) == len(nibbler.turns), "two calls in one turn"
        writer.write(b"more")
        await nibbler.until(lambda: nibbler.data.endswith(b"more"))
        assert connection.buffered == (0, 0)

    run(main)


def test_what_waits_is_not_lost_to_the_end_behind_it(run: Run, served: Any) -> None:
    async def main(net: Net) -> None:
        writer, connection = await served(net)
        nibbler = Nibbler(net, 1_000)
        connection.set_handler(nibbler)
        writer.write(b"x" * 50_000)
        writer.close()
        await nibbler.until(lambda: nibbler.eof == 1 or bool(nibbler.events))
        assert len(nibbler.data) == 50_000
        connection.close(CloseType.NO_FLUSH)

    run(main)


def test_reading_disabled_while_bytes_wait(run: Run, served: Any) -> None:
    async def main(net: Net) -> None:
        writer, connection = await served(net)

        class Choosy(Nibbler):
            def on_data(self, data: bytes) -> int:
                taken = super().on_data(data)
                self.connection.read_disable(True)
                return taken

        handler = Choosy(net, 20_000)
        handler.connection = connection
        connection.set_handler(handler)
        writer.write(b"x" * 100_000)
        seen = 0
        while seen < 100_000:
            await handler.until(lambda seen=seen: len(handler.data) > seen)
            seen = len(handler.data)
            calls, turn = len(handler.turns), handler.turn
            while handler.turn < turn + 5:
                await _turn(net)
            assert len(handler.turns) == calls, "called while reading was disabled"
            connection.read_disable(False)
        connection.close(CloseType.NO_FLUSH)
        assert handler.events == [ConnectionEvent.LOCAL_CLOSE]

    run(main)


def test_a_close_drops_what_waits(run: Run, served: Any) -> None:
    async def main(net: Net) -> None:
        writer, connection = await served(net)

        class Closing(Nibbler):
            def on_data(self, data: bytes) -> int:
                taken = super().on_data(data)
                self.connection.write(b"bye")
                self.connection.close(CloseType.FLUSH_WRITE)
                return taken

        handler = Closing(net, 1)
        handler.connection = connection
        connection.set_handler(handler)
        writer.write(b"x" * 1000)
        await handler.until_closed()
        assert bytes(handler.data) == b"x"

    run(main)


async def _turn(net: Net) -> None:
    done = asyncio.get_running_loop().create_future()
    net.dispatcher.post(lambda: done.set_result(None))
    await done


def test_records_in_pieces_of_a_byte(run: Run, ca: Any, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(filter_chains=(tls_chain(certificate),)))
        address = listener.addresses[0]
        reader, writer = await asyncio.open_connection(address.host, address.port)
        net.at_end.append(lambda: writer.transport.abort())
        while not listener.active_connections:
            await _turn(net)
        connection: Any = next(iter(listener._open))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = client_context(ca).wrap_bio(incoming, outgoing, server_hostname="a.test")

        def deliver() -> None:
            for byte in outgoing.read():
                connection.data_received(bytes([byte]))

        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                deliver()
                incoming.write(await reader.read(65536))
        deliver()
        server = await net.next_accepted()
        client.write(b"x" * 20_000)
        deliver()
        assert len(server.data) == 20_000
        assert connection.buffered[0] == 0

    run(main)
