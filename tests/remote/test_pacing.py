"""When a stream is asked again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneiric.remote.pacing import Pace

NOW = 1_800_000_000.0


def test_what_goes_well_comes_again_after_the_interval():
    """A tenth more or less, so that a crowd spreads."""
    waits = [Pace(3).succeeded(NOW, 300, lambda draw=draw: draw).wait(NOW, 300) for draw in (0.0, 0.5, 1.0)]

    assert waits == [270, 300, 330]
    assert Pace(3).succeeded(NOW, 300, lambda: 0.5).failures == 0


def test_each_failure_doubles_the_wait():
    """From ten seconds to a quarter of an hour, half of it at random."""
    pace, waits = Pace(), []
    for _ in range(9):
        pace = pace.failed(NOW, 300, lambda: 1.0)
        waits.append(pace.wait(NOW, 300))

    assert waits == [10, 20, 40, 80, 160, 320, 640, 900, 900]
    assert Pace().failed(NOW, 300, lambda: 0.0).wait(NOW, 300) == 5


@pytest.mark.parametrize(
    ("asked", "wait"),
    [(None, 10), (0, 10), (-5, 10), (60, 60), (99_999, 900), (math.inf, 900), (math.nan, 10)],
)
def test_what_the_source_asks_for_is_kept_within_bounds(asked, wait):
    """It can make us wait longer, not shorter, and not for ever."""
    assert Pace().failed(NOW, 300, lambda: 1.0, asked).wait(NOW, 300) == wait


def test_a_long_interval_is_its_own_greatest_wait():
    """Who asks once a day is not asked every quarter of an hour when it fails."""
    pace = Pace(40).failed(NOW, 86_400, lambda: 1.0)

    assert pace.wait(NOW, 86_400) == 86_400


@pytest.mark.parametrize("jump", [-31_536_000, 31_536_000])
def test_a_clock_that_jumps_does_not_stop_it(jump):
    """A year back is the greatest wait, a year on is at once."""
    pace = Pace().succeeded(NOW, 300, lambda: 0.5)

    assert pace.wait(NOW + jump, 300) == (900 if jump < 0 else 0)


def test_it_is_the_circuit_breaker():
    """Five failures open it; when the time has come, one try decides."""
    pace = Pace()
    for _ in range(4):
        pace = pace.failed(NOW, 300, lambda: 1.0)
    assert pace.circuit(NOW) == "closed"
    pace = pace.failed(NOW, 300, lambda: 1.0)

    assert [pace.circuit(NOW), pace.circuit(NOW + 160)] == ["open", "half-open"]
    assert pace.succeeded(NOW, 300, lambda: 0.5).circuit(NOW) == "closed"


@given(
    st.integers(0, 10**9),
    st.floats(0.001, 1e9),
    st.floats(0, 1),
    st.none() | st.floats(),
    st.floats(-1e12, 1e12),
)
def test_no_wait_is_negative_or_endless(failures, interval, draw, asked, now):
    """Whatever the figures are."""
    pace = Pace(failures).failed(NOW, interval, lambda: draw, asked)

    assert 0 <= pace.wait(now, interval) <= max(interval * 1.1, 900)
