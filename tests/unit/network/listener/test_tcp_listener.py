"""Tests of tcp_listener (with accepting and sockets): binding, limits, chains, inspection, timeouts."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from envoymesh.errors import BindError, ConfigError
from envoymesh.network.api import Address, CloseType, ConnectionEvent
from envoymesh.network.listener.client_hello import MAX_CLIENT_HELLO
from envoymesh.network.listener.tcp_listener import TcpListener
from envoymesh.network.settings import (
    CertificateSettings,
    CommonTlsSettings,
    FilterChainMatch,
    FilterChainSettings,
    ListenerSettings,
    UpstreamTlsSettings,
)
from envoymesh.network.tls.tls_context import upstream_context
from tests.support.network import INSPECTING, Net, plain_listener, settings_of, tls_chain
from tests.unit.network.conftest import Run

LOCAL, REMOTE = ConnectionEvent.LOCAL_CLOSE, ConnectionEvent.REMOTE_CLOSE


def raw_chain(name: str, **match: Any) -> FilterChainSettings:
    return FilterChainSettings(name, FilterChainMatch(**match), ())


async def closes(address: Address, data: bytes = b"") -> bool:
    """Connect, send, and tell whether the listener closes without an answer."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 10) == b""
    except ConnectionResetError:
        return True
    finally:
        writer.close()


def test_port_0_tells_its_port_and_stats_count(run: Run) -> None:
    async def main(net: Net) -> None:
        client, _, _, at_server = await net.pair()
        stats = net.listener_stats
        assert client.remote_address.port != 0
        assert (stats.downstream_cx_total.value, stats.downstream_cx_active.value) == (1, 1)
        assert (stats.worker.downstream_cx_total.value, stats.worker.downstream_cx_active.value) == (1, 1)
        client.close(CloseType.ABORT_RESET)
        await at_server.until_closed()
        assert (stats.downstream_cx_destroy.value, stats.downstream_cx_active.value) == (1, 0)
        assert stats.worker.downstream_cx_active.value == 0
        net.store.flush()
        assert stats.downstream_cx_length_ms.cumulative.sample_count == 1

    run(main)


def test_bind_error_in_envoys_words(run: Run) -> None:
    async def main(net: Net) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            settings = plain_listener(
                address=Address("127.0.0.1", 0), additional_addresses=((Address("127.0.0.1", port), False),)
            )
            listener = TcpListener(net.dispatcher, settings, net.on_accept, net.listener_stats)
            with pytest.raises(BindError, match=rf"cannot bind '127\.0\.0\.1:{port}': Address already in use"):
                listener.bind()
            assert listener._sockets == []

    run(main)


def test_ipv6_only_unless_ipv4_compat(run: Run) -> None:
    async def main(net: Net) -> None:
        only = await net.listen(plain_listener(address=Address("::", 0)))
        # The same port of 127.0.0.1 is free for others, such as tests beside this one: nobody listens at this address.
        nobody = f"127.{os.getpid() >> 8 & 127 | 64}.{os.getpid() & 255}.77"
        _, refused = net.connect(Address(nobody, only.addresses[0].port))
        await refused.until_closed()
        assert refused.events == [REMOTE]
        both = await net.listen(plain_listener(address=Address("::", 0), ipv4_compat=True))
        _, handler = net.connect(Address("127.0.0.1", both.addresses[0].port))
        await handler.until_event(ConnectionEvent.CONNECTED)
        server = await net.next_accepted()
        assert str(server.connection.remote_address).startswith("127.0.0.1:")

    run(main)


def test_reuse_port_and_not(run: Run) -> None:
    async def main(net: Net) -> None:
        first = await net.listen(plain_listener())
        await net.listen(plain_listener(address=first.addresses[0]))
        with pytest.raises(BindError):
            await net.listen(plain_listener(address=first.addresses[0], reuse_port=False))

    run(main)


def test_bind_to_port_false_listens_nowhere(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(bind_to_port=False))
        assert listener.addresses == [Address("127.0.0.1", 0)]
        assert listener._acceptors == []

    run(main)


def test_several_addresses(run: Run) -> None:
    async def main(net: Net) -> None:
        more = ((Address("127.0.0.2", 0), False), (Address("::1", 0), False))
        listener = await net.listen(plain_listener(additional_addresses=more))
        for address in listener.addresses:
            _, handler = net.connect(address)
            await handler.until_event(ConnectionEvent.CONNECTED)
            assert (await net.next_accepted()).connection.local_address == address

    run(main)


def test_connection_limit(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        listener.connection_limit.set(1)
        first, _ = net.connect(listener.addresses[0])
        server = await net.next_accepted()
        assert await closes(listener.addresses[0])
        assert net.listener_stats.downstream_cx_overflow.value == 1
        assert net.listener_stats.downstream_cx_total.value == 1
        first.close(CloseType.NO_FLUSH)
        await server.until(lambda: server.eof == 1)
        server.connection.close(CloseType.NO_FLUSH)
        net.connect(listener.addresses[0])
        await net.next_accepted()
        listener.connection_limit.set(None)
        listener.global_limit_reached = lambda: True
        assert await closes(listener.addresses[0])
        assert net.listener_stats.downstream_global_cx_overflow.value == 1

    run(main)


def test_stop_accepting_leaves_connections_and_close_ends_them(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        client, at_client = net.connect(listener.addresses[0])
        server = await net.next_accepted()
        listener.stop_accepting()
        await asyncio.sleep(0.01)
        _, refused = net.connect(listener.addresses[0])
        await refused.until_closed()
        client.write(b"still here")
        await server.until(lambda: server.data == b"still here")
        listener.close()
        assert server.events == [LOCAL]
        assert listener.active_connections == 0
        await at_client.until(lambda: at_client.eof == 1)

    run(main)


async def a_socket_of_another(listener: TcpListener) -> tuple[socket.socket, Address]:
    """A bound socket of another process, and its address."""
    other = socket.create_server((listener.addresses[0].host, 0))
    return other, Address(*other.getsockname())


def test_another_process_s_socket_is_accepted_from_until_it_is_given_back(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        kept, address = await a_socket_of_another(listener)
        net.connect(address)
        listener.listen_for(7, kept.dup())
        await net.next_accepted()
        listener.stop_listening_for(8)
        net.connect(address)
        await net.next_accepted()
        listener.stop_listening_for(7)
        await asyncio.sleep(0.01)
        net.connect(address)
        await asyncio.sleep(0.05)
        assert listener.active_connections == 2, "the third waits for the owner"
        kept.setblocking(False)
        accepted, _ = await asyncio.get_running_loop().sock_accept(kept)
        accepted.close()
        kept.close()
        net.connect(listener.addresses[0])
        await net.next_accepted()

    run(main)


def test_stop_accepting_closes_what_is_another_s_too(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        other, address = await a_socket_of_another(listener)
        listener.listen_for(7, other)
        listener.stop_accepting()
        await asyncio.sleep(0.01)
        _, refused = net.connect(address)
        await refused.until_closed()

    run(main)


def test_no_matching_chain(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(filter_chains=(raw_chain("x", destination_port=1),)))
        assert await closes(listener.addresses[0])
        stats = net.listener_stats
        assert stats.no_filter_chain_match.value == 1
        assert stats.downstream_cx_total.value == 0

    run(main)


def test_without_the_inspector_server_names_match_nothing(run: Run, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        chain = tls_chain(certificate, match=FilterChainMatch(server_names=("a.test",)))
        listener = await net.listen(plain_listener(filter_chains=(chain,)))
        assert await closes(listener.addresses[0])
        assert net.listener_stats.no_filter_chain_match.value == 1

    run(main)


def inspecting(certificate: CertificateSettings, other: CertificateSettings, **fields: Any) -> Any:
    chains = (
        tls_chain(certificate, name="a", match=FilterChainMatch(server_names=("a.test",))),
        tls_chain(other, name="sub", match=FilterChainMatch(server_names=("*.b.test",))),
        raw_chain("raw", transport_protocol="raw_buffer"),
    )
    return plain_listener(filter_chains=chains, listener_filters=INSPECTING, **fields)


@pytest.fixture(scope="session")
def other(ca: Any) -> CertificateSettings:
    return settings_of(ca.issue_cert("*.b.test"))


@pytest.mark.parametrize(("name", "chain"), [("a.test", "a"), ("x.b.test", "sub")])
def test_the_inspector_chooses_by_sni(
    run: Run, certificate: CertificateSettings, other: CertificateSettings, name: str, chain: str
) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(inspecting(certificate, other))
        tls = upstream_context(UpstreamTlsSettings(CommonTlsSettings(), sni=name))
        client, handler = net.connect(listener.addresses[0], tls=tls)
        await handler.until_event(ConnectionEvent.CONNECTED)
        server = await net.next_accepted()
        assert (server.chain.name, server.connection.filter_chain_name) == (chain, chain)
        assert client.tls.peer.dns_sans == (name.replace("x.", "*."),)
        assert server.connection.requested_server_name == name
        client.write(b"hi")
        await server.until(lambda: server.data == b"hi")
        stats = net.inspector_stats
        assert (stats.tls_found.value, stats.sni_found.value, stats.alpn_not_found.value) == (1, 1, 1)
        assert net.listener_stats.downstream_pre_cx_active.value == 0

    run(main)


def test_the_inspector_passes_plain_bytes_on(
    run: Run, certificate: CertificateSettings, other: CertificateSettings
) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(inspecting(certificate, other))
        client, _ = net.connect(listener.addresses[0])
        client.write(b"GET / HTTP/1.1\r\n")
        server = await net.next_accepted()
        await server.until(lambda: server.data == b"GET / HTTP/1.1\r\n")
        assert server.chain.name == "raw"
        assert net.inspector_stats.tls_not_found.value == 1

    run(main)


def test_a_hello_byte_by_byte(run: Run, ca: Any, certificate: CertificateSettings, other: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(inspecting(certificate, other))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ca.configure_trust(context)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="a.test")
        address = listener.addresses[0]
        reader, writer = await asyncio.open_connection(address.host, address.port)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        for byte in outgoing.read():
            writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        incoming.write(await reader.read(65536))
        tls.do_handshake()
        writer.write(outgoing.read())
        assert (await net.next_accepted()).chain.name == "a"
        writer.close()

    run(main)


def test_listener_filters_timeout_closes(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(listener_filters=INSPECTING, listener_filters_timeout=0.02))
        assert await closes(listener.addresses[0], b"\x16\x03")
        assert net.listener_stats.downstream_pre_cx_timeout.value == 1
        assert net.listener_stats.downstream_pre_cx_active.value == 0
        assert net.accepted.empty(), "a chain that takes everything does not get it"

    run(main)


def test_listener_filters_timeout_may_go_on(run: Run) -> None:
    async def main(net: Net) -> None:
        settings = plain_listener(
            listener_filters=INSPECTING, listener_filters_timeout=0.02, continue_on_listener_filters_timeout=True
        )
        listener = await net.listen(settings)
        client, _ = net.connect(listener.addresses[0])
        client.write(b"\x16")
        server = await net.next_accepted()
        await server.until(lambda: server.data == b"\x16")
        assert net.listener_stats.downstream_pre_cx_timeout.value == 1

    run(main)


def test_a_peer_that_leaves_under_inspection(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(listener_filters=INSPECTING))
        client, handler = net.connect(listener.addresses[0])
        await handler.until_event(ConnectionEvent.CONNECTED)
        client.close(CloseType.NO_FLUSH)
        stats = net.listener_stats
        while not stats.downstream_listener_filter_remote_close.value:
            await asyncio.sleep(0)
        assert stats.downstream_pre_cx_active.value == 0

    run(main)


def test_a_hello_that_never_ends(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(listener_filters=INSPECTING))
        huge = b"\x16\x03\x01\x40\x00\x01" + (MAX_CLIENT_HELLO + 1).to_bytes(3, "big")
        assert await closes(listener.addresses[0], huge)
        assert net.inspector_stats.client_hello_too_large.value == 1

    run(main)


def test_transport_socket_connect_timeout(run: Run, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        chain = tls_chain(certificate, transport_socket_connect_timeout=0.02)
        listener = await net.listen(plain_listener(filter_chains=(chain,)))
        assert await closes(listener.addresses[0])
        assert net.listener_stats.downstream_cx_transport_socket_connect_timeout.value == 1
        assert net.listener_stats.downstream_cx_destroy.value == 1

    run(main)


def test_an_acceptor_that_raises_loses_its_connection_only(run: Run) -> None:
    async def main(net: Net) -> None:
        net.expected_errors = 1

        def bad(connection: Any, chain: Any) -> None:
            raise ZeroDivisionError

        listener = await net.listen(plain_listener(), bad)
        assert await closes(listener.addresses[0])
        assert listener.active_connections == 0

    run(main)


def test_a_chain_whose_tls_is_broken_is_a_config_error(run: Run) -> None:
    async def main(net: Net) -> None:
        chain = tls_chain(CertificateSettings(b"no pem", b"no key", chain_path="x.pem"))
        with pytest.raises(ConfigError, match=r"Failed to load certificate chain from x\.pem"):
            await net.listen(plain_listener(filter_chains=(chain,)))

    run(main)


def test_who_logs_hears_of_each_connection_at_its_end(run: Run) -> None:
    async def main(net: Net) -> None:
        nowhere = raw_chain("nowhere", source_ports=(1,))
        listener = await net.listen(plain_listener(filter_chains=(nowhere,), name="log"))
        ended: list[Any] = []
        listener.on_ended = ended.append
        assert await closes(listener.addresses[0])
        (first,) = ended
        assert (first.unmatched, first.connection.id, first.connection.listener_name) == (True, 0, "log")
        assert first.connection.remote_address.host == "127.0.0.1"
        ended.clear()
        listener = await net.listen(plain_listener())
        listener.on_ended = lambda each: ended.append((each.connection, each.unmatched, at_server.events[-1]))
        net.connect(listener.addresses[0])
        at_server = await net.next_accepted()
        at_server.connection.close(CloseType.NO_FLUSH)
        assert ended == [(at_server.connection, False, LOCAL)]  # its handler knew already

    run(main)


def _link_local() -> str | None:
    """An address of this machine that needs its zone, as Linux lists it."""
    listed = Path("/proc/net/if_inet6")
    for line in listed.read_text().splitlines() if listed.exists() else ():
        digits, index, _, scope, _, _ = line.split()
        if scope == "20":
            return f"{ipaddress.IPv6Address(int(digits, 16))}%{int(index, 16)}"
    return None


@pytest.mark.skipif(_link_local() is None, reason="no interface has a link-local IPv6 address")
def test_an_address_with_a_zone_is_listened_on_and_connected_to(run: Run) -> None:
    async def main(net: Net) -> None:
        where = _link_local()
        assert where is not None
        listener = await net.listen(ListenerSettings("zone", Address(where, 0), filter_chains=(raw_chain("c"),)))
        bound = listener.addresses[0]
        assert (bound.host, bound.port != 0) == (where, True)
        client, at_client = net.connect(bound)
        at_server = await net.next_accepted()
        await at_client.until_event(ConnectionEvent.CONNECTED)
        assert at_server.connection.local_address == bound
        assert at_server.connection.remote_address == client.local_address

    run(main)
