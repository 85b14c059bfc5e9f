"""Settings of the HTTP connection manager: plain values, made by `config.py` once, never changed.

Field names are those of envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.
Times are seconds; 0 disables a timeout, as in Envoy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from envoymesh.access_loggers import AccessLog
from envoymesh.filters.network.http_connection_manager.local_reply_mapping import LocalReplyMapping
from envoymesh.filters.network.http_connection_manager.upgrades import UpgradeKind
from envoymesh.http.filter_manager.filter_plan import FilterChainFactory
from envoymesh.http.http1 import Http1Settings
from envoymesh.http.http2 import Http2Settings
from envoymesh.router.table import RouteTable

DEFERRED_CLOSE: Final = "deferred_close_on_drained_connection"
"""Why a connection ends behind its last answer (%DOWNSTREAM_LOCAL_CLOSE_REASON%)."""

PREMATURE_RESET_LIMIT: Final = "overload.premature_reset_total_stream_count"
"""Runtime key: requests of which half may be reset early."""

PREMATURE_RESET_SECONDS: Final = "overload.premature_reset_min_stream_lifetime_seconds"
"""Runtime key: a request reset within this time and before its response was reset early."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class HttpConnectionManagerSettings:
    """What one connection manager filter was configured to do."""

    stat_prefix: str
    route_table: RouteTable
    filters: FilterChainFactory
    codec_type: str = "AUTO"
    server_name: bytes = b"envoy"
    server_header_transformation: str = "OVERWRITE"
    via: bytes = b""
    use_remote_address: bool = False
    xff_num_trusted_hops: int = 0
    skip_xff_append: bool = False
    append_x_forwarded_port: bool = False
    internal_networks: Sequence[Network] = ()
    local_address: str = "127.0.0.1"
    generate_request_id: bool = True
    preserve_external_request_id: bool = False
    always_set_request_id_in_response: bool = False
    user_agent: bytes = b""
    node_id: bytes = b""
    proxy_100_continue: bool = False
    normalize_path: bool = False
    merge_slashes: bool = False
    path_with_escaped_slashes_action: str = "KEEP_UNCHANGED"
    strip_port: str = ""
    strip_trailing_host_dot: bool = False
    stream_idle_timeout: float = 300.0
    stream_flush_timeout: float | None = None
    request_timeout: float = 0.0
    request_headers_timeout: float = 0.0
    idle_timeout: float = 3600.0
    max_connection_duration: float = 0.0
    max_stream_duration: float = 0.0
    drain_timeout: float = 5.0
    delayed_close_timeout: float = 1.0
    max_requests_per_connection: int = 0
    access_logs: Sequence[AccessLog] = ()
    access_log_flush_interval: float = 0.0
    flush_access_log_on_new_request: bool = False
    flush_access_log_on_tunnel: bool = False
    upgrades: Mapping[bytes, UpgradeKind] = field(default_factory=dict)
    local_reply: LocalReplyMapping | None = None
    http1: Http1Settings = field(default_factory=Http1Settings)
    http2: Http2Settings = field(default_factory=Http2Settings)

    @property
    def rewrites_paths(self) -> bool:
        """Whether any path or host normalisation is on."""
        escaped = self.path_with_escaped_slashes_action not in ("KEEP_UNCHANGED", "IMPLEMENTATION_SPECIFIC_DEFAULT")
        hosts = self.strip_port or self.strip_trailing_host_dot
        return bool(self.normalize_path or self.merge_slashes or hosts or escaped)

    @property
    def has_request_timeouts(self) -> bool:
        """Whether a request needs timers besides the idle timer."""
        seconds = (self.request_timeout, self.request_headers_timeout, self.max_stream_duration)
        return bool(self.access_log_flush_interval or any(seconds))

    def is_internal(self, host: str) -> bool:
        """Whether `internal_address_config` counts an IP address as internal (default: none)."""
        if not self.internal_networks:
            return False
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address.version == net.version and address in net for net in self.internal_networks)
