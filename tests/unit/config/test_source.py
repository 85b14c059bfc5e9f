"""Tests of envoymesh.config.source: paths and the lines that they were written on."""

from __future__ import annotations

from envoymesh.config.source import Source, path_key


def test_a_path_is_split_into_names_indexes_and_map_keys() -> None:
    assert path_key("a.b[0].c[x.y/z]") == ("a", "b", 0, "c", "x.y/z")
    assert path_key("") == ()


def test_the_nearest_written_parent_gives_the_line() -> None:
    source = Source("f", {("a",): 1, ("a", "bC"): 2, ("a", "bC", 0): 3})
    assert source.locate("a.b_c[0].d") == ("f", 3)
    assert source.locate("a.b_c[7]") == ("f", 2)
    assert source.locate("x.y") == ("f", None)
    assert source.locate("") == ("f", None)


def test_a_number_may_be_the_key_of_a_map() -> None:
    assert Source("f", {("a",): 1, ("a", "5"): 4}).locate("a[5]") == ("f", 4)


def test_the_override_wins_where_it_reaches_as_far() -> None:
    override = Source("o", {("a",): 1, ("a", 1): 2})
    source = Source("f", {("a",): 5, ("a", 0): 6, ("b",): 7}, override)
    assert source.locate("a[1]") == ("o", 2)
    assert source.locate("a[0]") == ("f", 6)
    assert source.locate("a") == ("o", 1)
    assert source.locate("b") == ("f", 7)
