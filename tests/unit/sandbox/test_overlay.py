from typing import Any

import pytest

from envoymesh.sandbox.overlay import merge


@pytest.mark.parametrize(
    ("below", "above", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3, "d": 4}}, {"a": {"b": 1, "c": 3, "d": 4}}),
        ({"a": 1}, {"a": [2]}, {"a": [2]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": {"b": 1}}),
        ({"ports": ["1:1", "2:2"]}, {"ports": ["2:2", "3:3"]}, {"ports": ["1:1", "2:2", "3:3"]}),
        ({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
        ({"healthcheck": {"test": ["NONE"], "retries": 2}}, {"healthcheck": {"test": ["CMD", "x"]}}, None),
        ({"environment": ["A=1", "B=2"]}, {"environment": {"B": "3"}}, {"environment": {"A": "1", "B": "3"}}),
        ({"environment": {"A": "1"}}, {"environment": ["B"]}, {"environment": {"A": "1", "B": ""}}),
        (
            {"depends_on": ["a"]},
            {"depends_on": {"b": {"condition": "service_healthy"}}},
            {"depends_on": {"a": {"condition": "service_started"}, "b": {"condition": "service_healthy"}}},
        ),
        ({"volumes": ["./a:/x:ro", "data:/y"]}, {"volumes": ["./b:/x"]}, {"volumes": ["data:/y", "./b:/x"]}),
        (
            {"volumes": ["./a:/x"]},
            {"volumes": [{"type": "bind", "source": "./b", "target": "/x"}]},
            {"volumes": [{"type": "bind", "source": "./b", "target": "/x"}]},
        ),
        (
            {"x-envoymesh": {"try": ["a"], "processes": {"p": ["a", "b"]}}},
            {"x-envoymesh": {"try": ["c"], "processes": {"p": ["d"]}}},
            {"x-envoymesh": {"try": ["c"], "processes": {"p": ["d"]}}},
        ),
    ],
)
def test_merging_is_composes(below: Any, above: Any, merged: Any) -> None:
    if merged is None:
        merged = {"healthcheck": {"test": ["CMD", "x"], "retries": 2}}
    kept = repr((below, above))
    assert merge(below, above) == merged
    assert repr((below, above)) == kept, "what was merged is as it was"
