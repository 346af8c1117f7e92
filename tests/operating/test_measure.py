"""Histograms: how far percentiles are off, what is forgotten, and that nothing grows."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneiric.measure import ERROR, Counts, Histogram, Windowed

SHARES = (0.01, 0.5, 0.9, 0.95, 0.99, 1.0)

#: Milliseconds as they come: of all sizes, many of them equal, few of them huge, in steps, and next to a border.
HOSTILE = st.one_of(
    st.lists(st.floats(1e-5, 1e9), min_size=1, max_size=300),
    st.lists(st.sampled_from([0.0, 1.0, 1.0, 1.0, 40_000.0]), min_size=1, max_size=300),
    st.lists(st.integers(-16, 30).map(lambda power: 2.0**power), min_size=1, max_size=100),
    st.lists(st.integers(-16, 30).map(lambda power: math.nextafter(2.0**power, 0)), min_size=1, max_size=100),
    st.lists(st.floats(1, 1 + 1e-9), min_size=1, max_size=100),
)


def of(values):
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


def exact(values, share):
    """The smallest that is not exceeded by that share of them."""
    return sorted(values)[max(1, math.ceil(share * len(values) * (1 - 1e-12))) - 1]


@given(HOSTILE)
def test_no_percentile_is_off_by_more_than_it_says(values):
    """Whatever the distribution; and the error is below three in a hundred."""
    found = of(values).percentiles(*SHARES)

    assert ERROR < 0.03
    for share, each in zip(SHARES, found, strict=True):
        true = exact(values, share)
        assert abs(each - true) <= true * ERROR * (1 + 1e-9), (share, each, true)


@given(HOSTILE)
def test_count_mean_and_ends_are_exact(values):
    """They are kept as they are."""
    histogram = of(values)

    assert (histogram.count, histogram.least, histogram.most) == (len(values), min(values), max(values))
    assert histogram.total == pytest.approx(sum(values))


@given(HOSTILE, HOSTILE)
def test_merged_is_as_if_recorded_together(one, other):
    """Of two processes, two minutes, two parts."""
    merged = of(one)
    merged.merge(of(other))
    merged.merge(Histogram())

    together = of(one + other)
    assert merged.percentiles(*SHARES) == together.percentiles(*SHARES)
    assert (merged.count, merged.least, merged.most) == (together.count, together.least, together.most)


def test_few_slow_ones_among_many_are_seen():
    """One in fifty takes forty times as long: the last twenty would not know."""
    values = [1.0] * 98_000 + [41.0] * 2_000

    assert of(values).percentiles(0.95, 0.99) == [pytest.approx(1, rel=ERROR), pytest.approx(41, rel=ERROR)]


def test_what_is_no_duration_does_no_harm():
    """A clock that went back counts as nothing, infinity as very long, and what is no number not at all."""
    histogram = of([-5.0, math.nan, math.inf, 1e-300, 7.0])

    assert (histogram.count, histogram.least, histogram.most) == (4, 0.0, 2.0**40)
    assert histogram.percentiles(0.5, 0.75, 1.0) == [0.0, pytest.approx(7, rel=ERROR), 2.0**40]


def test_nothing_recorded_has_no_percentile():
    """None, and not nothing."""
    assert Histogram().figures() == {
        "count": 0, "mean": None, "p50": None, "p95": None, "p99": None, "max": None
    }  # fmt: skip


@pytest.mark.parametrize("share", [0, -1, 1.01, math.nan])
def test_share_that_is_none_is_refused(share):
    """99 is not 0.99."""
    with pytest.raises(ValueError, match="a share is above 0"):
        of([1.0]).percentile(share)


def test_memory_is_bounded():
    """However many there are, and of however many sizes."""
    histogram = Histogram()
    for power in range(-1100, 1000):
        for step in range(64):
            histogram.record(math.ldexp(1 + step / 64, power))

    assert len(histogram._buckets) <= 1922
    assert sys.getsizeof(histogram._buckets) < 110_000


def test_lately_is_the_last_five_minutes(clock):
    """What is older is in the figures since the start only; at most half a minute later than that."""
    times = Windowed(clock.time)
    times.record(100.0)
    clock.advance(299.0)
    times.record(1.0)

    both = times.figures()["recent"]["count"]
    clock.advance(31.0)
    later = times.figures()
    clock.advance(1000.0)

    assert (both, later["recent"]["count"], later["recent"]["max"]) == (2, 1, 1.0)
    assert (later["count"], later["max"]) == (2, 100.0)
    assert times.figures()["recent"]["count"] == 0


def test_slices_that_are_over_are_let_go(clock):
    """A year of recording keeps eleven of them."""
    times = Windowed(clock.time)
    for _ in range(1000):
        times.record(1.0)
        clock.advance(17.0)

    assert len(times._ring._slices) <= 11


def test_counts_forget_too(clock):
    """How often, since the start and lately."""
    counts = Counts(clock.time)
    counts.add("swapped")
    clock.advance(400.0)
    counts.add("failed")

    assert (dict(counts.ever), dict(counts.recent())) == ({"swapped": 1, "failed": 1}, {"failed": 1})
