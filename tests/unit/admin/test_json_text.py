"""The admin's JSON text."""

import json
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from envoymesh.admin.json_text import LazyList, LazyObject, pretty, pretty_pieces


def test_one_space_an_indent_and_a_final_end_of_line() -> None:
    assert pretty({"a": [1], "b": {}, "c": []}) == '{\n "a": [\n  1\n ],\n "b": {},\n "c": []\n}\n'


def test_markup_is_spelt_out_and_reads_back() -> None:
    assert "<" not in pretty({"a": "<b>"})
    assert json.loads(pretty({"a": "<b> é \u2028"})) == {"a": "<b> é \u2028"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def lazy(value: object) -> object:
    """The same value, with every list and dictionary made on the way."""
    if isinstance(value, dict):
        return LazyObject((name, lazy(member)) for name, member in value.items())
    return LazyList(map(lazy, value)) if isinstance(value, list) else value


@given(VALUES)
def test_text_is_that_of_the_json_module_at_once_and_in_pieces(value: object) -> None:
    safe = {"<": "\\u003c", ">": "\\u003e", "\x7f": "\\u007f", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    expected = json.dumps(value, indent=1, ensure_ascii=False).translate(str.maketrans(safe)) + "\n"
    assert pretty(value) == expected
    assert "".join(pretty_pieces(lazy(value))) == expected


def test_nothing_is_made_before_it_is_printed() -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(3):
            made.append(number)
            yield number

    pieces = pretty_pieces(LazyObject([("a", LazyList(items()))]))
    while "0" not in next(pieces):
        pass
    assert made == [0]
