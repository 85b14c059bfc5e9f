"""The layered runtime: settings by key that can change while the server runs (bootstrap.v3.LayeredRuntime).

Layers are looked up from the last to the first. Static layers come from the bootstrap; an admin layer, where there
is one, is changed through ``/runtime_modify``. What the layers say is pushed to the keys that rooms asked for
(`envoymesh.runtime`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from envoymesh.admin.views import RuntimeSnapshot
from envoymesh.config.yaml_loader import load_yaml
from envoymesh.errors import ConfigError
from envoymesh.runtime import RuntimeDouble, RuntimeNumber, RuntimeReader, RuntimeShare
from envoymesh.stats.server import RuntimeStats

_DENOMINATORS = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000, 0: 100, 1: 10_000, 2: 1_000_000}


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


def number_of(text: str | None) -> int | None:
    """A value as a whole number that is not negative, or None where it is unset or another thing."""
    if text is None or not (text.isascii() and text.strip().isdigit()):
        return None
    number = int(text)
    return number if number < 2**64 else None


def double_of(text: str | None) -> float | None:
    """A value as a number, or None where it is unset or another thing."""
    try:
        number = None if text is None else float(text)
    except ValueError:
        return None
    return number


def share_of(text: str | None) -> float | None:
    """A value as a share from 0 to 1, from a number of percent or a FractionalPercent in JSON or YAML."""
    percent = number_of(text)
    if percent is not None:
        return min(percent, 100) / 100
    fields = _mapping(text)
    numerator = number_of(str(fields.get("numerator", 0)))
    denominator = _DENOMINATORS.get(fields.get("denominator", "HUNDRED"))
    if not fields or numerator is None or denominator is None:
        return None
    return min(1.0, numerator / denominator)


def _mapping(text: str | None) -> dict[str, Any]:
    if text is None or ":" not in text:
        return {}
    try:
        value = load_yaml(text).value
    except ConfigError:
        return {}
    return value if isinstance(value, dict) else {}


class Runtime:
    """The layers and their values.

    Attributes:
        reader: what rooms ask for their keys.
    """

    def __init__(self, stats: RuntimeStats) -> None:
        self.reader = RuntimeReader()
        self._names: list[str] = []
        self._values: list[dict[str, str]] = []
        self._admin: int | None = None
        self._stats = stats

    def set_layers(self, layers: Sequence[tuple[str, Mapping[str, str] | None]]) -> None:
        """Take the bootstrap's layers: (name, values) lowest first; values None is the admin layer."""
        self._names = [name for name, _ in layers]
        self._values = [dict(values or {}) for _, values in layers]
        self._admin = next((i for i, (_, values) in enumerate(layers) if values is None), None)
        self.reader.update = self._update
        self.load()

    def load(self) -> None:
        """Take all layers in: at the start, again when the server goes live (as Envoy does), after each change."""
        self._stats.load_success.inc()
        self._stats.override_dir_not_exists.inc()
        self._stats.num_layers.set(len(self._names))
        self._stats.num_keys.set(len({key for values in self._values for key in values}))
        if self._admin is not None:
            self._stats.admin_overrides_active.set(1 if self._values[self._admin] else 0)
        for number in self.reader.numbers:
            self._update(number)
        for share in self.reader.shares:
            self._update(share)
        for double in self.reader.doubles:
            self._update(double)

    def _update(self, key: RuntimeNumber | RuntimeDouble | RuntimeShare) -> None:
        if isinstance(key, RuntimeNumber):
            key.set(number_of(self.get(key.key)))
        elif isinstance(key, RuntimeDouble):
            key.set(double_of(self.get(key.key)))
        else:
            key.set(share_of(self.get(key.key)))

    def get(self, key: str) -> str | None:
        """The value in the highest layer that has the key."""
        for values in reversed(self._values):
            if key in values:
                return values[key]
        return None

    def unread(self) -> list[tuple[str, str]]:
        """(layer, key) of what the layers set and nobody asked for."""
        read = self.reader.keys()
        layers = zip(self._names, self._values, strict=True)
        return [(name, key) for name, values in layers for key in sorted(values) if key not in read]

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

    def take_over(self, other: Runtime) -> None:
        """Take another runtime's values, whose layers are the same."""
        self._values = [dict(values) for values in other._values]
        self.load()

    def snapshot(self) -> RuntimeSnapshot:
        """Layers and values, for ``/runtime``."""
        keys = sorted({key for values in self._values for key in values})
        entries = {key: [values.get(key, "") for values in self._values] for key in keys}
        return RuntimeSnapshot(tuple(self._names), entries)
