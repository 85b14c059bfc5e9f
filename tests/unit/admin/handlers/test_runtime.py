"""/runtime and /runtime_modify."""

import json


def test_each_key_shows_its_layers_and_the_highest_wins(ask) -> None:
    assert ask("/runtime_modify?foo=baz&q=1", "POST").body == "OK\n"
    response = ask("/runtime")
    assert response.content_type == "application/json"
    assert json.loads(response.body) == {
        "entries": {
            "foo": {"final_value": "baz", "layer_values": ["bar", "baz"]},
            "q": {"final_value": "1", "layer_values": ["", "1"]},
        },
        "layers": ["static", "admin"],
    }


def test_nothing_to_modify_is_a_usage_error(ask) -> None:
    response = ask("/runtime_modify", "POST")
    assert response.status == 400
    assert response.body.startswith("usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n")


def test_without_an_admin_layer_nothing_can_be_modified(ask, context) -> None:
    context.runtime.has_admin_layer = False
    response = ask("/runtime_modify?a=b", "POST")
    assert (response.status, response.body) == (503, "No admin layer specified")
