"""The admin's JSON text."""

import json

from envoymesh.admin.json_text import pretty


def test_one_space_an_indent_and_a_final_end_of_line() -> None:
    assert pretty({"a": [1], "b": {}, "c": []}) == '{\n "a": [\n  1\n ],\n "b": {},\n "c": []\n}\n'


def test_markup_is_spelt_out_and_reads_back() -> None:
    assert "<" not in pretty({"a": "<b>"})
    assert json.loads(pretty({"a": "<b> é \u2028"})) == {"a": "<b> é \u2028"}
