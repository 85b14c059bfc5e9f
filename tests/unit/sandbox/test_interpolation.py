import pytest

from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.interpolation import interpolate

ENVIRONMENT = {"SET": "value", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$SET", "value"),
        ("a${SET}b", "avalueb"),
        ("${UNSET}", ""),
        ("${UNSET:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY-default}", ""),
        ("${SET:-default}:8080", "value:8080"),
        ("${SET:+other}", "other"),
        ("${EMPTY:+other}", ""),
        ("${EMPTY+other}", "other"),
        ("${SET:?needed}", "value"),
        ("$$SET", "$SET"),
        ("${UNSET:-}", ""),
    ],
)
def test_variables_are_replaced(text: str, expected: str) -> None:
    assert interpolate(text, ENVIRONMENT) == expected


def test_every_string_of_a_document_is_reached_and_nothing_else_is_touched() -> None:
    document = {"a": ["${SET}", 1, None, {"$SET": "$SET"}], "b": True}
    assert interpolate(document, ENVIRONMENT) == {"a": ["value", 1, None, {"$SET": "value"}], "b": True}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${UNSET:?say so}", "services.x[0]: the variable UNSET is not set: say so"),
        ("${EMPTY:?}", "services.x[0]: the variable EMPTY is not set: it is required"),
        ("cost $ 5", "services.x[0]: a lone $ in 'cost $ 5'; write $$ for a dollar sign"),
    ],
)
def test_an_error_names_the_field(text: str, message: str) -> None:
    with pytest.raises(SandboxError) as caught:
        interpolate({"services": {"x": [text]}}, ENVIRONMENT)
    assert str(caught.value) == message
