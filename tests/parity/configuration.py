"""The one bootstrap that every case runs against: the integration table's listeners, and some more.

Each listener is a fragment of configuration with a name that cases use. This file must not know cases.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from tests.integration import exchanges
from tests.integration.harness import Address, http_listener, static_cluster, to_cluster
from tests.parity.action_listeners import ACTION_ANSWERS, TABLE, action_listeners, named_cluster
from tests.parity.action_listeners import RUNTIME_LAYER as WEIGHTS
from tests.parity.answers import HTTP2_ANSWERS
from tests.parity.filter_listeners import RUNTIME_LAYER, filter_listeners
from tests.parity.log_listeners import log_listeners, mutation_routes
from tests.parity.pipe_listeners import pipe_clusters, pipe_listeners, pipe_log_listener
from tests.parity.routing_listeners import RUNTIME_LAYER as SHARES
from tests.parity.routing_listeners import routing_listeners
from tests.parity.setup import Places, Setup
from tests.parity.upstreams import Http2Recorder, Recorder, Refusing

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
INSPECTOR = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
PROTOCOL_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

# Every operator whose value is determined; times, connection and stream numbers are not.
LOG_SEPARATOR = " | "
LOG_FORMAT = LOG_SEPARATOR.join(
    f"{name}=%{operator}%"
    for name, operator in {
        "code": "RESPONSE_CODE", "details": "RESPONSE_CODE_DETAILS", "flags": "RESPONSE_FLAGS",
        "termination": "CONNECTION_TERMINATION_DETAILS", "protocol": "PROTOCOL", "method": "REQ(:METHOD)",
        "path": "REQ(X-ENVOY-ORIGINAL-PATH?:PATH)", "authority": "REQ(:AUTHORITY)", "scheme": "REQ(:SCHEME)",
        "rx": "BYTES_RECEIVED", "tx": "BYTES_SENT", "upstream": "UPSTREAM_HOST", "cluster": "UPSTREAM_CLUSTER",
        "failure": "UPSTREAM_TRANSPORT_FAILURE_REASON", "attempts": "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        "route": "ROUTE_NAME", "remote": "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
        "local": "DOWNSTREAM_LOCAL_ADDRESS", "sni": "REQUESTED_SERVER_NAME", "agent": "REQ(USER-AGENT):5",
        "type": "RESP(CONTENT-TYPE)", "status": "RESP(:STATUS)", "trailer": "TRAILER(X-T)",
        "tried": "UPSTREAM_HOSTS_ATTEMPTED", "down-rx": "DOWNSTREAM_WIRE_BYTES_RECEIVED",
        "down-tx": "DOWNSTREAM_WIRE_BYTES_SENT", "down-head-rx": "DOWNSTREAM_HEADER_BYTES_RECEIVED",
        "down-head-tx": "DOWNSTREAM_HEADER_BYTES_SENT",
        "down-plain-rx": "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
        "down-plain-tx": "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", "up-rx": "UPSTREAM_WIRE_BYTES_RECEIVED",
        "up-tx": "UPSTREAM_WIRE_BYTES_SENT", "up-head-rx": "UPSTREAM_HEADER_BYTES_RECEIVED",
        "up-head-tx": "UPSTREAM_HEADER_BYTES_SENT", "up-plain-rx": "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
        "up-plain-tx": "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", "virtual-cluster": "VIRTUAL_CLUSTER_NAME",
    }.items()
)  # fmt: skip

LISTENERS: dict[str, dict[str, Any]] = {
    "codec1": {"codec_type": "HTTP1"},
    "codec2": {"codec_type": "HTTP2"},
    "h2-override": {"http2_protocol_options": {"override_stream_error_on_invalid_http_message": True}},
    "h2-small": {
        "http2_protocol_options": {
            "max_concurrent_streams": 2,
            "initial_stream_window_size": 65535,
            "initial_connection_window_size": 65535,
            "hpack_table_size": 0,
        }
    },
    "h2-flood": {
        "http2_protocol_options": {
            "max_consecutive_inbound_frames_with_empty_payload": 3,
            "max_inbound_priority_frames_per_stream": 5,
            "max_inbound_window_update_frames_per_data_frame_sent": 2,
            "max_outbound_control_frames": 10,
        }
    },
}

SECURE: dict[str, dict[str, Any]] = {
    "tls": {"alpn_protocols": ["h2", "http/1.1"]},
    "tls-no-alpn": {},
    "tls-h1": {"alpn_protocols": ["http/1.1"]},
    "tls-h2": {"alpn_protocols": ["h2"]},
    "tls-1.2": {"tls_params": {"tls_maximum_protocol_version": "TLSv1_2"}},
    "tls-1.3": {"tls_params": {"tls_minimum_protocol_version": "TLSv1_3"}},
    "tls-cipher": {
        "tls_params": {"tls_maximum_protocol_version": "TLSv1_2", "cipher_suites": ["ECDHE-ECDSA-AES256-GCM-SHA384"]}
    },
    "tls-client": {"client": True},
    "tls-optional": {"client": False},
    "tls-san": {"client": True, "san": "client@example.com"},
    "tls-other-san": {"client": True, "san": "somebody@example.com"},
}

ROUTES = [
    to_cluster("http2", "/2/slow", timeout="0.3s"),
    to_cluster("http2", "/2/"),
    to_cluster("http2-dead", "/2dead"),
    {
        "match": {"prefix": "/5retry/"},
        "route": {
            "cluster": "up",
            "retry_policy": {"retry_on": "5xx,reset", "num_retries": 1, "retry_back_off": {"base_interval": "0.005s"}},
        },
    },
    {
        "match": {"prefix": "/2retry/"},
        "route": {
            "cluster": "http2",
            "retry_policy": {
                "retry_on": "refused-stream,gateway-error", "num_retries": 1,
                "retry_back_off": {"base_interval": "0.005s"},
            },
        },
    },
]  # fmt: skip


def configuration(places: Places) -> dict[str, Any]:
    """The bootstrap of one half of a pair."""
    http1, http2, refused, log, certificates = (
        places["http1"], places["http2"], places["dead"], places.log, places.certificates
    )  # fmt: skip
    made = exchanges.configuration(http1, refused, log)
    resources = made["static_resources"]
    resources["clusters"] += [_http2_cluster("http2", http2), _http2_cluster("http2-dead", refused)]
    route_config = {**exchanges.ROUTE_CONFIG, "name": "parity"}
    resources["listeners"] += [http_listener(name, route_config, **fields) for name, fields in LISTENERS.items()]
    resources["listeners"] += [_secure(name, route_config, certificates) for name in SECURE]
    resources["listeners"] += [_by_name(route_config, certificates)]
    sockets = [_socket(certificates, "a.example.com", SECURE[each]) for each in ("tls", "tls-optional")]
    own = log_listeners(log, _with_more_routes(route_config), *sockets)
    own.append(pipe_log_listener(log))
    mutated = {"mutated": False, "mutated-specific": True}
    resources["listeners"] += [http_listener(name, mutation_routes(each)) for name, each in mutated.items()]
    resources["listeners"] += [*filter_listeners(), *action_listeners(), *pipe_listeners(log.parent)]
    resources["listeners"] += routing_listeners(sockets[1])
    resources["clusters"] += [named_cluster(http1), *pipe_clusters(log.parent)]
    layer = {**RUNTIME_LAYER, **WEIGHTS, **SHARES}
    made["layered_runtime"] = {"layers": [{"name": "static", "static_layer": layer}]}
    for listener in resources["listeners"]:
        for chain in listener["filter_chains"]:
            _complete(chain["filters"][0]["typed_config"])
    resources["listeners"] += own
    return made


def _complete(manager: dict[str, Any]) -> None:
    named = manager.get("route_config", {}).get("name")
    if "route_config" in manager and named not in ("mutations", "filters", "pipes", TABLE):
        manager["route_config"] = _with_more_routes(manager["route_config"])
    manager["delayed_close_timeout"] = "0.05s"
    manager.pop("access_log", None)  # the exchanges' own; the setup puts in the one that is compared


def _with_more_routes(route_config: dict[str, Any]) -> dict[str, Any]:
    first, *others = route_config["virtual_hosts"]
    hosts = [{**first, "routes": [*ROUTES, *first["routes"]]}, *others]
    return {**route_config, "virtual_hosts": hosts}


def _http2_cluster(name: str, address: Address) -> dict[str, Any]:
    explicit = {"explicit_http_config": {"http2_protocol_options": {}}}
    options = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": PROTOCOL_OPTIONS, **explicit}}
    return static_cluster(name, address, typed_extension_protocol_options=options)


def _certificate(folder: Path, name: str) -> dict[str, Any]:
    return {
        "certificate_chain": {"filename": str(folder / f"{name}.pem")},
        "private_key": {"filename": str(folder / f"{name}.key")},
    }


def _socket(certificates: Path, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    fields = dict(fields)
    client, san = fields.pop("client", None), fields.pop("san", "")
    common = {"tls_certificates": [_certificate(certificates, name)], **fields}
    if client is not None:
        common["validation_context"] = {"trusted_ca": {"filename": str(certificates / "ca.pem")}}
        if san:
            matcher = {"san_type": "EMAIL", "matcher": {"exact": san}}
            common["validation_context"]["match_typed_subject_alt_names"] = [matcher]
    context = {"@type": TLS, "common_tls_context": common, "require_client_certificate": bool(client)}
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _secure(name: str, route_config: dict[str, Any], certificates: Path) -> dict[str, Any]:
    listener = http_listener(name, route_config)
    listener["filter_chains"][0]["transport_socket"] = _socket(certificates, "a.example.com", SECURE[name])
    return listener


def _by_name(route_config: dict[str, Any], certificates: Path) -> dict[str, Any]:
    """A listener whose filter chain depends on the server name."""
    listener = http_listener("tls-sni", route_config)
    (chain,) = listener["filter_chains"]
    chains = []
    for match, name in (("b.example.com", "b.example.com"), ("*.wild.example.com", "wild.example.com")):
        socket = _socket(certificates, name, {"alpn_protocols": ["h2", "http/1.1"]})
        filters = [{**each, "typed_config": dict(each["typed_config"])} for each in chain["filters"]]
        matched = {"server_names": [match]}
        chains.append({"filter_chain_match": matched, "transport_socket": socket, "filters": filters})
    listener["filter_chains"] = chains
    listener["listener_filters"] = [
        {"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": INSPECTOR}}
    ]
    return listener


COMMON = Setup(
    "common",
    configuration,
    {
        "http1": partial(Recorder, {**exchanges.ANSWERS, **ACTION_ANSWERS}),
        "http2": partial(Http2Recorder, HTTP2_ANSWERS),
        "dead": Refusing,
    },
)
"""The setup of cases that name none."""
