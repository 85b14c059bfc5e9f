"""Tests of envoymesh.network.config: Listener and TLS messages -> settings, and what is refused by its path."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.network.api import Address, PipeAddress
from envoymesh.network.config import (
    DOWNSTREAM_TLS,
    UPSTREAM_TLS,
    read_downstream_tls,
    read_listener,
    read_upstream_socket,
    read_upstream_tls,
)
from envoymesh.network.settings import LONGEST_BACKLOG, FilterChainMatch, SanMatcher

ROUTER = "envoy.extensions.filters.http.router.v3.Router"


def reader(type_name: str, settings: dict[str, Any], path: str = "at") -> Reader:
    for used in (DOWNSTREAM_TLS, UPSTREAM_TLS, ROUTER):
        message_class(used)
    return Reader(json_format.ParseDict(settings, message_class(type_name)()), path)


def any_of(type_name: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/{type_name}", **fields}


def address(host: str = "127.0.0.1", port: int = 80, **more: Any) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port, **more}}


CHAIN: dict[str, Any] = {"filters": [{"name": "some.filter", "typed_config": any_of(ROUTER)}]}


def listener(**fields: Any) -> Any:
    whole = {"name": "l", "address": address(), "filter_chains": [CHAIN]} | fields
    read = reader("envoy.config.listener.v3.Listener", whole)
    settings = read_listener(read)
    for chain in (*settings.filter_chains, settings.default_filter_chain):
        for _, config in chain.filters if chain is not None else ():
            config.json()
    read.finish()
    return settings


def tls_socket(**fields: Any) -> dict[str, Any]:
    return {"name": "envoy.transport_sockets.tls", "typed_config": any_of(DOWNSTREAM_TLS, **fields)}


def test_defaults() -> None:
    settings = listener()
    assert settings.name == "l"
    assert settings.address == Address("127.0.0.1", 80)
    assert settings.per_connection_buffer_limit_bytes == 1024 * 1024
    assert (settings.bind_to_port, settings.reuse_port, settings.listener_filters) == (True, True, ())
    assert settings.listener_filters_timeout == 15.0
    [chain] = settings.filter_chains
    assert chain.match == FilterChainMatch()
    assert [(name, config.type_name) for name, config in chain.filters] == [("some.filter", ROUTER)]
    assert chain.tls is None


@pytest.mark.parametrize(
    ("pipe", "expected", "shown"),
    [
        ({"path": "/run/a.sock"}, PipeAddress("/run/a.sock"), "/run/a.sock"),
        ({"path": "a.sock", "mode": 0o600}, PipeAddress("a.sock", mode=0o600), "a.sock"),
        ({"path": "@name"}, PipeAddress("@name"), "@name"),
        ({"path": "/" + "x" * 106}, PipeAddress("/" + "x" * 106), "/" + "x" * 106),
    ],
)
def test_pipes(pipe: dict[str, Any], expected: PipeAddress, shown: str) -> None:
    settings = listener(name="", address={"pipe": pipe}, additional_addresses=[{"address": {"pipe": pipe}}])
    assert settings.address == settings.additional_addresses[0][0] == expected
    assert (str(settings.address), settings.name, settings.address.ip) == (shown, shown, "")


def test_everything_that_is_read() -> None:
    match = {
        "destination_port": 8443,
        "prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}],
        "server_names": ["A.test", "*.b.test"],
        "transport_protocol": "tls",
        "application_protocols": ["h2"],
        "source_type": "EXTERNAL",
        "source_prefix_ranges": [{"address_prefix": "::", "prefix_len": 0}],
        "direct_source_prefix_ranges": [{"address_prefix": "192.0.2.0", "prefix_len": 24}],
        "source_ports": [1, 2],
    }
    settings = listener(
        address=address("::", 443, ipv4_compat=True),
        additional_addresses=[{"address": address("127.0.0.2", 81)}],
        stat_prefix="edge",
        default_filter_chain={"name": "rest", **CHAIN},
        filter_chains=[{**CHAIN, "name": "c", "filter_chain_match": match, "transport_socket_connect_timeout": "3s"}],
        per_connection_buffer_limit_bytes=0,
        listener_filters_timeout="0s",
        continue_on_listener_filters_timeout=True,
        bind_to_port=False,
        enable_reuse_port=False,
        freebind=True,
        tcp_backlog_size=5,
        max_connections_to_accept_per_socket_event=7,
        traffic_direction="INBOUND",
        drain_type="MODIFY_ONLY",
        metadata={},
    )
    assert settings.address == Address("::", 443)
    assert settings.ipv4_compat
    assert settings.additional_addresses == ((Address("127.0.0.2", 81), False),)
    assert settings.default_filter_chain is not None
    assert settings.default_filter_chain.name == "rest"
    assert settings.per_connection_buffer_limit_bytes == 0
    assert settings.listener_filters_timeout == 0.0
    assert (settings.bind_to_port, settings.reuse_port, settings.freebind) == (False, False, True)
    assert (settings.tcp_backlog_size, settings.stat_prefix) == (5, "edge")
    assert settings.max_connections_to_accept_per_socket_event == 7
    assert listener(tcp_backlog_size=4294967295).tcp_backlog_size == LONGEST_BACKLOG
    [chain] = settings.filter_chains
    assert chain.transport_socket_connect_timeout == 3.0
    assert chain.match == FilterChainMatch(
        8443,
        (("10.0.0.0", 8),),
        ("a.test", "*.b.test"),
        "tls",
        ("h2",),
        (("192.0.2.0", 24),),
        "EXTERNAL",
        (("::", 0),),
        (1, 2),
    )


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"filter_chains": []}, r"at\.filter_chains: .*no filter chains specified"),
        ({"address": address("example.com")}, r"at\.address: malformed IP address: example\.com"),
        (
            {"address": {"envoy_internal_address": {"server_listener_name": "x"}}},
            r"at\.address\.envoy_internal_addr",
        ),
        ({"address": {"pipe": {"path": "/" + "x" * 107}}}, r"at\.address\.pipe\.path: Path .* exceeds maximum UNIX"),
        ({"address": {"pipe": {"path": "/a\0b"}}}, r"at\.address\.pipe\.path: .*contains embedded null characters"),
        ({"address": {"pipe": {"path": "@x", "mode": 1}}}, r"at\.address\.pipe\.mode: Cannot set mode for Abstract"),
        ({"filter_chains": [CHAIN, CHAIN]}, r"at\.filter_chains\[1\]: .*has the same matching rules defined"),
        ({"use_original_dst": True}, r"at\.use_original_dst: is not supported"),
        ({"tcp_fast_open_queue_length": 5}, r"at\.tcp_fast_open_queue_length: .*not supported"),
        ({"udp_listener_config": {}}, r"at\.udp_listener_config: .*not supported"),
        (
            {"filter_chains": [{**CHAIN, "filter_chain_match": {"server_names": ["a*.test"]}}]},
            r"at\.filter_chains\[0\]\.filter_chain_match\.server_names\[0\]: partial wildcards",
        ),
        (
            {"filter_chains": [{**CHAIN, "filter_chain_match": {"address_suffix": "x"}}]},
            r"filter_chain_match\.address_suffix: ",
        ),
        (
            {"filter_chains": [{**CHAIN, "filter_chain_match": {"prefix_ranges": [{"address_prefix": "x"}]}}]},
            r"prefix_ranges\[0\]: malformed address range",
        ),
        ({"filter_chains": [{"filters": [{"name": "x"}]}]}, r"filters\[0\]\.typed_config: field is required"),
        (
            {"filter_chains": [{**CHAIN, "transport_socket": {"name": "x", "typed_config": any_of(ROUTER)}}]},
            r"transport_socket\.typed_config: this transport socket is not supported",
        ),
    ],
)
def test_refused(fields: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        listener(**fields)


def test_a_tls_chain_from_files(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(b"CHAIN")
    own = {"certificate_chain": {"filename": str(tmp_path / "c.pem")}, "private_key": {"inline_string": "KEY"}}
    socket = tls_socket(
        require_client_certificate=True,
        common_tls_context={
            "tls_certificates": [own],
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "cipher_suites": ["[A|B]", "C"]},
            "validation_context": {"trusted_ca": {"inline_string": "CA"}, "verify_certificate_hash": ["AA:bb"]},
        },
    )
    tls = listener(filter_chains=[{**CHAIN, "transport_socket": socket}]).filter_chains[0].tls
    [certificate] = tls.common.certificates
    assert (certificate.chain, certificate.private_key) == (b"CHAIN", b"KEY")
    assert certificate.chain_path.endswith("c.pem")
    assert "KEY" not in repr(certificate)
    assert tls.common.alpn_protocols == ("h2", "http/1.1")
    assert (tls.common.minimum_version, tls.common.maximum_version) == ("TLSv1_3", "TLS_AUTO")
    assert tls.common.cipher_suites == ("[A|B]", "C")
    assert tls.common.validation.verify_certificate_hash == ("aabb",)
    assert tls.common.where.endswith("transport_socket.typed_config.common_tls_context")
    assert tls.require_client_certificate


def test_raw_buffer_is_plain() -> None:
    raw = any_of("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")
    message_class("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")
    chain = {**CHAIN, "transport_socket": {"name": "x", "typed_config": raw}}
    assert listener(filter_chains=[chain]).filter_chains[0].tls is None


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"session_timeout": "5s"}, r"session_timeout"),
        ({"disable_stateful_session_resumption": True}, r"disable_stateful_session_resumption"),
        ({"ocsp_staple_policy": "MUST_STAPLE"}, r"ocsp_staple_policy: only LENIENT_STAPLING"),
        ({"common_tls_context": {"tls_certificate_sds_secret_configs": [{"name": "x"}]}}, r"no SDS"),
        ({"common_tls_context": {"validation_context_sds_secret_config": {"name": "x"}}}, r"no SDS"),
        ({"common_tls_context": {"combined_validation_context": {}}}, r"combined_validation_context"),
        ({"common_tls_context": {"validation_context": {"trust_chain_verification": 1}}}, r"VERIFY_TRUST_CHAIN"),
        ({"common_tls_context": {"validation_context": {"allow_expired_certificate": True}}}, r"allow_expired"),
        (
            {"common_tls_context": {"validation_context": {"match_subject_alt_names": [{"exact": "x"}]}}},
            r"without trusted CA is insecure",
        ),
        ({"common_tls_context": {"tls_params": {"signature_algorithms": ["x"]}}}, r"signature_algorithms"),
    ],
)
def test_refused_tls(fields: dict[str, Any], error: str) -> None:
    read = reader(DOWNSTREAM_TLS, fields)

    def whole() -> None:
        read_downstream_tls(read)
        read.finish()

    with pytest.raises(ConfigError, match=error):
        whole()


def test_upstream_tls() -> None:
    matchers = [
        {"san_type": "URI", "matcher": {"prefix": "spiffe://", "ignore_case": True}},
        {"san_type": "DNS", "matcher": {"safe_regex": {"regex": "a.*"}}},
    ]
    read = reader(
        UPSTREAM_TLS,
        {
            "sni": "a.test",
            "max_session_keys": 0,
            "common_tls_context": {
                "validation_context": {
                    "trusted_ca": {"inline_string": "CA"},
                    "match_typed_subject_alt_names": matchers,
                }
            },
        },
    )
    settings = read_upstream_tls(read)
    read.finish()
    assert (settings.sni, settings.max_session_keys) == ("a.test", 0)
    assert settings.common.validation is not None
    assert settings.common.validation.san_matchers == (
        SanMatcher("URI", "prefix", "spiffe://", True),
        SanMatcher("DNS", "safe_regex", "a.*"),
    )


def test_an_untyped_san_matcher_is_for_every_type() -> None:
    validation = {"trusted_ca": {"inline_string": "CA"}, "match_subject_alt_names": [{"exact": "x"}]}
    read = reader(UPSTREAM_TLS, {"common_tls_context": {"validation_context": validation}})
    settings = read_upstream_tls(read)
    assert settings.common.validation is not None
    assert {matcher.san_type for matcher in settings.common.validation.san_matchers} == {
        "DNS",
        "URI",
        "EMAIL",
        "IP_ADDRESS",
    }


@pytest.mark.parametrize("field", ["auto_host_sni", "allow_renegotiation", "auto_sni_san_validation"])
def test_refused_upstream_tls(field: str) -> None:
    read = reader(UPSTREAM_TLS, {field: True})
    read_upstream_tls(read)
    with pytest.raises(ConfigError, match=field):
        read.finish()


def test_upstream_socket() -> None:
    assert read_upstream_socket(None) is None
    socket = reader(
        "envoy.config.core.v3.TransportSocket", {"name": "tls", "typed_config": any_of(UPSTREAM_TLS, sni="a")}
    )
    settings = read_upstream_socket(socket)
    assert settings is not None
    assert settings.sni == "a"
    wrong = reader("envoy.config.core.v3.TransportSocket", {"name": "tls", "typed_config": any_of(DOWNSTREAM_TLS)})
    with pytest.raises(ConfigError, match="not supported"):
        read_upstream_socket(wrong)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["h2", "http/1.1"], ("h2", "http/1.1")),
        (["h2,http/1.1"], ("h2", "http/1.1")),
        ([""], ()),
        (["x" * 255], ("x" * 255,)),
    ],
)
def test_alpn_names(given: list[str], names: tuple[str, ...]) -> None:
    settings = read_downstream_tls(reader(DOWNSTREAM_TLS, {"common_tls_context": {"alpn_protocols": given}}))
    assert settings.common.alpn_protocols == names


@pytest.mark.parametrize("given", [["h2", ""], [","], ["x" * 256], ["\u00e9" * 128], ["x" * 200] * 400])
def test_alpn_names_that_no_handshake_can_carry(given: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_downstream_tls(reader(DOWNSTREAM_TLS, {"common_tls_context": {"alpn_protocols": given}}))
    assert caught.value.path == "at.common_tls_context.alpn_protocols"


def test_a_zone_becomes_its_number() -> None:
    index = socket.if_nametoindex("lo")
    assert listener(address=address("fe80::1%lo")).address == Address(f"fe80::1%{index}", 80)
    assert listener(address=address("FE80::1%99")).address == Address("fe80::1%99", 80)


@pytest.mark.parametrize("host", ["fe80::1%nowhere", "fe80::1%", "::1%lo", "127.0.0.1%lo", "fd00::2%lo"])
def test_a_zone_that_is_none(host: str) -> None:
    with pytest.raises(ConfigError, match=f"at.address: malformed IP address: {host}"):
        listener(address=address(host))


def test_the_older_word_for_the_proxy_protocol() -> None:
    assert listener(filter_chains=[{**CHAIN, "use_proxy_proto": True}]).filter_chains[0].use_proxy_proto
    assert not listener().filter_chains[0].use_proxy_proto
