"""A loop ends when it is told to, and by nothing else."""

import asyncio
import itertools
import logging

import pytest
from oneiric_hookspecs import StateError

from oneiric.orchestrator.loops import Loop


async def going(loop, seconds):
    """Let *loop* run for so long, and end it."""
    task = asyncio.create_task(loop.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.wait({task})
    return task.cancelled()


def test_it_turns_at_its_interval_and_when_it_is_woken(run, clock):
    """At once, then every so many seconds; a wake comes in between."""
    at = []

    async def turn():
        at.append(clock.time())

    async def main():
        loop = Loop("it", turn, 10.0)
        asyncio.get_running_loop().call_later(13, loop.wake)
        return await going(loop, 30)

    assert run(main) is True
    assert at == [0.0, 10.0, 13.0, 23.0]


@pytest.mark.parametrize(
    "error", [ValueError("no"), OSError(28, "no space left"), asyncio.CancelledError(), TimeoutError()]
)
def test_whatever_a_turn_raises_it_goes_on(run, caplog, error):
    """It is said once, and kept until a turn goes well; the next ones come after a while that grows."""
    caplog.set_level(logging.DEBUG, "oneiric.orchestrator")
    turns = []

    async def turn():
        turns.append(asyncio.get_running_loop().time())
        if len(turns) < 8:
            raise error

    async def main():
        loop = Loop("it", turn, 1.0)
        ended = asyncio.create_task(loop.run())
        await asyncio.sleep(5)
        failing = loop.status
        await asyncio.sleep(120)
        ended.cancel()
        await asyncio.wait({ended})
        return failing, loop.status, ended.cancelled()

    failing, after, cancelled = run(main)
    assert failing.failures > 1
    assert failing.error
    assert (after.failures, after.error, cancelled) == (0, "", True)
    assert after.last_ok is not None
    gaps = [second - first for first, second in itertools.pairwise(turns)][:7]
    assert gaps[4] > gaps[0]
    assert max(gaps) <= 30
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1


def test_being_woken_does_not_hurry_one_that_fails(run):
    """What wakes it may be what fails."""
    turns = []

    async def main():
        async def turn():
            turns.append(1)
            loop.wake()
            raise OSError("no")

        loop = Loop("it", turn, 1.0)
        return await going(loop, 60)

    assert run(main) is True
    assert len(turns) < 15


def test_it_ends_in_the_middle_of_a_turn(run):
    """When it is told to."""

    async def main():
        async def turn():
            await asyncio.sleep(1000)

        return await going(Loop("it", turn, 1.0), 5)

    assert run(main) is True


def test_an_error_that_says_what_to_do_needs_no_traceback(run, caplog):
    """Of what nobody has thought of it is told where it was raised."""

    async def failing(error):
        async def turn():
            raise error

        await going(Loop("it", turn, 1.0), 5)

    async def main():
        await failing(StateError("the disk is full", hint="make room"))
        await failing(ValueError("no"))

    run(main)
    ours, other = caplog.records
    assert "the disk is full make room" in ours.getMessage()
    assert (ours.exc_info, other.exc_info is not None) == (None, True)
