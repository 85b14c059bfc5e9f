"""Images of a store: its values as plain data that another process can be sent, add to others, and show.

Counters, gauges and histogram buckets of several workers add up; of some gauges only the highest counts, and the caller
says of which. Addition is associative, so images may be added in any grouping. It must not know how an image travels,
nor what a name means.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, cast

from envoymesh.stats.histogram import Histogram, Unit
from envoymesh.stats.primitives import Counter, Gauge, TextReadout
from envoymesh.stats.store import Family, Index, Stat, Store

PART: Final = 128
"""Stats that are looked at for one part of an image: some hundredths of a millisecond."""

Counts = dict[int, int]
"""A histogram's counts, by the lower bound of each bucket in whole units."""


@dataclass(slots=True)
class HistogramImage:
    """A histogram's buckets; `unit` as in `Histogram`."""

    unit: str = ""
    interval: Counts = field(default_factory=dict)
    cumulative: Counts = field(default_factory=dict)


@dataclass(slots=True)
class StoreImage:
    """A store's values by name; `used` has the names of those counters and gauges that were ever written."""

    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, int] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)
    histograms: dict[str, HistogramImage] = field(default_factory=dict)

    def take(self, name: str, stat: Stat) -> None:
        """Add a stat's value under a name."""
        if isinstance(stat, Histogram):
            self.histograms[name] = HistogramImage(stat.unit.value, *stat.counts())
        elif isinstance(stat, TextReadout):
            self.texts[name] = stat.value
        else:
            (self.counters if isinstance(stat, Counter) else self.gauges)[name] = stat.value
            if stat.used:
                self.used.add(name)

    def add(self, more: StoreImage) -> None:
        """Add another part of the same store."""
        self.counters |= more.counters
        self.gauges |= more.gauges
        self.used |= more.used
        self.texts |= more.texts
        self.histograms |= more.histograms

    def __len__(self) -> int:
        """How many stats it has."""
        return len(self.counters) + len(self.gauges) + len(self.texts) + len(self.histograms)


def images_of(
    store: Store, rename: Callable[[str], str] = str, known: Container[str] = frozenset[str]()
) -> Iterator[StoreImage]:
    """The store's values in parts that are small, or empty: each as they are when it is asked for.

    Args:
        rename: says under which name each is to be known.
        known: names that need not be told, as long as the stat is unused: whoever reads the image has them.
    """
    for family in (store.counters, store.gauges, store.text_readouts, store.histograms):
        stats: tuple[Stat, ...] = tuple(cast("Family[Counter]", family).by_name.values())
        for begin in range(0, len(stats), PART):
            image = StoreImage()
            for stat in stats[begin : begin + PART]:
                # A gauge that was only ever lowered is not used, as in Envoy, and has a value.
                if stat.used or stat.name not in known or (isinstance(stat, Gauge) and stat.value):
                    image.take(rename(stat.name), stat)
            yield image


def names_of(store: Store) -> set[str]:
    """Every stat's name."""
    families = (store.counters, store.gauges, store.histograms, store.text_readouts)
    return {name for family in families for name in cast("Family[Counter]", family).by_name}


def without(image: StoreImage, dropped: Callable[[str], bool]) -> StoreImage:
    """The image without the stats of these names."""
    return StoreImage(
        counters={name: value for name, value in image.counters.items() if not dropped(name)},
        gauges={name: value for name, value in image.gauges.items() if not dropped(name)},
        used={name for name in image.used if not dropped(name)},
        texts={name: value for name, value in image.texts.items() if not dropped(name)},
        histograms={name: each for name, each in image.histograms.items() if not dropped(name)},
    )


def blanked(image: StoreImage, blank: Callable[[str], bool]) -> StoreImage:
    """The image with these names as if never used: the names stay, their values are zero and empty."""
    return StoreImage(
        counters={name: 0 if blank(name) else value for name, value in image.counters.items()},
        gauges={name: 0 if blank(name) else value for name, value in image.gauges.items()},
        used={name for name in image.used if not blank(name)},
        texts={name: "" if blank(name) else value for name, value in image.texts.items()},
        histograms={
            name: HistogramImage(each.unit) if blank(name) else each for name, each in image.histograms.items()
        },
    )


def lasting(image: StoreImage) -> StoreImage:
    """What remains of a process that has ended: its counts, without gauges, since it is in no state any more."""
    return StoreImage(
        counters=dict(image.counters),
        used=image.used & image.counters.keys(),
        histograms={
            name: HistogramImage(each.unit, {}, dict(each.cumulative)) for name, each in image.histograms.items()
        },
    )


def merge(images: Iterable[StoreImage], takes_highest: Callable[[str], bool]) -> StoreImage:
    """All the images as one. Numbers add up, but for names that take the highest; a text is the first that is set."""
    merged = StoreImage()
    for _ in merging(merged, images, takes_highest):
        pass
    return merged


def merging(merged: StoreImage, images: Iterable[StoreImage], takes_highest: Callable[[str], bool]) -> Iterator[None]:
    """`merge` into an image that is empty, one of the images at each step."""
    for image in images:
        _add_numbers(merged.counters, image.counters, takes_highest)
        _add_numbers(merged.gauges, image.gauges, takes_highest)
        merged.used |= image.used
        for name, text in image.texts.items():
            merged.texts[name] = merged.texts.get(name) or text
        for name, each in image.histograms.items():
            into = merged.histograms.setdefault(name, HistogramImage())
            into.unit = into.unit or each.unit
            _add_counts(into.interval, each.interval)
            _add_counts(into.cumulative, each.cumulative)
        yield


def _add_numbers(into: dict[str, int], more: dict[str, int], takes_highest: Callable[[str], bool]) -> None:
    for name, value in more.items():
        known = into.get(name)
        if known is None:
            into[name] = value
        elif takes_highest(name):
            into[name] = max(known, value)
        else:
            into[name] = known + value


def _add_counts(into: Counts, more: Counts) -> None:
    for bound, count in more.items():
        into[bound] = into.get(bound, 0) + count


def show(image: StoreImage, store: Store) -> None:
    """Make the store hold exactly the image's stats. Nobody may count in it: its stats are new objects."""
    store.numbers = Index()
    store.counters, store.gauges = Family(store.numbers), Family(store.numbers)
    store.histograms, store.text_readouts = Family(), Family()
    for name, value in image.counters.items():
        counter = Counter(name)
        counter.stand_for(value, name in image.used)
        store.counters.add(counter)
    for name, value in image.gauges.items():
        gauge = Gauge(name)
        gauge.value, gauge.used = value, name in image.used
        store.gauges.add(gauge)
    for name, text in image.texts.items():
        readout = TextReadout(name)
        readout.set(text)
        store.text_readouts.add(readout)
    for name, each in image.histograms.items():
        histogram = Histogram(name, Unit(each.unit))
        histogram.stand_for(each.interval, each.cumulative)
        store.histograms.add(histogram)
