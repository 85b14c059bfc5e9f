"""Which requests share connections: what separates them, and what is written before everything else."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.http.headers import RequestHeaders
from envoymesh.network.api import Address, ProxiedConnection
from envoymesh.network.settings import CommonTlsSettings, UpstreamTlsSettings
from envoymesh.stats.primitives import Counter
from envoymesh.upstream.pool.options import HIGH_PRIORITY, PoolOptions, separator_for
from envoymesh.upstream.pool.proxy_protocol import ProxyProtocolPreface
from envoymesh.upstream.settings import ClusterSettings, ProxyProtocolSettings, TransportSocketMatchSettings
from tests.support.fakes import FakeConnection

TLS = UpstreamTlsSettings(CommonTlsSettings())
CLIENT, LISTENER = Address("10.0.0.2", 50000), Address("10.0.0.1", 80)


def options(host: str, client: Any = None, priority: str = "DEFAULT", **settings: Any) -> PoolOptions | None:
    made = separator_for(ClusterSettings("c", **settings))
    assert made is not None
    headers = RequestHeaders(b"GET", b"/", host.encode(), b"http", [(b"x-name", b"other.test:8443")])
    return made.options(headers, client, priority)


def test_most_clusters_separate_nobody() -> None:
    assert separator_for(ClusterSettings("c")) is None
    assert separator_for(ClusterSettings("c", auto_sni=True, auto_san_validation=True)) is None, "without TLS"
    match = TransportSocketMatchSettings("m", {}, {"HTTP1": TLS})
    assert separator_for(ClusterSettings("c", auto_sni=True, tls_matches=(match,))) is not None


@pytest.mark.parametrize(
    ("host", "server_name", "names"),
    [
        ("a.test", "a.test", ("a.test",)),
        ("a.test:8443", "a.test", ("a.test",)),
        ("10.0.0.1:80", "", ("10.0.0.1",)),
        ("[::1]:80", "", ("::1",)),
        ("", "", ()),
    ],
)
def test_names_of_requests(host: str, server_name: str, names: tuple[str, ...]) -> None:
    both = {"tls": {"HTTP1": TLS}, "auto_sni": True, "auto_san_validation": True}
    found = options(host, **both)
    assert (found or PoolOptions()) == PoolOptions(server_name=server_name, subject_alt_names=names)
    assert options(host, **{**both, "auto_san_validation": False}) == (
        PoolOptions(server_name=server_name) if server_name else None
    )


def test_a_name_from_another_header() -> None:
    found = options("a.test", tls={"HTTP1": TLS}, auto_sni=True, auto_sni_header=b"x-name")
    assert found == PoolOptions(server_name="other.test")
    found = options("a.test", tls={"HTTP1": TLS}, auto_sni=True, auto_sni_header=b"x-none")
    assert found == PoolOptions(server_name="a.test")


def test_a_clients_own_connections() -> None:
    client = FakeConnection()
    assert options("a", client, pool_per_downstream_connection=True) == PoolOptions(downstream=client.id)
    assert options("a", None, pool_per_downstream_connection=True) is None
    assert options("a", None, "HIGH", pool_per_downstream_connection=True) == HIGH_PRIORITY


def test_what_a_proxy_protocol_header_says_separates() -> None:
    client = FakeConnection()
    client.remote_address, client.local_address = CLIENT, LISTENER
    settings = {"proxy_protocol": ProxyProtocolSettings()}
    assert options("a", client, **settings) == PoolOptions(proxied=ProxiedConnection(CLIENT, LISTENER))
    client.proxied = ProxiedConnection(Address("1.2.3.4", 5), LISTENER, ((5, b"x"),))
    found = options("a", client, **settings)
    assert found == PoolOptions(proxied=client.proxied)
    assert found is not None
    assert found.without_tlvs == PoolOptions(proxied=ProxiedConnection(Address("1.2.3.4", 5), LISTENER))
    assert HIGH_PRIORITY.without_tlvs is HIGH_PRIORITY


def preface(proxied: ProxiedConnection | None, **settings: Any) -> tuple[bytes, int]:
    """What a connection from 10.0.0.9:1 to 10.0.0.8:2 begins with, and how many bytes were counted."""
    sent, too_long = Counter("s"), Counter("l")
    made = ProxyProtocolPreface(ProxyProtocolSettings(**settings), proxied, sent, too_long)
    data = made.preface(Address("10.0.0.9", 1), Address("10.0.0.8", 2))
    assert sent.value == len(data)
    return data, too_long.value


def test_version_1_tells_of_the_client_or_of_the_connection_itself() -> None:
    assert preface(ProxiedConnection(CLIENT, LISTENER)) == (b"PROXY TCP4 10.0.0.2 10.0.0.1 50000 80\r\n", 0)
    assert preface(None) == (b"PROXY TCP4 10.0.0.9 10.0.0.8 1 2\r\n", 0)


def test_version_2_passes_extensions_on_and_adds_some() -> None:
    proxied = ProxiedConnection(CLIENT, LISTENER, ((5, b"a"), (6, b"b")))
    assert preface(None, version=2)[0].endswith(b"QUIT\n\x20\0\0\0"), "LOCAL"
    assert preface(proxied, version=2)[0][28:] == b""
    assert preface(proxied, version=2, passes_all=True)[0][28:] == b"\5\0\1a\6\0\1b"
    assert preface(proxied, version=2, passes=frozenset({6}))[0][28:] == b"\6\0\1b"
    added = preface(proxied, version=2, passes_all=True, added=((6, b"x"), (7, b"y")))[0][28:]
    assert added == b"\6\0\1x\7\0\1y\5\0\1a", "what is added stands for what came"
    large = ProxiedConnection(CLIENT, LISTENER, ((5, b"a" * 65530),))
    assert preface(large, version=2, passes_all=True)[1] == 1
