"""Tests of envoymesh.network.stats: the names are the real Envoy's, read from its /stats."""

from __future__ import annotations

from envoymesh.network.stats import DnsStats, ListenerStats, SslStats, TlsInspectorStats
from envoymesh.stats import Histogram, StatsStruct, Store

LISTENER = """connections_accepted_per_socket_event downstream_cx_active downstream_cx_destroy downstream_cx_length_ms
downstream_cx_overflow downstream_cx_overload_reject downstream_cx_total
downstream_cx_transport_socket_connect_timeout downstream_global_cx_overflow downstream_listener_filter_error
downstream_listener_filter_remote_close downstream_pre_cx_active downstream_pre_cx_timeout no_filter_chain_match
worker_0.downstream_cx_active worker_0.downstream_cx_total"""

SSL = """connection_error fail_verify_cert_hash fail_verify_error fail_verify_no_cert fail_verify_san handshake
no_certificate ocsp_staple_failed ocsp_staple_omitted ocsp_staple_requests ocsp_staple_responses session_reused"""


def names(struct: StatsStruct) -> set[str]:
    found: set[str] = set()
    for field, _ in struct._plan:
        stat = getattr(struct, field)
        found |= names(stat) if isinstance(stat, StatsStruct) else {stat.name}
    return found


def test_listener() -> None:
    stats = ListenerStats.create(Store().scope("listener.127.0.0.1_80."))
    assert names(stats) == {f"listener.127.0.0.1_80.{name}" for name in LISTENER.split()}
    assert isinstance(stats.downstream_cx_length_ms, Histogram)


def test_ssl() -> None:
    store = Store()
    stats = SslStats(store.scope("cluster.up."))
    assert names(stats.counters) == {f"cluster.up.ssl.{name}" for name in SSL.split()}
    stats.handshake(
        "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384", "X25519", "ed25519", session_reused=True, peer_certificate=False
    )
    scope = store.scope("cluster.up.ssl.")
    for name in (
        "handshake",
        "session_reused",
        "no_certificate",
        "versions.TLSv1.2",
        "ciphers.ECDHE-RSA-AES256-GCM-SHA384",
        "curves.X25519",
        "sigalgs.ed25519",
    ):
        assert scope.counter(name).value == 1, name
    stats.failure("")
    stats.failure("fail_verify_san")
    assert stats.counters.fail_verify_san.value == 1
    assert stats.counters.connection_error.value == 0


def test_root_scopes() -> None:
    store = Store()
    assert "dns.cares.resolve_total" in names(DnsStats.create(store.scope("dns.cares.")))
    assert "tls_inspector.sni_not_found" in names(TlsInspectorStats.create(store.scope("tls_inspector.")))
