"""Rules about clusters, the admin, TLS, and fields that are going away."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from envoymesh.config.reader import Reader
from envoymesh.lint.finding import Finding, finding
from envoymesh.lint.tree import clusters, of_type, walk

_OLD_TLS: Final = ("TLSv1_0", "TLSv1_1")

INSTEAD: Final = {
    "access_log_path": "access_log with an envoy.access_loggers.file",
    "http2_protocol_options": "typed_extension_protocol_options with HttpProtocolOptions.explicit_http_config",
    "http_protocol_options": "typed_extension_protocol_options with HttpProtocolOptions.explicit_http_config",
    "common_http_protocol_options": "HttpProtocolOptions.common_http_protocol_options",
    "upstream_http_protocol_options": "HttpProtocolOptions.upstream_http_protocol_options",
    "exact_match": "string_match.exact",
    "safe_regex_match": "string_match.safe_regex",
    "prefix_match": "string_match.prefix",
    "suffix_match": "string_match.suffix",
    "contains_match": "string_match.contains",
    "cors": "typed_per_filter_config with envoy.extensions.filters.http.cors.v3.CorsPolicy",
    "append": "append_action",
    "match_subject_alt_names": "match_typed_subject_alt_names",
    "use_original_dst": "the listener filter envoy.filters.listener.original_dst",
    "operation_name": "traffic_direction of the listener",
    "google_re2": "nothing: RE2 is the only engine",
}
"""Deprecated fields, and what to write in their place."""


def unused_clusters(root: Reader) -> Iterator[Finding]:
    """`cluster-unused`: nothing in the configuration names the cluster."""
    named = set(_names(root))
    by_header = any("cluster_header" in _set_fields(each) for each in walk(root))
    for each in clusters(root):
        name = each.string("name")
        if name not in named and not by_header:
            yield finding("cluster-unused", each, f"nothing names the cluster '{name}'")


def _set_fields(reader: Reader) -> set[str]:
    return {descriptor.name for descriptor, _ in reader.message.ListFields()}


def _names(root: Reader) -> Iterator[str]:
    """Every text value outside of the clusters' own names: a name in any message counts as a use."""
    for reader in walk(root):
        if reader.type_name == "envoy.config.cluster.v3.Cluster":
            continue
        for descriptor, value in reader.message.ListFields():
            if descriptor.cpp_type == descriptor.CPPTYPE_STRING:
                yield from [str(each) for each in value] if descriptor.is_repeated else [str(value)]


def names_that_are_addresses(root: Reader) -> Iterator[Finding]:
    """`dns-on-address`: a cluster that resolves a host which is an address already."""
    for cluster in clusters(root):
        kind = cluster.enum("type") if cluster.has("type") else "STATIC"
        if kind not in ("STRICT_DNS", "LOGICAL_DNS"):
            continue
        for address in of_type(cluster, "envoy.config.core.v3.SocketAddress"):
            if _is_address(address.string("address")):
                text = f"'{address.string('address')}' is an address: type: STATIC needs no DNS refresh"
                yield finding("dns-on-address", address, text, "address")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def open_admin(root: Reader) -> Iterator[Finding]:
    """`admin-open`: the admin, which can end the proxy, listens to more than this machine."""
    admin = root.message_("admin")
    address = None if admin is None else admin.message_("address")
    socket = None if address is None else address.message_("socket_address")
    if socket is not None and not (_is_address(socket.string("address")) and _is_loopback(socket.string("address"))):
        text = (
            f"the admin listens on {socket.string('address')}: whoever reaches it can stop the proxy and read its "
            "configuration; use 127.0.0.1, a pipe, or allow_paths"
        )
        if admin is not None and not admin.has("allow_paths"):
            yield finding("admin-open", socket, text, "address")


def _is_loopback(text: str) -> bool:
    return ipaddress.ip_address(text).is_loopback


def old_tls(root: Reader) -> Iterator[Finding]:
    """`tls-version`: TLS 1.0 and 1.1 are broken (RFC 8996)."""
    for parameters in of_type(root, "envoy.extensions.transport_sockets.tls.v3.TlsParameters"):
        for field in ("tls_minimum_protocol_version", "tls_maximum_protocol_version"):
            if parameters.has(field) and parameters.enum(field) in _OLD_TLS:
                yield finding("tls-version", parameters, f"{parameters.enum(field)} is not safe (RFC 8996)", field)


def unverified_upstreams(root: Reader) -> Iterator[Finding]:
    """`tls-unverified`: TLS to an upstream whose certificate nobody checks."""
    for context in of_type(root, "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"):
        common = context.message_("common_tls_context")
        if common is None or common.which("validation_context_type") is None:
            text = (
                "nobody checks the upstream's certificate, so anybody in between can read along; set validation_context"
            )
            yield finding("tls-unverified", context, text)


def deprecated(root: Reader) -> Iterator[Finding]:
    """`deprecated`: fields that Envoy is going to drop, and what to write instead."""
    for reader in walk(root):
        for descriptor, _ in reader.message.ListFields():
            if descriptor.GetOptions().deprecated:
                instead = INSTEAD.get(descriptor.name)
                advice = f"; write {instead}" if instead else ""
                yield finding(
                    "deprecated", reader, f"the field {descriptor.name} is deprecated{advice}", descriptor.name
                )
