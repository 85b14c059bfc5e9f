"""Tests of tcp_connection: both ends over the loopback, on both loops, plain and with TLS."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import Any

import pytest

from envoymesh.network.api import CloseType, ConnectionEvent, PipeAddress, WriteFilter
from envoymesh.network.connection.sockets import address_of
from envoymesh.network.connection.tcp_connection import TcpConnection
from envoymesh.network.settings import CertificateSettings, CommonTlsSettings, UpstreamTlsSettings
from envoymesh.network.tls.tls_context import upstream_context
from tests.support.fakes import FakeDispatcher
from tests.support.network import Net, Watcher, plain_listener, tls_chain
from tests.support.stand_ins import stands_for
from tests.unit.network.conftest import Run

FAKE_DISPATCHER = "its dispatcher is a fake, and a compiled connection takes the real one alone"

CONNECTED, LOCAL, REMOTE = ConnectionEvent.CONNECTED, ConnectionEvent.LOCAL_CLOSE, ConnectionEvent.REMOTE_CLOSE


@pytest.fixture(params=["plain", "tls"])
def pair(request: pytest.FixtureRequest, certificate: CertificateSettings) -> Any:
    """A function that makes a connection: client, its handler, server, its handler."""

    async def make(net: Net, **options: Any) -> tuple[Any, Watcher, Any, Watcher]:
        limit = options.pop("server_buffer_limit", 1024 * 1024)
        if request.param == "plain":
            return await net.pair(plain_listener(per_connection_buffer_limit_bytes=limit), **options)
        settings = plain_listener(filter_chains=(tls_chain(certificate),), per_connection_buffer_limit_bytes=limit)
        tls = upstream_context(UpstreamTlsSettings(CommonTlsSettings(), sni="a.test"))
        return await net.pair(settings, tls=tls, **options)

    return make


def test_bytes_both_ways_and_facts(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, at_server = await pair(net)
        client.write(b"ping")
        client.write(b"-pong")
        await at_server.until(lambda: at_server.data == b"ping-pong")
        server.write(b"x" * 300_000)
        await at_client.until(lambda: len(at_client.data) == 300_000)
        assert client.remote_address == server.local_address
        assert client.local_address == server.remote_address
        assert (server.bytes_received, server.bytes_sent) == (9, 300_000)
        assert (client.bytes_received, client.bytes_sent) == (300_000, 9)
        assert 0 < client.id != server.id > 0
        assert at_client.events == [CONNECTED]
        assert at_server.events == []
        assert "open" in repr(client)

    run(main)


def test_bytes_written_before_connected_are_sent_in_order(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        client, at_client = net.connect(listener.addresses[0])
        client.write(b"early ")
        client.write(b"bird")
        at_server = await net.next_accepted()
        await at_server.until(lambda: at_server.data == b"early bird")
        assert at_client.events == [CONNECTED]

    run(main)


@pytest.mark.parametrize("how", [CloseType.NO_FLUSH, CloseType.FLUSH_WRITE, CloseType.FLUSH_WRITE_AND_DELAY])
def test_close_is_told_once_on_both_sides(run: Run, pair: Any, how: CloseType) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, at_server = await pair(net)
        server.set_delayed_close_timeout(0.02)
        server.close(how, "why")
        if how is CloseType.NO_FLUSH:
            assert at_server.events == [LOCAL]
        await at_client.until(lambda: at_client.eof == 1 or at_client.events[-1] is REMOTE)
        client.close(CloseType.FLUSH_WRITE)
        await at_server.until_closed()
        await at_client.until_closed()
        assert at_server.events == [LOCAL]
        assert at_client.events[0] is CONNECTED
        assert len(at_client.events) == 2
        assert (client.closed, server.closed) == (True, True)
        assert server.close_details == "why"
        for connection in (client, server):
            connection.write(b"x")
            connection.read_disable(True)
            connection.read_disable(False)
            connection.close(CloseType.ABORT_RESET)
        assert len(at_client.events) == 2

    run(main)


@pytest.mark.parametrize("how", [CloseType.FLUSH_WRITE, CloseType.FLUSH_WRITE_AND_DELAY])
def test_a_flushing_close_sends_everything_first(run: Run, pair: Any, how: CloseType) -> None:
    size = 5_000_000

    async def main(net: Net) -> None:
        client, at_client, server, at_server = await pair(net)
        server.set_delayed_close_timeout(20)
        server.write(b"x" * size)
        server.close(how)
        server.write(b"never")
        await at_client.until(lambda: len(at_client.data) >= size)
        if how is CloseType.FLUSH_WRITE:
            await at_client.until(lambda: at_client.eof == 1)
        assert len(at_client.data) == size
        client.close(CloseType.FLUSH_WRITE)
        await at_server.until_closed()
        assert at_server.events == [LOCAL]

    run(main)


@pytest.mark.parametrize("how", [CloseType.FLUSH_WRITE, CloseType.FLUSH_WRITE_AND_DELAY])
def test_a_loop_that_stood_still_does_not_cut_a_flush(run: Run, pair: Any, how: CloseType) -> None:
    """A busy loop may fire its timers before it looks at its sockets: that a peer takes nothing is not known then."""
    size = 5_000_000

    async def main(net: Net) -> None:
        client, at_client, server, _ = await pair(net)
        server.set_delayed_close_timeout(0.01)
        server.write(b"x" * size)
        server.close(how)
        time.sleep(0.05)
        while not (at_client.eof or at_client.data):
            await asyncio.sleep(0)
        time.sleep(0.05)
        await at_client.until(lambda: at_client.eof == 1 or REMOTE in at_client.events)
        assert len(at_client.data) == size
        client.close(CloseType.NO_FLUSH)

    run(main)


class SlowPeer(asyncio.Transport):
    """A transport whose buffer drains as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.aborted = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def close(self) -> None:
        """What waits is sent first."""

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.interpreted_only(FAKE_DISPATCHER)
def test_a_peer_that_takes_something_in_each_timeout_gets_all_the_time_it_needs() -> None:
    dispatcher: Any = FakeDispatcher()
    connection, peer = TcpConnection(dispatcher, 1000), SlowPeer()
    connection.connection_made(peer)
    connection.set_delayed_close_timeout(1.0)
    peer.waiting = 300
    connection.close(CloseType.FLUSH_WRITE)
    for left in (200, 100, 50):
        dispatcher.advance(0.5)
        peer.waiting = left
        dispatcher.advance(0.5)
        assert not connection.closed
    dispatcher.advance(2.5)
    assert (connection.closed, connection.delayed_close_timed_out, peer.aborted) == (True, True, True)


def test_reset_is_a_reset(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        reader, writer = await asyncio.open_connection(*_host(listener.addresses[0]))
        at_server = await net.next_accepted()
        at_server.connection.close(CloseType.ABORT_RESET)
        assert at_server.events == [LOCAL]
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    run(main)


def test_delayed_close_drops_what_comes_and_waits_for_the_peers_fin(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, at_server = await pair(net)
        server.set_delayed_close_timeout(10)
        server.read_disable(True)
        server.write(b"refused")
        server.close(CloseType.FLUSH_WRITE_AND_DELAY)
        await at_client.until(lambda: at_client.data == b"refused")
        client.write(b"x" * 3_000_000)
        assert (at_client.eof, at_server.events) == (0, [])
        client.close(CloseType.FLUSH_WRITE)
        await at_server.until_closed()
        assert (at_server.events, bytes(at_server.data)) == ([LOCAL], b"")
        assert not server.delayed_close_timed_out

    run(main)


def test_delayed_close_ends_after_its_timeout(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        _client, at_client, server, at_server = await pair(net)
        server.set_delayed_close_timeout(0.02)
        server.close(CloseType.FLUSH_WRITE_AND_DELAY)
        await at_server.until_closed()
        await at_client.until(lambda: at_client.eof == 1)
        assert at_server.events == [LOCAL]
        assert server.delayed_close_timed_out

    run(main)


def test_without_a_delayed_close_timeout_it_closes_after_the_flush(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        _client, at_client, server, at_server = await pair(net)
        server.set_delayed_close_timeout(0)
        server.write(b"x" * 1_000_000)
        server.close(CloseType.FLUSH_WRITE_AND_DELAY)
        await at_server.until_closed()
        await at_client.until(lambda: at_client.eof == 1)
        assert len(at_client.data) == 1_000_000
        assert not server.delayed_close_timed_out

    run(main)


def test_a_flush_that_the_peer_never_takes_ends_after_the_timeout(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, _at_client, server, at_server = await pair(net)
        client.read_disable(True)
        server.set_delayed_close_timeout(0.02)
        server.write(b"x" * 20_000_000)
        server.close(CloseType.FLUSH_WRITE)
        await at_server.until_closed()
        assert server.delayed_close_timed_out

    run(main)


def test_no_flush_ends_a_flush_under_way(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, _at_client, server, at_server = await pair(net)
        client.read_disable(True)
        server.write(b"x" * 20_000_000)
        server.close(CloseType.FLUSH_WRITE)
        assert at_server.events == []
        server.close(CloseType.NO_FLUSH)
        assert at_server.events == [LOCAL]

    run(main)


def test_half_close_lets_the_answer_out(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        reader, writer = await asyncio.open_connection(*_host(listener.addresses[0]))
        at_server = await net.next_accepted()
        writer.write(b"question")
        writer.write_eof()
        await at_server.until(lambda: at_server.eof == 1)
        assert at_server.data == b"question"
        at_server.connection.write(b"answer")
        at_server.connection.close(CloseType.FLUSH_WRITE_AND_DELAY)
        assert await reader.read() == b"answer"
        await at_server.until_closed()
        assert at_server.events == [LOCAL]
        writer.close()

    run(main)


def test_read_disable_counts_and_holds_back(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, at_server = await pair(net)
        server.read_disable(True)
        server.read_disable(True)
        client.write(b"x" * 100_000)
        # A round trip the other way: by then the bytes have arrived.
        server.write(b"ping")
        await at_client.until(lambda: at_client.data == b"ping")
        server.read_disable(False)
        server.write(b"ping")
        await at_client.until(lambda: at_client.data == b"pingping")
        assert at_server.data == b""
        server.read_disable(False)
        await at_server.until(lambda: len(at_server.data) == 100_000)
        with pytest.raises(AssertionError):
            server.read_disable(False)

    run(main)


def test_what_comes_with_the_handshakes_end_waits_for_who_does_not_read(
    run: Run, certificate: CertificateSettings
) -> None:
    async def main(net: Net) -> None:
        def on_accept(connection: Any, chain: Any) -> None:
            net.on_accept(connection, chain)
            connection.read_disable(True)

        listener = await net.listen(plain_listener(filter_chains=(tls_chain(certificate),)), on_accept)
        common = CommonTlsSettings(maximum_version="TLSv1_3")
        tls = upstream_context(UpstreamTlsSettings(common, sni="a.test"))
        client, at_client = net.connect(listener.addresses[0], tls=tls)
        client.write(b"early")  # TLS 1.3: in one write with the client's Finished
        at_server = await net.next_accepted()
        at_server.connection.write(b"ping")
        await at_client.until(lambda: at_client.data == b"ping")
        assert at_server.data == b""
        at_server.connection.read_disable(False)
        await at_server.until(lambda: at_server.data == b"early")

    run(main)


def test_a_handler_may_disable_reading_within_on_data(run: Run, pair: Any) -> None:
    class OneBite(Watcher):
        def on_data(self, data: bytes) -> int:
            taken = super().on_data(data)
            self.connection.read_disable(True)
            return taken

    async def main(net: Net) -> None:
        client, at_client, server, _ = await pair(net)
        handler = OneBite()
        handler.connection = server
        server.set_handler(handler)
        client.write(b"x" * 500_000)
        seen = 0
        while seen < 500_000:
            await handler.until(lambda seen=seen: len(handler.data) > seen)
            seen = len(handler.data)
            pongs = len(at_client.data)
            server.write(b"p")
            await at_client.until(lambda pongs=pongs: len(at_client.data) > pongs)
            assert len(handler.data) == seen
            server.read_disable(False)

    run(main)


def test_watermarks(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, at_server = await pair(net, server_buffer_limit=100_000)
        client.read_disable(True)
        while not at_server.watermarks:
            server.write(b"x" * 50_000)
            await asyncio.sleep(0)
        assert at_server.watermarks == ["above"]
        client.read_disable(False)
        await at_server.until(lambda: at_server.watermarks == ["above", "below"])
        await at_client.until(lambda: len(at_client.data) == server.bytes_sent)

    run(main)


@pytest.mark.interpreted_only(FAKE_DISPATCHER)
def test_the_low_watermark_is_half_of_the_high_one() -> None:
    """Envoy's: who was stopped goes on while there is still something to send."""
    dispatcher: Any = FakeDispatcher()
    peer = SlowPeer()
    TcpConnection(dispatcher, 100_000).connection_made(peer)
    assert peer.limits == (100_000, 50_000)


def test_no_buffer_limit_no_watermarks(run: Run) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, at_server = await net.pair(plain_listener(per_connection_buffer_limit_bytes=0))
        client.read_disable(True)
        server.write(b"x" * 30_000_000)
        client.read_disable(False)
        await at_client.until(lambda: len(at_client.data) == 30_000_000)
        assert at_server.watermarks == []

    run(main)


@pytest.mark.parametrize("where", ["on_data", "on_eof", "on_event"])
def test_a_handlers_exception_closes_its_connection_only(
    run: Run, pair: Any, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(Watcher):
        """Raises in one method, and wakes the test when the connection's turn is over."""

    def raising(self: Bad, *_arguments: Any) -> None:
        net_of_bad[0].dispatcher.post(lambda: self._note("raised"))
        raise ZeroDivisionError("mine")

    net_of_bad: list[Net] = []

    async def main(net: Net) -> None:
        client, at_client, server, _ = await pair(net)
        bad = Bad()
        net_of_bad.append(net)
        setattr(Bad, where, raising)
        server.set_handler(bad)
        net.expected_errors = 1
        client.write(b"x")
        how = CloseType.FLUSH_WRITE if where == "on_eof" else CloseType.ABORT_RESET
        if where != "on_data":
            client.close(how)
        await bad.until(lambda: server.closed)
        assert at_client.events.count(CONNECTED) == 1

    with caplog.at_level(logging.CRITICAL):
        run(main)
    assert "ZeroDivisionError: mine" in caplog.text


def test_a_reset_by_the_peer_is_a_remote_close(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, at_server = await pair(net)
        client.close(CloseType.ABORT_RESET)
        await at_server.until_closed()
        assert at_server.events == [REMOTE]
        assert at_client.events == [CONNECTED, LOCAL]
        assert server.closed

    run(main)


async def _unread_reset(client: Any, server: Any, answer: bytes) -> None:
    """The server has answered and gone; the client has seen nothing of it, for its loop was busy."""
    await asyncio.sleep(0.06)  # what the handshake has sent is acknowledged, so that nothing waits for that
    client._transport.pause_reading()
    server.write(answer)
    server.flush()
    server.close(CloseType.ABORT_RESET)
    await asyncio.sleep(0.02)


@pytest.mark.parametrize("size", [6, 100_000])
def test_what_came_before_a_write_failed_is_read(run: Run, pair: Any, size: int) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, _ = await pair(net)
        await _unread_reset(client, server, b"a" * size)
        client.write(b"body")
        await at_client.until(lambda: at_client.events[-1] is REMOTE)
        assert at_client.data == b"a" * size
        assert at_client.write_failed_at == [0]

    run(main)


def test_a_client_that_is_gone_is_not_read_on(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, _, server, at_server = await pair(net)
        await _unread_reset(server, client, b"GET /more")
        server.write(b"answer")
        await at_server.until(lambda: at_server.events == [REMOTE])
        assert not at_server.data
        assert not at_server.write_failed_at

    run(main)


def test_who_reads_nothing_gets_nothing_when_a_write_fails(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, _ = await pair(net)
        await _unread_reset(client, server, b"answer")
        client.read_disable(True)
        client.write(b"body")
        await at_client.until(lambda: at_client.events[-1] is REMOTE)
        assert not at_client.data

    run(main)


def test_an_idle_connection_leaves_nothing_behind(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, at_server = await pair(net)
        client.close(CloseType.NO_FLUSH)
        await at_server.until(lambda: at_server.eof == 1 or bool(at_server.events))
        server.close(CloseType.NO_FLUSH)
        assert client._transport is None
        assert server._transport is None
        assert at_client.events[-1] is LOCAL

    run(main)


def test_addresses() -> None:
    assert str(address_of(("::ffff:10.0.0.1", 80, 0, 0))) == "10.0.0.1:80"
    assert str(address_of(("::1", 80, 0, 0))) == "[::1]:80"
    assert address_of("/a/unix/socket") == PipeAddress("/a/unix/socket")
    assert address_of(b"\0abstract") == PipeAddress("@abstract")
    assert address_of("") is None
    assert address_of(None) is None


def _host(address: Any) -> tuple[str, int]:
    assert socket.inet_aton(address.host)
    return address.host, address.port


def test_half_close_both_ways(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, at_server = await pair(net)
        for each in (client, server):
            each.enable_half_close()
        client.write(b"ask")
        client.write_end_stream()
        client.write(b"nothing more")
        client.write_end_stream()
        await at_server.until(lambda: at_server.eof == 1)
        assert at_server.data == b"ask"
        server.write(b"x" * 300_000)
        await at_client.until(lambda: len(at_client.data) == 300_000)
        assert at_client.events == [CONNECTED]
        assert at_server.events == []
        server.write(b"last")
        server.write_end_stream()
        await at_server.until_closed()
        await at_client.until_closed()
        assert bytes(at_client.data[-4:]) == b"last"
        assert at_client.eof == 1
        assert (at_client.events, at_server.events) == ([CONNECTED, REMOTE], [LOCAL])

    run(main)


def test_half_close_within_on_eof(run: Run, pair: Any) -> None:
    class Answering(Watcher):
        def on_eof(self) -> None:
            super().on_eof()
            self.connection.write(b"bye")
            self.connection.write_end_stream()

    async def main(net: Net) -> None:
        client, at_client, server, _ = await pair(net)
        handler = Answering()
        handler.connection = server
        server.set_handler(handler)
        client.write_end_stream()
        await at_client.until_closed()
        await handler.until_closed()
        assert at_client.data == b"bye"
        assert handler.events == [LOCAL]

    run(main)


def test_a_fin_without_a_close_notify_ends_a_half_closing_connection(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, _, server, at_server = await pair(net)
        server.enable_half_close()
        client._transport.write_eof()
        await at_server.until(lambda: at_server.eof == 1)
        assert at_server.events == []
        server.write_end_stream()
        await at_server.until_closed()

    run(main)


def test_a_peer_that_takes_nothing_ends_a_half_closed_connection_in_time(run: Run) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, at_server = await net.pair()
        server.set_delayed_close_timeout(0.05)
        client.write_end_stream()
        await at_server.until(lambda: at_server.eof == 1)
        client.read_disable(True)
        server.write(b"x" * 20_000_000)
        server.write_end_stream()
        await at_server.until_closed()
        assert server.delayed_close_timed_out
        client.close(CloseType.NO_FLUSH)
        await at_client.until_closed()

    run(main)


def test_bytes_given_back_come_first_and_later(run: Run, pair: Any) -> None:
    class GivingBack(Watcher):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[bytes] = []

        def on_data(self, data: bytes) -> int:
            self.calls.append(data)
            if len(self.calls) == 1:
                self.connection.unread(b"a")
                self.connection.unread(data[1:])
                return len(data)
            return super().on_data(data)

    async def main(net: Net) -> None:
        client, _, server, _ = await pair(net)
        handler = GivingBack()
        handler.connection = server
        server.set_handler(handler)
        client.write(b"?bc")
        await handler.until(lambda: handler.data == b"abc")
        assert handler.calls == [b"?bc", b"abc"]
        client.write(b"def")
        await handler.until(lambda: handler.data == b"abcdef")

    run(main)


def test_bytes_given_back_wait_for_reading_after_the_peers_end(run: Run) -> None:
    async def main(net: Net) -> None:
        client, _, server, at_server = await net.pair()
        client.write_end_stream()
        await at_server.until(lambda: at_server.eof == 1)
        server.read_disable(True)
        server.unread(b"late")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert at_server.data == b""
        server.read_disable(False)
        await at_server.until(lambda: at_server.data == b"late")
        server.close(CloseType.NO_FLUSH)

    run(main)


def test_a_write_filter_gets_what_is_written(run: Run, pair: Any) -> None:
    class Doubling(stands_for(WriteFilter)):
        def __init__(self, connection: Any) -> None:
            self.connection = connection

        def on_write(self, data: bytes, end_stream: bool) -> None:
            self.connection.write_unfiltered(data * 2, end_stream)

    async def main(net: Net) -> None:
        client, at_client, server, at_server = await pair(net)
        server.set_write_filter(Doubling(server))
        server.write(memoryview(b"ab"))
        server.write_end_stream()
        assert server.bytes_sent == 4
        server.write(b"nothing more")
        await at_client.until(lambda: at_client.eof == 1)
        assert at_client.data == b"abab"
        client.close(CloseType.NO_FLUSH)
        await at_server.until_closed()
        server.write(b"too late")
        server.write_end_stream()

    run(main)


def test_what_comes_while_nobody_reads_from_the_beginning_makes_a_reset(run: Run) -> None:
    async def main(net: Net) -> None:
        came = net.loop.create_future()

        def not_reading(connection: Any, chain: Any) -> None:
            connection.read_disable(True)
            watcher = Watcher()
            watcher.connection = connection
            connection.set_handler(watcher)
            came.set_result(watcher)

        listener = await net.listen(plain_listener(), not_reading)
        client, at_client = net.connect(listener.addresses[0])
        client.write(b"unread")
        watcher = await came
        # asyncio has not begun to read by then, uvloop has.
        for _ in range(100):
            await asyncio.sleep(0)
        assert watcher.data == b""
        watcher.connection.close(CloseType.NO_FLUSH)
        await at_client.until_closed()
        assert client.reset_by_peer

    run(main)


def test_a_connection_that_was_aborted_says_so(run: Run, pair: Any) -> None:
    async def main(net: Net) -> None:
        client, at_client, server, _ = await pair(net)
        assert server.start_time > 0.0
        server.close(CloseType.ABORT_RESET)
        await at_client.until_closed()
        assert server.aborted
        assert client.reset_by_peer

    run(main)
