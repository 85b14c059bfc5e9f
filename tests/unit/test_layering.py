"""The house's directions, read from the imports: who may know whom, and which foreign library belongs where."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "envoymesh"
# Room -> the rooms it may import besides itself; the first that are named know nothing of those below them.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "options": set(),
    "metadata": set(),
    "runtime": set(),
    "stats": {"errors"},
    "config": {"errors", "metadata"},
    "network": {"errors", "metadata", "runtime", "stats"},
    "http": {"errors", "metadata", "stats", "network"},
    "formatter": {"errors", "metadata", "network", "http"},
    "matching": {"errors", "stats", "http"},
    "router": {"errors", "metadata", "runtime", "stats", "http", "formatter", "matching"},
    "upstream": {"errors", "metadata", "runtime", "stats", "network", "http"},
    "access_loggers": {"errors", "runtime", "network", "http", "formatter", "matching", "api", "scripting", "stats"},
    "api": {"stats", "http", "formatter"},
    "scripting": {"stats", "network", "http", "config", "api"},
    "filters": {
        "errors", "metadata", "runtime", "stats", "network", "http", "formatter", "matching", "router", "upstream",
        "access_loggers", "api", "scripting",
    },
    "admin": {"errors", "options", "stats", "network", "http", "upstream", "config", "explain"},
    "sandbox": {"errors", "root"},
    "page": {"admin", "sandbox"},
    "server": {
        "errors", "options", "runtime", "stats", "network", "config", "http", "formatter", "matching", "router",
        "upstream", "access_loggers", "filters", "admin", "explain", "lint", "native", "scripting", "root",
    },
    "native": set(),
    "testing": {"errors", "config", "sandbox", "server", "native", "cli"},
    "explain": {
        "errors", "metadata", "stats", "network", "config", "http", "formatter", "matching", "router", "upstream",
        "access_loggers", "filters",
    },
    "lint": {"errors", "config"},
    "cli": {"errors", "options", "config", "server", "sandbox", "native", "explain", "lint", "page",
        "scripting", "root"},
    "__main__": {"cli"},
    "root": set(),
}  # fmt: skip
# The codecs are sans-I/O: of http/ they know each other and the headers, of the other rooms only the errors.
CODECS = ("http.headers", "http.codec", "http.http1", "http.http2")
# A file named config.py turns messages into its room's settings, with config's readers; a registry.py lists such files.
READING_FILES = {"config.py", "registry.py"}

PROTOBUF = ("google.protobuf", "envoy", "xds", "udpa", "validate")
PROTOBUF_ROOMS = ("config", "admin.proto")
ASYNCIO = ("asyncio", "uvloop", "aiodns", "pycares")
ASYNCIO_ROOMS = {"network", "server", "admin", "sandbox", "testing", "page"}
ARGPARSE_FILES = {"cli.py", "__main__.py"}


# Rooms whose modules may not import each other in a circle, also not for types alone, but for those of CIRCLES.
ROOMS_WITHOUT_CIRCLES = (
    "access_loggers",
    "filters.http",
    "filters.network",
    "formatter",
    "http.filter_manager",
    "matching",
    "router",
    "upstream",
)
CIRCLES = {
    frozenset({"router.route_list", "router.table"}): "routes, and the list that finds them",
    frozenset(
        {
            "filters.network.http_connection_manager.active_stream",
            "filters.network.http_connection_manager.connection_manager",
        }
    ): "a connection and its requests: two classes, one idea",
    frozenset({"filters.network.factory_context", "filters.network.http_connection_manager.config"}): (
        "what network filters are given has what this one of them needs besides, which only its own reader knows"
    ),
    frozenset({"upstream.pool.connection", "upstream.pool.pool"}): (
        "a pool and its connections: each decides with what the other knows"
    ),
}
"""Circles that there are, and why."""


class Import(NamedTuple):
    """One imported module's dotted name, and where."""

    module: str
    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def room_of(module: str) -> str:
    """The room of a dotted name below the package: http.http1.parser -> http."""
    return module.partition(".")[0] or "root"


def is_codec(module: str) -> bool:
    """Whether a dotted name below the package is one of the sans-I/O parts of http/."""
    return any(module == codec or module.startswith(codec + ".") for codec in CODECS)


def module_of(file: Path) -> str:
    """A file's dotted name below the package: envoymesh/http/__init__.py -> http."""
    parts = file.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(dotted: str) -> bool:
    """Whether the dotted name below the package is a module (and not a name in one)."""
    path = ROOT / PACKAGE / dotted.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports_of(file: Path) -> Iterator[Import]:
    """Every import in the file, also inside functions and TYPE_CHECKING blocks, each as the module it reaches."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, file, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                below = whole.removeprefix(f"{PACKAGE}.")
                names_a_module = whole != below and is_module(below)
                yield Import(whole if names_a_module or source == "google" else source, file, node.lineno)


def forbidden(found: Import) -> bool:
    """Whether an import inside the package goes against the table."""
    if found.module != PACKAGE and not found.module.startswith(PACKAGE + "."):
        return False
    importer, imported = module_of(found.file), found.module[len(PACKAGE) + 1 :]
    if is_codec(importer):
        return not is_codec(imported) and room_of(imported) != "errors"
    room, target = room_of(importer), room_of(imported)
    allowed = MAY_IMPORT[room] | {room}
    if found.file.name in READING_FILES:
        allowed = allowed | {"config"}
    return target not in allowed


def names(found: Import, libraries: tuple[str, ...]) -> bool:
    """Whether the import reaches one of the libraries."""
    return any(found.module == library or found.module.startswith(library + ".") for library in libraries)


def may_know_messages(file: Path) -> bool:
    """Whether the file reads settings from protobuf messages, or shows messages."""
    module = module_of(file)
    return file.name == "config.py" or any(module == room or module.startswith(room + ".") for room in PROTOBUF_ROOMS)


FILES = sorted((ROOT / PACKAGE).rglob("*.py"))
IMPORTS = [found for file in FILES for found in imports_of(file)]


def shown(wrong: list[Import]) -> str:
    return "\n".join(map(str, wrong))


def test_every_room_is_in_the_table() -> None:
    rooms = {room_of(module_of(file)) for file in FILES}
    assert rooms <= MAY_IMPORT.keys(), f"not in MAY_IMPORT: {rooms - MAY_IMPORT.keys()}"


def test_rooms_import_only_what_they_may() -> None:
    wrong = [found for found in IMPORTS if forbidden(found)]
    assert not wrong, shown(wrong)


def test_protobuf_stays_in_config() -> None:
    wrong = [found for found in IMPORTS if names(found, PROTOBUF) and not may_know_messages(found.file)]
    assert not wrong, shown(wrong)


def test_asyncio_stays_in_its_rooms() -> None:
    wrong = [
        found for found in IMPORTS if names(found, ASYNCIO) and room_of(module_of(found.file)) not in ASYNCIO_ROOMS
    ]
    assert not wrong, shown(wrong)


def test_argparse_stays_in_the_command_line() -> None:
    wrong = [found for found in IMPORTS if names(found, ("argparse",)) and found.file.name not in ARGPARSE_FILES]
    assert not wrong, shown(wrong)


def arrows() -> dict[str, set[str]]:
    """Which module of the package imports which, by dotted names below it."""
    modules = {module_of(file) for file in FILES}
    found: dict[str, set[str]] = {module: set() for module in modules}
    for each in IMPORTS:
        importer, imported = module_of(each.file), each.module.removeprefix(f"{PACKAGE}.")
        if imported in modules and imported != importer:
            found[importer].add(imported)
    return found


def reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    """The modules that an import of `start` leads to."""
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += graph[module]
    return found


def circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The largest sets of modules that all lead to each other."""
    leads_to = {module: reachable(module, graph) for module in graph}
    return {
        frozenset({other for other in leads_to[module] if module in leads_to[other]})
        for module in graph
        if module in leads_to[module]
    }


def test_modules_of_a_room_do_not_import_each_other_in_a_circle() -> None:
    found = circles(arrows())
    mattering = {each for each in found if any(is_in(module, ROOMS_WITHOUT_CIRCLES) for module in each)}
    assert mattering == CIRCLES.keys()


def is_in(module: str, rooms: tuple[str, ...]) -> bool:
    """Whether a module is in one of the rooms."""
    return any(module == room or module.startswith(room + ".") for room in rooms)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, set()),
        ({"a": {"b"}, "b": {"a", "c"}, "c": set()}, {frozenset("ab")}),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, {frozenset("abc")}),
    ],
)
def test_circles_are_found(graph: dict[str, set[str]], expected: set[frozenset[str]]) -> None:
    assert circles(graph) == expected


@pytest.mark.parametrize(
    ("file", "module", "expected"),
    [
        ("router/match.py", "envoymesh.upstream.host", True),
        ("upstream/host.py", "envoymesh.router", True),
        ("http/http1/parser.py", "envoymesh.http.manager", True),
        ("http/http1/parser.py", "envoymesh.http.headers", False),
        ("http/codec.py", "envoymesh.stats", True),
        ("http/filter.py", "envoymesh.network.api", False),
        ("http/filter.py", "envoymesh.router.table", True),
        ("matching/strings.py", "envoymesh.router.table", True),
        ("access_loggers/logger.py", "envoymesh.filters.http.registry", True),
        ("http/manager.py", "envoymesh.upstream.host", True),
        ("filters/http/router/config.py", "envoymesh.config.reader", False),
        ("filters/http/router/filter.py", "envoymesh.config.reader", True),
        ("sandbox/compose.py", "envoymesh.config.reader", True),
        ("stats/store.py", "json", False),
    ],
)
def test_the_table_forbids_what_it_should(file: str, module: str, expected: bool) -> None:
    assert forbidden(Import(module, ROOT / PACKAGE / file, 1)) is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from google import protobuf", {"google.protobuf"}),
        ("from ..errors import MeshError", {"envoymesh.errors"}),
        ("from .. import errors", {"envoymesh.errors"}),
        ("def f():\n    import asyncio.events", {"asyncio.events"}),
        ("from envoymesh.errors import MeshError", {"envoymesh.errors"}),
    ],
)
def test_imports_are_read_as_the_modules_they_reach(source: str, expected: set[str], monkeypatch, tmp_path) -> None:
    file = tmp_path / PACKAGE / "http" / "manager.py"
    file.parent.mkdir(parents=True)
    file.write_text(source)
    (tmp_path / PACKAGE / "errors.py").touch()
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert {found.module for found in imports_of(file)} == expected


def test_the_pytest_plugin_imports_nothing_before_a_test_asks() -> None:
    tree = ast.parse((ROOT / PACKAGE / "testing/plugin.py").read_text())
    at_top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {node.module if isinstance(node, ast.ImportFrom) else node.names[0].name for node in at_top}
    assert found == {"__future__", "collections.abc", "json", "pathlib", "typing", "pytest"}
