"""Histogram: recorded values in log-linear buckets of two significant digits, and what can be read from them.

The buckets, the quantiles' interpolation and the two views (the last flush interval, and all since the start) are those
of the circllhist library that Envoy uses, so that the same values give the same figures. Recording appends to a list;
everything else happens at `flush()`, which the server calls every `stats_flush_interval`. It must not know a clock.
"""

import collections
import math
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final

QUANTILES: Final[tuple[float, ...]] = (0.0, 0.25, 0.5, 0.75, 0.90, 0.95, 0.99, 0.995, 0.999, 1.0)
BUCKETS: Final[tuple[float, ...]] = (
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0, 30000.0, 60000.0, 300000.0,
    600000.0, 1800000.0, 3600000.0,
)  # fmt: skip
# A percent is recorded as an integer of this many parts (Envoy's Histogram::PercentScale).
PERCENT_SCALE: Final = 1_000_000


class Unit(StrEnum):
    """What a histogram's values measure."""

    UNSPECIFIED = ""
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    BYTES = "bytes"
    PERCENT = "percent"


class Bucket:
    """One log-linear bucket: `left` inclusive to `left + width`; bucket zero holds zero only and has no width."""

    __slots__ = ("left", "width")

    def __init__(self, left: float, width: float) -> None:
        self.left = left
        self.width = width

    @property
    def middle(self) -> float:
        """The value in the bucket that is at most the same share away from either end."""
        if not self.width:
            return self.left
        return self.left + self.width * (self.left / (self.left + (self.left + self.width)))

    def __repr__(self) -> str:
        return f"Bucket({self.left}, {self.width})"


ZERO: Final = Bucket(0.0, 0.0)


@lru_cache(maxsize=4096)
def _bucket_at(digits: int, exponent: int) -> Bucket:
    """Bucket of the values whose first two digits are `digits`, times ten to the `exponent - 1`."""
    power = 10.0**exponent
    return Bucket(digits / 10.0 * power, power / 10.0)


@lru_cache(maxsize=8192)
def bucket_of(value: int) -> Bucket:
    """The bucket a value falls into; a negative value counts as zero."""
    if value <= 0:
        return ZERO
    text = str(value)
    return _bucket_at(int(text[:2].ljust(2, "0")), len(text) - 1)


class Distribution:
    """Counts by bucket, in rising order, with the figures read from them. Immutable once made."""

    __slots__ = ("_scale", "buckets")

    def __init__(self, counts: Mapping[Bucket, int], scale: float = 1.0) -> None:
        self.buckets: Sequence[tuple[Bucket, int]] = sorted(counts.items(), key=lambda item: item[0].left)
        self._scale = scale

    @property
    def sample_count(self) -> int:
        """How many values were recorded."""
        return sum(count for _, count in self.buckets)

    @property
    def sample_sum(self) -> float:
        """The values' sum, each taken as the middle of its bucket."""
        return self._scale * sum(bucket.middle * count for bucket, count in self.buckets)

    def detailed(self) -> list[tuple[float, float, int]]:
        """Each filled bucket as (lower bound, width, count)."""
        return [(bucket.left * self._scale, bucket.width * self._scale, count) for bucket, count in self.buckets]

    def count_below(self, bound: float) -> int:
        """How many values lie in buckets that begin at or below `bound`, in the values' own unit."""
        raw = bound / self._scale
        return sum(count for bucket, count in self.buckets if bucket.left <= raw)

    def quantiles(self, wanted: Sequence[float] = QUANTILES) -> list[float]:
        """The value below which each wanted share (0 to 1, rising) of the samples lies; NaN when there are none.

        A share falls on one sample, the least that reaches it; samples lie evenly inside their bucket.
        """
        total = self.sample_count
        if not total:
            return [math.nan] * len(wanted)
        found = []
        index, lower = 0, 0
        for share in wanted:
            rank = share * total
            while lower + self.buckets[index][1] < rank and index < len(self.buckets) - 1:
                lower += self.buckets[index][1]
                index += 1
            bucket, count = self.buckets[index]
            nth = max(1, math.ceil(rank - lower))
            found.append(self._scale * (bucket.left + bucket.width * nth / (count + 1)))
        return found


def _by_bound(counts: Mapping[Bucket, int]) -> dict[int, int]:
    return {round(bucket.left): count for bucket, count in counts.items()}


class Histogram:
    """A distribution of whole numbers, seen over the last flush interval and since the start.

    `unit` says what a value is: "ms", "us", "bytes", "percent" (then recorded in millionths), or "" for a bare number.
    """

    __slots__ = ("_cumulative", "_interval", "_pending", "name", "record", "unit", "used")

    record: Callable[[int], None]
    """Note one value. It is the pending list's own `append`: nothing is cheaper, and `flush()` bounds the list."""

    def __init__(self, name: str, unit: Unit = Unit.UNSPECIFIED) -> None:
        self.name = name
        self.unit = unit
        self.used = False
        self._pending: list[int] = []
        self.record = self._pending.append
        self._interval: dict[Bucket, int] = {}
        self._cumulative: dict[Bucket, int] = {}

    def flush(self) -> None:
        """End the interval: what was recorded since the last flush becomes the interval view and joins the whole."""
        if not self._pending and not self._interval:
            return
        interval: dict[Bucket, int] = {}
        for value, count in collections.Counter(self._pending).items():
            bucket = bucket_of(value)
            interval[bucket] = interval.get(bucket, 0) + count
        self._pending.clear()
        for bucket, count in interval.items():
            self._cumulative[bucket] = self._cumulative.get(bucket, 0) + count
        self._interval = interval
        self.used = bool(self._cumulative)

    def counts(self) -> tuple[dict[int, int], dict[int, int]]:
        """Counts of the interval and of the whole, by each bucket's lower bound (a whole number, as values are)."""
        return _by_bound(self._interval), _by_bound(self._cumulative)

    def stand_for(self, interval: Mapping[int, int], cumulative: Mapping[int, int]) -> None:
        """Stand for counts that were made elsewhere, as `counts()` gives them."""
        self._interval = {bucket_of(bound): count for bound, count in interval.items()}
        self._cumulative = {bucket_of(bound): count for bound, count in cumulative.items()}
        self.used = bool(self._cumulative)

    @property
    def interval(self) -> Distribution:
        """What was recorded in the last whole flush interval."""
        return Distribution(self._interval, self._scale)

    @property
    def cumulative(self) -> Distribution:
        """What was recorded from the start to the last flush."""
        return Distribution(self._cumulative, self._scale)

    @property
    def _scale(self) -> float:
        return 1.0 / PERCENT_SCALE if self.unit is Unit.PERCENT else 1.0

    def __repr__(self) -> str:
        return f"Histogram({self.name}: {self.cumulative.sample_count} values, unit {self.unit.value or 'none'})"
