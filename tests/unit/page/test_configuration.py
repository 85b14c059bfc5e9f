"""What a configuration tells: listeners, weights, a cluster's text; and no secret of it."""

from pathlib import Path

import pytest
import yaml

from envoymesh.page.configuration import Weight, cluster_text, configuration_of, without_secrets
from envoymesh.page.origin import lines, moved
from envoymesh.sandbox.adaptation import adapt
from envoymesh.sandbox.addresses import Placement

ROOT = Path(__file__).parents[3]
FRONT = (ROOT / "front-envoy/envoy.yaml").read_text()
CANARY = (ROOT / "examples/canary-by-weight/envoy.yaml").read_text()


def test_listeners_with_and_without_tls() -> None:
    found = configuration_of(yaml.safe_load(FRONT))
    assert found.listeners == (("0.0.0.0", 8080, False), ("0.0.0.0", 8443, True))
    assert (found.weights, found.admin_layer) == ((), False)


def test_weights_that_are_runtime_keys() -> None:
    found = configuration_of(yaml.safe_load(CANARY))
    assert found.weights == (
        Weight("canary.weights.stable", "stable", 90),
        Weight("canary.weights.canary", "canary", 10),
    )
    assert found.admin_layer


def test_weights_without_keys_cannot_be_changed() -> None:
    text = CANARY.replace("runtime_key_prefix: canary.weights", "")
    assert configuration_of(yaml.safe_load(text)).weights == ()


def test_a_cluster_with_its_line() -> None:
    found = cluster_text(FRONT, "service2")
    assert found is not None
    line, text = found
    assert FRONT.splitlines()[line - 1] == text.splitlines()[0] == "  - name: service2"
    assert "address: service2" in text
    assert "service1" not in text
    assert cluster_text(FRONT, "nothing") is None
    assert cluster_text("{", "nothing") is None


SECRETS = """
a:
  private_key: { inline_string: "-----BEGIN PRIVATE KEY-----\\nMIIE" }
b:
  private_key: { filename: /etc/key.pem }
c:
  request_headers_to_add:
  - header: { key: Authorization, value: "Bearer abc" }
  - header: { key: x-team, value: mesh }
d:
  session_ticket_keys:
    keys:
    - inline_bytes: c2VjcmV0
e: { direct_response: { status: 200, body: { inline_string: hello } } }
f:
  private_key:
    inline_string: |
      -----BEGIN PRIVATE KEY-----
      MIIE
  after: seen
g: { token_bucket: { max_tokens: 7 } }
"""


def test_secrets_are_not_shown_and_all_else_is() -> None:
    shown = without_secrets(SECRETS)
    for secret in ("MIIE", "abc", "c2VjcmV0"):
        assert secret not in shown
    for word in ("/etc/key.pem", "Authorization", "mesh", "hello", "after: seen", "max_tokens: 7"):
        assert word in shown
    assert yaml.safe_load(shown)["f"] == {"private_key": {"inline_string": "[not shown]"}, "after": "seen"}


@pytest.mark.parametrize("text", ["a: {", "a: [private_key: x"])
def test_what_is_no_yaml_is_not_shown_at_all(text: str) -> None:
    assert without_secrets(text) == "[not shown]"


@pytest.mark.parametrize("text", [FRONT, CANARY])
def test_without_secrets_it_is_as_it_stands(text: str) -> None:
    assert without_secrets(text) == text


def test_places_in_a_copy_are_shown_where_people_edit() -> None:
    placement = Placement("127.0.0.1", {8080: 9080}, "::1")
    copy = adapt(FRONT, "front-envoy/envoy.yaml", placement, lambda word: word).text
    known = lines("# a first line\n" + copy, FRONT)
    of_copy = next(number for number, line in enumerate(copy.splitlines(), 2) if "prefix: /service/2" in line)
    of_source = next(number for number, line in enumerate(FRONT.splitlines(), 1) if "prefix: /service/2" in line)
    told = {"routes": [{"place": {"file": "/copy", "line": of_copy}}, {"place": {"file": "/other", "line": of_copy}}]}
    found = moved(told, "/copy", "front-envoy/envoy.yaml", known)
    assert found["routes"][0]["place"] == {"file": "front-envoy/envoy.yaml", "line": of_source}
    assert found["routes"][1] == told["routes"][1]
    assert lines("a: {", FRONT) == {}
