"""Fixtures for every test: time that passes at once."""

import threading
from collections.abc import Callable

import pytest

from oneiric.testing import VirtualClock, run_virtual


@pytest.fixture
def clock() -> VirtualClock:
    """The time of this test: ``clock.time()``, ``clock.advance(seconds)``; the loop of ``run`` keeps it too."""
    return VirtualClock()


@pytest.fixture
def run(clock: VirtualClock) -> Callable:
    """``run(main())``, or ``run(main)``: as asyncio.run, in virtual time, leaving no task and no error behind.

    Keywords are those of ``oneiric.testing.run_virtual``.
    """
    before = frozenset(threading.enumerate())  # threads that a test starts before it runs are waited for too

    def run(main, **more):
        return run_virtual(main, **{"clock": clock, "ignore": before} | more)

    return run
