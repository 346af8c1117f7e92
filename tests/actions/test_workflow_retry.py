"""workflow.retry: how long to wait, however often it has failed."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEY = "workflow.retry"


def test_waits_grow_up_to_the_cap(kits):
    """Each is so many times longer, until none is; and then there are no more attempts."""
    kits.settings(
        f'[actions.settings."{KEY}"]\nattempts = 8\nbase = 0.5\nfactor = 2.0\ncap = 10.0\njitter = 0.0\n'
    )

    assert (
        kits.calls(KEY, [{"attempt": attempt} for attempt in range(1, 10)])
        == [
            {"retry": True, "delay": delay, "left": 8 - attempt}
            for attempt, delay in enumerate([0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0], 1)
        ]
        + [{"retry": False, "delay": 0.0, "left": 0}] * 2
    )


def test_the_cap_comes_after_the_jitter(kits):
    """However it is shaken, no wait is longer; and shorter ones there are."""
    kits.settings(
        f'[actions.settings."{KEY}"]\nattempts = 100\nbase = 10.0\nfactor = 1.0\ncap = 10.0\njitter = 0.5\n'
    )
    delays = [each["delay"] for each in kits.calls(KEY, [{"attempt": 1, "seed": seed} for seed in range(50)])]

    assert max(delays) == 10.0
    assert 5.0 <= min(delays) < 7.5


def test_equal_seeds_give_equal_waits(kits):
    """In another process, too: the waits are these; every attempt has one of its own."""
    asked = [{"attempt": attempt, "seed": seed} for seed in (1, -1, "one", "\ud800") for attempt in (1, 2)]
    delays = [each["delay"] for each in kits.calls(KEY, asked)]

    assert delays == [each["delay"] for each in kits.calls(KEY, asked)]
    assert len(set(delays)) == len(delays)
    assert delays[4:6] == [0.54728875458375, 0.9637224976866701]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    attempt=st.integers(1, 2**70),
    attempts=st.integers(1, 2**63 - 1),
    base=st.floats(0, 1e308),
    factor=st.floats(1, 1e308),
    cap=st.floats(0, 1e308),
    jitter=st.floats(0, 1),
)
def test_no_attempt_is_too_many(kits, attempt, attempts, base, factor, cap, jitter):
    """Whatever the numbers, the wait is a number of seconds up to the cap."""
    kits.settings(
        f'[actions.settings."{KEY}"]\nattempts = {attempts}\nbase = {base!r}\n'
        f"factor = {factor!r}\ncap = {cap!r}\njitter = {jitter!r}\n"
    )
    result = kits.call(KEY, attempt=attempt)

    assert result["retry"] is (attempt < attempts)
    assert 0 <= result["delay"] <= cap


def test_who_asks_for_time_gets_it(kits):
    """The other side knows better than the cap."""
    kits.settings(f'[actions.settings."{KEY}"]\njitter = 0.0\ncap = 5.0\n')
    asked = [{"attempt": 1, "retry_after": 90}, {"attempt": 1, "retry_after": 0.1}]

    assert [each["delay"] for each in kits.calls(KEY, asked)] == [90.0, 0.5]


def test_a_request_may_ask_for_fewer_attempts_and_not_for_more(kits):
    """The settings are the limit."""
    asked = [{"attempt": 2, "attempts": attempts} for attempts in (2, 3, 99)]

    assert [each["left"] for each in kits.calls(KEY, asked)] == [0, 1, 3]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "attempt: is missing; expected a whole number"),
        ({"attempt": 0}, "attempt: "),
        ({"attempt": True}, "attempt: expected a whole number, found true"),
        ({"attempt": 1.0}, "attempt: expected a whole number, found 1.0"),
        ({"attempt": 1, "retry_after": -1}, "retry_after: retry_after is a number of seconds, found -1.0"),
        (
            {"attempt": 1, "retry_after": math.inf},
            "retry_after: retry_after is a number of seconds, found inf",
        ),
        ({"attempt": 1, "seed": True}, "seed: expected a whole number or a text, found true"),
        ({"attempt": 1, "sed": 1}, "sed: unknown key (did you mean seed?)"),
    ],
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type, out of range: one line."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)
