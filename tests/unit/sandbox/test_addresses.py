from ipaddress import IPv4Network
from pathlib import Path

import pytest

from envoymesh.sandbox.addresses import AddressPlan, Placement
from envoymesh.sandbox.compose import Project, Service
from envoymesh.sandbox.errors import SandboxError

FRONT = Service("front", {"main": ("run",)}, ports={8080: 9080, 8001: 8001})
ONE, TWO = (Service(name, {"main": ("run",)}) for name in ("one", "two"))


def plan(network: str = "127.0.0.0/16", *, ipv6: bool = True) -> AddressPlan:
    services = {each.name: each for each in (FRONT, ONE, TWO)}
    return AddressPlan(Project(Path("x.yaml"), IPv4Network(network), services), ipv6=ipv6)


def test_each_replica_of_an_inner_service_has_its_own_address() -> None:
    assert [plan().placement(ONE, index).address for index in (1, 2, 254)] == ["127.0.1.1", "127.0.1.2", "127.0.1.254"]
    assert plan().placement(TWO, 1) == Placement("127.0.2.1", {})
    assert plan("127.7.0.0/16").placement(TWO, 3).address == "127.7.2.3"


@pytest.mark.parametrize(("ipv6", "address_v6"), [(True, "::1"), (False, "")])
def test_a_service_that_publishes_is_on_the_published_ports(ipv6: bool, address_v6: str) -> None:
    placement = plan(ipv6=ipv6).placement(FRONT, 1)
    assert placement == Placement("127.0.0.1", {8080: 9080, 8001: 8001}, address_v6)
    assert placement.port(8080) == 9080
    assert placement.port(1234) == 1234


@pytest.mark.parametrize(
    ("service", "count", "message"),
    [
        (FRONT, 2, "front publishes the ports 9080, 8001: it cannot have 2 replicas"),
        (ONE, 255, "one cannot have 255 replicas"),
    ],
)
def test_scales_that_cannot_be(service: Service, count: int, message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        plan().check_scale(service, count)
    plan().check_scale(service, 1)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("127.0.0.1", "127.0.1.1"),
        ("0.0.0.0", "127.0.1.1"),
        ("localhost", "127.0.1.1"),
        ("10.0.0.1", "10.0.0.1"),
        ("--port", "--port"),
        ("http://127.0.0.1:8001/ready?a=b", "http://127.0.1.1:9001/ready?a=b"),
        ("http://localhost/", "http://127.0.1.1:80/"),
        ("https://localhost", "https://127.0.1.1:443"),
        ("http://example.org:8001/", "http://example.org:8001/"),
    ],
)
def test_words_of_a_command(word: str, expected: str) -> None:
    assert Placement("127.0.1.1", {8001: 9001}).word(word) == expected
