"""What is said of a filter chain that is wrong, and of settings of its filters."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.errors import ConfigError
from envoymesh.filters.network.registry import read_network_filters
from tests.support.fakes import FakeConnection, FakeDispatcher
from tests.support.network_filters import context_of, reader_of

PACKAGE = "envoy.extensions.filters.network."
ECHO, SNI = PACKAGE + "echo.v3.Echo", PACKAGE + "sni_cluster.v3.SniCluster"
DIRECT, TCP = PACKAGE + "direct_response.v3.Config", PACKAGE + "tcp_proxy.v3.TcpProxy"


def read(*types: str, **fields: Any) -> Any:
    """Read a chain of these; the fields are the last one's."""
    readers = [reader_of(each, **(fields if index == len(types) - 1 else {})) for index, each in enumerate(types)]
    chain = reader_of("envoy.config.listener.v3.FilterChain")
    made = read_network_filters(chain, [("name", each) for each in readers], context_of(FakeDispatcher()))
    for each in readers:
        each.finish()
    return made


@pytest.mark.parametrize(
    ("types", "text"),
    [
        ((), "at least one filter"),
        ((ECHO, ECHO), "Error: terminal filter named name of type envoy.filters.network.echo must be the last filter"),
        ((SNI,), "Error: non-terminal filter named name of type envoy.filters.network.sni_cluster is the last filter"),
        (("google.protobuf.Empty",), "is not supported by envoymesh"),
    ],
)
def test_chains_that_are_refused(types: tuple[str, ...], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        read(*types)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"upstream_connect_mode": "ON_DOWNSTREAM_DATA"}, "max_early_data_bytes must be set"),
        ({"upstream_connect_mode": "ON_DOWNSTREAM_TLS_HANDSHAKE"}, "max_early_data_bytes must be set"),
        ({"backoff_options": {"base_interval": "2s", "max_interval": "1s"}}, "max_backoff_interval must be greater"),
        (
            {"access_log_options": {}, "flush_access_log_on_connected": True},
            "Only one of flush_access_log_on_connected or access_log_options",
        ),
        (
            {"access_log_options": {}, "access_log_flush_interval": "1s"},
            "Only one of access_log_flush_interval or access_log_options",
        ),
        ({"tunneling_config": {"hostname": "a"}}, "tunneling_config.*not supported by envoymesh"),
        ({"on_demand": {}}, "not supported by envoymesh"),
        ({"hash_policy": [{"source_ip": {}}]}, "not supported by envoymesh"),
        ({"metadata_match": {}}, "not supported by envoymesh"),
        ({"proxy_protocol_tlvs": [{"type": 1}]}, "not supported by envoymesh"),
    ],
)
def test_settings_that_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        read(TCP, stat_prefix="t", cluster="c", **fields)


def test_settings_of_no_effect() -> None:
    assert read(TCP, stat_prefix="t", cluster="c", downstream_idle_timeout="1s", upstream_idle_timeout="1s")


def test_what_is_answered_directly() -> None:
    chain = read(SNI, DIRECT, response={"inline_string": "hi"})
    connection = FakeConnection()
    chain.start(connection, chain.create(connection))
    assert connection.closed
    assert connection.close_details == "direct_response"
    assert connection.take_written() == b"hi"


def test_nothing_is_answered_directly() -> None:
    chain = read(DIRECT)
    connection = FakeConnection()
    chain.start(connection, chain.create(connection))
    assert (connection.written, connection.closed) == ([], True)


def test_the_stat_prefix_and_the_handshakes_mode() -> None:
    fields = {"upstream_connect_mode": "ON_DOWNSTREAM_TLS_HANDSHAKE", "max_early_data_bytes": 1}
    chain = read(TCP, stat_prefix="a.b:c", cluster="c", **fields)
    assert chain.terminal._context.settings.connect_on_data is False
    assert chain.terminal._context.stats.downstream_cx_total.name == "tcp.a.b_c.downstream_cx_total"
