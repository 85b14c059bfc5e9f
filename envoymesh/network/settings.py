"""What a listener, its filter chains and TLS are told to do: frozen values, made by `config` from Envoy's messages.

Field names are those of the v3 messages where there is one. This module must not know protobuf, nor check anything.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final, Literal

from envoymesh.metadata import Metadata
from envoymesh.network.api import Address

Network = tuple[str, int]
"""A CIDR range: address prefix and its length in bits."""

SourceType = Literal["ANY", "SAME_IP_OR_LOOPBACK", "EXTERNAL"]


@dataclass(frozen=True, slots=True)
class CertificateSettings:
    """One envoy.extensions.transport_sockets.tls.v3.TlsCertificate, PEM bytes.

    The key is never shown by `repr`. `chain_path` is the file's name, or ``<inline>``.
    """

    chain: bytes
    private_key: bytes
    password: bytes = b""
    chain_path: str = "<inline>"

    def __repr__(self) -> str:
        return f"CertificateSettings({self.chain_path})"


@dataclass(frozen=True, slots=True)
class SanMatcher:
    """One SubjectAltNameMatcher. `kind`: exact, prefix, suffix, contains or safe_regex."""

    san_type: Literal["DNS", "URI", "EMAIL", "IP_ADDRESS"]
    kind: str
    value: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class ValidationSettings:
    """One CertificateValidationContext. Hashes are lower-case hex, SPKI pins are base64, both of SHA-256."""

    trusted_ca: bytes = b""
    trusted_ca_path: str = "<inline>"
    system_root_certs: bool = False
    crl: bytes = b""
    only_verify_leaf_cert_crl: bool = False
    verify_certificate_hash: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    san_matchers: tuple[SanMatcher, ...] = ()


@dataclass(frozen=True, slots=True)
class CommonTlsSettings:
    """One CommonTlsContext. Versions are the enum's names, TLS_AUTO for the side's default.

    `where` is the field path, for errors that show only when the context is made.
    """

    certificates: tuple[CertificateSettings, ...] = ()
    validation: ValidationSettings | None = None
    alpn_protocols: tuple[str, ...] = ()
    minimum_version: str = "TLS_AUTO"
    maximum_version: str = "TLS_AUTO"
    cipher_suites: tuple[str, ...] = ()
    ecdh_curves: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class DownstreamTlsSettings:
    """One DownstreamTlsContext."""

    common: CommonTlsSettings
    require_client_certificate: bool = False
    require_sni: bool = False
    disable_stateless_session_resumption: bool = False
    prefer_client_ciphers: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamTlsSettings:
    """One UpstreamTlsContext. `sni` is empty when none is sent; `max_session_keys` 0 turns resumption off."""

    common: CommonTlsSettings
    sni: str = ""
    max_session_keys: int = 1


@dataclass(frozen=True, slots=True)
class FilterChainMatch:
    """One FilterChainMatch; an empty criterion matches everything."""

    destination_port: int | None = None
    prefix_ranges: tuple[Network, ...] = ()
    server_names: tuple[str, ...] = ()
    transport_protocol: str = ""
    application_protocols: tuple[str, ...] = ()
    direct_source_prefix_ranges: tuple[Network, ...] = ()
    source_type: SourceType = "ANY"
    source_prefix_ranges: tuple[Network, ...] = ()
    source_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterChainSettings:
    """One FilterChain. `filters` are (name, reader of the typed_config) for whoever knows network filters.

    `metadata` is the listener's and the chain's by kind, as ``%METADATA(LISTENER:...)%`` asks for it; None is none.
    `use_proxy_proto` of the first chain is for the whole listener, as in Envoy.
    `factory` is what makes the filters of each connection, put there by whoever knows network filters.
    """

    name: str
    match: FilterChainMatch
    filters: tuple[tuple[str, Any], ...]
    tls: DownstreamTlsSettings | None = None
    transport_socket_connect_timeout: float | None = None
    use_proxy_proto: bool = False
    metadata: Metadata | None = None
    factory: Any = None


LONGEST_BACKLOG: Final = (1 << 31) - 1
"""What listen(2) can be told at most; Linux cuts it down to net.core.somaxconn."""

DEFAULT_BACKLOG: Final = LONGEST_BACKLOG if sys.platform == "linux" else 128
"""tcp_backlog_size where it is not set, as in Envoy: the system's limit, and 128 where there is no such."""

ACCEPTS_PER_EVENT: Final = 32
"""max_connections_to_accept_per_socket_event where it is not set. Envoy then takes all who wait, however many."""


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One Listener. Times in seconds, `listener_filters_timeout` 0 is no limit; buffer limit in bytes, 0 is none.

    `access_log` are readers of envoy.config.accesslog.v3.AccessLog. `listener_filters` are readers too, until whoever
    knows listener filters puts what makes them (`ListenerFilterFactory`) in their place.
    """

    name: str
    address: Address
    additional_addresses: tuple[tuple[Address, bool], ...] = ()
    ipv4_compat: bool = False
    stat_prefix: str = ""
    filter_chains: tuple[FilterChainSettings, ...] = ()
    default_filter_chain: FilterChainSettings | None = None
    per_connection_buffer_limit_bytes: int = 1024 * 1024
    listener_filters: tuple[Any, ...] = ()
    listener_filters_timeout: float = 15.0
    continue_on_listener_filters_timeout: bool = False
    bind_to_port: bool = True
    reuse_port: bool = True
    freebind: bool = False
    tcp_backlog_size: int = DEFAULT_BACKLOG
    max_connections_to_accept_per_socket_event: int = ACCEPTS_PER_EVENT
    traffic_direction: str = "UNSPECIFIED"
    drain_type: str = "DEFAULT"
    access_log: tuple[Any, ...] = ()
    ignore_global_conn_limit: bool = False
    metadata: Metadata | None = None
