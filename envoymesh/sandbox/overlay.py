"""One Compose document laid over another, by Compose's rules. Pure functions; what the fields mean is not known here.

https://docs.docker.com/reference/compose-file/merge/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Lists that one thing is said with: the overlay's takes the place of the other. Below x-envoymesh every list is one.
REPLACED = frozenset({"command", "entrypoint", "test"})
EXTENSION = "x-envoymesh"
DEPENDENCY = {"condition": "service_started"}


def merge(below: Any, above: Any, *, replace_lists: bool = False) -> Any:
    """A new document, `above` laid over `below`.

    Mappings are merged, lists joined, everything else is replaced. What may be written as a list or as a mapping
    (`environment`, `depends_on`) is merged as a mapping; of two `volumes` at the same place the upper one stays.
    """
    if isinstance(below, dict) and isinstance(above, dict):
        merged = {**below}
        for key, value in above.items():
            merged[key] = _merge_field(key, below[key], value, replace_lists) if key in below else value
        return merged
    if isinstance(below, list) and isinstance(above, list) and not replace_lists:
        return [*below, *(each for each in above if each not in below)]
    return below if above is None else above


def _merge_field(key: str, below: Any, above: Any, replace_lists: bool) -> Any:
    if key in KEYED:
        as_mapping = KEYED[key]
        return merge(as_mapping(below), as_mapping(above))
    if key == "volumes" and isinstance(below, list) and isinstance(above, list):
        taken = {volume_target(each) for each in above}
        return [*(each for each in below if volume_target(each) not in taken), *above]
    return merge(below, above, replace_lists=replace_lists or key in REPLACED or key == EXTENSION)


def environment_mapping(value: Any) -> Any:
    """`environment` as a mapping: [A=1, B] is {A: "1", B: ""}; what is no list comes back as it is."""
    if not isinstance(value, list):
        return value
    return {name: text for name, _, text in (str(each).partition("=") for each in value)}


def dependency_mapping(value: Any) -> Any:
    """`depends_on` as a mapping, likewise."""
    return {str(name): DEPENDENCY for name in value} if isinstance(value, list) else value


def volume_target(volume: Any) -> str:
    """Where in the container a volume is seen: of SOURCE:TARGET[:MODE], or of the long form's `target`."""
    if isinstance(volume, dict):
        return str(volume.get("target", ""))
    parts = str(volume).split(":")
    return parts[1] if len(parts) > 1 else parts[0]


KEYED: dict[str, Callable[[Any], Any]] = {"environment": environment_mapping, "depends_on": dependency_mapping}
