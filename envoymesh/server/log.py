"""Process logs in Envoy's format: levels, component loggers, the `--log-format` language, reopening.

Components are the loggers below ``envoymesh.``; their names are what `--component-log-level` and
``/logging`` know. Must not be used for access logs.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from envoymesh.errors import ConfigError

DEFAULT_FORMAT = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v"

LEVELS = {
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "off": logging.CRITICAL + 10,
}
"""Envoy's level names (spdlog's) and Python's numbers."""

COMPONENTS = (
    "admin", "client", "config", "connection", "dispatcher", "dns", "file", "filter", "forward_proxy", "http", "http2",
    "init", "main", "pool", "router", "runtime", "stats", "upstream",
)  # fmt: skip
"""Loggers that exist from the start, so that their levels can be set."""

PROCESS_LOG = ""
"""Stands for this log where log files go by their paths."""

_ROOT = "envoymesh"
_TOKEN = re.compile(r"%(.)")
_LEVEL_NAMES = {number: name for name, number in LEVELS.items()}

_TOKENS: dict[str, Callable[[logging.LogRecord, time.struct_time], str]] = {
    "v": lambda r, t: r.getMessage(),
    "_": lambda r, t: r.getMessage().replace("\n", "\\n"),
    "j": lambda r, t: r.getMessage().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"),
    "t": lambda r, t: str(r.thread),
    "P": lambda r, t: str(r.process),
    "n": lambda r, t: r.name.removeprefix(_ROOT + "."),
    "l": lambda r, t: _LEVEL_NAMES.get(r.levelno, r.levelname.lower()),
    "L": lambda r, t: _LEVEL_NAMES.get(r.levelno, r.levelname)[0].upper(),
    "e": lambda r, t: f"{int(r.msecs):03d}",
    "f": lambda r, t: f"{int(r.msecs * 1000):06d}",
    "g": lambda r, t: r.pathname.rpartition(f"/{_ROOT}/")[2] or r.pathname,
    "s": lambda r, t: r.filename,
    "#": lambda r, t: str(r.lineno),
    "!": lambda r, t: r.funcName,
    "E": lambda r, t: str(int(r.created)),
    "z": lambda r, t: time.strftime("%z", t),
    "%": lambda r, t: "%",
}
_STRFTIME = frozenset("aAbBcCdDFHIjmMprRSTuUwWxXyY")


class EnvoyFormatter(logging.Formatter):
    """spdlog's pattern language, as Envoy's `--log-format`. Errors: ConfigError for an unknown token."""

    def __init__(self, pattern: str = DEFAULT_FORMAT) -> None:
        super().__init__()
        for token in _TOKEN.findall(pattern):
            if token not in _TOKENS and token not in _STRFTIME and token not in "^$+":
                raise ConfigError(f"--log-format: unknown token '%{token}'")
        self._pattern = pattern

    def format(self, record: logging.LogRecord) -> str:
        """One record as text, with its traceback below if it has one."""
        moment = time.localtime(record.created)

        def expand(match: re.Match[str]) -> str:
            token = match[1]
            known = _TOKENS.get(token)
            if known is not None:
                return known(record, moment)
            return time.strftime(f"%{token}", moment) if token in _STRFTIME else ""

        text = _TOKEN.sub(expand, self._pattern)
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class ProcessLog:
    """The process's log: where it goes, its levels by component.

    Args:
        path: a file, or an empty string for stderr.
        descriptor: the file, where it is open already.
    Errors: ConfigError for an unknown level, component or format token, or a file that cannot be opened.
    """

    def __init__(
        self, level: str, component_levels: str, pattern: str, path: str, descriptor: int | None = None
    ) -> None:
        self._path = path
        self._formatter = EnvoyFormatter(pattern)
        self._root = logging.getLogger(_ROOT)
        self._root.propagate = False
        self._handler: logging.Handler | None = None
        self._use(self._open() if descriptor is None else _handler_of(path, descriptor))
        self.set_all(level)
        for pair in filter(None, component_levels.split(",")):
            component, colon, wanted = pair.partition(":")
            if not colon:
                raise ConfigError(f"--component-log-level: component not correctly specified '{pair}'")
            self.set_level(component, wanted)

    def reopen(self) -> None:
        """Open the log file anew (after a rotation)."""
        self._use(self._open())

    def descriptors(self) -> dict[str, int]:
        """The open file's descriptor under the name PROCESS_LOG; empty where the log goes to stderr."""
        stream = self._handler.stream if isinstance(self._handler, logging.FileHandler) else None
        return {} if stream is None else {PROCESS_LOG: stream.fileno()}

    def _open(self) -> logging.Handler:
        try:
            return logging.StreamHandler(sys.stderr) if not self._path else logging.FileHandler(Path(self._path))
        except OSError as error:
            raise ConfigError(f"--log-path: cannot open '{self._path}': {error.strerror}") from None

    def _use(self, handler: logging.Handler) -> None:
        handler.setFormatter(self._formatter)
        if self._handler is not None:
            self._root.removeHandler(self._handler)
            self._handler.close()
        self._handler = handler
        self._root.addHandler(handler)

    def levels(self) -> dict[str, str]:
        """Level name of each component, sorted."""
        return {name: _LEVEL_NAMES.get(_logger(name).level, "info") for name in sorted(COMPONENTS)}

    def set_all(self, level: str) -> None:
        """Set every component. Errors: ConfigError for an unknown level."""
        number = _level(level)
        self._root.setLevel(number)
        for name in COMPONENTS:
            _logger(name).setLevel(number)

    def set_level(self, component: str, level: str) -> None:
        """Set one component. Errors: ConfigError for an unknown component or level."""
        if component not in COMPONENTS:
            raise ConfigError(f"invalid component specified '{component}'")
        _logger(component).setLevel(_level(level))


def _handler_of(path: str, descriptor: int) -> logging.Handler:
    handler = logging.FileHandler(path, delay=True)
    handler.stream = os.fdopen(descriptor, "a")
    return handler


def _logger(component: str) -> logging.Logger:
    return logging.getLogger(f"{_ROOT}.{component}")


def _level(name: str) -> int:
    number = LEVELS.get("warning" if name == "warn" else name)
    if number is None:
        raise ConfigError(f"invalid log level specified '{name}', one of {', '.join(LEVELS)}")
    return number
