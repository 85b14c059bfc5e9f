"""Envoy's Listener, FilterChain and TLS messages -> the settings of this room.

What is not read here is refused by its path (`Reader.finish`); what is read and means something that OpenSSL or asyncio
can't do is refused by name. This module must not open sockets or make TLS contexts.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Literal, cast

from envoymesh.config.reader import Reader
from envoymesh.metadata import Metadata, joined
from envoymesh.network.api import Address, PipeAddress
from envoymesh.network.connection.sockets import ip_literal
from envoymesh.network.settings import (
    ACCEPTS_PER_EVENT,
    DEFAULT_BACKLOG,
    LONGEST_BACKLOG,
    CertificateSettings,
    CommonTlsSettings,
    DownstreamTlsSettings,
    FilterChainMatch,
    FilterChainSettings,
    ListenerSettings,
    Network,
    SanMatcher,
    SourceType,
    UpstreamTlsSettings,
    ValidationSettings,
)

_TLS = "envoy.extensions.transport_sockets.tls.v3."
DOWNSTREAM_TLS = _TLS + "DownstreamTlsContext"
UPSTREAM_TLS = _TLS + "UpstreamTlsContext"
RAW_BUFFER = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"

MAX_PIPE_PATH = 108
"""Bytes of a Unix domain socket's path with its final zero (sockaddr_un, unix(7))."""

MAX_ALPN_BYTES = 65_535
"""A list of protocol names on the wire, each behind its length (RFC 7301 section 3.1)."""

SanType = Literal["DNS", "URI", "EMAIL", "IP_ADDRESS"]
_SAN_TYPES: tuple[SanType, ...] = ("DNS", "URI", "EMAIL", "IP_ADDRESS")


def read_listener(reader: Reader) -> ListenerSettings:
    """Read an envoy.config.listener.v3.Listener.

    Raises:
        ConfigError: something in it is wrong or not supported.
    """
    address = read_address(reader, "address")
    metadata = reader.metadata("LISTENER")
    chains = tuple(reader.each("filter_chains", lambda chain: read_filter_chain(chain, metadata)))
    default = reader.message_("default_filter_chain")
    if not chains and default is None:
        raise reader.error("filter_chains", f"error adding listener '{address}': no filter chains specified")
    _check_distinct(reader, address, chains)
    for field in ("use_original_dst", "transparent", "enable_mptcp"):
        _refuse_true(reader, field)
    timeout = reader.duration("listener_filters_timeout", 15.0)
    return ListenerSettings(
        name=reader.string("name") or str(address),
        address=address,
        additional_addresses=tuple(
            (read_address(more, "address"), more.ipv4_compat("address"))
            for more in reader.repeated("additional_addresses")
        ),
        ipv4_compat=reader.ipv4_compat("address"),
        stat_prefix=reader.string("stat_prefix"),
        filter_chains=chains,
        default_filter_chain=read_filter_chain(default, metadata) if default is not None else None,
        per_connection_buffer_limit_bytes=reader.integer("per_connection_buffer_limit_bytes", 1024 * 1024),
        listener_filters=tuple(reader.repeated("listener_filters")),
        listener_filters_timeout=timeout if timeout is not None else 15.0,
        continue_on_listener_filters_timeout=reader.boolean("continue_on_listener_filters_timeout"),
        bind_to_port=_read_bind_to_port(reader),
        reuse_port=reader.boolean("enable_reuse_port", True),
        freebind=reader.boolean("freebind"),
        tcp_backlog_size=min(reader.integer("tcp_backlog_size", DEFAULT_BACKLOG), LONGEST_BACKLOG),
        max_connections_to_accept_per_socket_event=reader.integer(
            "max_connections_to_accept_per_socket_event", ACCEPTS_PER_EVENT
        ),
        traffic_direction=reader.enum("traffic_direction"),
        drain_type=reader.enum("drain_type"),
        access_log=tuple(reader.repeated("access_log")),
        ignore_global_conn_limit=reader.boolean("ignore_global_conn_limit"),
        metadata=metadata,
    )


def read_filter_chain(reader: Reader, metadata: Metadata | None = None) -> FilterChainSettings:
    """Read an envoy.config.listener.v3.FilterChain; its network filters stay readers. `metadata` is the listener's.

    Raises:
        ConfigError: something in it is wrong or not supported.
    """
    match = reader.message_("filter_chain_match")
    filters = []
    for each in reader.repeated("filters"):
        config = each.any_("typed_config")
        if config is None:
            raise each.error("typed_config", "field is required")
        filters.append((each.string("name"), config))
    return FilterChainSettings(
        name=reader.string("name"),
        match=_read_match(match) if match is not None else FilterChainMatch(),
        filters=tuple(filters),
        tls=_read_downstream_socket(reader.message_("transport_socket")),
        transport_socket_connect_timeout=reader.duration("transport_socket_connect_timeout"),
        use_proxy_proto=reader.boolean("use_proxy_proto"),
        metadata=joined(metadata, reader.metadata("LISTENER_FILTER_CHAIN")),
    )


def read_address(reader: Reader, field: str) -> Address:
    """Read an envoy.config.core.v3.Address that must be an IP literal or a pipe.

    Raises:
        ConfigError: it is a name or another kind of address.
    """
    pipe = read_pipe(reader.required(field))
    return read_ip_address(reader.required(field)) if pipe is None else pipe


def read_ip_address(reader: Reader) -> Address:
    """Read an envoy.config.core.v3.Address that must be an IP literal.

    Raises:
        ConfigError: it is a name or another kind of address.
    """
    host, port = reader.socket_address()
    try:
        return Address(ip_literal(host), port)
    except (ValueError, OSError) as error:
        raise reader.error("", f"malformed IP address: {host}") from error


def read_pipe(address: Reader) -> PipeAddress | None:
    """Read an envoy.config.core.v3.Address as a Unix domain socket; None where it is something else.

    Raises:
        ConfigError: the system could not take it, in Envoy's words.
    """
    pipe = address.message_("pipe") if address.has("pipe") else None
    if pipe is None:
        return None
    path, mode = pipe.string("path"), pipe.integer("mode")
    if len(os.fsencode(path)) >= MAX_PIPE_PATH:
        raise pipe.error("path", f'Path "{path}" exceeds maximum UNIX domain socket path size of {MAX_PIPE_PATH}.')
    if path.startswith("@"):
        if sys.platform != "linux":
            raise pipe.error("path", "Abstract AF_UNIX sockets are only supported on linux.")
        if mode:
            raise pipe.error("mode", "Cannot set mode for Abstract AF_UNIX sockets")
    elif "\0" in path:
        raise pipe.error("path", "UNIX domain socket pathname contains embedded null characters")
    return PipeAddress(path, mode=mode)


def read_downstream_tls(reader: Reader) -> DownstreamTlsSettings:
    """Read a DownstreamTlsContext.

    Raises:
        ConfigError: something in it is wrong or not supported.
    """
    for field in ("disable_stateful_session_resumption", "full_scan_certs_on_sni_mismatch"):
        _refuse_true(reader, field)
    if reader.enum("ocsp_staple_policy") != "LENIENT_STAPLING":
        raise reader.error("ocsp_staple_policy", "only LENIENT_STAPLING is supported")
    return DownstreamTlsSettings(
        common=_read_common_tls(reader),
        require_client_certificate=reader.boolean("require_client_certificate"),
        require_sni=reader.boolean("require_sni"),
        disable_stateless_session_resumption=reader.boolean("disable_stateless_session_resumption"),
        prefer_client_ciphers=reader.boolean("prefer_client_ciphers"),
    )


def read_upstream_tls(reader: Reader) -> UpstreamTlsSettings:
    """Read an UpstreamTlsContext.

    Raises:
        ConfigError: something in it is wrong or not supported.
    """
    return UpstreamTlsSettings(
        common=_read_common_tls(reader),
        sni=reader.string("sni"),
        max_session_keys=reader.integer("max_session_keys", 1),
    )


def read_upstream_socket(socket: Reader | None) -> UpstreamTlsSettings | None:
    """Read a cluster's transport_socket (envoy.config.core.v3.TransportSocket); None is plaintext.

    Raises:
        ConfigError: it is another kind of socket, or wrong.
    """
    return None if socket is None else socket.attempt(_read_upstream_socket)


def _read_upstream_socket(socket: Reader) -> UpstreamTlsSettings | None:
    config = _read_socket_config(socket, UPSTREAM_TLS)
    return read_upstream_tls(config) if config is not None else None


def _read_downstream_socket(socket: Reader | None) -> DownstreamTlsSettings | None:
    return None if socket is None else socket.attempt(_read_tls_socket)


def _read_tls_socket(socket: Reader) -> DownstreamTlsSettings | None:
    config = _read_socket_config(socket, DOWNSTREAM_TLS)
    return read_downstream_tls(config) if config is not None else None


def _read_socket_config(socket: Reader, tls_type: str) -> Reader | None:
    name = socket.string("name")
    config = socket.any_("typed_config")
    if config is None:
        if name in ("raw_buffer", "envoy.transport_sockets.raw_buffer"):
            return None
        raise socket.error("typed_config", "field is required")
    if config.type_name == RAW_BUFFER:
        return None
    if config.type_name != tls_type:
        raise socket.error("typed_config", f"this transport socket is not supported (value: {config.type_name})")
    return config


def _read_bind_to_port(reader: Reader) -> bool:
    old = reader.message_("deprecated_v1")
    if old is not None and not old.boolean("bind_to_port", True):
        return False
    return reader.boolean("bind_to_port", True)


def _read_match(reader: Reader) -> FilterChainMatch:
    names = reader.strings("server_names")
    for index, name in enumerate(names):
        if "*" in name.removeprefix("*."):
            raise reader.error(
                f"server_names[{index}]", f'partial wildcards are not supported in "server_names" ({name})'
            )
    return FilterChainMatch(
        destination_port=reader.integer("destination_port") if reader.has("destination_port") else None,
        prefix_ranges=_read_ranges(reader, "prefix_ranges"),
        server_names=tuple(name.lower() for name in names),
        transport_protocol=reader.string("transport_protocol"),
        application_protocols=tuple(reader.strings("application_protocols")),
        direct_source_prefix_ranges=_read_ranges(reader, "direct_source_prefix_ranges"),
        source_type=cast(SourceType, reader.enum("source_type")),
        source_prefix_ranges=_read_ranges(reader, "source_prefix_ranges"),
        source_ports=tuple(reader.integers("source_ports")),
    )


def _read_ranges(reader: Reader, field: str) -> tuple[Network, ...]:
    found = []
    for each in reader.repeated(field):
        network = (each.string("address_prefix"), each.integer("prefix_len"))
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            raise each.error("", f"malformed address range (value: {network[0]}/{network[1]})") from error
        found.append(network)
    return tuple(found)


def _check_distinct(reader: Reader, address: Address, chains: tuple[FilterChainSettings, ...]) -> None:
    seen: dict[FilterChainMatch, str] = {}
    for index, chain in enumerate(chains):
        if chain.match in seen:
            raise reader.error(
                f"filter_chains[{index}]",
                f"error adding listener '{address}': filter chain '{chain.name}' has the same matching rules defined "
                f"as '{seen[chain.match]}'",
            )
        seen[chain.match] = chain.name


def _read_common_tls(reader: Reader) -> CommonTlsSettings:
    common = reader.message_("common_tls_context")
    if common is None:
        return CommonTlsSettings(where=reader.path)
    for field in ("tls_certificate_sds_secret_configs", "validation_context_sds_secret_config"):
        common.refuse(field, "is not supported: envoymesh has no SDS")
    params = common.message_("tls_params")
    validation = common.message_("validation_context")
    return CommonTlsSettings(
        certificates=tuple(_read_certificate(own) for own in common.repeated("tls_certificates")),
        validation=_read_validation(validation) if validation is not None else None,
        alpn_protocols=_read_alpn(common),
        minimum_version=params.enum("tls_minimum_protocol_version") if params is not None else "TLS_AUTO",
        maximum_version=params.enum("tls_maximum_protocol_version") if params is not None else "TLS_AUTO",
        cipher_suites=tuple(params.strings("cipher_suites")) if params is not None else (),
        ecdh_curves=tuple(params.strings("ecdh_curves")) if params is not None else (),
        where=common.path,
    )


def _read_alpn(common: Reader) -> tuple[str, ...]:
    """`alpn_protocols`; as in Envoy, one element may hold several names with commas between them."""
    joined = ",".join(common.strings("alpn_protocols"))
    names = tuple(joined.split(",")) if joined else ()
    for name in names:
        if not 0 < len(name.encode()) < 256:
            raise common.error("alpn_protocols", f"a protocol name has 1 to 255 bytes (value: {name[:40]!r})")
    if len(joined.encode()) + 1 > MAX_ALPN_BYTES:
        raise common.error("alpn_protocols", f"all names together have at most {MAX_ALPN_BYTES} bytes")
    return names


def _read_certificate(reader: Reader) -> CertificateSettings:
    return CertificateSettings(
        chain=reader.data_source("certificate_chain"),
        private_key=reader.data_source("private_key"),
        password=reader.data_source("password").rstrip(b"\r\n"),
        chain_path=_path_of(reader, "certificate_chain"),
    )


def _path_of(reader: Reader, field: str) -> str:
    """The name of a data source's file, or ``<inline>``, as Envoy shows it."""
    source = reader.message_(field)
    if source is not None and source.which("specifier") == "filename":
        return source.string("filename")
    return "<inline>"


def _read_validation(reader: Reader) -> ValidationSettings:
    for field in ("allow_expired_certificate", "require_signed_certificate_timestamp"):
        _refuse_true(reader, field)
    if reader.enum("trust_chain_verification") != "VERIFY_TRUST_CHAIN":
        raise reader.error("trust_chain_verification", "only VERIFY_TRUST_CHAIN is supported")
    system_roots = reader.message_("system_root_certs")
    matchers = [_read_typed_san(each) for each in reader.repeated("match_typed_subject_alt_names")]
    for each in reader.repeated("match_subject_alt_names"):
        matchers += [_read_san(each, san_type) for san_type in _SAN_TYPES]
    trusted_ca = reader.data_source("trusted_ca")
    if matchers and not trusted_ca and system_roots is None:
        raise reader.error(
            "", "SAN-based verification of peer certificates without trusted CA is insecure and not allowed"
        )
    return ValidationSettings(
        trusted_ca=trusted_ca,
        trusted_ca_path=_path_of(reader, "trusted_ca"),
        system_root_certs=system_roots is not None,
        crl=reader.data_source("crl"),
        only_verify_leaf_cert_crl=reader.boolean("only_verify_leaf_cert_crl"),
        verify_certificate_hash=tuple(
            value.replace(":", "").lower() for value in reader.strings("verify_certificate_hash")
        ),
        verify_certificate_spki=tuple(reader.strings("verify_certificate_spki")),
        san_matchers=tuple(matchers),
    )


def _read_typed_san(reader: Reader) -> SanMatcher:
    san_type = reader.enum("san_type")
    if san_type not in _SAN_TYPES:
        raise reader.error("san_type", f"only {', '.join(_SAN_TYPES)} are supported (value: {san_type})")
    return _read_san(reader.required("matcher"), san_type)


def _read_san(reader: Reader, san_type: SanType) -> SanMatcher:
    kind = reader.which("match_pattern")
    if kind is None:
        raise reader.error("match_pattern", "field is required")
    if kind == "safe_regex":
        regex = reader.required(kind)
        # RE2 is the only engine, here and in Envoy.
        regex.accept("google_re2")
        return SanMatcher(san_type, kind, regex.string("regex"))
    if kind == "custom":
        raise reader.error(kind, "is not supported")
    return SanMatcher(san_type, kind, reader.string(kind), reader.boolean("ignore_case"))


def _refuse_true(reader: Reader, field: str) -> None:
    """Take a flag whose only supported value is its default."""
    if reader.boolean(field):
        raise reader.error(field, "is not supported (value: true)")
