"""Observers are told in order, after the fact, and can change nothing."""

import asyncio

import pytest
from oneiric_hookspecs import FactoryError, Key, Objection, RolledBack, hookimpl

from oneiric.testing.workshop import failing
from oneiric.testing.world import World

A = Key.of("adapter", "a")


async def swapped(world):
    world.add(A, "old")
    await world.use(A)
    world.add(A, "new")
    return await world.swap(A, "new")


def test_what_is_told(run):
    """Each kind of end is told once; what never came to be (the third) has no end."""

    class Refuses:
        @hookimpl
        async def oneiric_check_bound(self, new):
            return [Objection("no")] if new.candidate.provider == "refused" else None

    async def main():
        async with World(plugins=[Refuses()]) as world:
            await swapped(world)
            world.add(A, "bad", make=failing(ValueError("no")))
            with pytest.raises(FactoryError):
                await world.swap(A, "bad")
            world.add(A, "refused")
            with pytest.raises(RolledBack):
                await world.swap(A, "refused")
            await asyncio.sleep(0.1)
            return [(what, number) for what, _, number, _ in world.listener.heard]

    assert run(main) == [
        ("activated", 1),
        ("swapped", 2),
        ("retired", 1),
        ("failed", 0),  # nothing was made, so nothing retires
        ("rolled back", 4),
        ("retired", 4),
    ]


class Bad:
    """An observer that does what it is told not to."""

    def __init__(self, how):
        self.how = how

    @hookimpl
    async def oneiric_swapped(self):
        if self.how == "raises":
            raise ValueError("no")
        if self.how == "hangs":
            await asyncio.sleep(1000)
        if self.how == "cancels":
            raise asyncio.CancelledError
        return "an answer"

    @hookimpl
    async def oneiric_retired(self):
        await self.oneiric_swapped()


@pytest.mark.parametrize(
    ("how", "warning", "seconds"),
    [
        ("raises", "Bad: oneiric_swapped: ValueError: no", 0.0),
        ("hangs", "Bad: oneiric_swapped: TimeoutError: took longer than 5 s", 5.0),
        ("cancels", "Bad: oneiric_swapped: CancelledError", 0.0),
        ("answers", "Bad: oneiric_swapped: TypeError: answered 'an answer' (str), not None", 0.0),
    ],
)
def test_a_bad_observer_is_a_warning(run, clock, how, warning, seconds):
    """Whatever an observer does is a warning of the report, bounded; the swap stands, and the others are told."""

    async def main():
        async with World(plugins=[Bad(how)]) as world:
            report = await swapped(world)
            before = clock.time()
            await report.observed()
            return before, report.warnings, clock.time(), world.serves(A), world.listener.words()[:2]

    assert run(main) == (0.0, (warning,), seconds, "new", ["activated", "swapped"])


def test_nobody_waits_for_observers(run, clock):
    """``swap`` returns when it is final, and the next swap does not wait either."""

    async def main():
        async with World(plugins=[Bad("hangs")]) as world:
            await swapped(world)
            await world.swap(A, "old")
            return clock.time(), world.serves(A)

    assert run(main) == (0.0, "old")


def test_the_notices_of_a_slot_are_in_order(run):
    """Nobody hears of a later change before an earlier one, however slow the observers are."""
    heard = []

    class Slow:
        @hookimpl
        async def oneiric_swapped(self, new):
            await asyncio.sleep(4 - new.number)
            heard.append(new.number)

    async def main():
        async with World(plugins=[Slow()]) as world:
            world.add(A, "it")
            await world.use(A)
            for _ in range(3):
                report = await world.swap(A, "it", reload=True)
            await report.observed()

    run(main)

    assert heard == [2, 3, 4]


def test_a_bad_observer_of_retirement(run):
    """Retiring goes on whatever observers of it do."""

    async def main():
        async with World(plugins=[Bad("raises")]) as world:
            report = await swapped(world)
            return (await report.retired()).ending

    assert run(main) == "closed"


def test_observers_see_the_switch_made(run):
    """What an observer is told of is so: the new one serves, and the old one is open or going."""
    seen = []

    class Looks:
        @hookimpl
        async def oneiric_swapped(self, report, new, old):
            seen.append((report.outcome, new.state, world.serves(A), old.candidate.provider))

    async def main():
        nonlocal world
        async with World(plugins=[Looks()]) as world:
            await swapped(world)

    world = None
    run(main)

    assert seen == [("swapped", "active", "new", "old")]


def test_an_observer_that_swaps_back(run):
    """What an observer does to the slot is an operation like any other."""

    class Back:
        @hookimpl
        async def oneiric_swapped(self, new):
            if new.candidate.provider == "new":
                await world.swap(A, "old")

    async def main():
        nonlocal world
        async with World(plugins=[Back()]) as world:
            report = await swapped(world)
            await report.observed()
            return world.serves(A)

    world = None

    assert run(main) == "old"
