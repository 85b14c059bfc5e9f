"""Three kinds of agreement that must not be added up: equal and not zero, equal at zero, and never produced by ours.

It must not compare.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.parity.constants import is_constant


def kinds(names: Mapping[str, tuple[int | str, int | str]], moved: Iterable[str]) -> tuple[int, int, int]:
    """Of names not among those which moved: zero on both sides, never counted by ours, only the real Envoy's."""
    rest = names.keys() - set(moved)
    envoys = {name for name in rest if names[name][1] == ""}
    constant = {name for name in rest - envoys if is_constant(name) and names[name][1] in (0, "")}
    zero = {name for name in rest - envoys - constant if names[name][0] == 0 == names[name][1]}
    return len(zero), len(constant), len(envoys)
