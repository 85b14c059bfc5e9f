"""The layered runtime."""

import pytest

from envoymesh.runtime import RuntimeShare
from envoymesh.server.runtime import Runtime, double_of, flatten, number_of, share_of
from envoymesh.stats import Store
from envoymesh.stats.server import RuntimeStats


def runtime(*layers: tuple[str, dict[str, str] | None]) -> tuple[Runtime, RuntimeStats]:
    stats = RuntimeStats.create(Store().scope("runtime."))
    made = Runtime(stats)
    made.set_layers(layers)
    return made, stats


def test_structs_are_flattened() -> None:
    values = {"a": {"b": 1.0, "c": {"d": True}}, "e": "x", "f": {"numerator": 5.0}, "g": 1.5}
    assert flatten(values) == {"a.b": "1", "a.c.d": "true", "e": "x", "f": '{"numerator": 5.0}', "g": "1.5"}


def test_the_last_layer_wins() -> None:
    made, stats = runtime(("low", {"a": "1", "b": "2"}), ("high", {"a": "3"}))
    assert (made.get("a"), made.get("b"), made.get("c")) == ("3", "2", None)
    assert (stats.num_layers.value, stats.num_keys.value) == (2, 2)
    assert not made.has_admin_layer


@pytest.mark.parametrize(
    ("text", "number", "share"),
    [
        ("3", 3, 0.03),
        ("300", 300, 1.0),
        ("0", 0, 0.0),
        ("x", None, None),
        ("1.5", None, None),
        ("-1", None, None),
        ("true", None, None),
        ("", None, None),
        (None, None, None),
        ('{"numerator": 5}', None, 0.05),
        ('{"numerator": 5, "denominator": "TEN_THOUSAND"}', None, 0.0005),
        ("{numerator: 5, denominator: 2}", None, 0.000005),
        ('{"denominator": "MILLION"}', None, 0.0),
        ('{"numerator": 5, "denominator": "DOZEN"}', None, None),
        ("{numerator: x}", None, None),
        ("a: [", None, None),
    ],
)
def test_what_a_value_is(text: str | None, number: int | None, share: float | None) -> None:
    assert (number_of(text), share_of(text)) == (number, share)


@pytest.mark.parametrize(
    ("text", "expected"), [("1.5", 1.5), ("-2", -2.0), ("1e3", 1000.0), ("much", None), ("", None), (None, None)]
)
def test_numbers_of_any_kind(text: str | None, expected: float | None) -> None:
    assert double_of(text) == expected


def test_keys_are_told_what_counts() -> None:
    made, _ = runtime(("static", {"number": "7", "share": "30"}), ("admin", None))
    heard: list[int] = []
    number, share = made.reader.number("number", 1, heard.append), made.reader.share("share", 1.0)
    other = made.reader.number("other", 5, heard.append)
    assert (number.value, share.share, other.value, heard) == (7, 0.3, 5, [])
    made.modify({"number": "9", "share": '{"numerator": 1}', "other": "none"})
    assert (number.value, share.share, other.value, heard) == (9, 0.01, 5, [9])
    made.modify({"number": ""})
    assert (number.value, heard) == (7, [9, 7])


def test_numbers_of_any_kind_are_told_too() -> None:
    made, _ = runtime(("static", {"double": "2.5"}), ("admin", None))
    double, other = made.reader.double("double", 1.0), made.reader.double("other", 0.5)
    assert (double.value, other.value) == (2.5, 0.5)
    assert made.unread() == []
    made.modify({"double": "much", "other": "-1"})
    assert (double.value, other.value) == (1.0, -1.0)
    assert repr(other) == "<RuntimeDouble other=-1>"


def test_a_key_that_was_asked_for_first_hears_of_the_layers() -> None:
    made = Runtime(RuntimeStats.create(Store().scope("runtime.")))
    number = made.reader.number("a", 1)
    made.set_layers([("one", {"a": "2"})])
    assert number.value == 2


def test_chance_decides_within_the_share() -> None:
    share = RuntimeShare("a", 0.25)
    assert (share.holds(lambda: 0.24), share.holds(lambda: 0.25)) == (True, False)
    share.set(0.0)
    assert not share.holds(lambda: 0.0)
    share.set(1.0)
    assert share.holds(lambda: 0.999)


def test_keys_that_nobody_reads_are_known() -> None:
    made, _ = runtime(("low", {"a": "1", "b": "2"}), ("high", {"c": "3"}))
    made.reader.number("b", 0)
    assert made.unread() == [("low", "a"), ("high", "c")]


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
