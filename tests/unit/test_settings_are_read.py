"""Every setting that a configuration makes reaches code that uses it.

What `config.py` files construct are settings. mypy says of each attribute that is read whose it is, so that fields of
the same name do not hide each other. A field that nobody reads outside of `config.py` files says one thing and does
another.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from mypy import build
from mypy.main import process_options

from envoymesh.options import Options
from tests.support.mypy_notes import MADE, PACKAGE, READ

ROOT = Path(__file__).resolve().parents[2]

WITHOUT_EFFECT = {
    "envoymesh.network.api.PipeAddress.port": "a Unix domain socket has none; it is an address's all the same",
}
"""What may be read and used by nobody, and why."""


def note_reads() -> None:
    """Run mypy over the package with the plugin that notes what is read."""
    sources, options = process_options(["--config-file", str(ROOT / "pyproject.toml"), "-p", PACKAGE])
    options.plugins = [str(ROOT / "tests/support/mypy_reads.py")]
    options.incremental = False
    READ.clear()
    MADE.clear()
    assert build.build(sources, options).errors == []


def settings_classes() -> list[type]:
    """The dataclasses that `config.py` files make."""
    made = sorted({name for name, file in MADE if is_config(file)})
    found = [getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2], None) for name in made]
    # The command line's options are not made from a configuration; some are there for the sake of scripts only.
    return [each for each in found if isinstance(each, type) and dataclasses.is_dataclass(each) and each is not Options]


def is_config(file: str) -> bool:
    """Whether a file turns messages into settings."""
    return Path(file).name == "config.py"


def explains(file: str) -> bool:
    """Whether a file tells people: to be shown is not to be used."""
    path = Path(file).resolve().relative_to(ROOT)
    return "explain" in path.parts or path.name in ("explain.py", "explaining.py", "live_explainer.py")


def lines_that_use_nothing(file: Path) -> Iterator[int]:
    """The lines of a file that declare attributes, and of its `__repr__` methods: to be shown is not to be used."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == "__repr__":
            yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)
        elif isinstance(node, ast.ClassDef):
            yield from (each.lineno for each in node.body if isinstance(each, ast.AnnAssign))


def uses() -> dict[str, set[str]]:
    """The files that use an attribute, by its full name."""
    idle = {file: set(lines_that_use_nothing(Path(file))) for file in {file for _, file, _ in READ}}
    found: dict[str, set[str]] = {}
    for name, file, line in READ:
        if line not in idle[file]:
            found.setdefault(name, set()).add(file)
    return found


def unread() -> Iterator[str]:
    """Full names of fields of settings that no code uses; of a class of a `config.py` file itself that file does."""
    found = uses()
    for each in settings_classes():
        own = each.__module__.endswith(".config")
        for field in dataclasses.fields(each):
            name = f"{each.__module__}.{each.__qualname__}.{field.name}"
            files = [file for file in found.get(name, ()) if not explains(file)]
            if not any(own or not is_config(file) for file in files):
                yield name


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_setting_reaches_code_that_uses_it() -> None:
    note_reads()
    names = {each.__name__ for each in settings_classes()}
    assert {"ListenerSettings", "ClusterSettings", "HttpConnectionManagerSettings", "Route", "RetryPolicy"} <= names
    assert set(unread()) == WITHOUT_EFFECT.keys()
