"""Images: what one store holds, added to others' and shown, gives the figures of one store that saw everything."""

from hypothesis import given
from hypothesis import strategies as st

from envoymesh.stats import Store
from envoymesh.stats.image import (
    PART,
    HistogramImage,
    StoreImage,
    blanked,
    images_of,
    lasting,
    merge,
    names_of,
    show,
    without,
)
from envoymesh.stats.selection import Selection
from envoymesh.stats.text import write_text
from tests.support.images import image_of

NAMES = st.sampled_from(["a.total", "b.total", "b.highest", "c.highest"])
AMOUNTS = st.dictionaries(NAMES, st.integers(0, 10**12), max_size=4)
COUNTS = st.dictionaries(st.integers(0, 30), st.integers(1, 9), max_size=4)
HISTOGRAMS = st.dictionaries(NAMES, st.builds(HistogramImage, st.just("ms"), COUNTS, COUNTS), max_size=3)
IMAGES = st.builds(
    StoreImage, AMOUNTS, AMOUNTS, st.sets(NAMES), st.dictionaries(NAMES, st.sampled_from(["", "text"])), HISTOGRAMS
)


def highest(name: str) -> bool:
    return name.endswith("highest")


@given(IMAGES, IMAGES, IMAGES)
def test_merging_is_associative(first: StoreImage, second: StoreImage, third: StoreImage) -> None:
    at_once = merge([first, second, third], highest)
    assert at_once == merge([merge([first, second], highest), third], highest)
    assert at_once == merge([first, merge([second, third], highest)], highest)


@given(st.lists(IMAGES, max_size=4))
def test_totals_are_right_and_the_parts_untouched(images: list[StoreImage]) -> None:
    before = [repr(each) for each in images]
    merged = merge(images, highest)
    assert [repr(each) for each in images] == before
    for family in ("counters", "gauges"):
        parts = [getattr(each, family) for each in images]
        assert getattr(merged, family).keys() == {name for part in parts for name in part}
        for name, value in getattr(merged, family).items():
            values = [part[name] for part in parts if name in part]
            assert value == (max(values) if highest(name) else sum(values))
    for name, histogram in merged.histograms.items():
        wanted = sum(sum(each.histograms[name].cumulative.values()) for each in images if name in each.histograms)
        assert sum(histogram.cumulative.values()) == wanted


VALUES = st.lists(st.integers(-5, 10**9), max_size=30)


@given(st.lists(st.tuples(VALUES, st.integers(0, 99), st.integers(0, 99)), max_size=4))
def test_the_whole_reads_as_if_one_store_had_seen_everything(parts: list[tuple[list[int], int, int]]) -> None:
    whole, stores = Store(), []
    for values, count, level in parts:
        stores.append(Store())
        for store in (stores[-1], whole):
            scope = store.scope("x.")
            scope.counter("total").add(count)
            scope.gauge("active").add(level)
            for value in values:
                scope.histogram("time", "ms").record(value)
    for store in (*stores, whole):
        store.flush()
    shown = Store()
    show(merge([image_of(store) for store in stores], highest), shown)
    assert list(write_text(shown, Selection())) == list(write_text(whole, Selection()))


def test_use_is_remembered_through_a_reset() -> None:
    store = Store()
    scope = store.scope("x.")
    scope.counter("reset").inc()
    scope.counter("never")
    scope.gauge("back_to_zero").set(0)
    scope.gauge("never_set")
    store.reset_counters()
    shown = Store()
    show(image_of(store), shown)
    assert "".join(write_text(shown, Selection(used_only=True))) == "x.back_to_zero: 0\nx.reset: 0\n"
    assert "".join(write_text(shown, Selection())).count("\n") == 4


def test_names_can_be_changed_on_the_way_out() -> None:
    store = Store()
    scope = store.scope("w.")
    scope.counter("c").inc()
    scope.gauge("g").set(3)
    scope.histogram("h", "ms").record(7)
    scope.text_readout("t").set("text")
    store.flush()
    image = image_of(store, lambda name: name.replace("w.", "v."))
    assert image.counters == {"v.c": 1}
    assert image.gauges == {"v.g": 3}
    assert image.used == {"v.c", "v.g"}
    assert image.texts == {"v.t": "text"}
    assert image.histograms == {"v.h": HistogramImage("ms", {7: 1}, {7: 1})}


def test_what_is_known_is_told_only_when_used() -> None:
    store = Store()
    scope = store.scope("w.")
    scope.counter("c")
    scope.gauge("g")
    scope.histogram("h", "ms")
    scope.text_readout("t")
    known = names_of(store)
    assert known == {"w.c", "w.g", "w.h", "w.t"}
    scope.counter("new")
    assert image_of(store, known=known) == StoreImage(counters={"w.new": 0})
    scope.counter("c").inc()
    scope.gauge("g").set(0)
    scope.histogram("h").record(5)
    scope.text_readout("t").set("x")
    store.flush()
    assert image_of(store, known=known) == image_of(store)


IMAGE = StoreImage(
    {"a": 1, "b": 2}, {"a": 3, "c": 4}, {"a", "c"}, {"a": "text"}, {"a": HistogramImage("ms", {1: 1}, {1: 5})}
)


def test_stats_can_be_left_out_or_blanked() -> None:
    assert without(IMAGE, lambda name: name == "a") == StoreImage({"b": 2}, {"c": 4}, {"c"}, {}, {})
    assert blanked(IMAGE, lambda name: name == "a") == StoreImage(
        {"a": 0, "b": 2}, {"a": 0, "c": 4}, {"c"}, {"a": ""}, {"a": HistogramImage("ms")}
    )


def test_counts_last_and_states_do_not() -> None:
    assert lasting(IMAGE) == StoreImage({"a": 1, "b": 2}, {}, {"a"}, {}, {"a": HistogramImage("ms", {}, {1: 5})})


def test_parts_are_small_and_add_up() -> None:
    store = Store()
    scope = store.scope("s.")
    for index in range(PART):
        scope.counter(f"c{index}").inc()
        scope.gauge(f"g{index}").set(index)
    parts = images_of(store)
    first = next(parts)
    scope.counter("comes meanwhile")
    added = StoreImage()
    for part in (first, *parts):
        assert len(part) <= PART
        added.add(part)
    scope.remove()
    assert len(added.counters) == len(added.gauges) == PART
    assert len(added.used) == 2 * PART
