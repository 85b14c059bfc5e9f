"""Tests of envoymesh.network.tls.tls_connection against asyncio's own TLS as the peer."""

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


class RawClient:
    """A TLS 1.2 client that sees the records: without session tickets, only application data and alerts follow."""

    def __init__(self, ca: Any) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = client_context(ca, maximum_version=ssl.TLSVersion.TLSv1_2)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="a.test")

    async def connect(self, net: Net, certificate: CertificateSettings) -> Any:
        """Shake hands; returns the server's side."""
        listener = await net.listen(plain_listener(filter_chains=(tls_chain(certificate),)))
        address = listener.addresses[0]
        self.reader, self.writer = await asyncio.open_connection(address.host, address.port)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.writer.write(self.outgoing.read())
                self.incoming.write(await self.reader.read(65536))
        return await net.next_accepted()

    async def rest(self) -> tuple[list[int], bytes]:
        """What comes until the end: the records' types, and the plain text."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while data := await self.reader.read(65536):
                received += data
        self.writer.close()
        kinds, at = [], 0
        while at < len(received):
            kinds.append(received[at])
            at += 5 + int.from_bytes(received[at + 3 : at + 5], "big")
        self.incoming.write(received)
        plain = b""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while data := self.tls.read(65536):
                plain += data
        return kinds, plain


ALERT, APPLICATION_DATA = 21, 23


@pytest.mark.parametrize(
    ("pieces", "how", "kinds", "plain"),
    [
        # A head and a small body of one turn are one record; close_notify comes behind them.
        ([b"head", b"body"], CloseType.FLUSH_WRITE, [APPLICATION_DATA, ALERT], b"headbody"),
        ([b"head", b"", b"b" * 20_000], CloseType.FLUSH_WRITE, [APPLICATION_DATA] * 3 + [ALERT], None),
        ([b"h" * 16_000, b"b" * 384], CloseType.FLUSH_WRITE, [APPLICATION_DATA, ALERT], None),
        ([b"b" * 70_000], CloseType.FLUSH_WRITE, [APPLICATION_DATA] * 5 + [ALERT], None),
        # The last words of an abort are encrypted as well.
        ([b"head", b"body"], CloseType.NO_FLUSH, [APPLICATION_DATA], b"headbody"),
        ([b"head", b"body"], CloseType.ABORT_RESET, [], b""),
    ],
)
def test_what_one_turn_writes_is_encrypted_at_its_end(
    run: Run, ca: Any, certificate: CertificateSettings, pieces: Any, how: Any, kinds: Any, plain: Any
) -> None:
    async def main(net: Net) -> None:
        client = RawClient(ca)
        server = await client.connect(net, certificate)
        for piece in pieces:
            server.connection.write(piece)
        server.connection.close(how)
        assert await client.rest() == (kinds, b"".join(pieces) if plain is None else plain)
        assert server.events == [LOCAL]

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
