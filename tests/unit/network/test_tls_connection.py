"""Tests of envoymesh.network.tls_connection against asyncio's own TLS as the peer."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

import pytest

from envoymesh.network.api import CloseType, ConnectionEvent
from envoymesh.network.settings import CertificateSettings
from tests.support.network import Net, plain_listener, tls_chain
from tests.unit.network.conftest import Run

LOCAL, REMOTE = ConnectionEvent.LOCAL_CLOSE, ConnectionEvent.REMOTE_CLOSE


def client_context(ca: Any, **fields: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    for name, value in fields.items():
        setattr(context, name, value)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_exchange_with_another_tls(run: Run, ca: Any, certificate: CertificateSettings, version: Any) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(filter_chains=(tls_chain(certificate),)))
        address = listener.addresses[0]
        context = client_context(ca, minimum_version=version, maximum_version=version)
        reader, writer = await asyncio.open_connection(
            address.host, address.port, ssl=context, server_hostname="a.test"
        )
        writer.write(b"x" * 200_000)
        server = await net.next_accepted()
        await server.until(lambda: len(server.data) == 200_000)
        assert server.connection.requested_server_name == ""  # that is the inspector's to find
        assert server.connection.tls.sni == "a.test"
        assert server.connection.tls.version == writer.get_extra_info("ssl_object").version()
        assert server.connection.tls.alpn == ""
        server.connection.write(b"y" * 200_000)
        server.connection.set_delayed_close_timeout(0.05)
        server.connection.close(CloseType.FLUSH_WRITE_AND_DELAY)
        # asyncio answers a FIN without close_notify with an error, so this reads to a clean end of TLS.
        assert await reader.read() == b"y" * 200_000
        writer.close()
        await server.until_closed()
        assert server.events == [LOCAL]

    run(main)


def test_fin_without_close_notify_is_a_remote_close(run: Run, ca: Any, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(filter_chains=(tls_chain(certificate),)))
        address = listener.addresses[0]
        _, writer = await asyncio.open_connection(
            address.host, address.port, ssl=client_context(ca), server_hostname="a.test"
        )
        writer.write(b"cut off")
        server = await net.next_accepted()
        await server.until(lambda: server.data == b"cut off")
        writer.transport.abort()
        await server.until_closed()
        assert (server.eof, server.events) == (0, [REMOTE])

    run(main)


def test_garbage_after_the_handshake(run: Run, ca: Any, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(filter_chains=(tls_chain(certificate),)))
        address = listener.addresses[0]
        reader, writer = await asyncio.open_connection(address.host, address.port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client_context(ca).wrap_bio(incoming, outgoing, server_hostname="a.test")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                writer.write(outgoing.read())
                incoming.write(await reader.read(65536))
        writer.write(outgoing.read())
        server = await net.next_accepted()
        writer.write(b"\x17\x03\x03\x00\x20" + b"z" * 32)
        await server.until_closed()
        assert server.events == [REMOTE]
        assert "DECRYPTION_FAILED_OR_BAD_RECORD_MAC" in server.connection.failure_reason
        writer.close()

    run(main)


def test_plain_http_to_a_tls_port(run: Run, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(filter_chains=(tls_chain(certificate),)))
        address = listener.addresses[0]
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await reader.read()
        writer.close()
        assert net.ssl_stats.counters.connection_error.value == 1
        assert net.listener_stats.downstream_cx_destroy.value == 1
        assert net.accepted.empty()

    run(main)


def test_require_sni(run: Run, ca: Any, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener(filter_chains=(tls_chain(certificate, require_sni=True),)))
        address = listener.addresses[0]
        context = client_context(ca, check_hostname=False, maximum_version=ssl.TLSVersion.TLSv1_2)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        received = b"?"
        while received:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            writer.write(outgoing.read())
            received = await reader.read(65536)
            incoming.write(received)
        writer.close()
        assert net.ssl_stats.counters.connection_error.value == 1
        assert net.accepted.empty()

    run(main)
