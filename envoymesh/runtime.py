"""Keys of the layered runtime, as every room reads them: asked for by name once, at load, and pushed when they change.

Whoever asks keeps the object that `RuntimeReader` gives and reads its attribute when needed, so that a request pays no
look-up; where `changed` copies the value elsewhere it pays nothing at all. This module must not know layers, which are
`server/runtime.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

NO_LIMIT: Final = 2**64 - 1
"""The default of a key that limits something."""


class RuntimeNumber:
    """A whole number that is not negative.

    Attributes:
        value: what counts now.
        changed: called with each new value.
    """

    __slots__ = ("changed", "default", "key", "value")

    def __init__(self, key: str, default: int, changed: Callable[[int], None] | None) -> None:
        self.key = key
        self.default = default
        self.value = default
        self.changed = changed

    def set(self, value: int | None) -> None:
        """Take what the layers say now; None where none of them has a number for the key."""
        wanted = self.default if value is None else value
        if wanted != self.value:
            self.value = wanted
            if self.changed is not None:
                self.changed(wanted)

    def __repr__(self) -> str:
        return f"<RuntimeNumber {self.key}={self.value}>"


class RuntimeDouble:
    """A number of any kind (envoy.config.core.v3.RuntimeDouble).

    Attributes:
        value: what counts now.
    """

    __slots__ = ("default", "key", "value")

    def __init__(self, key: str, default: float) -> None:
        self.key = key
        self.default = default
        self.value = default

    def set(self, value: float | None) -> None:
        """Take what the layers say now; None where none of them has a number for the key."""
        self.value = self.default if value is None else value

    def __repr__(self) -> str:
        return f"<RuntimeDouble {self.key}={self.value:g}>"


class RuntimeShare:
    """A share of cases (envoy.type.v3.FractionalPercent, or a number of percent).

    Attributes:
        share: what counts now, 0 to 1.
    """

    __slots__ = ("default", "key", "share")

    def __init__(self, key: str, default: float) -> None:
        self.key = key
        self.default = default
        self.share = default

    def set(self, share: float | None) -> None:
        """Take what the layers say now; None where none of them has a share for the key."""
        self.share = self.default if share is None else share

    def holds(self, random: Callable[[], float]) -> bool:
        """Whether this case is one of the share; `random` is uniform in [0, 1)."""
        return self.share > 0.0 and (self.share >= 1.0 or random() < self.share)

    def __repr__(self) -> str:
        return f"<RuntimeShare {self.key}={self.share:g}>"


class RuntimeReader:
    """Gives out keys. On its own it is a runtime without layers, where defaults count."""

    __slots__ = ("doubles", "numbers", "shares", "update")

    def __init__(self) -> None:
        self.numbers: list[RuntimeNumber] = []
        self.doubles: list[RuntimeDouble] = []
        self.shares: list[RuntimeShare] = []
        # Brings one key to what the layers say.
        self.update: Callable[[RuntimeNumber | RuntimeDouble | RuntimeShare], None] | None = None

    def number(self, key: str, default: int, changed: Callable[[int], None] | None = None) -> RuntimeNumber:
        """A key that is a number. Its present value is there at once; `changed` is called with later ones."""
        number = RuntimeNumber(key, default, None)
        self.numbers.append(number)
        if self.update is not None:
            self.update(number)
        number.changed = changed
        return number

    def share(self, key: str, default: float) -> RuntimeShare:
        """A key that is a share."""
        share = RuntimeShare(key, default)
        self.shares.append(share)
        if self.update is not None:
            self.update(share)
        return share

    def double(self, key: str, default: float) -> RuntimeDouble:
        """A key that is a number of any kind."""
        double = RuntimeDouble(key, default)
        self.doubles.append(double)
        if self.update is not None:
            self.update(double)
        return double

    def keys(self) -> set[str]:
        """All keys that were asked for."""
        kept = {number.key for number in self.numbers} | {share.key for share in self.shares}
        return kept | {double.key for double in self.doubles}
