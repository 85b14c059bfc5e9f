"""The layered runtime."""

import pytest

from envoymesh.server.runtime import Runtime, flatten
from envoymesh.stats import Store
from envoymesh.stats.server import RuntimeStats


def runtime(*layers: tuple[str, dict[str, str] | None]) -> tuple[Runtime, RuntimeStats]:
    stats = RuntimeStats.create(Store().scope("runtime."))
    return Runtime(layers, stats), stats


def test_structs_are_flattened() -> None:
    values = {"a": {"b": 1.0, "c": {"d": True}}, "e": "x", "f": {"numerator": 5.0}, "g": 1.5}
    assert flatten(values) == {"a.b": "1", "a.c.d": "true", "e": "x", "f": '{"numerator": 5.0}', "g": "1.5"}


def test_the_last_layer_wins() -> None:
    made, stats = runtime(("low", {"a": "1", "b": "2"}), ("high", {"a": "3"}))
    assert (made.get("a"), made.get("b"), made.get("c")) == ("3", "2", None)
    assert (made.integer("a"), made.integer("c")) == (3, None)
    assert (stats.num_layers.value, stats.num_keys.value) == (2, 2)
    assert not made.has_admin_layer


@pytest.mark.parametrize("text", ["x", "1.5", ""])
def test_what_is_no_number_is_none(text: str) -> None:
    made, _ = runtime(("one", {"a": text}))
    assert made.integer("a") is None


def test_the_admin_layer_changes() -> None:
    made, stats = runtime(("static", {"a": "1"}), ("admin", None))
    assert made.has_admin_layer
    made.modify({"a": "9", "b": "8"})
    assert (made.get("a"), made.get("b")) == ("9", "8")
    assert stats.admin_overrides_active.value == 1
    snapshot = made.snapshot()
    assert tuple(snapshot.layers) == ("static", "admin")
    assert snapshot.entries == {"a": ["1", "9"], "b": ["", "8"]}
    made.modify({"a": "", "b": ""})
    assert (made.get("a"), made.get("b")) == ("1", None)
    assert stats.admin_overrides_active.value == 0


def test_without_an_admin_layer_nothing_changes() -> None:
    made, _ = runtime(("static", {"a": "1"}))
    made.modify({"a": "2"})
    assert made.get("a") == "1"
