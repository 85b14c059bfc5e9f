"""A message that is printed field by field reads as if it had been converted at once, and shows no secret either."""

import json

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.core.v3 import base_pb2, socket_option_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf.any_pb2 import Any
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from envoymesh.admin.json_text import pretty, pretty_pieces
from envoymesh.admin.proto import printed
from envoymesh.admin.proto.answers import to_json_value
from envoymesh.admin.proto.trim import copied, redact
from envoymesh.config.messages import new_bootstrap

HTTP_OPTIONS = http_protocol_options_pb2.HttpProtocolOptions.DESCRIPTOR.full_name
SECRET = "not for anybody's eyes"


def cluster(name: str) -> dict[str, object]:
    return {
        "name": name,
        "type": "STRICT_DNS",
        "connect_timeout": "0.25s",
        "circuit_breakers": {"thresholds": [{"max_connections": 7, "retry_budget": {"min_retry_concurrency": 3}}]},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 5}},
        "round_robin_lb_config": {"slow_start_config": {"aggression": {"default_value": 2.0, "runtime_key": "k"}}},
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
                "common_http_protocol_options": {"idle_timeout": "1.5s"},
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "metadata": {"filter_metadata": {"a": {"list": [1, 2.5, "x", {"y": None}]}}},
        "alt_stat_name": "<b>",
    }


@pytest.fixture
def bootstrap() -> bootstrap_pb2.Bootstrap:
    message = ParseDict(
        {
            "node": {"id": "n", "metadata": {"k": "v"}, "client_features": ["a", "b"]},
            "static_resources": {"clusters": [cluster(f"c{index}") for index in range(5)]},
            "stats_flush_interval": "5s",
            "layered_runtime": {"layers": [{"name": "l", "static_layer": {"a": {"b": 1}}}]},
            "stats_config": {"use_all_default_tags": False, "stats_matcher": {"reject_all": True}},
            "enable_dispatcher_stats": True,
        },
        new_bootstrap(),
    )
    context = tls_pb2.DownstreamTlsContext(require_client_certificate={"value": True})
    certificate = context.common_tls_context.tls_certificates.add()
    certificate.certificate_chain.filename = "/c.pem"
    certificate.private_key.inline_bytes = SECRET.encode()
    context.common_tls_context.alpn_protocols.extend(["h2", "http/1.1"])
    message.static_resources.listeners.add(name="l").filter_chains.add().transport_socket.typed_config.Pack(context)
    assert isinstance(message, bootstrap_pb2.Bootstrap)
    return message


def at_once(message: Message) -> str:
    copy = copied(message)
    redact(copy)
    return pretty(to_json_value(copy))


@pytest.mark.parametrize("limit", [0, 40, 256, 1 << 20])
def test_pieces_make_the_same_text(
    bootstrap: bootstrap_pb2.Bootstrap, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bootstrap.SerializeToString(deterministic=True)
    monkeypatch.setattr(printed, "AT_ONCE", limit)
    text = "".join(pretty_pieces(printed.lazy_value(bootstrap)))
    assert text == at_once(bootstrap)
    assert SECRET not in text
    assert "W3JlZGFjdGVkXQ==" in text
    assert bootstrap.SerializeToString(deterministic=True) == before, "what is printed is not changed"


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_a_message_as_an_any_holds_it(
    bootstrap: bootstrap_pb2.Bootstrap, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Any()
    held.Pack(bootstrap)
    monkeypatch.setattr(printed, "AT_ONCE", limit)
    assert "".join(pretty_pieces(printed.lazy_any(bootstrap))) == at_once(held)
    assert "".join(pretty_pieces(printed.lazy_value(held))) == at_once(held)


def test_a_secret_field_is_secret_all_the_way_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printed, "AT_ONCE", 0)
    source = base_pb2.DataSource(inline_string=SECRET)
    assert json.loads("".join(pretty_pieces(printed.lazy_value(source, sensitive=True)))) == {
        "inline_string": "[redacted]"
    }
    # A scalar that cannot be marked is left out.
    socket = socket_option_pb2.SocketOption(level=1, description="d")
    assert json.loads("".join(pretty_pieces(printed.lazy_value(socket, sensitive=True)))) == {
        "description": "[redacted]"
    }


def test_a_step_of_a_long_message_is_a_small_one(bootstrap: bootstrap_pb2.Bootstrap) -> None:
    one = bootstrap.static_resources.clusters[0]
    bootstrap.static_resources.clusters.extend([one] * 200)
    pieces = list(pretty_pieces(printed.lazy_value(bootstrap)))
    assert max(map(len, pieces)) < 2 * len(at_once(one))
