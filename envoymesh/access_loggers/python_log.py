"""envoymesh.access_loggers.PythonAccessLog (a TypedStruct) -> access logs that stand in a user's Python file.

A fault of the user's costs the line and is logged; it must not reach the request, which is over.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any

from envoymesh.api import AccessLogger, LogEntry
from envoymesh.formatter import FormatterContext
from envoymesh.scripting.script import Kind, Loaded, Script, ScriptError, Scripts


def _check_class(made: type) -> None:
    if inspect.iscoroutinefunction(made.on_log):  # type: ignore[attr-defined]  # KIND says that it is an AccessLogger
        raise ScriptError(f"{made.__name__}.on_log must not be async")


KIND = Kind(AccessLogger, check=_check_class)


class PythonLines:
    """Gives each entry to the user's logger; implements `LineFormatter`: a line, or nothing."""

    def __init__(self, script: Script, scripts: Scripts) -> None:
        self._script = script
        self._scripts = scripts
        self._scope = scripts.scope.scope("access_logs.python.")
        self._loaded: Loaded | None = None
        self._logger: AccessLogger[Any] = self._made(script.current)

    def _made(self, loaded: Loaded) -> AccessLogger[Any]:
        logger: AccessLogger[Any] = loaded.cls()
        logger.config = loaded.config
        logger.stats = self._scope.scope(f"{loaded.cls.__name__}.")
        logger.log = logging.getLogger("envoymesh.filter")
        self._loaded = loaded
        return logger

    def format(self, context: FormatterContext) -> bytes:
        """The user's line, which ends as lines do; empty where there is none."""
        try:
            if self._script.current is not self._loaded:
                self._logger = self._made(self._script.current)
            line = self._logger.on_log(LogEntry(context))
            if line is None:
                return b""
            return (line.rstrip("\n") + "\n").encode("utf-8", "surrogateescape")
        except Exception as error:  # noqa: BLE001 the request is over, and others' logs come after this one
            self._scripts.dispatcher.report(f"the access logger {self._script!r}", error)
            return b""


class NoFile:
    """Where lines go that nobody wants; implements `AccessLogFile`."""

    def write(self, data: bytes) -> None:
        """Nowhere."""
