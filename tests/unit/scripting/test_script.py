"""A user's file: what is found in it, what is wrong with it and where, and what happens when it is saved."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from envoymesh.api import HttpFilter
from envoymesh.config.source import Source
from envoymesh.errors import ConfigError
from envoymesh.filters.http.python.config import KIND
from envoymesh.scripting.config import read_script
from envoymesh.scripting.script import LOOK_INTERVAL, RouteSettings, Script, ScriptError, Scripts
from envoymesh.stats import Store
from tests.support.fakes import FakeDispatcher
from tests.support.python_files import own_reader

HEAD = "from dataclasses import dataclass\nfrom envoymesh.api import HttpFilter\n"
FILTER = HEAD + "@dataclass\nclass S:\n    n: int = 1\nclass F(HttpFilter[S]):\n    mark = 'first'\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(FILTER)
    return path


def script_of(path: Path, name: str = "", **config: Any) -> Script:
    return Script(str(path), KIND, name, config, path.read_bytes())


def save(path: Path, text: str) -> None:
    """As editors do: another file is put in its place."""
    other = path.with_suffix(".new")
    other.write_text(text)
    os.replace(other, path)


def test_the_only_class_is_meant(file: Path) -> None:
    script = script_of(file, n=3)
    assert (script.current.cls.__name__, script.current.config.n) == ("F", 3)
    assert issubclass(script.current.cls, HttpFilter)


def test_the_only_class_is_meant_in_a_configuration(file: Path) -> None:
    reader = own_reader("envoymesh.http.PythonFilter", file=str(file), config={"n": 3})
    script, _ = read_script(reader, KIND, None)
    assert (script.file, script.current.config.n) == (str(file), 3)
    reader.finish()


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        ("def f(:\n", "", r"line 1: SyntaxError: "),
        ("import os\n\nos.nothing\n", "", r"line 3: AttributeError: "),
        ("import nowhere_at_all\n", "", r"line 1: ModuleNotFoundError: "),
        ("import sys\nsys.exit(3)\n", "", r"line 2: SystemExit: 3"),
        ("x = 1\n", "", r"must define one thing, .* \(it defines nothing;"),
        (HEAD + "class A(HttpFilter): pass\nclass B(HttpFilter): pass\n", "", r"it defines A, B;"),
        (HEAD + "class A(HttpFilter): pass\n", "B", r"there is no class: B"),
        ("class B: pass\n", "B", r"not a class derived from HttpFilter: B"),
        (HEAD + "class A(HttpFilter):\n  async def on_end(self): pass\n", "", r"line 4: A.on_end must not be async"),
        (
            HEAD + "class A(HttpFilter):\n on_request_data = print\n on_request_body = print\n",
            "",
            r"A has both on_request_data and on_request_body",
        ),
        (HEAD + "class A(HttpFilter[int]): pass\n", "", "neither a dataclass nor a pydantic model"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, name: str, problem: str) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(text)
    with pytest.raises(ScriptError, match=problem):
        script_of(path, name)


def test_a_configuration_says_where_it_is_wrong(file: Path) -> None:
    scripts = Scripts(FakeDispatcher(), Store().scope(""))  # type: ignore[arg-type]
    for value, problem in (
        ({}, r"there.value.file: field is required"),
        ({"file": 3}, r"there.value.file: text is expected"),
        ({"file": "/nowhere.py"}, r"there.value.file: cannot read the file: No such file"),
        ({"file": str(file), "color": "red"}, r"there.value.color: there is no such field"),
        ({"file": str(file), "config": 3}, r"there.value.config: a mapping is expected"),
        ({"file": str(file), "config": {"m": 3}}, r"there.value: .*mine.py: config.m: there is no such field in S"),
        ({"file": str(file), "config": {"n": "x"}}, r"there.value: .*config.n: int is expected \(value: 'x'\)"),
    ):
        with pytest.raises(ConfigError, match=problem):
            read_script(own_reader("envoymesh.http.PythonFilter", **value), KIND, scripts)
    assert scripts.scripts == []


class Watched:
    """A script that is watched, as a server has it."""

    def __init__(self, path: Path) -> None:
        self.dispatcher = FakeDispatcher()
        self.scripts = Scripts(self.dispatcher, Store().scope(""))  # type: ignore[arg-type]
        reader = own_reader("envoymesh.http.PythonFilter", file=str(path))
        self.source: Source = reader.source
        self.script, _ = read_script(reader, KIND, self.scripts)

    def look(self) -> None:
        self.dispatcher.advance(LOOK_INTERVAL)

    @property
    def mark(self) -> Any:
        return self.script.current.cls.mark  # type: ignore[attr-defined]


def test_a_saved_file_is_taken_and_who_has_the_old_one_keeps_it(file: Path) -> None:
    watched = Watched(file)
    old = watched.script.current.cls()
    watched.look()
    assert watched.script.loads == 1
    save(file, FILTER.replace("first", "second"))
    watched.look()
    assert (watched.mark, old.mark, watched.script.loads) == ("second", "first", 2)
    # A worker that starts now starts from it.
    assert b"second" in watched.source.contents["filename", str(file)]


def test_a_change_within_one_tick_of_the_clock_is_seen(file: Path) -> None:
    watched = Watched(file)
    watched.look()
    status = os.stat(file)
    file.write_text(FILTER.replace("first", "again"))  # of the same length
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    watched.look()
    assert watched.mark == "again"


def test_a_broken_file_leaves_the_last_good_one_and_is_told_once(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(file)
    good = watched.source.contents["filename", str(file)]
    save(file, FILTER + "def broken(\n")
    for _ in range(3):
        watched.look()
    line = FILTER.count("\n") + 1
    assert caplog.text.count(f"{file}:{line}: SyntaxError: '(' was never closed; the last good one serves on") == 1
    assert watched.mark == "first"
    told = watched.script.told()
    assert (told["error"], told["line"]) == ("SyntaxError: '(' was never closed", line)
    assert watched.source.contents["filename", str(file)] == good
    save(file, FILTER.replace("first", "mended"))
    watched.look()
    assert (watched.mark, watched.script.told()["error"]) == ("mended", None)


def test_a_file_that_is_gone_and_comes_back(file: Path) -> None:
    watched = Watched(file)
    file.unlink()
    watched.look()
    assert watched.script.error is None  # as an editor may do it
    watched.look()
    assert "cannot read the file" in str(watched.script.error)
    file.write_text(FILTER)
    watched.look()
    assert (watched.script.error, watched.mark) == (None, "first")


def test_settings_of_routes_hold_a_new_file_back_too(file: Path) -> None:
    watched = Watched(file)
    with pytest.raises(ScriptError, match=r"at the route: config.n: int is expected"):
        watched.script.check_route(RouteSettings({"n": "x"}, "at the route"))
    watched.script.check_route(RouteSettings({"n": 3}, "at the route"))
    save(file, FILTER.replace("n: int = 1", "m: int = 1"))
    watched.look()
    assert "at the route: config.n: there is no such field" in str(watched.script.error)
    assert watched.mark == "first"


def test_a_workers_log_does_not_repeat_the_parents(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scripts = Scripts(FakeDispatcher(), Store().scope(""), loud=False)  # type: ignore[arg-type]
    script, _ = read_script(own_reader("envoymesh.http.PythonFilter", file=str(file)), KIND, scripts)
    save(file, "def broken(\n")
    script.look()
    assert script.error is not None
    assert caplog.text == ""


def test_without_scripts_nothing_is_watched() -> None:
    dispatcher = FakeDispatcher()
    scripts = Scripts(dispatcher, Store().scope(""))  # type: ignore[arg-type]
    scripts.close()
    assert dispatcher.timers == set()
