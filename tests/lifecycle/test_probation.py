"""Probation: the new one serves, the old one is warm, and there is a way back."""

import asyncio

import pytest
from oneiric_hookspecs import (
    PROMOTE,
    ROLL_BACK,
    Key,
    OneiricError,
    RolledBack,
    SelectionUnsatisfied,
    hookimpl,
)

from oneiric.testing.workshop import failing
from oneiric.testing.world import World

A = Key.of("adapter", "a")
SETTINGS = {"lifecycle": {"probation": 30, "probe_interval": 5}}


async def on_probation(world, **more):
    """``new`` serves, and ``old`` is its spare."""
    world.add(A, "old")
    await world.use(A)
    world.add(A, "new", **more)
    return await world.swap(A, "new")


async def bad_uses(world, number):
    for _ in range(number):
        with pytest.raises(ValueError):
            async with world.runtime.use(*A):
                raise ValueError("the call failed")


def open_providers(world):
    return [product.provider for product in world.shop.open]


def test_the_spare_stays_open_until_promotion(run, clock):
    """Both are open until the time is up; then the old one goes, and ``retired()`` has waited for it."""

    async def main():
        async with World(SETTINGS) as world:
            report = await on_probation(world)
            during = world.status(A).phase, open_providers(world), clock.time()
            retirement = await report.retired()
            return during, (world.status(A).phase, open_providers(world), clock.time()), retirement.ending

    assert run(main) == (("probation", ["old", "new"], 0.0), ("ready", ["new"], 30.0), "closed")


def test_bad_probes_go_back(run, clock):
    """Three probes in a row that fail: the old one, never closed, serves again."""
    well = True

    async def main():
        nonlocal well
        async with World(SETTINGS) as world:
            report = await on_probation(world, probe=lambda _: well)
            well = False
            await asyncio.sleep(16)
            status = world.status(A)
            assert await report.retired() is None
            return (
                world.serves(A),
                status.phase,
                open_providers(world),
                status.last_error,
                world.listener.reasons,
            )

    serves, phase, opened, error, reasons = run(main)

    assert (serves, phase, opened) == ("old", "ready", ["old"])
    assert error == "adapter:a: new was rolled back: 3 probes in a row failed: its check answers no"
    assert reasons == ["3 probes in a row failed: its check answers no"]


@pytest.mark.parametrize("seconds", [1, 10, 30])
@pytest.mark.parametrize("every", [10, 1000])
def test_bad_probes_go_back_however_seldom_it_is_asked(run, seconds, every):
    """Three are before the end of any probation, and of one that is no longer than three intervals, too."""
    well = True

    async def main():
        nonlocal well
        async with World({"lifecycle": {"probation": seconds, "probe_interval": every}}) as world:
            await on_probation(world, probe=lambda _: well)
            well = False
            await asyncio.sleep(2 * seconds)
            return world.serves(A), world.status(A).rollbacks

    assert run(main) == ("old", 1)


def test_one_bad_probe_is_none(run):
    """A probe that fails between others that pass does not count."""
    answers = iter([True, True, False, True, False, False, True])

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world, probe=lambda _: next(answers, True))
            await asyncio.sleep(40)
            return world.serves(A)

    assert run(main) == "new"


def test_bad_uses_go_back(run, clock):
    """At least five, and more than half of the uses: back at once, without waiting for a probe."""

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world)
            await bad_uses(world, 4)
            await world.turn(5)
            before = world.serves(A)
            await bad_uses(world, 1)
            await world.turn(5)
            return before, world.serves(A), clock.time(), world.listener.reasons

    assert run(main) == ("new", "old", 0.0, ["5 of 6 uses ended by an exception"])


def test_bad_uses_among_good_ones_stay(run):
    """Half of them is not more than half."""

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world)
            for _ in range(5):
                await world.use(A)
            await bad_uses(world, 5)
            await world.turn(5)
            return world.serves(A)

    assert run(main) == "new"


def test_cancelled_uses_count_as_neither(run):
    """A use that was cancelled is neither good nor bad."""

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world)

            async def use():
                async with world.runtime.use(*A):
                    await asyncio.sleep(100)

            users = [asyncio.create_task(use()) for _ in range(10)]
            await asyncio.sleep(1)
            for user in users:
                user.cancel()
            await world.turn(5)
            return world.serves(A)

    assert run(main) == "new"


def test_uses_before_the_swap_do_not_count(run):
    """What users of the old one meet is no matter of the new one."""

    async def main():
        async with World(SETTINGS) as world:
            world.add(A, "old")
            await bad_uses(world, 10)
            world.add(A, "new")
            await world.swap(A, "new")
            await world.turn(5)
            return world.serves(A)

    assert run(main) == "new"


@pytest.mark.parametrize(
    ("verdict", "serves"), [(ROLL_BACK, "old"), (PROMOTE, "new")], ids=["back", "promote"]
)
def test_a_plugin_settles_it(run, clock, verdict, serves):
    """A plugin may decide before the built-in judge."""

    class Judge:
        @hookimpl
        def oneiric_rollback(self, generation, signals):
            return verdict if signals.elapsed >= 5 else None

    async def main():
        async with World(SETTINGS, [Judge()]) as world:
            await on_probation(world)
            await asyncio.sleep(6)
            await world.turn(5)
            return world.serves(A), open_providers(world)

    assert run(main) == (serves, [serves])


@pytest.mark.parametrize(
    "error", [ValueError("no"), RolledBack(A, "x", "no", serving=None)], ids=["any", "ours"]
)
def test_a_plugin_that_cannot_settle_it(run, error):
    """A judge that raises has not decided; time does."""

    class Judge:
        @hookimpl
        def oneiric_rollback(self):
            raise error

    async def main():
        async with World(SETTINGS, [Judge()]) as world:
            await on_probation(world)
            await asyncio.sleep(31)
            await world.turn(5)
            return world.serves(A), open_providers(world)

    assert run(main) == ("new", ["new"])


def test_an_operator_takes_it_back(run, clock):
    """``rollback`` during probation is one assignment, and pins what serves again."""

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world)
            report = await world.runtime.rollback(*A, actor="ann")
            await world.turn(5)
            return (
                (report.outcome, report.old, report.new),
                world.serves(A),
                open_providers(world),
                world.runtime.resolve(*A).provider,
                clock.time(),
                world.listener.reasons,
            )

    assert run(main) == (("rolled_back", "new", "old"), "old", ["old"], "old", 0.0, ["ann asked for it"])


def test_the_spare_is_the_last_promoted_one(run):
    """From A by B, on probation, to C: A stays the spare, B goes."""

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world)
            world.add(A, "third")
            await world.swap(A, "third")
            await world.turn(5)
            during = open_providers(world)
            await world.runtime.rollback(*A)
            await world.turn(5)
            return during, world.serves(A), open_providers(world)

    assert run(main) == (["old", "third"], "old", ["old"])


def test_a_failed_swap_resumes_probation(run, clock):
    """A swap during probation that is taken back leaves the one on probation there, with its way back."""

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world)
            await asyncio.sleep(10)
            answers = iter([True, False])
            world.add(A, "third", probe=lambda _: next(answers))
            with pytest.raises(RolledBack):
                await world.swap(A, "third")
            await world.turn(5)
            during = world.serves(A), world.status(A).phase, open_providers(world)
            await asyncio.sleep(19)
            still = open_providers(world)
            await asyncio.sleep(2)
            return during, still, open_providers(world)

    assert run(main) == (("new", "probation", ["old", "new"]), ["old", "new"], ["new"])


def test_a_swap_that_does_not_come_up_resumes_probation(run):
    """The same where it fails before the commit; bad uses still go back."""

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world)
            world.add(A, "third", make=failing(ValueError("no")))
            with pytest.raises(OneiricError):
                await world.swap(A, "third")
            await bad_uses(world, 5)
            await world.turn(5)
            return world.serves(A)

    assert run(main) == "old"


def test_probation_ends_while_the_next_swap_is_confirmed(run):
    """An operator's rollback while the next one is being confirmed does not meddle with it."""

    class Slow:
        @hookimpl
        async def oneiric_check_bound(self, new):
            if new.candidate.provider == "third":
                await asyncio.sleep(4)

    async def main():
        async with World(SETTINGS, [Slow()]) as world:
            await on_probation(world)
            world.add(A, "third")
            swapping = asyncio.create_task(world.swap(A, "third"))
            await asyncio.sleep(2)
            assert world.serves(A) == "third"
            rolling = asyncio.create_task(world.runtime.rollback(*A))
            report = await swapping
            await rolling
            await asyncio.sleep(60)
            return report.outcome, world.serves(A), open_providers(world)

    assert run(main) == ("swapped", "old", ["old"])


def test_the_users_of_what_is_taken_back(run):
    """They finish with what they have; new ones get the old one."""

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world)
            async with world.runtime.use(*A) as product:
                await world.runtime.rollback(*A)
                await asyncio.sleep(5)
                product.use()
                return product.provider, world.serves(A)

    assert run(main) == ("new", "old")


# --- quarantine ------------------------------------------------------------------------------------------------------------


async def taken_back(world):
    """Swap to ``new`` and see it taken back."""
    await world.swap(A, "new", override=True)
    world.runtime.unpin(*A)
    await bad_uses(world, 5)
    await world.turn(5)
    assert world.serves(A) == "old"


def test_what_was_taken_back_is_left_out(run):
    """It does not win again, and explain says why; and it comes back by itself."""

    async def main():
        async with World(SETTINGS) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", priority=5)
            await taken_back(world)
            decision = world.runtime.explain(*A)
            row = next(row for row in decision.rows if row.candidate.provider == "new")
            await asyncio.sleep(59)
            before = world.runtime.resolve(*A).provider
            await asyncio.sleep(2)
            return (
                decision.winner.provider,
                row.standing,
                row.reason,
                before,
                world.runtime.resolve(*A).provider,
            )

    winner, standing, reason, before, after = run(main)

    assert (winner, standing, before, after) == ("old", "excluded", "old", "new")
    assert "rolled back (5 of 5 uses ended by an exception) and left out for 60 s" in reason


def test_each_time_it_is_left_out_longer(run):
    """One minute, five, thirty; and thirty again."""

    async def main():
        async with World(SETTINGS) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", priority=5)
            terms = []
            for _ in range(4):
                await taken_back(world)
                began = asyncio.get_running_loop().time()
                while world.runtime.resolve(*A).provider != "new":
                    await asyncio.sleep(10)
                terms.append(asyncio.get_running_loop().time() - began)
            return terms

    assert run(main) == [60.0, 300.0, 1800.0, 1800.0]


def test_pinned_and_quarantined(run):
    """A pin on what is left out is not satisfied, and not passed over; what serves stays."""

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world)  # pins ``new``
            await bad_uses(world, 5)
            await world.turn(5)
            with pytest.raises(SelectionUnsatisfied, match="left out") as raised:
                world.runtime.resolve(*A)
            return raised.value.provider, raised.value.by, world.serves(A), world.status(A).pending

    assert run(main) == (
        "new",
        "a pin",
        "old",
        "new was rolled back: 5 of 5 uses ended by an exception",
    )


def test_override_passes_a_quarantine(run):
    """An operator who insists gets what he wants; without insisting he is told."""

    async def main():
        async with World(SETTINGS) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", priority=-1)
            await taken_back(world)
            with pytest.raises(SelectionUnsatisfied, match="left out"):
                await world.swap(A, "new")
            return (await world.swap(A, "new", override=True)).new

    assert run(main) == "new"


def test_another_version_is_not_left_out(run):
    """What is quarantined is that version; a better one may be tried at once."""

    async def main():
        async with World(SETTINGS) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", priority=5, version="1")
            await taken_back(world)
            world.add(A, "new", priority=5, version="2")
            return (await world.swap(A)).new

    assert run(main) == "new"


# --- closing -----------------------------------------------------------------------------------------------------------------


def test_closing_promotes(run, clock):
    """Closing the runtime ends probation; both go, once."""

    async def main():
        async with World(SETTINGS) as world:
            await on_probation(world)
            report = await world.runtime.close()
            return (
                sorted((each.provider, each.ending) for each in report.retirements),
                report.left,
                clock.time(),
            )

    assert run(main) == ([("new", "closed"), ("old", "closed")], (), 0.0)


def test_a_lease_that_meets_the_switch(run):
    """A switch between the look at what is bound and the entry in its list: the lease is of what is bound now."""

    class Meets(set):
        """The list of a generation that is taken back in the very moment in which somebody enters it."""

        def add(self, lease):
            super().add(lease)
            if slot.bound is bad:
                world.engine.promotion.roll_back(slot, slot.probation.operation, bad, "just now")

    async def main():
        nonlocal world, slot, bad
        async with World(SETTINGS) as world:
            await on_probation(world)
            slot = world.slot(A)
            bad = slot.bound
            bad.leases = Meets()
            with world.runtime.lease(*A) as product:
                await asyncio.sleep(1)
                return product.use(), len(bad.leases), open_providers(world)

    world = slot = bad = None

    assert run(main) == ("old", 0, ["old"])
