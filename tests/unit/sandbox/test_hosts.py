import asyncio
import socket
from pathlib import Path

import aiodns
import pytest

from envoymesh.sandbox.hosts import hosts_text, names_for

ENVHOSTS = 1 << 8
MEMBERS = {"service1": ["127.0.1.1", "127.0.1.2"], "service2": ["127.0.2.1"], "front": ["127.0.0.1"]}


def resolve(name: str) -> list[str]:
    async def ask() -> list[str]:
        async with aiodns.DNSResolver() as resolver:
            found = await resolver.getaddrinfo(name, family=socket.AF_INET, flags=ENVHOSTS)
            return sorted(str(node.addr[0], "ascii") for node in found.nodes)

    return asyncio.run(ask())


def test_one_line_for_each_address() -> None:
    text = hosts_text({"service1": ["127.0.1.1", "127.0.1.2"]})
    assert text.splitlines()[1:] == ["127.0.1.1 service1", "127.0.1.2 service1"]


def test_a_replica_knows_itself_and_the_other_services() -> None:
    names = names_for("service1-2", "service1", "127.0.1.2", MEMBERS)
    assert names == {"service1-2": ["127.0.1.2"], "service2": ["127.0.2.1"], "front": ["127.0.0.1"]}


def test_c_ares_reads_what_we_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hosts"
    monkeypatch.setenv("CARES_HOSTS", str(file))
    file.write_text(hosts_text(names_for("front-1", "front", "127.0.0.1", MEMBERS)))
    assert resolve("service1") == ["127.0.1.1", "127.0.1.2"]
    file.write_text(hosts_text(names_for("service1-2", "service1", "127.0.1.2", MEMBERS)))
    assert resolve("service1-2") == ["127.0.1.2"]
