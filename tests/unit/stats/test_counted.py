"""Every stat is counted somewhere, or belongs to a struct that says why it cannot be: no zeros for things we do."""

import importlib
import re
from pathlib import Path

import pytest

from envoymesh.stats import ConstantStats, StatsStruct

PACKAGE = Path(__file__).resolve().parents[3] / "envoymesh"
MODULES = [*sorted(PACKAGE.rglob("stats.py")), PACKAGE / "stats/server.py"]


def _structs() -> list[tuple[str, type[StatsStruct]]]:
    found = []
    for path in MODULES:
        if "handlers" in path.parts or path == PACKAGE / "http/http2/stats.py":
            continue
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        members = vars(importlib.import_module(name)).values()
        structs = [each for each in members if isinstance(each, type) and issubclass(each, StatsStruct)]
        found += [(f"{name}.{each.__name__}", each) for each in structs if each.__module__ == name]
    return found


STRUCTS = _structs()
TEXT = "\n".join(path.read_text() for path in sorted(PACKAGE.rglob("*.py")))


def _is_used(field: str) -> bool:
    return re.search(rf"\.{field}\b|[\"']{field}[\"']", TEXT) is not None


@pytest.mark.parametrize(("name", "struct"), STRUCTS, ids=[name for name, _ in STRUCTS])
def test_every_field_is_counted(name: str, struct: type[StatsStruct]) -> None:
    fields = [field for field, _ in struct._plan if field != "unused"]
    if issubclass(struct, ConstantStats):
        assert fields
        return
    never = [field for field in fields if not _is_used(field)]
    assert not never, f"{name}: nobody counts {', '.join(never)}"
