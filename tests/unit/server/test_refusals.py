"""What the server says of a configuration that it refuses: everything at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from envoymesh.server.main import refusals
from tests.integration.harness import ROUTER, bootstrap, catch_all, hcm_filter, http_listener, to_cluster
from tests.support.loggers import loggers_restored

EXTENSIONS = "type.googleapis.com/envoy.extensions."
UNKNOWN: list[dict[str, Any]] = [
    {"name": "w", "typed_config": {"@type": f"{EXTENSIONS}filters.http.wasm.v3.Wasm"}},
    {"name": "l", "typed_config": {"@type": f"{EXTENSIONS}filters.http.lua.v3.Lua"}},
]
LAST = {"name": "r", "typed_config": {"@type": ROUTER}}


def refused(folder: Path, config: dict[str, Any]) -> list[str]:
    path = folder / "envoy.json"
    path.write_text(json.dumps(config))
    with loggers_restored():
        return [error.path for error in refusals(str(path))]


def test_extensions_and_fields_that_are_not_supported(tmp_path: Path) -> None:
    listener = http_listener("main", catch_all())
    manager = hcm_filter(catch_all(to_cluster("gone")))
    manager["typed_config"].update(http_filters=[*UNKNOWN, LAST], scheme_header_transformation={})
    other = {"name": "t", "typed_config": {
        "@type": f"{EXTENSIONS}filters.network.wasm.v3.Wasm"}}  # fmt: skip
    listener["filter_chains"] = [
        {"filters": [manager]},
        {"filters": [other], "filter_chain_match": {"destination_port": 5}},
    ]
    clusters = [{"name": "gone", "type": "EDS", "lb_policy": "MAGLEV", "connect_timeout": "1s"}]
    found = refused(tmp_path, bootstrap([listener], clusters, header_prefix="x-mine"))
    chain = "static_resources.listeners[0].filter_chains"
    assert set(found) == {
        f"{chain}[0].filters[0].typed_config.http_filters[0].typed_config",
        f"{chain}[0].filters[0].typed_config.http_filters[1].typed_config",
        f"{chain}[0].filters[0].typed_config.scheme_header_transformation",
        f"{chain}[1].filters[0].typed_config",
        "static_resources.clusters[0].type",
        "header_prefix",
    }
    assert len(found) == len(set(found))


def test_what_is_not_refused_is_not_named(tmp_path: Path) -> None:
    """A listener's own log is read, though the listener is not made."""
    log = {"name": "f", "typed_config": {
        "@type": f"{EXTENSIONS}access_loggers.stream.v3.StdoutAccessLog"}}  # fmt: skip
    manager = hcm_filter(catch_all(to_cluster("c")))
    manager["typed_config"]["http_filters"] = [UNKNOWN[0], LAST]
    listener = {**http_listener("main", catch_all()), "access_log": [log], "filter_chains": [{"filters": [manager]}]}
    clusters = [{"name": "c", "type": "STATIC", "connect_timeout": "1s"}]
    at = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.http_filters[0].typed_config"
    assert refused(tmp_path, bootstrap([listener], clusters)) == [at]
