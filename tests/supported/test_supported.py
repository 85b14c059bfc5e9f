"""README's table and docs/supported.md are what the readers do now, and fields of routing are refused for a reason."""

from __future__ import annotations

import pytest

from tests.supported.document import DOCUMENT, README, descriptor, document, reasons, refused, subjects, with_table
from tests.unit.fields.table import readable

ROUTING = ("Routes", "Virtual hosts", "Connection manager")


def test_readmes_table_is_current() -> None:
    text = README.read_text()
    assert with_table(text) == text, "run: python -m tests.supported"


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text() == document(), "run: python -m tests.supported"


@pytest.mark.parametrize("subject", ROUTING)
def test_every_field_of_routing_is_read_or_has_a_reason(subject: str) -> None:
    (found,) = [each for each in subjects() if each.name == subject]
    readme = README.read_text()
    for name in found.messages:
        fields = {field.name for field in descriptor(name).fields}
        missing = set(refused(name))
        assert {field for field in fields if f"{name}.{field}" in readable()} == fields - missing
        assert {f"{name}.{field}" for field in missing} <= reasons().keys()
        assert all(f"`{field}`" in readme for field in missing)


def test_reasons_are_of_fields_that_are_refused() -> None:
    assert {field for field in reasons() if field in readable()} == set()
    for field in reasons():
        name, _, last = field.rpartition(".")
        assert last in refused(name)
