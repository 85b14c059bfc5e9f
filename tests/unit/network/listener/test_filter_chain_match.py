"""Tests of filter_chain_match: Envoy's order of criteria, the best match of each, no way back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.network.api import Address, PipeAddress
from envoymesh.network.listener.filter_chain_match import ConnectionFacts, chain_mismatches, find_filter_chain
from envoymesh.network.settings import FilterChainMatch, FilterChainSettings


def chain(name: str, **match: Any) -> FilterChainSettings:
    return FilterChainSettings(name, FilterChainMatch(**match), ())


def find(*chains: FilterChainSettings, default: bool = False, **facts: Any) -> str | None:
    known = ConnectionFacts(
        Address(facts.pop("local", "10.0.0.1"), facts.pop("port", 443)),
        Address(facts.pop("remote", "192.0.2.7"), facts.pop("remote_port", 5000)),
        **facts,
    )
    found = find_filter_chain(chains, chain("default") if default else None, known)
    return found.name if found is not None else None


def test_one_chain_without_criteria_takes_all() -> None:
    assert find(chain("all")) == "all"


def test_none_and_default() -> None:
    assert find(chain("other", destination_port=1)) is None
    assert find(chain("other", destination_port=1), default=True) == "default"
    assert find(default=True) == "default"


NAMES = (
    chain("exact", server_names=("a.example.com",)),
    chain("sub", server_names=("*.example.com",)),
    chain("com", server_names=("*.com",)),
    chain("rest"),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.example.com", "exact"),
        ("b.example.com", "sub"),
        ("x.y.example.com", "sub"),
        ("example.com", "com"),
        ("com", "rest"),
        ("example.org", "rest"),
        ("", "rest"),
    ],
)
def test_server_names(name: str, expected: str) -> None:
    assert find(*NAMES, server_name=name) == expected
    assert find(*reversed(NAMES), server_name=name) == expected


def test_the_longest_prefix_wins() -> None:
    chains = (
        chain("8", prefix_ranges=(("10.0.0.0", 8),)),
        chain("24", prefix_ranges=(("10.0.0.0", 24),)),
        chain("v6", prefix_ranges=(("2001:db8::", 32),)),
        chain("rest"),
    )
    assert find(*chains) == "24"
    assert find(*chains, local="10.1.0.1") == "8"
    assert find(*chains, local="2001:db8::1") == "v6"
    assert find(*chains, local="172.16.0.1") == "rest"


def test_earlier_criteria_decide_and_there_is_no_way_back() -> None:
    chains = (
        chain("port", destination_port=443, server_names=("a.test",)),
        chain("name", server_names=("b.test",)),
    )
    assert find(*chains, server_name="a.test") == "port"
    assert find(*chains, server_name="b.test") is None
    assert find(*chains, server_name="b.test", port=80) == "name"


def test_transport_protocol() -> None:
    chains = (chain("tls", transport_protocol="tls"), chain("raw", transport_protocol="raw_buffer"))
    assert find(*chains, transport_protocol="tls") == "tls"
    assert find(*chains, transport_protocol="raw_buffer") == "raw"
    assert find(*chains) is None


def test_application_protocols_in_the_clients_order() -> None:
    chains = (
        chain("http/1.1", application_protocols=("http/1.1",)),
        chain("h2", application_protocols=("h2", "h2c")),
        chain("rest"),
    )
    assert find(*chains, application_protocols=("h2", "http/1.1")) == "h2"
    assert find(*chains, application_protocols=("http/1.1", "h2")) == "http/1.1"
    assert find(*chains, application_protocols=("spdy",)) == "rest"


def test_sources() -> None:
    chains = (
        chain("local", source_type="SAME_IP_OR_LOOPBACK"),
        chain("external", source_type="EXTERNAL"),
    )
    assert find(*chains) == "external"
    assert find(*chains, remote="127.0.0.1") == "local"
    assert find(*chains, remote="10.0.0.1") == "local"
    assert find(*chains, local="::1", remote="::1") == "local"
    by_range = (
        chain("net", source_prefix_ranges=(("192.0.2.0", 24),), source_ports=(5000,)),
        chain("net-rest", source_prefix_ranges=(("192.0.2.0", 24),)),
        chain("direct", direct_source_prefix_ranges=(("198.51.100.0", 24),)),
    )
    assert find(*by_range) == "net"
    assert find(*by_range, remote_port=1) == "net-rest"
    assert find(*by_range, remote="198.51.100.1") == "direct"
    assert find(*by_range, remote="203.0.113.1") is None


@pytest.mark.parametrize(
    ("match", "found"),
    [
        ({"destination_port": 80}, False),
        ({"source_ports": (5000,)}, False),
        ({"prefix_ranges": (("10.0.0.0", 8),)}, False),
        ({"prefix_ranges": (("0.0.0.0", 0),), "source_prefix_ranges": (("0.0.0.0", 0),)}, True),
        ({"prefix_ranges": (("::", 0),)}, False),
        ({"source_type": "SAME_IP_OR_LOOPBACK"}, True),
        ({"source_type": "EXTERNAL"}, False),
    ],
)
def test_a_pipe_has_no_ports_and_is_here(match: dict[str, Any], found: bool) -> None:
    pipe = PipeAddress("/run/a.sock")
    assert (find_filter_chain([chain("it", **match)], None, ConnectionFacts(pipe, pipe)) is not None) is found


CHAINS = st.lists(
    st.builds(
        FilterChainMatch,
        destination_port=st.sampled_from([None, 443, 80]),
        server_names=st.sampled_from([(), ("a.b",), ("*.b",)]),
        transport_protocol=st.sampled_from(["", "tls"]),
        source_prefix_ranges=st.sampled_from([(), (("10.0.0.0", 8),), (("10.1.0.0", 16),)]),
        source_ports=st.sampled_from([(), (5,)]),
    ).map(lambda match: FilterChainSettings("", match, ())),
    max_size=5,
)
FACTS = st.builds(
    ConnectionFacts,
    st.sampled_from([Address("10.0.0.1", 443), Address("10.0.0.1", 80)]),
    st.sampled_from([Address("10.1.2.3", 5), Address("192.0.2.1", 6)]),
    st.sampled_from(["", "a.b", "c.b"]),
    st.sampled_from(["", "tls"]),
)


@given(CHAINS, FACTS)
def test_every_chain_but_the_chosen_one_has_a_reason(chains: list[FilterChainSettings], facts: ConnectionFacts) -> None:
    chosen = find_filter_chain(chains, None, facts)
    out = chain_mismatches(chains, facts)
    named = [id(each.chain) for each in out]
    assert len(named) == len(set(named))
    left = [each for each in chains if id(each) not in named]
    # What is left besides is as exact a match; the first of them counts.
    assert (left[0] if left else None) is chosen
    assert all(each.field for each in out)
