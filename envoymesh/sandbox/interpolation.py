"""Compose's interpolation of environment variables in a YAML document. It must not read files or the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from envoymesh.sandbox.errors import SandboxError

_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<name>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)(?:(?P<operator>:?[-+?])(?P<word>[^{}]*))?\}|"
    r"(?P<invalid>))"
)


def interpolate(document: Any, environment: Mapping[str, str], path: str = "") -> Any:
    """A copy of a parsed YAML document with the variables in its strings (not in its keys) replaced.

    Understands $VAR, ${VAR}, ${VAR:-default}, ${VAR-default}, ${VAR:?message}, ${VAR?message}, ${VAR:+other},
    ${VAR+other} and $$ (https://docs.docker.com/reference/compose-file/interpolation/).

    Errors: SandboxError with the path in the document, for a required variable that is not set and for a lone $.
    """
    if isinstance(document, str):
        return _VARIABLE.sub(lambda match: _value(match, environment, path), document)
    if isinstance(document, dict):
        return {
            key: interpolate(value, environment, f"{path}.{key}" if path else key) for key, value in document.items()
        }
    if isinstance(document, list):
        return [interpolate(value, environment, f"{path}[{index}]") for index, value in enumerate(document)]
    return document


def _value(match: re.Match[str], environment: Mapping[str, str], path: str) -> str:
    if match["escaped"]:
        return "$"
    name = match["name"] or match["braced"]
    if name is None:
        raise SandboxError(f"{path}: a lone $ in {match.string!r}; write $$ for a dollar sign")
    operator, word = match["operator"] or "", match["word"] or ""
    value = environment.get(name)
    given = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return word if given else ""
    if given:
        return value or ""
    if operator.endswith("?"):
        raise SandboxError(f"{path}: the variable {name} is not set: {word or 'it is required'}")
    return word
