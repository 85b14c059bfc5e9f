"""The network's stats with Envoy's names. Who creates them gives the scope: `listener.ADDRESS.`, `cluster.NAME.`.

This module must not count anything itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from envoymesh.stats import ConstantStats, Counter, Gauge, Histogram, Named, Scope, StatsStruct, stats_struct

_NO_NAME = "e3b0c442"
"""The start of the SHA-256 of nothing: what Envoy puts in the place of a certificate's name where SDS gave none."""


@stats_struct
class WorkerListenerStats(StatsStruct):
    """`listener.ADDRESS.worker_0.`; of the admin `listener.admin.main_thread.`"""

    downstream_cx_total: Counter
    downstream_cx_active: Gauge


@stats_struct
class UnusedOverloadListenerStats(ConstantStats):
    """`listener.ADDRESS.`, the admin's too: what the overload manager turns away, and errors that listener filters do
    not count themselves, of which as in Envoy there are none."""

    downstream_cx_overload_reject: Counter
    downstream_listener_filter_error: Counter


@stats_struct
class ListenerStats(StatsStruct):
    """`listener.ADDRESS.`; a colon of the address is written as an underscore."""

    downstream_cx_total: Counter
    downstream_cx_active: Gauge
    downstream_cx_destroy: Counter
    downstream_cx_overflow: Counter
    downstream_cx_transport_socket_connect_timeout: Counter
    downstream_global_cx_overflow: Counter
    downstream_listener_filter_remote_close: Counter
    downstream_pre_cx_active: Gauge
    downstream_pre_cx_timeout: Counter
    no_filter_chain_match: Counter
    connections_accepted_per_socket_event: Histogram
    downstream_cx_length_ms: Annotated[Histogram, "ms"]
    unused: UnusedOverloadListenerStats
    worker: Annotated[WorkerListenerStats, Named("worker_0.")]


@stats_struct
class AdminListenerStats(ListenerStats):
    """`listener.admin.`: its connections belong to the main thread."""

    worker: Annotated[WorkerListenerStats, Named("main_thread.")]


@stats_struct
class UnusedListenerStats(ConstantStats):
    """`listener.ADDRESS.` of configuration that comes from elsewhere (ECDS); the admin's listener has none."""

    extension_config_missing: Counter
    network_extension_config_missing: Counter


@stats_struct
class UnusedSslSocketFactoryStats(ConstantStats):
    """`server_ssl_socket_factory.` of a listener, `client_ssl_socket_factory.` of a cluster: certificates from SDS."""

    downstream_context_secrets_not_ready: Counter
    ssl_context_update_by_sds: Counter
    upstream_context_secrets_not_ready: Counter


@stats_struct
class TlsInspectorStats(StatsStruct):
    """`tls_inspector.` of the root scope."""

    alpn_found: Counter
    alpn_not_found: Counter
    bytes_processed: Histogram
    client_hello_too_large: Counter
    sni_found: Counter
    sni_not_found: Counter
    tls_found: Counter
    tls_not_found: Counter


@stats_struct
class UnusedDnsStats(ConstantStats):
    """`dns.cares.`: a resolver made anew after failures; here each resolution has its own."""

    reinits: Counter


@stats_struct
class DnsStats(StatsStruct):
    """`dns.cares.` of the root scope."""

    get_addr_failure: Counter
    not_found: Counter
    pending_resolutions: Gauge
    resolve_total: Counter
    timeouts: Counter
    unused: UnusedDnsStats


@stats_struct
class UnusedSslStats(ConstantStats):
    """`ssl.`: OCSP responses, which are not stapled."""

    ocsp_staple_failed: Counter
    ocsp_staple_omitted: Counter
    ocsp_staple_requests: Counter
    ocsp_staple_responses: Counter


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
    session_reused: Counter
    unused: UnusedSslStats


class SslStats:
    """An endpoint's `ssl.` stats; those named after a handshake's outcome are made when it first occurs.

    Args:
        scope: the listener's or cluster's scope.
    """

    __slots__ = ("_ciphers", "_curves", "_scope", "_signatures", "_versions", "counters")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        ssl_scope = scope.scope("ssl.")
        self.counters = SslCounters.create(ssl_scope)
        self._versions = ssl_scope.scope("versions.")
        self._ciphers = ssl_scope.scope("ciphers.")
        self._curves = ssl_scope.scope("curves.")
        self._signatures = ssl_scope.scope("sigalgs.")

    def loaded(self, side: str, own: Sequence[datetime], authorities: Sequence[datetime]) -> None:
        """A context was made: show when the first certificate of each kind expires.

        Args:
            side: ``server`` or ``client``.
        """
        UnusedSslSocketFactoryStats.create(self._scope.scope(f"{side}_ssl_socket_factory."))
        for name, ends in (("unnamed_cert", own), ("unnamed_ca_cert", authorities)):
            if ends:
                gauge = self._scope.gauge(f"ssl.certificate.{name}_{_NO_NAME}.expiration_unix_time_seconds")
                gauge.set(int(min(ends).timestamp()))

    def handshake(
        self, version: str, cipher: str, curve: str, signature: str, *, session_reused: bool, peer_certificate: bool
    ) -> None:
        """A handshake succeeded. `version` and `cipher` are OpenSSL's names, `curve` and the peer's `signature`
        BoringSSL's, or "" where they are not known."""
        counters = self.counters
        counters.handshake.inc()
        self._versions.counter(version).inc()
        self._ciphers.counter(cipher).inc()
        if curve:
            self._curves.counter(curve).inc()
        if signature:
            self._signatures.counter(signature).inc()
        if session_reused:
            counters.session_reused.inc()
        if not peer_certificate:
            counters.no_certificate.inc()

    def failure(self, stat: str) -> None:
        """A handshake failed; `stat` is the name of one of `counters`, or empty when none counts it."""
        if stat:
            getattr(self.counters, stat).inc()
