"""Spelling of numbers, against what the real Envoy prints."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.stats.numbers import brief, exact, fixed, json_number, plain


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.5, "0.5"), (10000.0, "10000"), (300000.0, "3e+05"), (1800000.0, "1800000"), (99.5, "99.5"),
     (1016.2162162162163, "1016.2162162162163"), (110.00000000000001, "110.00000000000001"), (math.nan, "null")],
)  # fmt: skip
def test_json_numbers_are_the_shorter_spelling(value: float, text: str) -> None:
    assert json_number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_json_numbers_read_back(value: float) -> None:
    assert float(json.loads(json_number(value))) == value


def test_the_other_spellings() -> None:
    assert (plain(5.0), plain(0.995), plain(math.nan)) == ("5", "0.995", "nan")
    assert (brief(1800000.0), brief(0.5)) == ("1.8e+06", "0.5")
    assert (exact(0.0), exact(0.1)) == ("0", "0.10000000000000000555111512312578")
    assert (fixed(3600000.0), fixed(0.5)) == ("3600000", "0.5")
