"""Histograms. The expected figures were read from a real Envoy 1.40 that had recorded the same samples."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.stats import Histogram, Unit
from envoymesh.stats.histogram import bucket_of

# (lower bound, samples): what http.ingress_http.downstream_cx_length_ms held in that Envoy.
LENGTHS = [
    (0, 1), (1, 2), (2, 1), (5, 6), (6, 2), (7, 2), (8, 3), (9, 1), (10, 6), (12, 4), (13, 1), (14, 1), (15, 3),
    (19, 1), (20, 1), (22, 1), (28, 1), (29, 1), (52, 1), (59, 2), (79, 1), (90, 1), (100, 2), (110, 1), (120, 1),
    (130, 1), (150, 1), (160, 1), (190, 2), (240, 1), (250, 2), (320, 1), (350, 1), (370, 1), (410, 1), (460, 1),
    (520, 1), (630, 1), (650, 1), (700, 1), (760, 1), (890, 1), (1000, 73), (1100, 1), (1300, 2), (1500, 2),
]  # fmt: skip
LAST_INTERVAL = [
    (1700, 1), (1800, 1), (2100, 1), (2300, 2), (2700, 1), (3100, 1), (3700, 1), (4000, 1), (4500, 1), (4900, 1),
]  # fmt: skip


@pytest.fixture
def lengths() -> Histogram:
    histogram = Histogram("downstream_cx_length_ms", Unit.MILLISECONDS)
    for samples in (LENGTHS, LAST_INTERVAL):
        for value, count in samples:
            for _ in range(count):
                histogram.record(value)
        histogram.flush()
    return histogram


def test_quantiles_are_envoys(lengths: Histogram) -> None:
    assert lengths.interval.quantiles() == [1750, 2150, 2750, 4050, 4550, 4950, 4950, 4950, 4950, 4950]
    assert lengths.cumulative.quantiles() == [
        0, 52.5, 1016.2162162162163, 1068.918918918919, 1150, 2333.3333333333335, 4550, 4950, 4950, 4950,
    ]  # fmt: skip


def test_sums_and_counts_are_envoys(lengths: Histogram) -> None:
    assert f"{lengths.cumulative.sample_sum:.32g}" == "125962.43899213919939938932657242"
    assert f"{lengths.interval.sample_sum:.32g}" == "33639.888433573403744958341121674"
    assert (lengths.cumulative.sample_count, lengths.interval.sample_count) == (155, 11)


@pytest.mark.parametrize(
    ("bound", "below"), [(0.5, 1), (1, 3), (5, 10), (10, 24), (25, 36), (100, 45), (1000, 139), (5000, 155)]
)
def test_counts_below_a_bound_are_envoys(lengths: Histogram, bound: float, below: int) -> None:
    assert lengths.cumulative.count_below(bound) == below


def test_bucket_bounds_carry_the_same_float_noise(lengths: Histogram) -> None:
    lows = {low for low, _, _ in lengths.cumulative.detailed()}
    assert {110.00000000000001, 409.99999999999994, 459.99999999999994} <= lows


def test_nothing_shows_before_a_flush() -> None:
    histogram = Histogram("h")
    histogram.record(3)
    assert not histogram.used
    assert histogram.cumulative.sample_count == 0
    histogram.flush()
    assert histogram.used
    assert histogram.cumulative.sample_count == 1


def test_an_idle_interval_is_empty_and_the_whole_stays() -> None:
    histogram = Histogram("h")
    histogram.record(19)
    histogram.flush()
    histogram.flush()
    assert all(map(math.isnan, histogram.interval.quantiles()))
    assert histogram.cumulative.quantiles() == [19.5] * 10


def test_the_same_value_adds_up_over_intervals() -> None:
    histogram = Histogram("h")
    for count in (2, 3):
        for _ in range(count):
            histogram.record(19)
        histogram.flush()
        assert histogram.interval.detailed() == [(19, 1, count)]
    assert histogram.cumulative.detailed() == [(19, 1, 5)]


def test_percents_are_recorded_in_millionths_and_shown_in_ones() -> None:
    histogram = Histogram("h", Unit.PERCENT)
    histogram.record(500_000)
    histogram.flush()
    assert histogram.cumulative.quantiles([0.5]) == [pytest.approx(0.505)]
    assert histogram.cumulative.count_below(0.5) == 1
    assert histogram.cumulative.count_below(0.4) == 0


@given(st.integers(min_value=1, max_value=10**15))
def test_a_bucket_holds_its_value_to_two_digits(value: int) -> None:
    bucket = bucket_of(value)
    assert bucket.left <= value * (1 + 1e-12)
    assert value < (bucket.left + bucket.width) * (1 + 1e-12)
    assert bucket.width <= value / 10 * (1 + 1e-12)


def test_zero_and_below_have_a_bucket_without_width() -> None:
    assert bucket_of(0) is bucket_of(-5)
    assert bucket_of(0).width == 0


@given(st.lists(st.integers(min_value=0, max_value=10**7), min_size=1))
def test_quantiles_rise_and_stay_within_the_samples(values: list[int]) -> None:
    histogram = Histogram("h")
    for value in values:
        histogram.record(value)
    histogram.flush()
    found = histogram.cumulative.quantiles()
    assert found == sorted(found)
    assert found[0] >= bucket_of(min(values)).left
    assert found[-1] <= bucket_of(max(values)).left + bucket_of(max(values)).width
    assert histogram.cumulative.sample_count == len(values)
