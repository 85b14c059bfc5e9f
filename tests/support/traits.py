"""Traits that repeat what they inherit, for the build that unit tests run on (`compiled.py`).

A call of an abstract method that a trait has from another trait does not reach an interpreted class that overrides it:
mypyc looks it up in the derived trait's own table, where only that trait's own methods lead to interpreted code. So in
the copy that is compiled for tests each trait declares its ancestors' abstract methods once more. This module must not
import the package: it reads text.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Method = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(slots=True)
class Source:
    """One module's text: what is imported or defined at its top, and what is to be added."""

    name: str
    file: Path
    lines: list[str] = field(init=False)
    """As they were; `text` gets what is added."""
    text: str = field(init=False)
    tree: ast.Module = field(init=False)
    origins: dict[str, str] = field(default_factory=dict)
    """The import that brings a name of this module, into whatever other module."""
    wanted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.text = self.file.read_text()
        self.lines = self.text.splitlines()
        self.tree = ast.parse(self.text)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                for each in node.names:
                    self.origins[each.asname or each.name] = f"from {node.module} import {ast.unparse(each)}"
            elif isinstance(node, ast.Import):
                for each in node.names:
                    self.origins[each.asname or each.name] = f"import {ast.unparse(each)}"
        for statement in self.tree.body:
            for name in _defined(statement):
                self.origins[name] = f"from {self.name} import {name}"


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [each.id for each in targets if isinstance(each, ast.Name)]


@dataclass(frozen=True, slots=True)
class Trait:
    """A class with `@trait`, where it stands."""

    source: Source
    node: ast.ClassDef

    def methods(self) -> list[Method]:
        """Its own."""
        return [each for each in self.node.body if isinstance(each, Method)]


def repeat_inherited(files: Sequence[Path], package: Path) -> None:
    """Rewrite these files of a copy of the package."""
    sources = [Source(".".join(each.relative_to(package.parent).with_suffix("").parts), each) for each in files]
    traits = {
        node.name: Trait(source, node)
        for source in sources
        for node in source.tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(each) == "trait" for each in node.decorator_list)
    }
    for source in sources:
        own = [each for each in traits.values() if each.source is source]
        # From the last class on, so that the lines of those before stay where they are.
        for trait in sorted(own, key=lambda each: -each.node.lineno):
            _repeat(trait, traits)
        if source.wanted:
            _import(source)
        source.file.write_text(source.text)


def _repeat(trait: Trait, traits: dict[str, Trait]) -> None:
    known = {each.name for each in trait.methods()}
    lines = trait.source.text.splitlines()
    added: list[str] = []
    for ancestor in _ancestors(trait, traits):
        for method in ancestor.methods():
            if method.name in known or not any(ast.unparse(each) == "abstractmethod" for each in method.decorator_list):
                continue
            known.add(method.name)
            added += ["", *_lines_of(ancestor, method)]
            _want(trait.source, ancestor.source, method)
    end = trait.node.end_lineno
    trait.source.text = "\n".join([*lines[:end], *added, *lines[end:]]) + "\n"


def _ancestors(trait: Trait, traits: dict[str, Trait]) -> Iterable[Trait]:
    for base in trait.node.bases:
        found = traits.get(ast.unparse(base).partition("[")[0])
        if found is not None:
            yield found
            yield from _ancestors(found, traits)


def _lines_of(trait: Trait, method: Method) -> list[str]:
    first = min([method.lineno, *(each.lineno for each in method.decorator_list)])
    return trait.source.lines[first - 1 : method.end_lineno]


def _want(into: Source, of: Source, method: Method) -> None:
    """Have `into` know the names that a method of `of` uses."""
    for node in ast.walk(method):
        if isinstance(node, ast.Name) and node.id not in into.origins and not hasattr(builtins, node.id):
            origin = of.origins.get(node.id)
            if origin is not None:
                into.wanted.add(origin)


def _import(source: Source) -> None:
    """Names in annotations alone are not looked up when the module runs."""
    at = next(number for number, each in enumerate(source.text.splitlines()) if each.startswith(("from ", "import ")))
    lines = source.text.splitlines()
    head = lines[at].startswith("from __future__")
    block = [
        "from typing import TYPE_CHECKING",
        "if TYPE_CHECKING:",
        *(f"    {each}" for each in sorted(source.wanted)),
    ]
    source.text = "\n".join([*lines[: at + head], *block, *lines[at + head :]]) + "\n"
