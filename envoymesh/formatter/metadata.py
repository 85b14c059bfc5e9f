"""Commands that print metadata, of what a request passed and of what its filters left behind, and filter state.

It must not know which filter leaves what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from envoymesh.formatter.context import FormatterContext, Operator, Value, as_latin1, json_of, value_of
from envoymesh.formatter.parse import Syntax
from envoymesh.http.stream_info import FilterState
from envoymesh.metadata import Metadata, found

_STATIC: Final[Mapping[str, Callable[[FormatterContext], Metadata | None]]] = {
    "LISTENER": lambda context: context.info.downstream.metadata,
    "LISTENER_FILTER_CHAIN": lambda context: context.info.downstream.metadata,
    "VIRTUAL_HOST": lambda context: context.info.route_metadata,
    "ROUTE": lambda context: context.info.route_metadata,
    "CLUSTER": lambda context: context.info.cluster_metadata,
    "UPSTREAM_HOST": lambda context: context.info.host_metadata,
}
"""Where the metadata of each kind is found."""


def dynamic_value(context: FormatterContext, namespace: str, path: Sequence[str]) -> tuple[bool, Any]:
    """Whether dynamic metadata has a value at a path, and which; an empty path is the whole name space."""
    value: Any = (context.info.dynamic_metadata or {}).get(namespace)
    if value is None:
        return False, None
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return False, None
        value = value[key]
    return True, value


def _dynamic(argument: str) -> Operator:
    namespace, *path = argument.split(":")
    return lambda context: value_of(dynamic_value(context, namespace, path)[1])


def _metadata(argument: str) -> Operator:
    """``%METADATA(KIND:NAMESPACE:KEY...)%``: text as it is, all else as JSON."""
    kind, _, rest = argument.partition(":")
    if kind == "DYNAMIC":
        return _dynamic(rest)
    if kind not in _STATIC:
        raise ValueError(f"{kind} is not supported type of metadata")
    where, path = _STATIC[kind], argument.split(":")[1:]
    return lambda context: value_of(found(where(context), kind, path))


def _metadata_of(kind: str) -> Callable[[str], Operator]:
    """The operator of an older command, such as ``%CLUSTER_METADATA(NAMESPACE:KEY...)%``."""
    return lambda argument: _metadata(f"{kind}:{argument}")


def _state_of(context: FormatterContext, key: str) -> FilterState | None:
    """What a request has, and its connection where that has none."""
    info = context.info
    state = (info.filter_state or {}).get(key)
    if state is None and (of_connection := info.downstream.stream_info) is not None:
        found: FilterState | None = (of_connection.filter_state or {}).get(key)
        return found
    return state


def _filter_state(argument: str) -> Operator:
    key, _, rest = argument.partition(":")
    kind, _, field = rest.partition(":")
    if not key:
        raise ValueError("Invalid filter state configuration, key cannot be empty.")
    if kind not in ("", "PLAIN", "TYPED", "FIELD"):
        raise ValueError("Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.")
    if (kind == "FIELD") != bool(field):
        raise ValueError("Invalid filter state serialize type, FIELD should be used with the field name.")

    def show(context: FormatterContext) -> Value:
        state = _state_of(context, key)
        if state is None:
            return None
        if kind == "PLAIN":
            return value_of(state.as_text())
        if kind == "FIELD":
            value = state.field(field)
            return as_latin1(value) if isinstance(value, str) else value
        return json_of(state.as_json())

    return show


def _upstream_filter_state(argument: str) -> Operator:
    _filter_state(argument)
    return lambda context: None  # no filter stands behind the router


METADATA: Mapping[str, tuple[Syntax, Callable[[str], Operator]]] = {
    "METADATA": (Syntax.OPTIONAL_LENGTH, _metadata),
    "DYNAMIC_METADATA": (Syntax.REQUIRED_LENGTH, _dynamic),
    "CLUSTER_METADATA": (Syntax.REQUIRED, _metadata_of("CLUSTER")),
    "UPSTREAM_METADATA": (Syntax.REQUIRED, _metadata_of("UPSTREAM_HOST")),
    "FILTER_STATE": (Syntax.OPTIONAL_LENGTH, _filter_state),
    "UPSTREAM_FILTER_STATE": (Syntax.OPTIONAL_LENGTH, _upstream_filter_state),
}
