"""The network's stats with Envoy's names. Who creates them gives the scope: `listener.ADDRESS.`, `cluster.NAME.`.

This module must not count anything itself.
"""

from __future__ import annotations

from typing import Annotated

from envoymesh.stats import Counter, Gauge, Histogram, Named, Scope, StatsStruct, stats_struct


@stats_struct
class WorkerListenerStats(StatsStruct):
    """`listener.ADDRESS.worker_0.`"""

    downstream_cx_total: Counter
    downstream_cx_active: Gauge


@stats_struct
class ListenerStats(StatsStruct):
    """`listener.ADDRESS.`; a colon of the address is written as an underscore."""

    downstream_cx_total: Counter
    downstream_cx_active: Gauge
    downstream_cx_destroy: Counter
    downstream_cx_overflow: Counter
    downstream_cx_overload_reject: Counter
    downstream_cx_transport_socket_connect_timeout: Counter
    downstream_global_cx_overflow: Counter
    downstream_listener_filter_error: Counter
    downstream_listener_filter_remote_close: Counter
    downstream_pre_cx_active: Gauge
    downstream_pre_cx_timeout: Counter
    extension_config_missing: Counter
    network_extension_config_missing: Counter
    no_filter_chain_match: Counter
    connections_accepted_per_socket_event: Histogram
    downstream_cx_length_ms: Annotated[Histogram, "ms"]
    worker: Annotated[WorkerListenerStats, Named("worker_0.")]


@stats_struct
class TlsInspectorStats(StatsStruct):
    """`tls_inspector.` of the root scope."""

    alpn_found: Counter
    alpn_not_found: Counter
    client_hello_too_large: Counter
    sni_found: Counter
    sni_not_found: Counter
    tls_found: Counter
    tls_not_found: Counter


@stats_struct
class DnsStats(StatsStruct):
    """`dns.cares.` of the root scope."""

    get_addr_failure: Counter
    not_found: Counter
    pending_resolutions: Gauge
    reinits: Counter
    resolve_total: Counter
    timeouts: Counter


@stats_struct
class SslCounters(StatsStruct):
    """`ssl.` below a listener's or a cluster's scope: the stats whose names are known beforehand."""

    connection_error: Counter
    fail_verify_cert_hash: Counter
    fail_verify_error: Counter
    fail_verify_no_cert: Counter
    fail_verify_san: Counter
    handshake: Counter
    no_certificate: Counter
    ocsp_staple_failed: Counter
    ocsp_staple_omitted: Counter
    ocsp_staple_requests: Counter
    ocsp_staple_responses: Counter
    session_reused: Counter


class SslStats:
    """An endpoint's `ssl.` stats; those named after a handshake's outcome are made when it first occurs.

    Args:
        scope: the listener's or cluster's scope.
    """

    __slots__ = ("_ciphers", "_versions", "counters")

    def __init__(self, scope: Scope) -> None:
        ssl_scope = scope.scope("ssl.")
        self.counters = SslCounters.create(ssl_scope)
        self._versions = ssl_scope.scope("versions.")
        self._ciphers = ssl_scope.scope("ciphers.")

    def handshake(self, version: str, cipher: str, *, session_reused: bool, peer_certificate: bool) -> None:
        """A handshake succeeded. `version` and `cipher` are OpenSSL's names."""
        counters = self.counters
        counters.handshake.inc()
        self._versions.counter(version).inc()
        self._ciphers.counter(cipher).inc()
        if session_reused:
            counters.session_reused.inc()
        if not peer_certificate:
            counters.no_certificate.inc()

    def failure(self, stat: str) -> None:
        """A handshake failed; `stat` is the name of one of `counters`, or empty when none counts it."""
        if stat:
            getattr(self.counters, stat).inc()
