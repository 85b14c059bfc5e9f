"""A TypedStruct that names a user's file -> Script. Envoy parses such a message, and knows no type of that name."""

from __future__ import annotations

from typing import Any

from envoymesh.config.reader import Reader
from envoymesh.scripting.script import Kind, RouteSettings, Script, ScriptError, Scripts


def read_script(reader: Reader, kind: Kind, scripts: Scripts | None, *more: str) -> tuple[Script, dict[str, Any]]:
    """Read ``value``: `file`, `class`, `config`, and what else is allowed. Gives the script and the values.

    Args:
        scripts: who watches the file; None where nobody does.

    Errors: ConfigError, with the place in the user's file where that is wrong.
    """
    values = _values(reader, "file", "class", "config", *more)
    file, name = read_text(reader, values, "file"), read_text(reader, values, "class")
    if not file:
        raise reader.error("value.file", "field is required: the Python file")
    contents = reader.file_contents("value.file", file)
    try:
        script = Script(file, kind, name, _config(reader, values), contents)
    except ScriptError as error:
        at = file if error.line is None else f"{file}:{error.line}"
        raise reader.error("value", f"{at}: {error.message}") from error
    known = reader.source.contents
    # A worker that starts later starts from what was checked last.
    script.on_loaded = lambda contents: known.update({("filename", file): contents})
    if scripts is not None:
        scripts.add(script)
    return script, values


def read_route_settings(reader: Reader) -> RouteSettings:
    """Read a route's ``value``: `config` alone. Errors: ConfigError."""
    values = _values(reader, "config")
    return RouteSettings(_config(reader, values), reader.path)


def _values(reader: Reader, *known: str) -> dict[str, Any]:
    reader.accept("type_url")  # it has said whose message this is
    values = reader.struct("value")
    for name in values:
        if name not in known:
            raise reader.error(f"value.{name}", f"there is no such field; there are {', '.join(known)}")
    return values


def read_text(reader: Reader, values: dict[str, Any], name: str) -> str:
    """Read a text of ``value``; empty where there is none. Errors: ConfigError."""
    value = values.get(name, "")
    if not isinstance(value, str):
        raise reader.error(f"value.{name}", f"text is expected (value: {value!r})")
    return value


def _config(reader: Reader, values: dict[str, Any]) -> dict[str, Any]:
    config = values.get("config") or {}
    if not isinstance(config, dict):
        raise reader.error("value.config", f"a mapping is expected (value: {config!r})")
    return config
