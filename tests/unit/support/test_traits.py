"""Traits of the build for tests: each declares what it inherits, and knows the names that this needs."""

from __future__ import annotations

from pathlib import Path

from tests.support.traits import repeat_inherited

HEAD = "from __future__ import annotations\n\nfrom abc import abstractmethod\nfrom mypy_extensions import trait\n"
BASE = (
    HEAD
    + '''from decimal import Decimal

Cents = int

@trait
class Payer:
    @abstractmethod
    def pay(self, amount: Decimal, rest: Cents) -> None:
        """Hand it over."""

    @property
    @abstractmethod
    def purse(self) -> Cents:
        """What is left."""

    def leave(self) -> None:
        """Not abstract: found where it is."""

@trait
class Guest(Payer):
    @abstractmethod
    def order(self) -> Cents:
        """And what it comes to."""
'''
)
REGULAR = (
    HEAD
    + '''from package.base import Guest

class Stranger(Guest):
    pass

@trait
class Regular(Guest):
    @abstractmethod
    def pay(self, amount: object, rest: int) -> None:
        """In the end."""
'''
)


def rewritten(tmp_path: Path) -> tuple[str, str]:
    package = tmp_path / "package"
    package.mkdir()
    files = [package / "base.py", package / "regular.py"]
    for file, text in zip(files, (BASE, REGULAR), strict=True):
        file.write_text(text)
    repeat_inherited(files, package)
    one, two = (file.read_text() for file in files)
    compile(one, "base.py", "exec")
    compile(two, "regular.py", "exec")
    return one, two


def test_a_trait_declares_its_ancestors_methods(tmp_path: Path) -> None:
    text, _ = rewritten(tmp_path)
    inherited = BASE[BASE.index("    @abstractmethod\n    def pay") : BASE.index("    def leave")].rstrip("\n")
    guest = text[text.index("class Guest") :]
    assert inherited in guest
    assert "leave" not in guest
    assert "TYPE_CHECKING" not in text, "all names are its own"


def test_its_own_declaration_stays_and_names_of_other_modules_are_imported(tmp_path: Path) -> None:
    _, text = rewritten(tmp_path)
    regular = text[text.index("class Regular") :]
    assert (regular.count("def pay"), regular.count("def purse"), regular.count("def order")) == (1, 1, 1)
    assert "    from package.base import Cents\n" in text
    assert "Decimal" not in text, "only methods that are repeated want names"
    assert text[text.index("class Stranger") : text.index("@trait")].split() == ["class", "Stranger(Guest):", "pass"]
