"""The inputs that are kept: a few seeds of each target, and every input that has ever failed.

`corpus/TARGET.txt` has one input a line, as Python writes bytes; lines that begin with `#` say what is special about
the input below. `tests/fuzz/test_corpus.py` replays all of them.
"""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).with_name("corpus")


def load(target: str) -> list[bytes]:
    """The inputs of a target; none where it has no file. Errors: ValueError for a line that is no bytes literal."""
    path = FOLDER / f"{target}.txt"
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], 1):
        if line and not line.startswith("#"):
            data = ast.literal_eval(line)
            if not isinstance(data, bytes):
                raise ValueError(f"{path}:{number}: not a bytes literal")
            found.append(data)
    return found
