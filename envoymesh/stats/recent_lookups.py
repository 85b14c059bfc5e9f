"""RecentLookups: which stats were lately looked up by name, for admin's `/stats/recentlookups`.

A look-up costs far more than a count: a stat that is looked up again and again should be kept in a struct. As in Envoy
names are kept only when that was asked for; their number is always known. It must not know stats.
"""

from collections import Counter, deque

CAPACITY = 100
"""How many look-ups are remembered."""


class RecentLookups:
    """The last look-ups. `total` counts all of them since the start."""

    __slots__ = ("_recent", "enabled", "total")

    def __init__(self) -> None:
        self.total = 0
        self.enabled = False
        self._recent: deque[str] = deque(maxlen=CAPACITY)

    def note(self, name: str) -> None:
        """A stat was looked up by its full name."""
        self.total += 1
        if self.enabled:
            self._recent.append(name)

    def enable(self, wanted: bool) -> None:
        """Begin or stop remembering names; stopping drops what was remembered."""
        self.enabled = wanted
        if not wanted:
            self._recent.clear()

    def clear(self) -> None:
        """Forget the names, and begin to count anew."""
        self._recent.clear()
        self.total = 0

    def counts(self) -> list[tuple[int, str]]:
        """(how often, name) of what is remembered, the most frequent first."""
        return sorted(
            ((count, name) for name, count in Counter(self._recent).items()), key=lambda each: (-each[0], each[1])
        )
