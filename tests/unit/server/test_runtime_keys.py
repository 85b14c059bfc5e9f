"""Which of the real Envoy's runtime keys are read here. Its program is where the list is from."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envoymesh.config.load import load_bootstrap
from envoymesh.options import Options
from envoymesh.server.server import Server
from tests.integration.harness import bootstrap, catch_all, http_listener, static_cluster, to_cluster

READ = {
    "circuit_breakers.c.default.max_connection_pools",
    "circuit_breakers.c.default.max_connections",
    "circuit_breakers.c.default.max_pending_requests",
    "circuit_breakers.c.default.max_requests",
    "circuit_breakers.c.default.max_retries",
    "circuit_breakers.c.default.retry_budget.budget_percent",
    "circuit_breakers.c.default.retry_budget.min_retry_concurrency",
    "circuit_breakers.c.high.max_connection_pools",
    "circuit_breakers.c.high.max_connections",
    "circuit_breakers.c.high.max_pending_requests",
    "circuit_breakers.c.high.max_requests",
    "circuit_breakers.c.high.max_retries",
    "circuit_breakers.c.high.retry_budget.budget_percent",
    "circuit_breakers.c.high.retry_budget.min_retry_concurrency",
    "envoy.reloadable_features.max_request_headers_count",
    "envoy.reloadable_features.max_request_headers_size_kb",
    "envoy.reloadable_features.max_response_headers_count",
    "envoy.reloadable_features.max_response_headers_size_kb",
    "envoy.resource_limits.listener.l.connection_limit",
    "health_check.max_interval",
    "health_check.min_interval",
    "health_check.verify_cluster",
    "http_connection_manager.normalize_path",
    "http_connection_manager.path_with_escaped_slashes_action",
    "http_connection_manager.path_with_escaped_slashes_action_enabled",
    "outlier_detection.base_ejection_time_ms",
    "outlier_detection.consecutive_5xx",
    "outlier_detection.consecutive_gateway_failure",
    "outlier_detection.consecutive_local_origin_failure",
    "outlier_detection.enforcing_consecutive_5xx",
    "outlier_detection.enforcing_consecutive_gateway_failure",
    "outlier_detection.enforcing_consecutive_local_origin_failure",
    "outlier_detection.enforcing_failure_percentage",
    "outlier_detection.enforcing_failure_percentage_local_origin",
    "outlier_detection.enforcing_local_origin_success_rate",
    "outlier_detection.enforcing_success_rate",
    "outlier_detection.failure_percentage_minimum_hosts",
    "outlier_detection.failure_percentage_request_volume",
    "outlier_detection.failure_percentage_threshold",
    "outlier_detection.interval_ms",
    "outlier_detection.max_ejection_percent",
    "outlier_detection.max_ejection_time_jitter_ms",
    "outlier_detection.max_ejection_time_ms",
    "outlier_detection.success_rate_minimum_hosts",
    "outlier_detection.success_rate_request_volume",
    "outlier_detection.success_rate_stdev_factor",
    "overload.global_downstream_max_connections",
    "overload.premature_reset_min_stream_lifetime_seconds",
    "overload.premature_reset_total_stream_count",
    "upstream.base_retry_backoff_ms",
    "upstream.healthy_panic_threshold",
    "upstream.maintenance_mode.c",
    "upstream.use_retry",
}
"""With a cluster c and a listener l. Filters of access logs read the keys that they are given, besides."""

NOT_READ = {
    "health_check.": "there are no health checks",
    "tracing.": "nothing is traced",
    "upstream.zone_routing.": "there is no local cluster to compare zones with",
    "upstream.use_http2": "a cluster speaks what it is configured to",
    "upstream.use_http3": "there is no HTTP/3",
    "re2.max_program_size.": "every regex runs in time linear in its input; its size is not limited",
    "http.max_requests_per_io_cycle": "what one connection may do in a turn is limited otherwise",
    "http.async_response_buffer_limit": "the proxy sends no requests of its own",
}
"""Keys of the real Envoy, or their beginnings, and why they are not read; the log warns of them where they are set."""

NO_KEYS = re.compile(
    r"http\.(connect_not_supported|endpoint|invalid_[a-z]+|route|status_code|url)|upstream\.proxyprotocol\.|"
    r"health_check\.(name\.|redis\.|degraded|healthy)"
)
"""Texts in the program that look like keys and are details of responses, attributes or stats."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    listener = http_listener("l", catch_all(to_cluster("c")))
    times = {"timeout": "1s", "interval": "1s", "unhealthy_threshold": 1, "healthy_threshold": 1}
    checks = [{**times, "tcp_health_check": {}}]
    cluster = static_cluster("c", ("127.0.0.1", 1), health_checks=checks, outlier_detection={})
    config: dict[str, Any] = bootstrap([listener], [cluster])
    del config["admin"]
    layers = {"a.flag": True, "upstream.use_http2": 0, "upstream.use_retry": 50}
    config["layered_runtime"] = {"layers": [{"name": "s", "static_layer": layers}]}
    (tmp_path / "c.json").write_text(json.dumps(config))
    no_log: Any = None
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        yield Server(Options(), load_bootstrap(str(tmp_path / "c.json")), no_log, loop)


def test_what_is_read(server: Server) -> None:
    assert server.runtime.reader.keys() == READ


def test_what_is_set_and_not_read_is_known(server: Server) -> None:
    assert server.runtime.unread() == [("s", "a.flag"), ("s", "upstream.use_http2")]


@pytest.mark.oracle
def test_every_key_of_the_real_envoy_is_read_or_has_a_reason(oracle: Path) -> None:
    prefixes = rb"upstream|overload|health_check|outlier_detection|http_connection_manager|re2|http|tracing"
    pattern = re.compile(rb"(?<=\0)(?:(?:%s)\.|envoy\.reloadable_features\.max_)[a-z0-9_.]+(?=\0)" % prefixes)
    found = {match.decode() for match in pattern.findall(_program(oracle).read_bytes())}
    known = tuple(re.sub(r"\.[cl]$", ".", key) for key in READ)
    left = {key for key in found if not key.startswith((*known, *NOT_READ)) and not NO_KEYS.fullmatch(key)}
    assert left == set()
    whole = {key for key in known if not key.startswith(("circuit_breakers", "envoy.resource_limits"))}
    assert whole <= found


def _program(oracle: Path) -> Path:
    """The program itself, which the wheel's `envoy` is only a script for."""
    beside = sorted(oracle.resolve().parents[1].glob("lib/python*/site-packages/envoy/_bin/envoy"))
    return beside[0] if beside else oracle
