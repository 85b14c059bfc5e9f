"""What a test's class derives from to stand where the data path asks for a trait.

    class Wire(stands_for(CodecConnection)): ...

In the source a trait is an ordinary class, and this derives from it. Compiled code takes only what derives from
compiled classes, and no interpreted class may derive from a compiled trait; so the build for tests (`compiled.py`)
adds, for each use of `stands_for` in tests, a compiled class that is open to interpreted ones. This module must not
compile.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import GetSetDescriptorType, new_class
from typing import Any

OPENED = "envoymesh.opened"
"""The module that only a build for tests has."""


def name_of(*traits: str) -> str:
    """What the compiled class for these traits is called."""
    return "Open" + "".join(traits)


def stands_for(*traits: Any) -> Any:
    """A base for classes that do what these traits ask for; what is a property there may be a plain attribute."""
    name = name_of(*(each.__name__ for each in traits))
    bases = traits
    if find_spec(OPENED) is not None:
        bases = (getattr(import_module(OPENED), name),)
    members = {name for each in _all(traits) for name in vars(each)}
    plain = {name: None for name in members if _is_property(traits, name)}
    return new_class(name, bases, exec_body=lambda namespace: namespace.update(plain))


def _is_property(traits: tuple[Any, ...], name: str) -> bool:
    """Whether it is read through a function; compiled classes have such descriptors for plain attributes, too."""
    if name.startswith("__") or any(name in getattr(each, "__mypyc_attrs__", ()) for each in _all(traits)):
        return False
    found = next(vars(each)[name] for each in _all(traits) if name in vars(each))
    return isinstance(found, property | GetSetDescriptorType)


def _all(traits: tuple[Any, ...]) -> list[Any]:
    return [each for trait in traits for each in trait.__mro__]
