"""Tests of envoymesh.config.messages: types by name, imported when asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from envoymesh.config.messages import class_of_url, message_class, unpack_any
from envoymesh.config.source import Source
from envoymesh.errors import ConfigError


@pytest.mark.parametrize(
    "name",
    [
        "envoy.config.cluster.v3.Cluster",
        "envoy.config.cluster.v3.Cluster.CommonLbConfig",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "xds.type.v3.TypedStruct",
        "udpa.type.v1.TypedStruct",
        "google.protobuf.Struct",
        "google.protobuf.UInt32Value",
    ],
)
def test_types_that_are_found(name: str) -> None:
    assert message_class(name).DESCRIPTOR.full_name == name


@pytest.mark.parametrize(
    "name", ["", "Foo", "envoy.Nope", "envoy.config.cluster.v3.Nope", "os.path.Join", "envoy...Cluster", "envoy./etc.A"]
)
def test_types_that_are_not(name: str) -> None:
    with pytest.raises(KeyError):
        message_class(name)


def test_a_type_url_needs_a_slash_and_a_known_type_of_v3() -> None:
    def problem(url: str) -> str:
        with pytest.raises(ConfigError) as caught:
            class_of_url(url, "a.b", Source("f"))
        assert (caught.value.path, caught.value.source) == ("a.b", "f")
        return caught.value.message

    assert "must be a type URL" in problem("envoy.config.cluster.v3.Cluster")
    assert "must be a type URL" in problem("/envoy.config.cluster.v3.Cluster")
    assert "unknown type" in problem("type.googleapis.com/envoy.foo.Bar")
    assert "API v2" in problem("type.googleapis.com/envoy.api.v2.Cluster")
    assert "API v2" in problem("a/envoy.config.filter.network.http_connection_manager.v2.HttpConnectionManager")


def test_bytes_that_are_no_message_are_refused() -> None:
    packed = message_class("google.protobuf.Any")()
    with pytest.raises(ConfigError, match="'@type' is missing"):
        unpack_any(packed, "a", Source())
    packed.type_url = "a/envoy.config.cluster.v3.Cluster"  # type: ignore[attr-defined]
    packed.value = b"\xff"  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="not a message of its type"):
        unpack_any(packed, "a", Source())


def test_importing_the_room_imports_no_generated_module() -> None:
    script = "import sys, envoymesh.config.load; print([m for m in sys.modules if m.endswith('v3') or '.v3.' in m])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
