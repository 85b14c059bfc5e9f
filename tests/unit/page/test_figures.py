"""Rates from counters, percentiles of a minute, five minutes of history: bounded, and right after a restart."""

import pytest

from envoymesh.page.figures import HISTORY, MOST_LATENCIES, History, Latencies, Moment, Rate, at_rank


def test_a_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    for second in range(20):
        rate.add(second, 10 * second, 2 * second)
    assert rate.now() == (10.0, 2.0)
    rate.add(20, 190, 38)
    rate.add(21, 190, 38)
    assert rate.now()[0] < 10


def test_one_look_is_no_rate() -> None:
    rate = Rate()
    assert rate.now() == (0.0, 0.0)
    rate.add(1, 1000, 0)
    assert rate.now() == (0.0, 0.0)


def test_a_counter_that_fell_is_a_new_one() -> None:
    rate = Rate()
    rate.add(1, 1000, 0)
    rate.add(2, 5, 0)
    assert rate.now() == (0.0, 0.0)
    rate.add(3, 8, 1)
    assert rate.now() == (3.0, 1.0)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_ranks(share: float, expected: float) -> None:
    assert at_rank([float(each) for each in range(1, 101)], share) == expected


def test_percentiles_are_those_of_the_last_minute() -> None:
    latencies = Latencies()
    assert latencies.percentiles(0) == (None, None)
    latencies.add(0, 1000)
    for each in range(100):
        latencies.add(30, each)
    assert latencies.percentiles(40) == (50, 99)
    assert latencies.percentiles(61) == (49, 98)
    assert latencies.percentiles(100) == (None, None)


def test_latencies_are_bounded() -> None:
    latencies = Latencies()
    for each in range(2 * MOST_LATENCIES):
        latencies.add(0, each)
    assert latencies.percentiles(0)[0] == MOST_LATENCIES + MOST_LATENCIES / 2 - 1


def test_history_has_five_minutes_and_forgets_who_has_gone() -> None:
    history = History()
    for second in range(HISTORY + 20):
        history.add("here", Moment(second, second, 0, None, 1.0))
    history.add("gone", Moment(5, 1, 0, None, None))
    history.forget(19)
    found = history.of("here")
    assert {len(values) for values in found.values()} == {HISTORY}
    assert found["times"][0] == 20
    assert found["p50"] == [None] * HISTORY
    assert history.of("gone") == {"times": [], "rps": [], "errors": [], "p50": [], "p99": []}
