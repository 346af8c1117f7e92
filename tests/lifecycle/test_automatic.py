"""Changes that the runtime makes by itself: when, how often, and that none is lost."""

import asyncio

import pytest
from oneiric_hookspecs import Key, Need, Policies, Superseded

from oneiric.testing.workshop import failing, sleeping
from oneiric.testing.world import World

A, B = Key.of("adapter", "a"), Key.of("adapter", "b")
ON = {"lifecycle": {"keys": {"adapter:a": {"auto_swap": "on"}}}}


def with_(**more):
    return {"lifecycle": {**more, "keys": {"adapter:a": {"auto_swap": "on", **more}}}}


def test_off(run):
    """A better candidate does not replace what runs unless somebody says so."""

    async def main():
        async with World() as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "better", priority=5)
            await asyncio.sleep(100)
            return world.serves(A)

    assert run(main) == "old"


@pytest.mark.parametrize("by", ["settings", "candidate"])
def test_on(run, by):
    """With ``auto_swap = "on"`` it does, by itself; the settings or the candidate say so."""

    async def main():
        async with World(ON if by == "settings" else {}) as world:
            world.add(A, "old", policies=Policies(auto_swap="on" if by == "candidate" else "off"))
            await world.use(A)
            world.add(A, "better", priority=5)
            await world.at_rest()
            await asyncio.sleep(0)
            await world.at_rest()
            return world.serves(A), world.status(A).last_report.operation != ""

    assert run(main) == ("better", True)


def test_a_new_version_of_the_same_provider(run):
    """Another version of what is bound is a better candidate, too."""

    async def main():
        async with World(ON) as world:
            world.add(A, "it", version="1")
            await world.use(A)
            world.add(A, "it", version="2")
            await asyncio.sleep(1)
            return world.slot(A).bound.candidate.version

    assert run(main) == "2"


def test_on_idle(run):
    """With ``on_idle`` it waits for the last user, and says so meanwhile."""

    async def main():
        async with World({"lifecycle": {"keys": {"adapter:a": {"auto_swap": "on_idle"}}}}) as world:
            world.add(A, "old")
            async with world.runtime.use(*A):
                world.add(A, "better", priority=5)
                await asyncio.sleep(10)
                during = world.serves(A), world.status(A).pending
            await asyncio.sleep(1)
            return during, world.serves(A), world.status(A).pending

    assert run(main) == (
        ("old", "better would win, and is bound when nobody uses old"),
        "better",
        "",
    )


def test_what_comes_during_an_activation(run):
    """A better one that is registered while another comes up for the first time is not forgotten."""

    async def main():
        async with World(ON) as world:
            world.add(A, "old", make=sleeping(5))
            using = asyncio.create_task(world.use(A))
            await asyncio.sleep(1)
            world.add(A, "better", priority=5)
            await using
            await asyncio.sleep(1)
            return world.serves(A)

    assert run(main) == "better"


def test_what_comes_during_a_swap(run):
    """The same during a swap."""

    async def main():
        async with World(ON) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", make=sleeping(5), priority=2)
            await asyncio.sleep(1)
            world.add(A, "best", priority=5)
            await asyncio.sleep(20)
            return world.serves(A)

    assert run(main) == "best"


def test_what_comes_during_probation(run, clock):
    """The same during probation: it is looked at when that is settled."""

    async def main():
        async with World(with_(probation=30)) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", priority=2)
            await asyncio.sleep(10)
            world.add(A, "best", priority=5)
            await asyncio.sleep(10)
            during = world.serves(A)
            await asyncio.sleep(11)
            return during, world.serves(A)

    assert run(main) == ("new", "best")


def test_what_was_taken_back_is_tried_again_after_its_time(run):
    """When a quarantine ends, the winner is bound again."""

    async def main():
        async with World(with_(probation=10)) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", priority=5)
            await asyncio.sleep(1)
            for _ in range(5):
                with pytest.raises(ValueError):
                    async with world.runtime.use(*A):
                        raise ValueError
            await asyncio.sleep(30)
            during = world.serves(A)
            await asyncio.sleep(31)
            return during, world.serves(A)

    assert run(main) == ("old", "new")


def test_a_change_that_fails_is_pending(run):
    """What did not come about is shown; what serves goes on."""

    async def main():
        async with World(ON) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "better", priority=5, make=failing(ValueError("no")))
            await asyncio.sleep(10)
            return world.serves(A), world.status(A).pending

    assert run(main) == (
        "old",
        "a change by itself (resolution) failed: adapter:a: better did not come up at step create: ValueError: no",
    )


def test_a_newer_change_supersedes(run):
    """A change that has not been committed makes way for a newer one, and ends as superseded."""

    async def main():
        async with World(ON) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "slow", priority=2, make=sleeping(1000))
            await asyncio.sleep(1)
            first = world.engine.operations.under_way[0]
            world.add(A, "best", priority=5)
            await asyncio.sleep(1)
            with pytest.raises(Superseded):
                world.engine.operations.outcome(first)
            return world.serves(A), len(world.shop.of("slow"))

    assert run(main) == ("best", 0)


def test_no_livelock(run):
    """A working change is superseded three times in a row; the next is left to finish."""

    async def main():
        async with World(with_(auto_swaps_per_minute=100)) as world:
            world.add(A, "old")
            await world.use(A)
            for number in range(20):
                world.add(A, f"p{number}", priority=number + 1, make=sleeping(5))
                await asyncio.sleep(1)
            bound = world.serves(A)
            await asyncio.sleep(20)
            return bound != "old", world.serves(A)

    assert run(main) == (True, "p19")


def test_an_operators_change_is_not_superseded(run):
    """What somebody waits for is not cancelled by a change of the runtime's own; that comes after it."""

    async def main():
        async with World(ON) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "slow", priority=-1, make=sleeping(5))
            swapping = asyncio.create_task(world.swap(A, "slow"))
            await asyncio.sleep(1)
            world.add(A, "best", priority=5)
            report = await swapping
            await asyncio.sleep(10)
            return report.outcome, world.serves(A)

    # The operator's choice is a pin by then.
    assert run(main) == ("swapped", "slow")


def test_so_many_a_minute(run):
    """More changes of one key than so many a minute wait; the last word is not lost, and what waits is shown."""

    async def main():
        async with World(with_(auto_swaps_per_minute=3)) as world:
            world.add(A, "p0")
            await world.use(A)
            for number in range(1, 30):
                world.add(A, f"p{number}", priority=number)
                await asyncio.sleep(0.5)
            during = world.serves(A), world.status(A).pending, len(world.shop.made)
            await asyncio.sleep(120)
            return during, world.serves(A), world.status(A).pending, len(world.shop.made)

    during, serves, pending, made = run(main)

    assert during == ("p3", "an automatic change waits: there were 3 in the last minute", 4)
    assert (serves, pending, made) == ("p29", "", 5)


def test_what_waits_ends_with_the_runtime(run):
    """A change that waits for its minute is forgotten when the runtime closes."""

    async def main():
        async with World(with_(auto_swaps_per_minute=1)) as world:
            world.add(A, "p0")
            await world.use(A)
            for number in range(1, 4):
                world.add(A, f"p{number}", priority=number)
                await asyncio.sleep(0.5)
            await world.runtime.close()
            await asyncio.sleep(120)
            return len(world.shop.made)

    assert run(main) == 2


def test_a_rebuild_and_a_better_one_at_once(run):
    """A dependent that must be built anew, and has a better candidate at the same time, gets both."""

    async def main():
        settings = {"lifecycle": {"keys": {"adapter:b": {"auto_swap": "on"}}}}
        async with World(settings) as world:
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            world.add(B, "b", needs=[Need(A)], make=sleeping(1))
            await world.use(B)
            await world.swap(A, "two")
            await asyncio.sleep(0.5)
            # Another candidate, which does not win, is a change of the key all the same.
            world.add(B, "better", needs=[Need(A)], priority=5, make=sleeping(1))
            await asyncio.sleep(10)
            better = world.serves(B), str(world.shop.of("better")[-1].needs["a"])
            return better, [str(product) for product in world.shop.open]

    better, opened = run(main)

    assert better[0] == "better"
    assert better[1].startswith("two/")
    assert len(opened) == 2


def test_a_rebuild_is_not_lost_to_a_change_that_changes_nothing(run):
    """A change about the winner that takes a rebuild's place builds anew, too."""
    from oneiric.activation import Want

    async def main():
        async with World() as world:
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            world.add(B, "b", needs=[Need(A)], make=sleeping(1))
            await world.use(B)
            await world.swap(A, "two")
            await asyncio.sleep(0.5)
            world.engine.operations.automatic(world.slot(B), Want(), "stream")
            await asyncio.sleep(10)
            return [str(product) for product in world.shop.open]

    opened = run(main)

    assert [name.split("/")[0] for name in opened] == ["two", "b"]
