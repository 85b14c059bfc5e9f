"""Which transport socket a host's connections have, by its metadata and its locality's."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.metadata import Metadata
from envoymesh.stats import Counter
from envoymesh.upstream.settings import EndpointSettings
from envoymesh.upstream.transport_sockets import TransportSocketMatch, TransportSocketMatcher


def match(name: str, **labels: Any) -> TransportSocketMatch:
    return TransportSocketMatch(name, labels, {}, Counter(name))


def labels(kind: str, given: dict[str, Any] | None) -> Metadata | None:
    return None if given is None else {kind: {"envoy.transport_socket_match": given}}


MATCHER = TransportSocketMatcher(match("default"), [match("one", a="1"), match("both", a="2", b=True)])


@pytest.mark.parametrize(
    ("own", "locality", "expected"),
    [
        (None, None, "default"),
        ({}, {}, "default"),
        ({"a": "1"}, None, "one"),
        ({"a": "1", "other": "x"}, None, "one"),
        ({"a": "2"}, None, "default"),
        ({"a": "2", "b": True}, None, "both"),
        ({"a": "2", "b": False}, None, "default"),
        (None, {"a": "1"}, "one"),
        ({"a": "2", "b": True}, {"a": "1"}, "both"),
        ({"a": "3"}, {"a": "1"}, "one"),
    ],
)
def test_a_hosts_own_metadata_come_before_its_localitys(
    own: dict[str, Any] | None, locality: dict[str, Any] | None, expected: str
) -> None:
    endpoint = EndpointSettings(
        "10.0.0.1", 80, metadata=labels("UPSTREAM_HOST", own), locality_metadata=labels("LOCALITY", locality)
    )
    assert MATCHER.resolve(endpoint).name == expected


def test_a_match_without_labels_is_every_hosts() -> None:
    matcher = TransportSocketMatcher(match("default"), [match("all"), match("one", a="1")])
    assert matcher.resolve(EndpointSettings("10.0.0.1", 80)).name == "all"
    assert [each.name for each in matcher.all()] == ["all", "one", "default"]
