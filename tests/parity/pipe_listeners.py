"""Listeners and hosts at Unix domain sockets, in the folder of a half. This file must not know cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.harness import catch_all, http_listener, to_cluster
from tests.parity.log_listeners import FILE_LOG

PIPES = ("pipe", "pipe-edge", "pipe-internal", "pipe-hops", "pipe-chains", "pipe-log")
"""The listeners that clients connect to."""

INNER = "pipe-inner"
"""Where requests come to that were sent to a host at a socket."""

ECHO = "%REQ(:AUTHORITY)%|%REQ(X-FORWARDED-FOR)%|%REQ(X-FORWARDED-PROTO)%|%REQ(X-FORWARDED-PORT)%"
ECHO += "|%REQ(X-ENVOY-INTERNAL)%|%REQ(X-ENVOY-EXTERNAL-ADDRESS)%|%REQ(X-ADDED)%"
ADDED = "%DOWNSTREAM_REMOTE_ADDRESS%,%DOWNSTREAM_REMOTE_PORT%,%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%"

SIDES = ("DOWNSTREAM_REMOTE", "DOWNSTREAM_LOCAL", "DOWNSTREAM_DIRECT_REMOTE", "UPSTREAM_REMOTE", "UPSTREAM_LOCAL")
ADDRESSES = [
    *(f"{side}_{what}" for side in SIDES for what in ("ADDRESS", "ADDRESS_WITHOUT_PORT", "PORT")),
    *(f"{side}_ADDRESS_WITHOUT_PORT(24)" for side in SIDES),
    "UPSTREAM_HOST", "UPSTREAM_HOST_NAME", "UPSTREAM_HOST_NAME_WITHOUT_PORT", "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_TRANSPORT_FAILURE_REASON", "RESPONSE_FLAGS",
]  # fmt: skip


def pipe_path(folder: Path, name: str) -> Path:
    """The socket of a listener or host of this name."""
    return folder / f"{name}.sock"


def pipe_address(folder: Path, name: str) -> dict[str, Any]:
    """An envoy.config.core.v3.Address."""
    return {"pipe": {"path": str(pipe_path(folder, name))}}


def _at_pipe(listener: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {**listener, "address": pipe_address(folder, listener["name"])}


def _routes() -> dict[str, Any]:
    retried = {"retry_policy": {"retry_on": "connect-failure", "num_retries": 2}}
    routes = [
        to_cluster("piped", "/piped"),
        to_cluster("piped-dead", "/dead"),
        to_cluster("piped-dead", "/again", **retried),
        {"match": {"prefix": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "direct"}}},
        to_cluster("up", "/u/"),
    ]
    added = [{"header": {"key": "x-added", "value": ADDED}}]
    return {"name": "pipes", **catch_all(*routes), "request_headers_to_add": added}


def pipe_listeners(folder: Path) -> list[dict[str, Any]]:
    """Listeners whose log is that of the side."""
    edge = {"use_remote_address": True, "append_x_forwarded_port": True}
    ranges = [{"address_prefix": "0.0.0.0", "prefix_len": 0}]
    internal = {"use_remote_address": True, "internal_address_config": {"cidr_ranges": ranges}}
    hops = {"use_remote_address": True, "xff_num_trusted_hops": 1}
    listeners = [
        http_listener("pipe", _routes()),
        http_listener("pipe-edge", _routes(), **edge),
        http_listener("pipe-internal", _routes(), **internal),
        http_listener("pipe-hops", _routes(), **hops),
        _chains(),
        http_listener(INNER, _echo()),
    ]
    return [_at_pipe(each, folder) for each in listeners]


def _echo() -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "inner"}}}
    shown = [{"header": {"key": "x-echo", "value": ECHO}}]
    return {"name": "pipes", **catch_all(route), "response_headers_to_add": shown}


def _chains() -> dict[str, Any]:
    """A listener whose filter chains ask for what a socket does not have, and for what it is."""
    listener = http_listener("pipe-chains", _routes())
    everything = {"address_prefix": "0.0.0.0", "prefix_len": 0}
    some = {"address_prefix": "10.0.0.0", "prefix_len": 8}
    matches = {
        "port": {"destination_port": 80},
        "some": {"prefix_ranges": [some]},
        "far": {"prefix_ranges": [everything], "source_type": "EXTERNAL"},
        "near": {"prefix_ranges": [everything], "source_type": "SAME_IP_OR_LOOPBACK"},
    }
    chains = []
    for name, match in matches.items():
        body = {"status": 200, "body": {"inline_string": name}}
        routes = {"name": "pipes", **catch_all({"match": {"prefix": "/"}, "direct_response": body})}
        (filters,) = (each["filters"] for each in http_listener(name, routes)["filter_chains"])
        chains.append({"name": name, "filter_chain_match": match, "filters": filters})
    return {**listener, "filter_chains": chains}


def pipe_log_listener(log: Path) -> dict[str, Any]:
    """A listener that logs every address, as JSON and as text."""
    layout = {operator: f"%{operator}%" for operator in ADDRESSES}
    text = " ".join(f"[%{operator}%]" for operator in ADDRESSES) + "\n"
    formats = ({"json_format": layout}, {"text_format_source": {"inline_string": text}})
    logs = [
        {"name": "log", "typed_config": {"@type": FILE_LOG, "path": str(log), "log_format": each}} for each in formats
    ]
    return _at_pipe(http_listener("pipe-log", _routes(), access_log=logs), log.parent)


def pipe_clusters(folder: Path) -> list[dict[str, Any]]:
    """A cluster at the inner listener, and one where nobody is."""
    return [_cluster("piped", folder, INNER), _cluster("piped-dead", folder, "nobody")]


def _cluster(name: str, folder: Path, *hosts: str) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": pipe_address(folder, host)}} for host in hosts]
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": assignment}
