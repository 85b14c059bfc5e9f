"""Counters, gauges and text readouts."""

from envoymesh.stats import Counter, Gauge, TextReadout


def test_a_counter_counts_and_forgets_its_value_not_its_use() -> None:
    counter = Counter("c")
    assert (counter.value, counter.used) == (0, False)
    counter.inc()
    counter.add(4)
    counter.value += 1
    assert (counter.value, counter.used) == (6, True)
    counter.reset()
    assert (counter.value, counter.used) == (0, True)


def test_resetting_an_unused_counter_leaves_it_unused() -> None:
    counter = Counter("c")
    counter.reset()
    assert not counter.used


def test_a_gauge_back_at_zero_is_still_used() -> None:
    gauge = Gauge("g")
    assert not gauge.used
    gauge.inc()
    gauge.add(5)
    gauge.sub(4)
    gauge.dec()
    gauge.dec()
    assert (gauge.value, gauge.used) == (0, True)


def test_a_gauge_set_to_zero_is_used() -> None:
    gauge = Gauge("g")
    gauge.set(0)
    assert gauge.used


def test_a_text_readout_holds_a_text() -> None:
    readout = TextReadout("t")
    assert not readout.used
    readout.set("v1")
    assert (readout.value, readout.used) == ("v1", True)
    assert repr(readout) == "TextReadout(t: 'v1')"
