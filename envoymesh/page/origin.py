"""Places in a replica's adapted configuration as places in the file that people edit. Pure.

The copy is the same document with other addresses, so both are walked side by side.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode


def lines(copy: str, source: str) -> dict[int, int]:
    """Line of the source by line of the copy, both from 1; what only the copy has is not in it."""
    found: dict[int, int] = {}
    try:
        ours, theirs = (yaml.compose(text, Loader=yaml.SafeLoader) for text in (copy, source))
    except yaml.YAMLError:
        return found
    if ours is not None and theirs is not None:
        _walk(ours, theirs, found)
    return found


def _walk(copy: Node, source: Node, found: dict[int, int]) -> None:
    found.setdefault(copy.start_mark.line + 1, source.start_mark.line + 1)
    if isinstance(copy, SequenceNode) and isinstance(source, SequenceNode):
        for ours, theirs in zip(copy.value, source.value, strict=False):
            _walk(ours, theirs, found)
    elif isinstance(copy, MappingNode) and isinstance(source, MappingNode):
        theirs_by_key = {key.value: (key, value) for key, value in source.value}
        for key, value in copy.value:
            if key.value in theirs_by_key:
                _walk(key, theirs_by_key[key.value][0], found)
                _walk(value, theirs_by_key[key.value][1], found)


def moved(told: Any, file: str, source: str, known: dict[int, int]) -> Any:
    """An explanation whose places in `file` are those in `source`, where they are known."""
    if isinstance(told, list):
        return [moved(each, file, source, known) for each in told]
    if not isinstance(told, dict):
        return told
    if told.get("file") == file and told.get("line") in known:
        return {**told, "file": source, "line": known[told["line"]]}
    return {key: moved(value, file, source, known) for key, value in told.items()}
