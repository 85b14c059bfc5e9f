"""The proxy_protocol filter: headers of both versions in whatever pieces, what is refused, and what is counted."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis.strategies import binary, sampled_from

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.filters.listener.factory_context import ListenerFilterFactoryContext
from envoymesh.filters.listener.proxy_protocol.config import proxy_protocol_filter_factory
from envoymesh.filters.listener.proxy_protocol.header import HeaderError, read_version_1, read_version_2, version_of
from envoymesh.network.api import Address
from envoymesh.network.listener.filter import AcceptedSocket, ListenerFilterStatus
from envoymesh.network.proxy_protocol import version_1, version_2, version_2_local
from envoymesh.stats import Store

KIND = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
CONTINUE, STOP, CLOSE = ListenerFilterStatus.CONTINUE, ListenerFilterStatus.STOP, ListenerFilterStatus.CLOSE
SOURCE, DESTINATION = Address("1.2.3.4", 1000), Address("5.6.7.8", 80)
SOURCE_6, DESTINATION_6 = Address("2001:db8::1", 1000), Address("2001:db8::2", 80)
V1, V1_6 = version_1(SOURCE, DESTINATION), version_1(SOURCE_6, DESTINATION_6)
V2, _ = version_2(SOURCE, DESTINATION, [(5, b"five"), (6, b"\xff6")])
V2_6, _ = version_2(SOURCE_6, DESTINATION_6)


class World:
    """A filter and its connection."""

    def __init__(self, **settings: Any) -> None:
        self.store = Store()
        reader = Reader(json_format.ParseDict(settings, message_class(KIND)()), "at")
        self.filter = proxy_protocol_filter_factory(reader, ListenerFilterFactoryContext(self.store.scope("")))()
        reader.finish()
        self.accepted = AcceptedSocket(Address("10.0.0.1", 443), Address("10.0.0.2", 50000))
        self.buffer = bytearray()

    def feed(self, data: bytes) -> ListenerFilterStatus:
        self.buffer += data
        return self.filter.on_data(self.accepted, self.buffer)

    @property
    def used(self) -> dict[str, int]:
        return {each.name: each.value for each in self.store.counters.ordered() if each.value}


@pytest.mark.parametrize(
    ("header", "source", "destination", "version"),
    [
        (V1, SOURCE, DESTINATION, "v1"),
        (V1_6, SOURCE_6, DESTINATION_6, "v1"),
        (V2, SOURCE, DESTINATION, "v2"),
        (V2_6, SOURCE_6, DESTINATION_6, "v2"),
    ],
)
def test_addresses_are_restored_however_the_header_is_cut(
    header: bytes, source: Address, destination: Address, version: str
) -> None:
    for cut in range(1, len(header)):
        world = World()
        assert world.feed(header[:cut]) is STOP
        assert world.feed(header[cut:] + b"GET") is CONTINUE
        assert (world.accepted.remote_address, world.accepted.local_address) == (source, destination)
        assert world.accepted.has_other_addresses
        assert bytes(world.buffer) == b"GET"
        assert world.used == {f"proxy_proto.versions.{version}.found": 1}


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN a b c d\r\n", version_2_local()])
def test_a_header_without_addresses_leaves_the_connections_own(header: bytes) -> None:
    world = World()
    assert world.feed(header + b"x") is CONTINUE
    assert not world.accepted.has_other_addresses
    assert world.accepted.proxied is not None
    assert world.accepted.proxied.source == Address("10.0.0.2", 50000)


REFUSED = {
    b"GET / HTTP/1.1\r\n": "not_found_disallowed",
    b"abc\r\n": "versions.v1.error",
    b"PROXY TCP4 " + b"1" * 120: "not_found_disallowed",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 70000\r\n": "versions.v1.error",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n": "versions.v1.error",
    b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n": "versions.v1.error",
    b"PROXY TCP6 fe80::1%lo fe80::2 1 2\r\n": "versions.v1.error",
    b"PROXY TCP4 0.0.0.0 5.6.7.8 1 2\r\n": "versions.v1.error",
    b"PROXY SCTP 1.2.3.4 5.6.7.8 1 2\r\n": "versions.v1.error",
    V2[:12] + b"\x31" + V2[13:]: "versions.v2.error",
    V2[:12] + b"\x22" + V2[13:]: "versions.v2.error",
    V2[:13] + b"\x31" + V2[14:]: "versions.v2.error",
    V2[:14] + b"\x00\x08" + V2[16:]: "versions.v2.error",
    V2[:14] + struct.pack(">H", 14) + V2[16:30]: "versions.v2.error",
}


@pytest.mark.parametrize(("data", "stat"), REFUSED.items())
def test_refused(data: bytes, stat: str) -> None:
    world = World(stat_prefix="p")
    assert world.feed(data) is CLOSE
    assert world.used == {f"proxy_proto.p.{stat}": 1, "downstream_cx_proxy_proto_error": 1}


def test_who_needs_no_header_passes_as_it_is() -> None:
    world = World(allow_requests_without_proxy_protocol=True)
    assert world.feed(b"G") is CONTINUE
    assert (bytes(world.buffer), world.used) == (b"G", {"proxy_proto.not_found_allowed": 1})
    assert World(allow_requests_without_proxy_protocol=True).feed(b"PRO") is STOP
    assert World(allow_requests_without_proxy_protocol=True).feed(V2) is CONTINUE


def test_versions_that_are_not_allowed() -> None:
    world = World(disallowed_versions=["V1"])
    assert world.feed(V1) is CLOSE
    assert world.used == {"proxy_proto.versions.v1.found": 1, "proxy_proto.versions.v1.disallowed": 1}
    assert World(disallowed_versions=["V1"]).feed(V2) is CONTINUE
    assert World(disallowed_versions=["V2"]).feed(V2) is CLOSE
    with pytest.raises(ConfigError, match="all proxy protocol versions are disallowed"):
        World(disallowed_versions=["V1", "V2"])


def test_extensions_become_metadata_and_are_kept() -> None:
    five = {"tlv_type": 5, "on_tlv_present": {"key": "five"}}
    six = {"tlv_type": 262, "on_tlv_present": {"key": "six", "metadata_namespace": "other"}}
    world = World(rules=[five, six], pass_through_tlvs={"match_type": "INCLUDE", "tlv_type": [6]})
    world.feed(V2)
    assert world.accepted.dynamic_metadata == {
        "envoy.filters.listener.proxy_protocol": {"five": "five"},
        "other": {"six": "!6"},
    }
    assert world.accepted.proxied is not None
    assert world.accepted.proxied.tlvs == ((6, b"\xff6"),)
    world = World(pass_through_tlvs={"match_type": "INCLUDE_ALL"})
    world.feed(V2)
    assert world.accepted.proxied is not None
    assert len(world.accepted.proxied.tlvs) == 2


def test_only_metadata_is_a_place_for_extensions() -> None:
    with pytest.raises(ConfigError, match="only DYNAMIC_METADATA"):
        World(tlv_location="FILTER_STATE")


@given(sampled_from([b"", V1[:11], V2[:13], V2[:16]]), binary(max_size=200))
def test_any_bytes_give_a_header_or_an_error(start: bytes, rest: bytes) -> None:
    data = start + rest
    try:
        version = version_of(data)
        found = read_version_1(data) if version == 1 else read_version_2(data) if version == 2 else None
    except HeaderError:
        return
    assert found is None or 0 < found.length <= len(data)


def test_what_is_written_is_what_others_write() -> None:
    assert V1 == b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\n"
    addresses = socket.inet_aton("1.2.3.4") + socket.inet_aton("5.6.7.8") + struct.pack(">HH", 1000, 80)
    data, fits = version_2(SOURCE, DESTINATION)
    assert (data, fits) == (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + addresses, True)
    data, fits = version_2(SOURCE, DESTINATION, [(1, b"a" * 40000), (2, b"b" * 40000)])
    assert (len(data), fits) == (28, False), "what has no room is left out"
