"""Tests of envoymesh.network.connection.connector: what success and each kind of failure look like."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from envoymesh.network.api import (
    Address,
    CloseType,
    ConnectCounts,
    ConnectionEvent,
    PipeAddress,
    SocketOption,
    SourceAddress,
    UpstreamSocketSettings,
)
from envoymesh.network.settings import (
    CertificateSettings,
    CommonTlsSettings,
    SanMatcher,
    UpstreamTlsSettings,
    ValidationSettings,
)
from envoymesh.network.stats import SslStats
from envoymesh.network.tls.tls_context import upstream_context
from envoymesh.stats import Counter
from tests.support.network import Net, plain_listener, settings_of, tls_chain
from tests.unit.network.conftest import Run

CONNECTED, LOCAL, REMOTE = ConnectionEvent.CONNECTED, ConnectionEvent.LOCAL_CLOSE, ConnectionEvent.REMOTE_CLOSE


def closed_port() -> Address:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return Address(*server.getsockname())


def test_refused(run: Run) -> None:
    async def main(net: Net) -> None:
        client, handler = net.connect(closed_port())
        assert handler.events == []
        await handler.until_closed()
        assert handler.events == [REMOTE]
        assert client.failure_reason == "delayed connect error: Connection refused"

    run(main)


def test_an_address_that_cannot_be_tried(run: Run) -> None:
    async def main(net: Net) -> None:
        client, handler = net.connect(Address("255.255.255.255", 80))
        await handler.until_closed()
        assert handler.events == [REMOTE]
        assert re.fullmatch(r"immediate connect error: .*\|remote address:255\.255\.255\.255:80", client.failure_reason)

    run(main)


def test_a_source_address_that_is_not_ours_is_a_local_failure(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        client, handler = net.connect(listener.addresses[0], socket=from_address("192.0.2.1"))
        await handler.until_closed()
        assert client.failure_reason == f"failed to bind to 192.0.2.1:0: {_text(errno.EADDRNOTAVAIL)}"
        assert handler.events == [ConnectionEvent.LOCAL_CLOSE]

    run(main)


def _text(code: int) -> str:
    import os

    return os.strerror(code)


def test_source_address(run: Run) -> None:
    async def main(net: Net) -> None:
        client, _, server, _ = await net.pair(socket=from_address("::1", "127.0.0.9"))
        assert client.local_address.host == "127.0.0.9"
        assert server.remote_address.host == "127.0.0.9"

    run(main)


def from_address(*hosts: str, options: tuple[SocketOption, ...] = ()) -> UpstreamSocketSettings:
    return UpstreamSocketSettings(tuple(SourceAddress(Address(host, 0), options) for host in hosts))


def test_a_source_address_of_the_other_family_fails(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        counts = ConnectCounts(Counter("more"), Counter("bind"))
        client, handler = net.connect(listener.addresses[0], socket=from_address("::1"), counts=counts)
        await handler.until_closed()
        assert client.failure_reason == f"failed to bind to [::1]:0: {_text(errno.EAFNOSUPPORT)}"
        assert (counts.more_attempts.value, counts.bind_errors.value) == (0, 1)

    run(main)


@pytest.mark.parametrize("state", ["STATE_PREBIND", "STATE_BOUND"])
@pytest.mark.parametrize("bound", [True, False])
def test_socket_options(run: Run, state: str, bound: bool) -> None:
    async def main(net: Net) -> None:
        option = SocketOption(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1, state)
        of_no_state = SocketOption(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1, "STATE_LISTENING")
        bytes_value = SocketOption(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5), state)
        options = (option, of_no_state, bytes_value)
        settings = from_address("127.0.0.1", options=options) if bound else UpstreamSocketSettings(options=options)
        client, _, _, _ = await net.pair(socket=settings)
        sock = client._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE) == 0
        assert struct.unpack("ii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == (1, 5)

    run(main)


def test_a_socket_option_that_cannot_be_set_is_a_local_failure(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        settings = UpstreamSocketSettings(options=(SocketOption(socket.SOL_SOCKET, 9999, 1),))
        client, handler = net.connect(listener.addresses[0], socket=settings)
        await handler.until_closed()
        assert (client.failure_reason, handler.events) == ("", [ConnectionEvent.LOCAL_CLOSE])

    run(main)


def test_the_next_address_is_tried_when_one_fails(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        counts = ConnectCounts(Counter("more"), Counter("bind"))
        addresses = (listener.addresses[0],)
        client, handler = net.connect(closed_port(), additional_addresses=addresses, counts=counts)
        await handler.until_event(ConnectionEvent.CONNECTED)
        assert client.remote_address == listener.addresses[0]
        assert (counts.more_attempts.value, counts.bind_errors.value) == (1, 0)

    run(main)


def test_when_all_addresses_fail_so_does_the_connection(run: Run) -> None:
    async def main(net: Net) -> None:
        client, handler = net.connect(closed_port(), additional_addresses=(closed_port(),))
        await handler.until_closed()
        assert handler.events == [REMOTE]
        assert client.failure_reason == "delayed connect error: Connection refused"

    run(main)


def test_ipv6(run: Run) -> None:
    async def main(net: Net) -> None:
        client, _, server, at_server = await net.pair(plain_listener(address=Address("::1", 0)))
        assert str(client.remote_address).startswith("[::1]:")
        client.write(b"six")
        await at_server.until(lambda: at_server.data == b"six")
        assert server.local_address.is_ipv6

    run(main)


@pytest.fixture
def full_backlog() -> Any:
    """A port that answers no SYN: its backlog is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        yield Address(*address)
        for filler in fillers:
            filler.close()


def test_connect_timeout_is_a_local_close(run: Run, full_backlog: Address) -> None:
    async def main(net: Net) -> None:
        client, handler = net.connect(full_backlog, connect_timeout=0.03)
        await handler.until_closed()
        assert handler.events == [LOCAL]
        assert (client.failure_reason, client.close_details) == ("", "connect_timeout")

    run(main)


def test_a_busy_loop_is_not_the_peer_s_fault(run: Run, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        plain = await net.listen(plain_listener())
        secure = await net.listen(plain_listener(filter_chains=(tls_chain(certificate),)))
        tls = upstream_context(UpstreamTlsSettings(CommonTlsSettings()))
        attempts = [
            net.connect(plain.addresses[0], connect_timeout=0.02)[1],
            net.connect(secure.addresses[0], connect_timeout=0.02, tls=tls)[1],
        ]
        time.sleep(0.1)
        for handler in attempts:
            await handler.until(lambda events=handler.events: bool(events))
        assert [handler.events for handler in attempts] == [[CONNECTED], [CONNECTED]]

    run(main)


def test_a_busy_loop_keeps_no_dead_attempt_alive(run: Run, full_backlog: Address) -> None:
    async def main(net: Net) -> None:
        client, handler = net.connect(full_backlog, connect_timeout=0.02)
        time.sleep(0.1)
        await handler.until_closed()
        assert (handler.events, client.close_details) == ([LOCAL], "connect_timeout")

    run(main)


@pytest.mark.parametrize("how", list(CloseType))
def test_close_while_connecting(run: Run, full_backlog: Address, how: CloseType) -> None:
    async def main(net: Net) -> None:
        client, handler = net.connect(full_backlog)
        client.write(b"never")
        await asyncio.sleep(0)
        client.close(how)
        assert handler.events == [LOCAL]
        await asyncio.sleep(0.01)
        assert not net.connector._attempts

    run(main)


def test_close_within_the_same_turn(run: Run) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        client, handler = net.connect(listener.addresses[0])
        client.close(CloseType.FLUSH_WRITE)
        assert handler.events == [LOCAL]
        await asyncio.sleep(0.01)
        assert handler.events == [LOCAL]

    run(main)


def test_tls_handshake_that_hangs_meets_the_connect_timeout(run: Run, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        listener = await net.listen(plain_listener())
        tls = upstream_context(UpstreamTlsSettings(CommonTlsSettings()))
        _, handler = net.connect(listener.addresses[0], tls=tls, connect_timeout=0.03)
        await handler.until_closed()
        assert handler.events == [LOCAL]

    run(main)


def validated(ca: Any, **fields: Any) -> UpstreamTlsSettings:
    pem = ca.cert_pem.bytes() if ca is not None else b""
    common = CommonTlsSettings(validation=ValidationSettings(trusted_ca=pem, **fields))
    return UpstreamTlsSettings(common, sni="a.test")


async def try_tls(
    net: Net, settings: UpstreamTlsSettings, certificate: CertificateSettings
) -> tuple[Any, Any, SslStats]:
    stats = SslStats(net.store.scope("cluster.up."))
    listener = await net.listen(plain_listener(filter_chains=(tls_chain(certificate),)))
    client, handler = net.connect(listener.addresses[0], tls=upstream_context(settings, stats))
    await handler.until(lambda: bool(handler.events))
    return client, handler, stats


def test_a_verified_server(run: Run, ca: Any, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        matcher = SanMatcher("DNS", "exact", "a.test")
        client, handler, stats = await try_tls(net, validated(ca, san_matchers=(matcher,)), certificate)
        assert handler.events == [CONNECTED]
        assert client.tls.peer_certificate_validated
        assert client.tls.peer.dns_sans == ("a.test",)
        assert client.tls.version == "TLSv1.2"
        assert client.tls.sni == "a.test"
        assert stats.counters.handshake.value == 1
        assert net.store.scope("cluster.up.ssl.versions.").counter("TLSv1.2").value == 1
        assert net.store.scope("cluster.up.ssl.ciphers.").counter(client.tls.cipher).value == 1
        assert net.store.scope("cluster.up.ssl.curves.").counter("X25519").value == 1
        signatures = net.store.scope("cluster.up.ssl.sigalgs.")
        assert signatures.counter("ecdsa_secp256r1_sha256").value == 1

    run(main)


def test_an_unknown_ca(run: Run, certificate: CertificateSettings) -> None:
    import trustme

    other = trustme.CA()

    async def main(net: Net) -> None:
        client, handler, stats = await try_tls(net, validated(other), certificate)
        assert handler.events == [REMOTE]
        assert client.failure_reason.startswith(
            "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: "
        )
        assert client.failure_reason.endswith(":TLS_error_end")
        assert stats.counters.fail_verify_error.value == 1
        assert stats.counters.connection_error.value == 0

    run(main)


def test_a_wrong_name(run: Run, ca: Any, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        matcher = SanMatcher("DNS", "exact", "b.test")
        client, handler, stats = await try_tls(net, validated(ca, san_matchers=(matcher,)), certificate)
        assert handler.events == [REMOTE]
        assert "SAN matcher, certificate SANs are [a.test]" in client.failure_reason
        assert stats.counters.fail_verify_san.value == 1

    run(main)


def test_a_wrong_hash(run: Run, ca: Any, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        _, handler, stats = await try_tls(net, validated(ca, verify_certificate_hash=("00" * 32,)), certificate)
        assert handler.events == [REMOTE]
        assert stats.counters.fail_verify_cert_hash.value == 1

    run(main)


def test_a_server_that_speaks_no_tls(run: Run) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def main(net: Net) -> None:
        address = await net.peer_server(serve)
        stats = SslStats(net.store.scope("cluster.up."))
        tls = upstream_context(UpstreamTlsSettings(CommonTlsSettings()), stats)
        client, handler = net.connect(address, tls=tls)
        await handler.until_closed()
        assert handler.events == [REMOTE]
        assert client.failure_reason == (
            "TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"
        )
        assert stats.counters.connection_error.value == 1

    run(main)


def test_client_certificate_alpn_and_resumption(run: Run, ca: Any, certificate: CertificateSettings) -> None:
    own = settings_of(ca.issue_cert("client.test"))

    async def main(net: Net) -> None:
        chain = tls_chain(
            certificate,
            common={
                "alpn_protocols": ("h2", "http/1.1"),
                "validation": ValidationSettings(trusted_ca=ca.cert_pem.bytes()),
            },
            require_client_certificate=True,
        )
        listener = await net.listen(plain_listener(filter_chains=(chain,)))
        stats = SslStats(net.store.scope("cluster.up."))
        settings = UpstreamTlsSettings(CommonTlsSettings(certificates=(own,), alpn_protocols=("h2",)), sni="a.test")
        tls = upstream_context(settings, stats)
        for _ in range(2):
            client, handler = net.connect(listener.addresses[0], tls=tls)
            await handler.until_event(CONNECTED)
            at_server = await net.next_accepted()
            assert client.tls.alpn == "h2"
            seen = at_server.connection.tls
            assert (seen.alpn, seen.sni, seen.peer.dns_sans) == ("h2", "a.test", ("client.test",))
            assert seen.peer_certificate_validated
        assert stats.counters.session_reused.value == 1

    run(main)


def test_no_client_certificate_where_one_is_required(run: Run, ca: Any, certificate: CertificateSettings) -> None:
    async def main(net: Net) -> None:
        chain = tls_chain(
            certificate,
            common={"validation": ValidationSettings(trusted_ca=ca.cert_pem.bytes())},
            require_client_certificate=True,
        )
        listener = await net.listen(plain_listener(filter_chains=(chain,)))
        client, handler = net.connect(
            listener.addresses[0], tls=upstream_context(UpstreamTlsSettings(CommonTlsSettings()))
        )
        await handler.until_closed()
        assert "HANDSHAKE_FAILURE" in client.failure_reason
        assert net.ssl_stats.counters.fail_verify_no_cert.value == 1
        assert listener.active_connections == 0

    run(main)


def test_a_foreign_tls_object_is_a_mistake(run: Run) -> None:
    async def main(net: Net) -> None:
        with pytest.raises(TypeError):
            net.connect(Address("127.0.0.1", 1), tls=object())

    run(main)


@pytest.mark.parametrize("abstract", [False, True])
def test_a_pipe(run: Run, tmp_path: Path, abstract: bool) -> None:
    path = f"@envoymesh-{os.getpid()}-{tmp_path.name}" if abstract else str(tmp_path / "a.sock")

    async def main(net: Net) -> None:
        settings = plain_listener(address=PipeAddress(path, mode=0 if abstract else 0o600))
        client, client_handler, server, server_handler = await net.pair(settings)
        # A client's socket has no name of its own.
        assert (client.local_address, client.remote_address) == (None, PipeAddress(path, mode=settings.address.mode))
        assert server.local_address == server.remote_address == PipeAddress(path)
        client.write(b"there")
        await server_handler.until(lambda: bytes(server_handler.data) == b"there")
        server.write(b"back" * 100_000)
        await client_handler.until(lambda: len(client_handler.data) == 400_000)
        server.close(CloseType.FLUSH_WRITE)
        await client_handler.until(lambda: client_handler.eof)

    run(main)


def test_a_pipe_with_nobody_behind_it(run: Run, tmp_path: Path) -> None:
    async def main(net: Net) -> None:
        for path, reason in ((tmp_path / "none", "No such file or directory"), (bound, "Connection refused")):
            client, handler = net.connect(PipeAddress(str(path)))
            await handler.until_closed()
            assert handler.events == [REMOTE]
            assert client.failure_reason == f"immediate connect error: {reason}|remote address:{path}"

    bound = tmp_path / "bound"
    with socket.socket(socket.AF_UNIX) as idle:
        idle.bind(str(bound))
        run(main)
