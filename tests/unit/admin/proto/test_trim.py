"""Redaction and masks on messages themselves."""

import pytest
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2
from google.protobuf.any_pb2 import Any

from envoymesh.admin.proto.trim import Mask, MaskError, redact, unpacked


def test_redaction_reaches_into_an_any() -> None:
    secret = secret_pb2.Secret(name="s")
    secret.tls_certificate.private_key.filename = "/k.pem"
    packed = Any()
    packed.Pack(secret)
    redact(packed)
    assert unpacked(packed).tls_certificate.private_key.filename == "[redacted]"
    assert unpacked(packed).name == "s"


def test_redaction_marks_texts_in_lists_and_bytes() -> None:
    keys = common_pb2.TlsSessionTicketKeys(keys=[{"inline_bytes": b"k1"}, {"inline_string": "k2"}])
    redact(keys)
    assert [keys.keys[0].inline_bytes, keys.keys[1].inline_string] == [b"[redacted]", "[redacted]"]


def test_redaction_of_a_whole_sensitive_message_clears_other_scalars() -> None:
    node = base_pb2.Node(id="n", extensions=[{"name": "x", "disabled": True}], client_features=["a", "b"])
    node.metadata.update({"key": "value", "number": 7})
    node.dynamic_parameters["type"].params["k"] = "v"
    redact(node, sensitive=True)
    assert node.id == "[redacted]"
    assert list(node.client_features) == ["[redacted]", "[redacted]"]
    assert node.extensions[0].name == "[redacted]"
    assert not node.extensions[0].disabled
    assert dict(node.dynamic_parameters["type"].params) == {"k": "[redacted]"}
    assert node.metadata.fields["key"].string_value == "[redacted]"
    assert node.metadata.fields["number"].WhichOneof("kind") is None


def test_what_is_not_sensitive_stays() -> None:
    node = base_pb2.Node(id="n", cluster="c")
    redact(node)
    assert (node.id, node.cluster) == ("n", "c")


def test_a_mask_keeps_its_paths_only() -> None:
    node = base_pb2.Node(id="n", cluster="c", locality={"zone": "z", "region": "r"}, client_features=["f"])
    Mask("id,locality.zone,client_features").trim(node)
    assert node == base_pb2.Node(id="n", locality={"zone": "z"}, client_features=["f"])


@pytest.mark.parametrize("path", ["nope", "id.more", "extensions.name", "locality.nope"])
def test_a_mask_that_does_not_fit_is_refused(path: str) -> None:
    node = base_pb2.Node(id="n", locality={"zone": "z"}, extensions=[{"name": "x"}])
    with pytest.raises(MaskError):
        Mask(path).trim(node)
