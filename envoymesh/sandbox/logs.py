"""Shows the replicas' logs, each line with its replica's name. It must not know whether the mesh runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

POLL_SECONDS = 0.2


class LogReader:
    """Reads the log files of a folder from their beginning on, whole lines only.

    Args:
        only: a replica's name, or an empty text for all.
    """

    def __init__(self, folder: Path, only: str) -> None:
        self._folder = folder
        self._only = only
        self._offsets: dict[Path, int] = {}

    def lines(self) -> Iterator[str]:
        """The lines written since the last call: `service1-1  | text`."""
        files = sorted(each for each in self._folder.glob("*.log") if self._only in ("", each.stem))
        width = max((len(each.stem) for each in files), default=0)
        for file in files:
            for line in self._new(file):
                yield f"{file.stem:{width}}  | {line}"

    def _new(self, file: Path) -> list[str]:
        with file.open("rb") as opened:
            opened.seek(self._offsets.get(file, 0))
            whole, newline, _ = opened.read().rpartition(b"\n")
        self._offsets[file] = self._offsets.get(file, 0) + len(whole) + len(newline)
        return whole.decode(errors="replace").split("\n") if newline else []


def follow(reader: LogReader, show: Callable[[str], None], running: Callable[[], bool]) -> None:
    """Show new lines as long as the mesh is running."""
    while running():
        for line in reader.lines():
            show(line)
        time.sleep(POLL_SECONDS)
    for line in reader.lines():
        show(line)
