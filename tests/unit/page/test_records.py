"""Requests of several proxies become one; what is sent to browsers is bounded, and whole."""

from typing import Any

from envoymesh.page.records import KEPT, SENT_AT_ONCE, Records, is_check, record_of, to_send
from envoymesh.page.runtime import Place

FRONT = Place("front-1", "front", "healthy", 1, "127.0.0.1", "")
SIDECAR = Place("service1-1", "service1", "healthy", 2, "127.0.1.1", "", checks=("/ready", "/healthz"))


def told(sequence: int, request_id: str, **more: Any) -> dict[str, Any]:
    plain = {
        "time": 1000.0 + sequence, "duration": 2.0, "method": "GET", "path": "/x", "authority": "host", "status": 200,
        "flags": "-", "details": "via_upstream", "route": "1", "virtual_host": "backend", "cluster": "service1",
        "protocol": "HTTP/1.1", "bytes_received": 0, "bytes_sent": 5, "phases": {}, "listener": "http",
    }  # fmt: skip
    return {**plain, "sequence": sequence, "request_id": request_id, **more}


def tier_of(name: str) -> int:
    return 1 if name == "front-1" else 2


def test_tiers_of_one_request_are_joined_in_their_order() -> None:
    records = Records()
    records.add(record_of(SIDECAR, "b", told(1, "id"), "127.0.1.1:8080"))
    front = record_of(FRONT, "a", told(1, "id"), "service1-1")
    records.add(front)
    records.add(record_of(FRONT, "a", told(2, "other"), "service1-1"))
    assert records.find("a-1") is front
    assert [each["proxy"] for each in records.tiers(front, tier_of)] == ["front-1", "service1-1"]


def test_without_an_id_a_request_stands_alone() -> None:
    records = Records()
    for number in (1, 2):
        records.add(record_of(FRONT, "a", told(number, ""), ""))
    found = records.find("a-1")
    assert found is not None
    assert records.tiers(found, tier_of) == [found]


def test_old_ones_are_forgotten_in_every_index() -> None:
    records = Records()
    for number in range(KEPT + 10):
        records.add(record_of(FRONT, "a", told(number, f"id-{number}"), ""))
    assert records.find("a-9") is None
    assert records.find("a-10") is not None
    assert len(records._by_request) == KEPT


def test_of_many_whole_requests_are_sent() -> None:
    many = [record_of(FRONT, "a", told(number, f"id-{number}"), "") for number in range(200)]
    many += [record_of(SIDECAR, "b", told(number, f"id-{number}"), "") for number in range(200)]
    sent = to_send(many, tier_of)
    assert len(sent) == SENT_AT_ONCE
    pairs: dict[str, list[str]] = {}
    for each in sent:
        pairs.setdefault(each["request_id"], []).append(each["proxy"])
    assert all(sorted(proxies) == ["front-1", "service1-1"] for proxies in pairs.values())
    assert "id-199" in pairs
    assert to_send(many[:3], tier_of) == many[:3]


def test_the_runtimes_own_checks_are_left_out() -> None:
    assert is_check(SIDECAR, told(1, "", path="/healthz"))
    assert not is_check(SIDECAR, told(1, "", path="/service/1"))
    assert not is_check(FRONT, told(1, "", path="/healthz"))
