"""The layered runtime: settings by key that can change while the server runs (bootstrap.v3.LayeredRuntime).

Layers are looked up from the last to the first. Static layers come from the bootstrap; an admin layer, where there
is one, is changed through ``/runtime_modify``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from envoymesh.admin.views import RuntimeSnapshot
from envoymesh.stats.server import RuntimeStats


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A Struct as dotted keys and texts. A FractionalPercent stays one value, in JSON."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and not ("numerator" in value or "denominator" in value):
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = _text(value)
    return flat


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


class Runtime:
    """The layers and their values.

    Args:
        layers: (name, values) lowest first; values None is the admin layer.
    """

    def __init__(self, layers: Sequence[tuple[str, Mapping[str, str] | None]], stats: RuntimeStats) -> None:
        self._names = [name for name, _ in layers]
        self._values: list[dict[str, str]] = [dict(values or {}) for _, values in layers]
        self._admin = next((i for i, (_, values) in enumerate(layers) if values is None), None)
        self._stats = stats
        self.load()

    def load(self) -> None:
        """Take all layers in: at the start, again when the server goes live (as Envoy does), after each change."""
        self._stats.load_success.inc()
        self._stats.override_dir_not_exists.inc()
        self._stats.num_layers.set(len(self._names))
        self._stats.num_keys.set(len({key for values in self._values for key in values}))
        if self._admin is not None:
            self._stats.admin_overrides_active.set(1 if self._values[self._admin] else 0)

    def get(self, key: str) -> str | None:
        """The value in the highest layer that has the key."""
        for values in reversed(self._values):
            if key in values:
                return values[key]
        return None

    def integer(self, key: str) -> int | None:
        """A value as a number, or None where it is unset or no whole number."""
        text = self.get(key)
        try:
            return None if text is None else int(text)
        except ValueError:
            return None

    @property
    def has_admin_layer(self) -> bool:
        """Whether ``/runtime_modify`` has a layer to change."""
        return self._admin is not None

    @property
    def overrides(self) -> dict[str, str]:
        """What ``/runtime_modify`` has set and not taken out again."""
        return {} if self._admin is None else dict(self._values[self._admin])

    def modify(self, values: Mapping[str, str]) -> None:
        """Set keys in the admin layer; an empty value takes the key out."""
        if self._admin is None:
            return
        layer = self._values[self._admin]
        for key, value in values.items():
            if value:
                layer[key] = value
            else:
                layer.pop(key, None)
        self.load()

    def snapshot(self) -> RuntimeSnapshot:
        """Layers and values, for ``/runtime``."""
        keys = sorted({key for values in self._values for key in values})
        entries = {key: [values.get(key, "") for values in self._values] for key in keys}
        return RuntimeSnapshot(tuple(self._names), entries)
