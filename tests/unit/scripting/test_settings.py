"""Plain values become a dataclass or a model, or a sentence that says why not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from envoymesh.scripting.settings import SettingsError, convert


@dataclass
class Inner:
    name: str


@dataclass
class Settings:
    text: str
    number: int = 1
    share: float = 0.5
    on: bool = False
    mode: Literal["a", "b"] = "a"
    either: int | str = 1
    maybe: str | None = None
    names: list[str] = field(default_factory=list)
    by_name: dict[str, int] = field(default_factory=dict)
    inner: Inner | None = None
    any: Any = None

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("number must not be negative")


def test_every_type() -> None:
    values = {
        "text": "t", "number": 2, "share": 1, "on": True, "mode": "b", "either": "x", "maybe": None,
        "names": ["a"], "by_name": {"k": 1}, "inner": {"name": "n"}, "any": [{}],
    }  # fmt: skip
    made = convert(Settings, values)
    assert made == Settings("t", 2, 1.0, True, "b", "x", None, ["a"], {"k": 1}, Inner("n"), [{}])
    assert isinstance(made.share, float)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "config.text: field is required"),
        ({"text": 1}, "config.text: str is expected (value: 1)"),
        ({"text": "t", "number": True}, "config.number: int is expected (value: True)"),
        ({"text": "t", "number": -1}, "config: number must not be negative"),
        ({"text": "t", "mode": "c"}, "config.mode: typing.Literal['a', 'b'] is expected (value: 'c')"),
        ({"text": "t", "names": ["a", 1]}, "config.names[1]: str is expected (value: 1)"),
        ({"text": "t", "by_name": {"k": "x"}}, "config.by_name[k]: int is expected (value: 'x')"),
        ({"text": "t", "inner": {"nam": "n"}}, "config.inner.nam: there is no such field in Inner (fields: name)"),
        ({"text": "t", "inner": 1}, "config.inner: a mapping is expected (value: 1)"),
        ({"text": "t", "either": 1.5}, "config.either: int | str is expected (value: 1.5)"),
    ],
)
def test_what_does_not_fit(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        convert(Settings, values)
    assert str(caught.value) == problem


def test_a_model_checks_itself() -> None:
    class Model:  # pydantic's shape, without pydantic
        @staticmethod
        def model_validate(values: dict[str, Any]) -> Any:
            if "n" not in values:
                raise ValueError("1 validation error\n  n\n    Field required")
            return ("made", values["n"])

    assert convert(Model, {"n": 1}) == ("made", 1)
    with pytest.raises(SettingsError, match="1 validation error n Field required"):
        convert(Model, {})


def test_without_a_class_values_are_what_they_are() -> None:
    assert convert(None, {"a": 1}) == {"a": 1}
