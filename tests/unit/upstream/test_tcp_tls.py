"""What secures connections that speak no HTTP: the cluster's own socket, or a matched one, whatever its name is."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.stats import Store
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings, TransportSocketMatchSettings
from tests.support.fakes import FakeRuntime

OWN: Any = object()
MATCHED: Any = object()
LABELS = {"UPSTREAM_HOST": {"envoy.transport_socket_match": {"secure": "yes"}}}


@pytest.mark.parametrize("name", ["other", "default"])
def test_a_matched_socket_goes_before_the_clusters_own(name: str) -> None:
    made: list[Any] = []

    def make() -> Any:
        made.append(OWN)
        return OWN

    matches = (TransportSocketMatchSettings(name, {"secure": "yes"}, {}),)
    settings = ClusterSettings("c", tls_matches=matches)
    scope = Store().scope("cluster.c.")
    info = ClusterInfo(settings, scope, FakeRuntime(), {}, ({"HTTP1": MATCHED},), make_tcp_tls=make)
    assert info.tcp_tls(EndpointSettings("a", 1, metadata=LABELS)) is MATCHED
    assert made == []
    assert [info.tcp_tls(EndpointSettings("a", 1)) for _ in range(2)] == [OWN, OWN]
    assert made == [OWN]  # once, for the first who asks
