from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.sandbox.adaptation import adapt, refresh_seconds
from envoymesh.sandbox.addresses import Placement
from envoymesh.sandbox.errors import SandboxError

ROOT = Path(__file__).resolve().parents[3]
INNER = Placement("127.0.1.3", {})
PUBLISHED = Placement("127.0.0.1", {8080: 9080, 8443: 9443, 8001: 9001}, "::1")


def unchanged(word: str) -> str:
    return word


def addresses(document: object) -> list[tuple[str, int]]:
    """Every socket_address of a document, in its order."""
    if isinstance(document, list):
        return [pair for each in document for pair in addresses(each)]
    if not isinstance(document, dict):
        return []
    own = document.get("socket_address")
    found = [(own["address"], own["port_value"])] if own else []
    return found + [pair for each in document.values() for pair in addresses(each)]


def test_the_sidecar_gets_its_replicas_address() -> None:
    adapted = adapt((ROOT / "service-envoy/service-envoy.yaml").read_text(), "s", INNER, unchanged)
    expected = [("127.0.1.3", 8001), ("127.0.1.3", 8000), ("127.0.1.3", 8080)]
    assert addresses(yaml.safe_load(adapted.text)) == expected
    assert list(adapted.sockets) == expected


def test_the_front_gets_its_ports_paths_and_ipv6_listeners() -> None:
    text = (ROOT / "front-envoy/envoy.yaml").read_text()
    adapted = adapt(text, "f", PUBLISHED, lambda word: word.replace("/etc/envoy", "/here"))
    document = yaml.safe_load(adapted.text)
    listeners = document["static_resources"]["listeners"]
    assert {each["name"]: addresses(each) for each in listeners} == {
        "http": [("127.0.0.1", 9080)],
        "https": [("127.0.0.1", 9443)],
        "http_ipv6": [("::1", 9080)],
        "https_ipv6": [("::1", 9443)],
    }
    assert listeners[0]["filter_chains"] == listeners[2]["filter_chains"]
    assert addresses(document["static_resources"]["clusters"]) == [("service1", 8000), ("service2", 8000)]
    assert "/here/certs/front-envoy.key" in adapted.text
    assert set(adapted.sockets) == {
        ("127.0.0.1", 9001),
        ("127.0.0.1", 9080),
        ("127.0.0.1", 9443),
        ("::1", 9080),
        ("::1", 9443),
    }


def test_only_addresses_and_paths_differ() -> None:
    text = (ROOT / "front-envoy/envoy.yaml").read_text()
    same = Placement("0.0.0.0", {})
    assert yaml.safe_load(adapt(text, "f", same, unchanged).text) == yaml.safe_load(text)


def test_an_alias_is_written_out_so_that_each_place_is_adapted_once() -> None:
    text = "a: {socket_address: &x {address: 0.0.0.0, port_value: 8080}}\nb: {socket_address: *x}\n"
    swapped = Placement("127.0.0.1", {8080: 8443, 8443: 8080})
    adapted = adapt(text, "x", swapped, unchanged)
    assert addresses(yaml.safe_load(adapted.text)) == [("127.0.0.1", 8443)] * 2
    assert "&" not in adapted.text


def test_json_is_read_too() -> None:
    text = '{"admin": {"address": {"socket_address": {"address": "0.0.0.0", "port_value": 8001}}}}'
    assert adapt(text, "j", INNER, unchanged).sockets == (("127.0.1.3", 8001),)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C"])))
def test_a_string_stays_the_string_it_was(value: str) -> None:
    text = yaml.safe_dump({"quoted": value, "version": "1.0", "plain": True})
    assert yaml.safe_load(adapt(text, "x", INNER, unchanged).text) == yaml.safe_load(text)


def test_scalars_keep_their_spelling() -> None:
    text = "a: 1.0\nb: on\nc: '8080'\nd: 12:30\ne: ~\nf: 0.25s\n"
    assert adapt(text, "x", INNER, unchanged).text == text


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "text"])
def test_what_is_no_configuration_is_refused_by_name(text: str) -> None:
    with pytest.raises(SandboxError, match=r"^some/file\.yaml: "):
        adapt(text, "some/file.yaml", INNER, unchanged)


@pytest.mark.parametrize(
    ("clusters", "seconds"),
    [("[]", 5.0), ("[{name: a}]", 5.0), ("[{dns_refresh_rate: 0.5s}, {dns_refresh_rate: 9s}]", 9.0)],
)
def test_refresh_is_the_slowest_clusters(clusters: str, seconds: float) -> None:
    assert refresh_seconds(f"static_resources: {{clusters: {clusters}}}", "x") == seconds
    assert refresh_seconds("admin: {}", "x") == 5.0
