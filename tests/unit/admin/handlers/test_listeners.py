"""/listeners and /drain_listeners, in the shapes of the real Envoy 1.40."""

import json

import pytest

from envoymesh.admin.views import ListenerStatus, SocketAddress

LISTENERS = [
    ListenerStatus("main", SocketAddress("0.0.0.0", 8080), [SocketAddress("::", 8080)]),
    ListenerStatus("local", SocketAddress("/run/x.sock")),
]


def test_listeners_as_text(ask) -> None:
    body = ask("/listeners", listeners=lambda: LISTENERS).body
    assert body == "main::0.0.0.0:8080\nmain::[::]:8080\nlocal::/run/x.sock\n"


def test_listeners_as_json(ask) -> None:
    first, second = json.loads(ask("/listeners?format=json", listeners=lambda: LISTENERS).body)["listener_statuses"]
    assert first == {
        "name": "main",
        "local_address": {"socket_address": {"address": "0.0.0.0", "port_value": 8080}},
        "additional_local_addresses": [{"socket_address": {"address": "::", "port_value": 8080}}],
    }
    assert second["local_address"] == {"pipe": {"path": "/run/x.sock"}}


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("/drain_listeners", ("drain_listeners", False, False, False)),
        ("/drain_listeners?graceful&inboundonly", ("drain_listeners", True, True, False)),
        ("/drain_listeners?skip_exit", ("drain_listeners", False, False, True)),
    ],
)
def test_a_drain_begins(ask, server, target: str, call: object) -> None:
    response = ask(target, "POST")
    assert (response.status, response.body) == (200, "OK\n")
    assert server.calls == [call]
