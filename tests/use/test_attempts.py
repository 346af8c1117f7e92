"""What may fail is tried again as its settings say, and left alone where that is no use."""

import asyncio
import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oneiric_hookspecs import Breaker, BreakerOpen, FetchError, Permanent, PluginError, Retry

from oneiric import assemble


class Flaky:
    """Fails with each of *errors*, and then gives the number of the attempt."""

    def __init__(self, *errors):
        self.errors, self.times = list(errors), []

    async def __call__(self):
        self.times.append(asyncio.get_running_loop().time())
        if self.errors:
            raise self.errors.pop(0)
        return len(self.times)

    @property
    def pauses(self):
        """Seconds between attempts."""
        return [round(b - a, 6) for a, b in zip(self.times, self.times[1:], strict=False)]


STEADY = Retry(attempts=4, backoff=1.0, factor=2.0, max_backoff=3.0, jitter=0.0)


@pytest.fixture
def attempting(run):
    """Run a scenario with an assembled runtime, in virtual time."""

    def attempting(scenario):
        async def within():
            async with assemble({}, environment=False) as runtime:
                return await scenario(runtime)

        return run(within())

    return attempting


def test_what_fails_is_tried_again_after_growing_pauses(attempting):
    """Each pause is twice the one before, up to the longest."""
    flaky = Flaky(OSError(), OSError(), OSError())

    result = attempting(lambda runtime: runtime.attempt(flaky, name="x", retry=STEADY))

    assert (result, flaky.pauses) == (4, [1.0, 2.0, 3.0])


def test_the_last_failure_is_raised(attempting):
    """After so many attempts it is over."""
    last = OSError("the last")
    flaky = Flaky(*[OSError()] * 3, last)

    async def scenario(runtime):
        with pytest.raises(OSError) as caught:
            await runtime.attempt(flaky, name="x", retry=STEADY)
        return caught.value

    assert attempting(scenario) is last
    assert len(flaky.times) == 4


@pytest.mark.parametrize(
    "error, on, attempts",
    [
        (TimeoutError(), ("TimeoutError",), 2),
        (TimeoutError(), ("OSError",), 2),
        (TimeoutError(), ("builtins.OSError",), 2),
        (ValueError(), ("OSError", "KeyError"), 1),
        (Permanent("no"), ("Exception",), 1),
        (FetchError("no", retryable=False), ("Exception",), 1),
        (FetchError("no"), ("FetchError",), 2),
        (asyncio.CancelledError(), ("BaseException",), 1),
    ],
    ids=["itself", "base", "module", "other", "permanent", "not-retryable", "retryable", "cancelled"],
)
def test_only_what_is_named_is_tried_again(error, on, attempts, attempting):
    """And nothing of which it is known that trying again cannot help."""
    flaky = Flaky(error)

    async def scenario(runtime):
        try:
            await runtime.attempt(flaky, name="x", retry=attrs.evolve(STEADY, on=on))
        except BaseException as raised:
            assert raised is error

    attempting(scenario)

    assert len(flaky.times) == attempts


def test_a_server_that_says_when_is_believed_up_to_the_longest_pause(attempting):
    """``retry_after`` lengthens a pause, and never beyond ``max_backoff``."""
    flaky = Flaky(FetchError("busy", retry_after=2.5), FetchError("busy", retry_after=1e9))

    attempting(lambda runtime: runtime.attempt(flaky, name="x", retry=STEADY))

    assert flaky.pauses == [2.5, 3.0]


def test_a_breaker_lets_nothing_through_until_its_time_and_then_one(attempting):
    """Two failures open it; one attempt after the pause decides, while others are refused."""
    breaker = Breaker(failures=2, window=10.0, reset=5.0)

    async def scenario(runtime):
        told = []

        async def attempt(call):
            try:
                told.append(await runtime.attempt(call, name="db", breaker=breaker))
            except (OSError, BreakerOpen) as error:
                told.append(str(error) or type(error).__name__)
            told.append(runtime.status().attempts[0].breaker)

        await attempt(Flaky(OSError()))
        await attempt(Flaky(OSError()))
        await attempt(Flaky())
        await asyncio.sleep(5)
        go = asyncio.Event()

        async def slow():
            await go.wait()
            raise OSError("still")

        trial = asyncio.ensure_future(attempt(slow))
        await asyncio.sleep(0)
        await attempt(Flaky())
        go.set()
        await trial
        await asyncio.sleep(5)
        await attempt(Flaky())
        return told

    left_alone = "db failed too often lately, and is left alone\n  it is tried again in {} s"
    assert attempting(scenario) == [
        *("OSError", "closed"),
        *("OSError", "open"),
        *(left_alone.format("5.0"), "open"),
        *(left_alone.format("0.0"), "half-open"),
        *("still", "open"),
        *(1, "closed"),
    ]


def test_failures_outside_the_window_do_not_count(attempting):
    """What fails now and then is tried."""
    breaker = Breaker(failures=2, window=10.0, reset=5.0)

    async def scenario(runtime):
        for _ in range(5):
            with pytest.raises(OSError):
                await runtime.attempt(Flaky(OSError()), name="db", breaker=breaker)
            await asyncio.sleep(10)
        return runtime.status().attempts[0].breaker

    assert attempting(scenario) == "closed"


def test_an_attempt_that_is_cancelled_gives_its_turn_to_the_next(attempting):
    """A breaker is never stuck half open."""
    breaker = Breaker(failures=1, window=10.0, reset=5.0)

    async def scenario(runtime):
        with pytest.raises(OSError):
            await runtime.attempt(Flaky(OSError()), name="db", breaker=breaker)
        await asyncio.sleep(5)
        trial = asyncio.ensure_future(runtime.attempt(asyncio.Event().wait, name="db", breaker=breaker))
        await asyncio.sleep(0)
        trial.cancel()
        await asyncio.wait({trial})
        return await runtime.attempt(Flaky(), name="db", breaker=breaker)

    assert attempting(scenario) == 1


def test_an_open_breaker_is_not_asked_again_by_a_retry(attempting):
    """Trying again in vain is what a breaker is against."""
    flaky = Flaky(*[OSError()] * 9)

    async def scenario(runtime):
        with pytest.raises(BreakerOpen):
            await runtime.attempt(flaky, name="db", retry=STEADY, breaker=Breaker(failures=2, reset=60.0))
        return len(flaky.times)

    assert attempting(scenario) == 2


def test_the_status_tells_what_came_of_calls(attempting):
    """By name: calls, further attempts, failures, refusals."""

    async def scenario(runtime):
        await runtime.attempt(Flaky(OSError()), name="mail", retry=STEADY)
        for _ in range(2):
            with pytest.raises((OSError, BreakerOpen)):
                await runtime.attempt(Flaky(OSError()), name="db", breaker=Breaker(failures=1))
        return [attrs.astuple(each) for each in runtime.status().attempts]

    assert attempting(scenario) == [("db", 2, 0, 1, 1, "open"), ("mail", 1, 1, 0, 0, "closed")]


@given(
    st.integers(1, 10**9),
    st.floats(0, 1),
    st.floats(0, 1e3),
    st.floats(1e-3, 1e3),
    st.floats(0, 1e3),
    st.floats(0, 1),
)
def test_a_delay_is_never_longer_than_the_longest(failed, draw, backoff, factor, longest, jitter):
    """However many attempts there were; no number overflows."""
    retry = Retry(backoff=backoff, factor=factor, max_backoff=longest, jitter=jitter)

    delay = retry.delay(failed, draw)

    assert math.isfinite(delay)
    assert 0 <= delay <= longest


@pytest.mark.parametrize(
    "cls, field, value",
    [
        (Retry, "attempts", 0),
        (Retry, "attempts", True),
        (Retry, "attempts", 1.5),
        (Retry, "backoff", -1),
        (Retry, "backoff", math.inf),
        (Retry, "factor", 0),
        (Retry, "max_backoff", math.nan),
        (Retry, "jitter", 1.1),
        (Retry, "jitter", True),
        (Retry, "on", "OSError"),
        (Retry, "on", ("no name",)),
        (Retry, "on", (OSError,)),
        (Breaker, "failures", 0),
        (Breaker, "window", 0),
        (Breaker, "reset", -1),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(cls, field, value):
    """By name, where it is written."""
    with pytest.raises(PluginError, match=f"^{field} is "):
        cls(**{field: value})
