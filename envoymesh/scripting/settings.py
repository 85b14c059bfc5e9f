"""Plain values of a configuration -> a user's dataclass or pydantic model. It must not import pydantic.

Dataclasses are checked field by field: no unknown names, none missing, and types as annotated (str, int, float, bool,
None, unions, literals, lists, mappings of str, dataclasses in them). Other annotations are taken as they come.
"""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


class SettingsError(Exception):
    """A value that does not fit; the text says which and why."""


def convert(kind: type | None, values: dict[str, Any]) -> Any:
    """Give settings of a class: pydantic's (anything with `model_validate`), a dataclass, or for None the dict itself.

    Errors: SettingsError.
    """
    if kind in (None, dict, object):
        return values
    if hasattr(kind, "model_validate"):
        try:
            return kind.model_validate(values)
        except ValueError as error:  # pydantic's ValidationError is one
            raise SettingsError(" ".join(str(error).split())) from error
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, values, "config")
    raise SettingsError(f"{kind!r} is neither a dataclass nor a pydantic model")


def _dataclass(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise SettingsError(f"{where}: a mapping is expected (value: {values!r})")
    hints = get_type_hints(kind)
    fields = {each.name: each for each in dataclasses.fields(kind) if each.init}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        known = ", ".join(fields) or "none"
        raise SettingsError(f"{where}.{unknown[0]}: there is no such field in {kind.__name__} (fields: {known})")
    for name, field in fields.items():
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if name not in values and not has_default:
            raise SettingsError(f"{where}.{name}: field is required")
    made = {name: _value(hints[name], value, f"{where}.{name}") for name, value in values.items()}
    try:
        return kind(**made)
    except (ValueError, TypeError) as error:  # from its __post_init__
        raise SettingsError(f"{where}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(hint, arguments, value, where)
    if origin is Literal:
        if value in arguments:
            return value
    elif origin is list:
        if isinstance(value, list):
            return [_value(arguments[0], each, f"{where}[{at}]") for at, each in enumerate(value)]
    elif origin is dict:
        if isinstance(value, dict):
            return {key: _value(arguments[1], each, f"{where}[{key}]") for key, each in value.items()}
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, value, where)
    elif hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif hint not in _CHECKED or type(value) is hint:
        return value
    raise SettingsError(f"{where}: {_named(hint)} is expected (value: {value!r})")


def _union(hint: Any, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    others = [each for each in arguments if each is not type(None)]
    if len(others) == 1:
        return _value(others[0], value, where)
    for each in others:
        try:
            return _value(each, value, where)
        except SettingsError:
            continue
    raise SettingsError(f"{where}: {_named(hint)} is expected (value: {value!r})")


_CHECKED = (str, int, float, bool, list, dict)


def _named(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
