"""A user's file: its contents become a module, the module a class, the class and plain values a `Loaded`.

A saved file is read again; what was made of the old contents stays with those who have it, and stays in use where the
new contents have a fault. This module must not know what the class does.
"""

from __future__ import annotations

import linecache
import logging
import os
import sys
import time
import traceback
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, get_args, get_origin

from envoymesh.network.api import Dispatcher, Timer
from envoymesh.scripting.settings import SettingsError, convert
from envoymesh.stats import Scope

LOOK_INTERVAL: Final = 0.5
"""Seconds between two looks at the files."""

SETTLED: Final = 1.0
"""Seconds after which a file's time of change tells of every change: a change within one tick of the clock may not."""

_log = logging.getLogger("envoymesh.filter")


class ScriptError(Exception):
    """A file that cannot be used.

    Args:
        message: why, in one line.
        line: in the file; None where no line is to blame.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file is to define.

    Args:
        base: the class that the user's derives from.
        functions: names of functions that may stand in the file instead of a class.
        of_functions: makes a class of them.
        check: looks at a class. Errors: ScriptError.
    """

    base: type
    functions: tuple[str, ...] = ()
    of_functions: Callable[[str, dict[str, Any]], type] | None = None
    check: Callable[[type], None] = lambda made: None


@dataclass(frozen=True, slots=True)
class RouteSettings:
    """What a route says of a user's filter: plain values, which the filter's class gives a type.

    Args:
        place: the message's path, for errors.
    """

    values: dict[str, Any]
    place: str


@dataclass(slots=True)
class Loaded:
    """What one state of a file gave.

    Attributes:
        config: the filter's own settings, of the class that it names.
    """

    cls: type
    config_type: type | None
    config: Any
    _of_routes: dict[int, tuple[RouteSettings, Any]] = field(default_factory=dict)

    def config_of(self, settings: RouteSettings) -> Any:
        """A route's settings, of the class that the filter names. Errors: SettingsError."""
        known = self._of_routes.get(id(settings))
        if known is None:
            known = self._of_routes[id(settings)] = (settings, convert(self.config_type, settings.values))
        return known[1]


class Script:
    """One use of a user's file.

    Args:
        file: its name, relative to the working directory.
        name: the class in it; empty for the only one that there is, or for functions.
        values: its settings.
        contents: what the file held when the configuration was checked.
    Attributes:
        current: what serves.
        error: why the file as it is now does not serve; None where it does.
        loads: how often it was taken.
        loud: log what becomes of the file.
    Errors: ScriptError.
    """

    def __init__(self, file: str, kind: Kind, name: str, values: dict[str, Any], contents: bytes) -> None:
        self.file = file
        self.kind = kind
        self.name = name
        self.values = values
        self.contents = contents
        self.routes: list[RouteSettings] = []
        self.current = self._load(contents)
        self.error: ScriptError | None = None
        self.loads = 1
        self.loud = True
        self.on_loaded: Callable[[bytes], None] = lambda contents: None
        self._seen: tuple[int, int, int] | None = None
        self._missed = 0

    def __repr__(self) -> str:
        return f"<Script {self.file}:{self.current.cls.__name__}>"

    def told(self) -> dict[str, object]:
        """What the admin shows; `error` and its `line` are None where the file as it is now serves."""
        error = self.error
        return {
            "file": self.file,
            "class": self.current.cls.__name__,
            "kind": self.kind.base.__name__,
            "loads": self.loads,
            "error": None if error is None else error.message,
            "line": None if error is None else error.line,
        }

    def check_route(self, settings: RouteSettings) -> None:
        """From now on the file must be fit for these settings. Errors: ScriptError."""
        self._check_route(self.current, settings)
        self.routes.append(settings)

    def look(self) -> None:
        """Take the file again if it was saved."""
        try:
            now = os.stat(self.file)
            seen = (now.st_mtime_ns, now.st_size, now.st_ino)
            if seen == self._seen:
                return
            with open(self.file, "rb") as opened:
                contents = opened.read()
        except OSError as error:
            # Editors take a file away and put another one in its place: only what stays away is a fault.
            self._missed += 1
            if self._missed > 1:
                self._seen = None
                self._refuse(ScriptError(f"cannot read the file: {error.strerror}"), b"")
            return
        self._missed = 0
        self._seen = seen if abs(time.time() - now.st_mtime) > SETTLED else (-1, -1, -1)
        if contents != self.contents:
            self._take(contents)

    def _take(self, contents: bytes) -> None:
        self.contents = contents
        try:
            loaded = self._load(contents)
            for each in self.routes:
                self._check_route(loaded, each)
        except ScriptError as error:
            self._refuse(error, contents)
            return
        self.current, self.error = loaded, None
        self.loads += 1
        self.on_loaded(contents)
        _log.log(logging.INFO if self.loud else logging.DEBUG, "%s: taken again (%s)", self.file, loaded.cls.__name__)

    def _refuse(self, error: ScriptError, contents: bytes) -> None:
        if self.error is None or str(self.error) != str(error):
            where = self.file if error.line is None else f"{self.file}:{error.line}"
            level = logging.ERROR if self.loud else logging.DEBUG
            _log.log(level, "%s: %s; the last good one serves on", where, error.message)
        self.error = error
        self.contents = contents

    @staticmethod
    def _check_route(loaded: Loaded, settings: RouteSettings) -> None:
        try:
            loaded.config_of(settings)
        except SettingsError as error:
            raise ScriptError(f"{settings.place}: {error}") from error

    def _load(self, contents: bytes) -> Loaded:
        made = find_class(run_file(self.file, contents), self.kind, self.name)
        self.kind.check(made)
        config_type = config_type_of(made, self.kind.base)
        try:
            return Loaded(made, config_type, convert(config_type, self.values))
        except SettingsError as error:
            raise ScriptError(str(error)) from error


def run_file(file: str, contents: bytes) -> types.ModuleType:
    """Run a file's contents as a module. Errors: ScriptError."""
    stem = os.path.splitext(os.path.basename(file))[0]
    # Dataclasses and type hints look their module up by its name.
    name = f"envoymesh_script:{os.path.abspath(file)}:{stem}"
    module, before = types.ModuleType(name), sys.modules.get(name)
    module.__file__ = file
    sys.modules[name] = module
    linecache.checkcache(file)
    try:
        exec(compile(contents, file, "exec", dont_inherit=True), module.__dict__)
    except SyntaxError as error:
        problem = ScriptError(f"{type(error).__name__}: {error.msg}", error.lineno if error.filename == file else None)
    except (Exception, SystemExit) as error:  # noqa: BLE001 it is a user's
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == file]
        problem = ScriptError(f"{type(error).__name__}: {error}", lines[-1] if lines else None)
    else:
        return module
    if before is None:
        del sys.modules[name]
    else:
        sys.modules[name] = before
    raise problem


def find_class(module: types.ModuleType, kind: Kind, name: str) -> type:
    """The class that a file defines. Errors: ScriptError where it has none, or it is not clear which is meant."""
    defined = vars(module)
    if name:
        found = defined.get(name)
        if not (isinstance(found, type) and issubclass(found, kind.base)):
            what = "there is no class" if found is None else "not a class derived from " + kind.base.__name__
            raise ScriptError(f"{what}: {name}")
        return found
    classes = [
        each
        for each in defined.values()
        if isinstance(each, type) and issubclass(each, kind.base) and each.__module__ == module.__name__
    ]
    functions = {each: defined[each] for each in kind.functions if callable(defined.get(each))}
    if len(classes) + bool(functions) != 1:
        wanted = " or ".join(filter(None, [f"a class derived from {kind.base.__name__}", ", ".join(kind.functions)]))
        found_text = ", ".join([*(each.__name__ for each in classes), *functions]) or "nothing"
        raise ScriptError(f"the file must define one thing, {wanted} (it defines {found_text}; `class` says which)")
    if classes:
        return classes[0]
    assert kind.of_functions is not None
    stem = module.__name__.rpartition(":")[2]
    made = kind.of_functions(stem, functions)
    if isinstance(defined.get("Config"), type):
        made.Config = defined["Config"]  # type: ignore[attr-defined]  # read by config_type_of
    return made


def config_type_of(made: type, base: type) -> type | None:
    """The class of a filter's settings: `Filter[Settings]`, or a class `Config` in it; None for plain values."""
    for each in made.__mro__:
        for generic in each.__dict__.get("__orig_bases__", ()):
            origin = get_origin(generic)
            if isinstance(origin, type) and issubclass(origin, base) and isinstance(get_args(generic)[0], type):
                return get_args(generic)[0]  # type: ignore[no-any-return]
    config = getattr(made, "Config", None)
    return config if isinstance(config, type) else None


class Scripts:
    """All of a server's scripts, and the watch over their files, which there is only where there are scripts.

    Args:
        scope: all stats.
        loud: log what becomes of files; of a fleet the parent does.
    """

    def __init__(self, dispatcher: Dispatcher, scope: Scope, loud: bool = True) -> None:
        self.dispatcher = dispatcher
        self._loud = loud
        self.scope = scope
        self.scripts: list[Script] = []
        self._timer: Timer | None = None

    def add(self, script: Script) -> None:
        """Watch one more."""
        self.scripts.append(script)
        script.loud = self._loud
        if self._timer is None:
            self._timer = self.dispatcher.create_timer(self._look)
            self._timer.enable(LOOK_INTERVAL)

    def _look(self) -> None:
        for each in self.scripts:
            each.look()
        if self._timer is not None:
            self._timer.enable(LOOK_INTERVAL)

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.disable()
