"""A finished request for formatters and access log filters, with a fact of every kind."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from envoymesh.formatter import FormatterContext
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.network.api import Address
from tests.support.fakes import FakeConnection


class FakeCertificate:
    """Facts of a certificate."""

    issuer = "CN=ca"
    serial_number = "0a"
    email_sans = ("a@peer.example",)
    ip_sans = ("10.0.0.1", "::1")
    uri_sans: tuple[str, ...] = ("spiffe://a", "spiffe://b")
    dns_sans: tuple[str, ...] = ("peer.example",)
    valid_from = datetime(2020, 7, 6, tzinfo=UTC)
    expiration_time = datetime(2021, 7, 6, tzinfo=UTC)
    sha1 = "cd" * 20
    sha256 = "ab" * 32
    pem = "-----BEGIN CERTIFICATE-----\nAB+/=\n-----END CERTIFICATE-----\n"

    def __init__(self, subject: str) -> None:
        self.subject = subject


class FakeTls:
    """Facts of a handshake."""

    version = "TLSv1.3"
    cipher = "TLS_AES_128_GCM_SHA256"
    alpn = "h2"
    sni = "sni"
    peer_certificate_presented = True
    peer_certificate_validated = True
    peer = FakeCertificate("CN=peer")
    local = FakeCertificate("CN=local")


def request(*fields: tuple[bytes, bytes], path: bytes = b"/x?y=1&z=%20") -> RequestHeaders:
    """A request's headers."""
    return RequestHeaders(b"GET", path, b"a.com", b"http", list(fields))


def bare() -> FormatterContext:
    """A request of which nothing is known but its connection."""
    return FormatterContext(StreamInfo(FakeConnection(), HttpProtocol.HTTP2, 1.0, 0.0, 1), None, None, None, 1.0)


def full(**facts: Any) -> FormatterContext:
    """A request that was answered; `facts` are set on its `StreamInfo`."""
    tls: Any = FakeTls()
    downstream = FakeConnection(remote="5.5.5.5:1", tls=tls)
    downstream.filter_chain_name = "chain"
    info = StreamInfo(downstream, HttpProtocol.HTTP11, 100.0, 1_594_016_400.123456, 42)
    info.response_code, info.response_code_details = 200, "via_upstream"
    info.bytes_received, info.bytes_sent = 3, 4
    info.last_downstream_rx, info.last_upstream_tx, info.first_upstream_rx = 100.001, 100.0015, 100.002
    info.last_downstream_tx = info.end_time = 100.005
    info.upstream_host, info.upstream_cluster = Address("9.9.9.9", 80), "up"
    info.upstream_connection = FakeConnection(local="7.7.7.7:5", remote="9.9.9.9:80")
    info.upstream_protocol = HttpProtocol.HTTP2
    info.upstream_failure_reason, info.termination_details = "was refused", "gone"
    info.route_name, info.attempt_count = "r", 2
    for name, value in facts.items():
        setattr(info, name, value)
    headers = request((b"x-a", b"1"), (b"x-a", b"2"), (b"user-agent", b"\xe9"), (b"x-request-id", b"id"))
    response = ResponseHeaders(200, [(b"server", b"envoy")])
    return FormatterContext(info, headers, response, HeaderMap([(b"grpc-status", b"0")]), 100.005, "DownstreamEnd")
