"""The bootstraps that attacks run against: ours and the real Envoy get the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trustme

from tests.integration.harness import Address, bootstrap, catch_all, http_listener, static_cluster, to_cluster
from tests.parity.configuration import INSPECTOR, PROTOCOL_OPTIONS, TLS

WIDE = 300
"""Clusters beyond those of the mesh, in the configuration that the admin is asked for."""

RETRIES = {
    "retry_on": "connect-failure,reset,refused-stream",
    "num_retries": 12,
    "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.1s"},
}

Addresses = dict[str, Address]


def write_certificate(folder: Path) -> None:
    """A server's certificate and key, for all runs of a stage."""
    leaf = trustme.CA().issue_cert("a.example.com")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls.pem")


def configuration(setup: str, upstreams: Addresses, certificates: Path, pair: Sequence[Address] = ()) -> dict[str, Any]:
    """A bootstrap. `wide` has many clusters that nobody uses, and their stats; `pair` are the hosts behind /pair."""
    routes = catch_all(
        {"match": {"path": "/redirect"}, "redirect": {"path_redirect": "/elsewhere"}},
        to_cluster("good", "/probe", timeout="0s"),
        to_cluster("pair", "/pair", timeout="0s", retry_policy=RETRIES),
        to_cluster("busy", "/good", timeout="0s"),
        to_cluster("sink", "/sink", timeout="0s"),
        to_cluster("sink", "/kept", timeout="0s", retry_policy=RETRIES),
        to_cluster("hostile", "/hostile/", timeout="0s"),
        to_cluster("hostile2", "/hostile2/", timeout="0s"),
    )
    upgrades = [{"upgrade_type": "websocket"}]
    listeners = [http_listener("plain", routes, upgrade_configs=upgrades), _secure("tls", routes, certificates)]
    inspected = _secure("inspected", routes, certificates)
    inspected["listener_filters"] = [
        {"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": INSPECTOR}}
    ]
    clusters = [static_cluster(name, upstreams[name]) for name in ("good", "busy", "sink", "hostile")]
    explicit: dict[str, Any] = {"explicit_http_config": {"http2_protocol_options": {}}}
    options = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": PROTOCOL_OPTIONS, **explicit}}
    clusters.append(static_cluster("pair", *pair, circuit_breakers={"thresholds": [{"max_retries": 1000}]}))
    clusters.append(static_cluster("hostile2", upstreams["hostile2"], typed_extension_protocol_options=options))
    if setup == "wide":
        clusters += [static_cluster(f"wide-{number}", upstreams["good"]) for number in range(WIDE)]
    return bootstrap([*listeners, inspected], clusters)


def _secure(name: str, routes: dict[str, Any], certificates: Path) -> dict[str, Any]:
    listener = http_listener(name, routes)
    certificate = {
        "certificate_chain": {"filename": str(certificates / "tls.pem")},
        "private_key": {"filename": str(certificates / "tls.key")},
    }
    common = {"tls_certificates": [certificate], "alpn_protocols": ["h2", "http/1.1"]}
    listener["filter_chains"][0]["transport_socket"] = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": TLS, "common_tls_context": common},
    }
    return listener
