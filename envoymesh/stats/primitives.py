"""Counter, Gauge and TextReadout: the three stats that are one value.

`value` is public: a hot path may read or raise it directly. They must not know the store that names them.
"""


class Counter:
    """A count that only rises, until `reset()`. `counter.value += n` is as good as `counter.add(n)`."""

    __slots__ = ("_was_used", "name", "value")

    def __init__(self, name: str) -> None:
        self.name = name
        self.value = 0
        self._was_used = False

    def inc(self) -> None:
        """Count one."""
        self.value += 1

    def add(self, amount: int) -> None:
        """Count `amount`, which must not be negative."""
        self.value += amount

    def show(self) -> None:
        """Count as used, also at zero."""
        self._was_used = True

    @property
    def used(self) -> bool:
        """Whether it ever counted; a reset does not forget that."""
        return self._was_used or self.value > 0

    def reset(self) -> None:
        """Start again from zero (admin's /reset_counters)."""
        self._was_used = self.used
        self.value = 0

    def stand_for(self, value: int, used: bool) -> None:
        """Stand for a count that was made elsewhere."""
        self.value = value
        self._was_used = used

    def __repr__(self) -> str:
        return f"Counter({self.name}: {self.value})"


class Gauge:
    """A value that rises and falls. Change it by its methods, which note that it is used; read `value` freely."""

    __slots__ = ("name", "used", "value")

    def __init__(self, name: str) -> None:
        self.name = name
        self.value = 0
        self.used = False

    def inc(self) -> None:
        """Raise it by one."""
        self.value += 1
        self.used = True

    def dec(self) -> None:
        """Lower it by one."""
        self.value -= 1

    def add(self, amount: int) -> None:
        """Raise it by `amount`."""
        self.value += amount
        self.used = True

    def sub(self, amount: int) -> None:
        """Lower it by `amount`."""
        self.value -= amount

    def set(self, value: int) -> None:
        """Make it `value`."""
        self.value = value
        self.used = True

    def __repr__(self) -> str:
        return f"Gauge({self.name}: {self.value})"


class TextReadout:
    """A short text, such as the version of a dynamic configuration."""

    __slots__ = ("name", "value")

    def __init__(self, name: str) -> None:
        self.name = name
        self.value = ""

    def set(self, value: str) -> None:
        """Make it `value`."""
        self.value = value

    @property
    def used(self) -> bool:
        """Whether it has a text."""
        return self.value != ""

    def __repr__(self) -> str:
        return f"TextReadout({self.name}: {self.value!r})"
