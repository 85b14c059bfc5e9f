"""Where things stand in the configuration that is explained: file, line and path, and the message there as JSON."""

from __future__ import annotations

from typing import Any

from envoymesh.config.load import LoadedBootstrap
from envoymesh.config.places import reader_at

Place = dict[str, Any]
"""``file``, ``line`` (None where it is not known) and ``path``."""


class Places:
    """The places of one bootstrap."""

    def __init__(self, loaded: LoadedBootstrap) -> None:
        self._root = loaded.reader()  # keeps what it has unpacked
        self._source = loaded.source

    def at(self, path: str) -> Place:
        """A path's place; that of its nearest parent which is written, where it is not."""
        file, line = self._source.locate(path)
        return {"file": file, "line": line, "path": path}

    def json(self, path: str) -> dict[str, Any]:
        """The message at a path with the proto's field names; empty where there is none."""
        reader = reader_at(self._root, path)
        return {} if reader is None else reader.json()

    def type_of(self, path: str) -> str:
        """The full name of the message at a path; empty where there is none."""
        reader = reader_at(self._root, path)
        return "" if reader is None else reader.type_name

    def is_set(self, path: str) -> bool:
        """Whether there is a message at a path."""
        return reader_at(self._root, path) is not None
