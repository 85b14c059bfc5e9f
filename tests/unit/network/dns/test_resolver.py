"""Tests of envoymesh.network.dns.resolver against a name server of their own on the loopback, on both loops."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pycares
import pytest

from envoymesh.network.api import Address, DnsResponse, DnsStatus
from envoymesh.network.dns.resolver import CaresResolver, cares_options
from envoymesh.network.stats import DnsStats
from tests.support.network import Net
from tests.unit.network.conftest import Run

A, AAAA = 1, 28
NXDOMAIN, SERVFAIL = 3, 2


class NameServer(asyncio.DatagramProtocol):
    """Answers from `records`: (name, type) -> addresses, or a response code; `silent` names get no answer."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], list[str] | int] = {}
        self.silent: set[str] = set()
        self.asked: list[tuple[str, int]] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        labels, position = [], 12
        while data[position]:
            size = data[position]
            labels.append(data[position + 1 : position + 1 + size].decode())
            position += size + 1
        end = position + 5
        name, kind = ".".join(labels), int.from_bytes(data[position + 1 : position + 3], "big")
        self.asked.append((name, kind))
        if name not in self.silent:
            self.transport.sendto(
                self._answer(data, data[12:end], self.records.get((name, kind), NXDOMAIN), kind), addr
            )

    def _answer(self, query: bytes, question: bytes, found: list[str] | int, kind: int) -> bytes:
        code, hosts = (found, []) if isinstance(found, int) else (0, found)
        family = socket.AF_INET if kind == A else socket.AF_INET6
        body = b""
        for host in hosts:
            packed = socket.inet_pton(family, host)
            body += b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\x00\x01" + (77).to_bytes(4, "big")
            body += len(packed).to_bytes(2, "big") + packed
        flags = (0x8180 | code).to_bytes(2, "big")
        return query[:2] + flags + b"\x00\x01" + len(hosts).to_bytes(2, "big") + b"\x00\x00\x00\x00" + question + body


class Dns:
    def __init__(self, net: Net, server: NameServer, **options: Any) -> None:
        port = server.transport.get_extra_info("sockname")[1]
        self.stats = DnsStats.create(net.store.scope("dns.cares."))
        options = {"timeout": 0.05, "tries": 2} | options
        self.resolver = CaresResolver(
            net.dispatcher, self.stats, servers=["127.0.0.1"], udp_port=port, tcp_port=port, **options
        )

    async def ask(self, name: str, family: str = "AUTO") -> tuple[DnsStatus, list[str]]:
        status, responses = await self.answer(name, family)
        return status, [response.host for response in responses]

    async def answer(self, name: str, family: str = "AUTO") -> tuple[DnsStatus, list[DnsResponse]]:
        future = asyncio.get_running_loop().create_future()
        self.resolver.resolve(name, family, lambda status, found: future.set_result((status, found)))
        assert not future.done()
        return await asyncio.wait_for(future, 10)


async def start(net: Net, **options: Any) -> tuple[NameServer, Dns]:
    _, server = await net.loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    return server, Dns(net, server, **options)


@pytest.fixture
def with_dns(run: Run) -> Any:
    """Runs `main(server, dns)`, and checks that nothing stays pending."""

    def run_it(main: Any, **options: Any) -> None:
        async def whole(net: Net) -> None:
            server, dns = await start(net, **options)
            try:
                await main(server, dns)
                assert dns.stats.pending_resolutions.value == 0
            finally:
                server.transport.close()

        run(whole)

    return run_it


BOTH = {("both.test", A): ["10.0.0.1", "10.0.0.2"], ("both.test", AAAA): ["2001:db8::1"]}
V4 = {("four.test", A): ["10.0.0.4"], ("four.test", AAAA): []}
V6 = {("six.test", A): [], ("six.test", AAAA): ["2001:db8::6"]}


@pytest.mark.parametrize(
    ("name", "family", "expected"),
    [
        ("both.test", "AUTO", {"2001:db8::1"}),
        ("both.test", "V4_PREFERRED", {"10.0.0.1", "10.0.0.2"}),
        ("both.test", "V4_ONLY", {"10.0.0.1", "10.0.0.2"}),
        ("both.test", "V6_ONLY", {"2001:db8::1"}),
        ("both.test", "ALL", {"10.0.0.1", "10.0.0.2", "2001:db8::1"}),
        ("four.test", "AUTO", {"10.0.0.4"}),
        ("four.test", "V6_ONLY", set()),
        ("six.test", "V4_PREFERRED", {"2001:db8::6"}),
        ("six.test", "V4_ONLY", set()),
        ("none.test", "AUTO", set()),
    ],
)
def test_lookup_families(with_dns: Any, name: str, family: str, expected: set[str]) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        server.records = BOTH | V4 | V6
        status, hosts = await dns.ask(name, family)
        assert status is DnsStatus.COMPLETED
        assert set(hosts) == expected
        assert dns.stats.resolve_total.value == 1

    with_dns(main)


def test_ttl(with_dns: Any) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        server.records = dict(V4)
        assert await dns.answer("four.test") == (DnsStatus.COMPLETED, [DnsResponse("10.0.0.4", 77.0)])

    with_dns(main)


def test_each_resolution_asks_anew(with_dns: Any) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        server.records = dict(V4)
        assert (await dns.ask("four.test", "V4_ONLY"))[1] == ["10.0.0.4"]
        server.records["four.test", A] = ["10.0.0.4", "10.0.0.5"]
        assert len((await dns.ask("four.test", "V4_ONLY"))[1]) == 2
        assert server.asked == [("four.test", A)] * 2

    with_dns(main)


def test_no_such_name_is_an_empty_answer(with_dns: Any) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        assert await dns.ask("none.test") == (DnsStatus.COMPLETED, [])
        assert dns.stats.not_found.value == 2
        assert dns.stats.get_addr_failure.value == 0

    with_dns(main)


@pytest.mark.slow
def test_servfail_and_silence_are_failures(with_dns: Any) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        server.records[("bad.test", A)] = SERVFAIL
        assert await dns.ask("bad.test", "V4_ONLY") == (DnsStatus.FAILURE, [])
        assert dns.stats.get_addr_failure.value == 1
        server.silent.add("silent.test")
        assert await dns.ask("silent.test", "V4_ONLY") == (DnsStatus.FAILURE, [])
        assert dns.stats.get_addr_failure.value == 2
        assert dns.stats.timeouts.value == 1

    with_dns(main)


def test_a_failure_of_the_first_family_falls_back(with_dns: Any) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        server.records = {("half.test", AAAA): SERVFAIL, ("half.test", A): ["10.0.0.9"]}
        assert await dns.ask("half.test", "AUTO") == (DnsStatus.COMPLETED, ["10.0.0.9"])

    with_dns(main)


@pytest.mark.parametrize(
    ("literal", "family"),
    [
        ("192.0.2.1", "V4_ONLY"),
        ("2001:db8::1", "V6_ONLY"),
        ("192.0.2.1", "ALL"),
        ("2001:db8::1", "ALL"),
        ("192.0.2.1", "AUTO"),
        ("2001:db8::1", "AUTO"),
    ],
)
def test_literals_need_no_server(with_dns: Any, literal: str, family: str) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        assert await dns.ask(literal, family) == (DnsStatus.COMPLETED, [literal])
        assert server.asked == []

    with_dns(main)


@pytest.mark.parametrize(("literal", "family"), [("2001:db8::1", "V4_ONLY"), ("192.0.2.1", "V6_ONLY")])
def test_literals_of_a_family_not_asked_for_fail(with_dns: Any, literal: str, family: str) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        assert await dns.ask(literal, family) == (DnsStatus.FAILURE, [])
        assert server.asked == []

    with_dns(main)


@pytest.mark.parametrize("name", ["a..b", "x" * 300])
def test_a_name_that_is_none_fails(with_dns: Any, name: str) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        assert await dns.ask(name) == (DnsStatus.FAILURE, [])

    with_dns(main)


def test_hosts_file_with_several_addresses(with_dns: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.1.1 service1\n127.0.1.2 service1\n::1 service1\n")
    monkeypatch.setenv("CARES_HOSTS", str(hosts))

    async def main(server: NameServer, dns: Dns) -> None:
        assert (await dns.ask("service1", "V4_ONLY"))[1] == ["127.0.1.1", "127.0.1.2"]
        hosts.write_text("127.0.1.1 service1\n127.0.1.2 service1\n127.0.1.3 service1\n")
        assert (await dns.ask("service1", "V4_ONLY"))[1] == ["127.0.1.1", "127.0.1.2", "127.0.1.3"]
        assert server.asked == []

    with_dns(main)


def test_the_systems_own_hosts_file_without_another(with_dns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARES_HOSTS", raising=False)

    async def main(server: NameServer, dns: Dns) -> None:
        assert await dns.ask("localhost", "V4_ONLY") == (DnsStatus.COMPLETED, ["127.0.0.1"])
        assert server.asked == []

    with_dns(main)


def test_cancel(with_dns: Any) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        called: list[Any] = []
        server.records = dict(V4)
        for name in ("four.test", "192.0.2.1"):
            query = dns.resolver.resolve(name, "AUTO", lambda *answer: called.append(answer))
            query.cancel()
            query.cancel()
        assert dns.stats.pending_resolutions.value == 0
        await dns.ask("four.test")
        assert called == []

    with_dns(main)


def test_an_unknown_family_is_a_mistake(with_dns: Any) -> None:
    async def main(server: NameServer, dns: Dns) -> None:
        with pytest.raises(KeyError):
            dns.resolver.resolve("a.test", "SOME", lambda *_: None)

    with_dns(main)


@pytest.mark.parametrize(
    ("servers", "use_tcp", "no_search", "expected"),
    [
        ((), False, False, {}),
        ((Address("127.0.0.1", 53), Address("::1", 5353)), False, False, {"servers": ["127.0.0.1:53", "[::1]:5353"]}),
        ((), True, True, {"flags": pycares.ARES_FLAG_USEVC | pycares.ARES_FLAG_NOSEARCH}),
    ],
)
def test_options_of_a_cluster(
    servers: tuple[Address, ...], use_tcp: bool, no_search: bool, expected: dict[str, Any]
) -> None:
    assert cares_options(servers, use_tcp, no_search) == expected


def test_a_server_with_a_port_is_asked(run: Run) -> None:
    async def main(net: Net) -> None:
        _, server = await net.loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
        server.records = V4
        address = Address(*server.transport.get_extra_info("sockname"))
        dns = Dns(net, server)
        dns.resolver = CaresResolver(net.dispatcher, dns.stats, **cares_options((address,), False, False))
        assert await dns.ask("four.test", "V4_ONLY") == (DnsStatus.COMPLETED, ["10.0.0.4"])
        server.transport.close()

    run(main)
