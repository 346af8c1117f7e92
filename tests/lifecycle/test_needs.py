"""What a candidate is built from: brought up first, held open as long as it is used, followed when it changes."""

import asyncio

import pytest
from oneiric_hookspecs import (
    ActivationTimeout,
    DependencyCycle,
    DependencyFailed,
    FactoryError,
    Key,
    Need,
    OneiricError,
    Policies,
)

from oneiric.testing.workshop import failing, sleeping, turning
from oneiric.testing.world import World

A, B, C, D = (Key.of("adapter", name) for name in "abcd")


def built_from(world, provider):
    """What the newest product of *provider* was built from, by keyword."""
    return {name: str(need) for name, need in world.shop.of(provider)[-1].needs.items()}


def test_a_need_is_brought_up_first(run):
    """Using a key brings up what it needs, and what that needs, each once."""

    async def main():
        async with World() as world:
            world.add(C, "c", needs=[Need(B), Need(A)])
            world.add(B, "b", needs=[Need(A)])
            world.add(A, "a")
            await world.use(C)
            return world.shop.log[:3], built_from(world, "c")

    assert run(main) == (["make a/1", "make b/2", "make c/3"], {"a": "a/1", "b": "b/2"})


def test_needs_come_up_side_by_side(run, clock):
    """Several needs take as long as the slowest."""

    async def main():
        async with World() as world:
            world.add(C, "c", needs=[Need(A), Need(B)])
            world.add(A, "a", make=sleeping(3))
            world.add(B, "b", make=sleeping(5))
            await world.use(C)

    run(main)

    assert clock.time() == 5.0


def test_the_keyword_of_a_need(run):
    """A need may have a name of its own."""

    async def main():
        async with World() as world:
            world.add(B, "b", needs=[Need(A, name="store")])
            world.add(A, "a")
            await world.use(B)
            return built_from(world, "b")

    assert run(main) == {"store": "a/1"}


def test_a_need_that_does_not_come_up(run):
    """The error leads from the key to the one that failed; nothing stays of the others."""

    async def main():
        async with World() as world:
            world.add(C, "c", needs=[Need(B)])
            world.add(B, "b", needs=[Need(A)])
            world.add(A, "a", make=failing(ValueError("no disk")))
            with pytest.raises(DependencyFailed) as raised:
                await world.use(C)
            await world.at_rest()
            assert world.shop.made == []
            return (
                raised.value.path,
                str(raised.value).splitlines()[0],
                [world.status(key).phase for key in (A, B, C)],
            )

    path, text, phases = run(main)

    assert path == (C, B, A)
    assert text == (
        "adapter:c: c did not come up at step needs: adapter:c -> adapter:b -> adapter:a: "
        "a did not come up at step create: ValueError: no disk"
    )
    assert phases == ["failed", "failed", "failed"]


def test_a_need_that_fails_gives_the_others_back(run):
    """What was leased for a candidate that is not built is free again."""

    async def main():
        async with World() as world:
            world.add(C, "c", needs=[Need(A), Need(B)])
            world.add(A, "a")
            world.add(B, "b", make=sleeping(2), probe=lambda _: False)
            with pytest.raises(DependencyFailed):
                await world.use(C)
            world.add(A, "other", priority=-1)
            return (await (await world.swap(A, "other")).retired()).drained_ms

    assert run(main) == 0.0


def test_a_need_nobody_fills(run):
    """A need without a candidate says so, with its key."""

    async def main():
        async with World() as world:
            world.add(B, "b", needs=[Need(A)])
            with pytest.raises(DependencyFailed, match="no candidate fills adapter:a"):
                await world.use(B)

    run(main)


@pytest.mark.parametrize("why", ["unknown", "failing"])
def test_an_optional_need(run, why):
    """A candidate comes up without what it can do without."""

    async def main():
        async with World() as world:
            world.add(B, "b", needs=[Need(A, optional=True)])
            if why == "failing":
                world.add(A, "a", make=failing(ValueError("no")))
            await world.use(B)
            return world.shop.of("b")[0].needs

    assert run(main) == {"a": None}


def test_a_handle(run):
    """A need with ``on_change="handle"`` gives a handle, which always leases what is bound."""

    async def main():
        async with World() as world:
            world.add(B, "b", needs=[Need(A, on_change="handle")])
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            await world.use(B)
            handle = world.shop.of("b")[0].needs["a"]
            with handle() as product:
                first = product.use()
            await (await world.swap(A, "two")).retired()
            with handle() as product:
                return first, product.use(), len(world.shop.of("b"))

    assert run(main) == ("one", "two", 1)


def test_the_callers_timeout_holds_for_needs(run, clock):
    """A swap with a timeout does not wait longer for what it needs; that is given up with it."""

    async def main():
        async with World() as world:
            world.add(B, "b", needs=[Need(A)])
            world.add(A, "a", make=sleeping(20))
            with pytest.raises(ActivationTimeout, match="did not come up before the deadline"):
                await world.swap(B, "b", timeout=5)
            await world.turn(5)
            return clock.time(), world.runtime.status().operations, world.status(A).phase

    assert run(main) == (5.0, (), "empty")


# --- circles ----------------------------------------------------------------------------------------------------------------


def test_a_circle_of_needs(run):
    """Candidates that need each other are an error that names the circle."""

    async def main():
        async with World() as world:
            world.add(A, "a", needs=[Need(B)])
            world.add(B, "b", needs=[Need(C)])
            world.add(C, "c", needs=[Need(A)])
            with pytest.raises(DependencyCycle) as raised:
                await world.use(A)
            return raised.value.path, str(raised.value).splitlines()[0]

    assert run(main) == (
        (A, B, C, A),
        (
            "adapter:a: a cannot be activated at step needs: its needs form a circle: "
            "adapter:a -> adapter:b -> adapter:c -> adapter:a"
        ),
    )


def test_a_circle_that_is_not_chosen(run):
    """Only the candidates that win count; a circle of others is none."""

    async def main():
        async with World() as world:
            world.add(A, "a", needs=[Need(B)])
            world.add(B, "circular", needs=[Need(A)], priority=-1)
            world.add(B, "plain")
            return await world.use(A)

    assert run(main) == "a"


def test_a_circle_with_an_optional_need(run):
    """Who can do without goes first; from both ends, and from both at once."""

    async def main():
        found = []
        for keys in ([A], [B], [A, B], [B, A]):
            async with World() as world:
                world.add(A, "a", needs=[Need(B, optional=True)])
                world.add(B, "b", needs=[Need(A)])
                await asyncio.gather(*(world.use(key) for key in keys))
                found.append((world.serves(A), world.serves(B) if B in keys else "b"))
        return found

    assert run(main) == [("a", "b")] * 4


# --- holding ------------------------------------------------------------------------------------------------------------------


def test_a_need_stays_open_for_what_was_built_from_it(run):
    """A dependency that is swapped is closed after what was built from it, however long that is used."""

    async def main():
        async with World() as world:
            world.add(B, "b", needs=[Need(A)])
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            async with world.runtime.use(*B) as product:
                report = await world.swap(A, "two")
                await asyncio.sleep(20)
                assert not world.shop.of("one")[0].closed
                product.use()
            retirement = await report.retired()
            return retirement.ending, world.shop.log

    ending, log = run(main)

    assert ending == "closed"
    assert log[:5] == ["make one/1", "make b/2", "make two/3", "make b/4", "close b/2"]
    assert log[5] == "close one/1"


def test_a_dependent_is_built_anew(run):
    """After a dependency's promotion what was built from it is built from the new one."""

    async def main():
        async with World() as world:
            world.add(C, "c", needs=[Need(B)])
            world.add(B, "b", needs=[Need(A)])
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            await world.use(C)
            await world.swap(A, "two")
            await world.at_rest()
            await asyncio.sleep(1)
            return (
                built_from(world, "b"),
                built_from(world, "c"),
                [str(product) for product in world.shop.open],
            )

    assert run(main) == ({"a": "two/4"}, {"b": "b/5"}, ["two/4", "b/5", "c/6"])


def test_a_dependent_that_cannot_be_rebuilt_keeps_the_old(run):
    """One that fails keeps what it was built from open, says so, and serves."""

    async def main():
        async with World() as world:
            candidate = world.add(B, "b", needs=[Need(A)])
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            await world.use(B)
            candidate.factory.make = failing(ValueError("not with this one"))
            await world.swap(A, "two")
            await asyncio.sleep(100)
            status = world.status(B)
            return (
                world.serves(B),
                [product.closed for product in world.shop.of("one")],
                status.pending,
                [(other.state, other.dependents) for other in world.status(A).others],
            )

    serves, closed, pending, others = run(main)

    assert (serves, closed, others) == ("b", [False], [("retiring", (B,))])
    assert pending.startswith("a change by itself (dependency) failed: adapter:b: b did not come up")


def test_a_dependent_follows_only_after_promotion(run):
    """As long as the new one is on probation, dependents stay with the old one."""

    async def main():
        async with World({"lifecycle": {"keys": {"adapter:a": {"probation": 30}}}}) as world:
            world.add(B, "b", needs=[Need(A)])
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            await world.use(B)
            await world.swap(A, "two")
            await asyncio.sleep(20)
            during = built_from(world, "b")
            await asyncio.sleep(20)
            return during, built_from(world, "b")

    assert run(main) == ({"a": "one/1"}, {"a": "two/3"})


class Told:
    """An instance that changes over by itself."""

    def __init__(self, how=None):
        self.told, self.how = [], how

    async def on_dependency_changed(self, key, instance):
        self.told.append((key, str(instance)))
        if self.how is not None:
            await self.how(self)

    async def aclose(self):
        return


def add_told(world, told, **more):
    from oneiric_hookspecs import Candidate

    async def make(a):
        told.told.append(("made with", str(a)))
        return told

    world.runtime.register(Candidate(B, "b", make, needs=[Need(A, on_change="notify")], **more))


def test_a_dependent_is_told(run):
    """With ``on_change="notify"`` the instance is told, and then the old one goes."""
    told = Told()

    async def main():
        async with World() as world:
            add_told(world, told)
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            async with world.runtime.use(*B):
                pass
            retirement = await (await world.swap(A, "two")).retired()
            return retirement.ending, [other.dependents for other in [world.status(A).bound]]

    assert run(main) == ("closed", [(B,)])
    assert told.told == [("made with", "one/1"), (A, "two/2")]


@pytest.mark.parametrize("how", ["raises", "hangs", "cancels"])
def test_a_dependent_that_cannot_change_over(run, how):
    """It keeps the old one open, and says so."""

    async def fail(_):
        if how == "hangs":
            await asyncio.sleep(1000)
        raise ValueError("no") if how == "raises" else asyncio.CancelledError

    async def main():
        async with World() as world:
            add_told(world, Told(fail))
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            async with world.runtime.use(*B):
                pass
            await world.swap(A, "two")
            await asyncio.sleep(100)
            return [product.closed for product in world.shop.made], world.status(B).pending

    closed, pending = run(main)

    assert closed == [False, False]
    assert pending.startswith("it still uses the adapter:a from before: on_dependency_changed ")


def test_changes_while_a_dependent_is_told(run):
    """A second change that comes while it is told of the first is told, too, and nothing stays behind."""

    async def slowly(_):
        await asyncio.sleep(5)

    told = Told(slowly)

    async def main():
        async with World() as world:
            add_told(world, told)
            for number, provider in enumerate(["one", "two", "three"]):
                world.add(A, provider, priority=-number)
            async with world.runtime.use(*B):
                pass
            await world.swap(A, "two")
            await asyncio.sleep(1)
            await world.swap(A, "three")
            await asyncio.sleep(100)
            return [str(product) for product in world.shop.open]

    assert run(main) == ["three/3"]
    assert told.told == [("made with", "one/1"), (A, "two/2"), (A, "three/3")]


def test_a_dependent_that_goes_while_it_is_told(run):
    """A dependent that was swapped away meanwhile holds nothing open."""

    async def slowly(_):
        await asyncio.sleep(5)

    async def main():
        async with World() as world:
            add_told(world, Told(slowly))
            world.add(B, "other", priority=-1)
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            world.add(A, "three", priority=-2)
            async with world.runtime.use(*B):
                pass
            await world.swap(A, "two")
            await asyncio.sleep(1)
            await world.swap(B, "other")
            await asyncio.sleep(100)
            await world.swap(A, "three")
            await asyncio.sleep(100)
            return [str(product) for product in world.shop.open]

    assert run(main) == ["other/3", "three/4"]


def test_a_dependency_that_changes_while_the_dependent_comes_up(run):
    """What was built from something that went meanwhile is built anew."""

    async def main():
        async with World() as world:
            world.add(B, "b", needs=[Need(A)], make=sleeping(5))
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            using = asyncio.create_task(world.use(B))
            await asyncio.sleep(1)
            await world.swap(A, "two")
            await using
            await asyncio.sleep(20)
            return built_from(world, "b"), [str(product) for product in world.shop.open]

    assert run(main) == ({"a": "two/2"}, ["two/2", "b/4"])


def test_dependents_of_what_is_rolled_back(run):
    """What was built from a generation that probation takes back is built anew from the one before."""

    async def main():
        async with World({"lifecycle": {"keys": {"adapter:a": {"probation": 30}}}}) as world:
            world.add(A, "one")
            world.add(A, "two", priority=-1)
            world.add(B, "b", needs=[Need(A)])
            await world.use(A)
            await world.swap(A, "two")
            await world.use(B)
            before = built_from(world, "b")
            await world.runtime.rollback(*A)
            await asyncio.sleep(100)
            return before, built_from(world, "b"), [str(product) for product in world.shop.open]

    assert run(main) == ({"a": "two/2"}, {"a": "one/1"}, ["one/1", "b/4"])


def test_dependents_of_what_was_never_promoted(run):
    """From A by B, on probation, to C: what was built from B follows."""

    async def main():
        async with World({"lifecycle": {"keys": {"adapter:a": {"probation": 30}}}}) as world:
            for number, provider in enumerate(["one", "two", "three"]):
                world.add(A, provider, priority=-number)
            world.add(B, "b", needs=[Need(A)])
            await world.use(A)
            await world.swap(A, "two")
            await world.use(B)
            await world.swap(A, "three")
            await asyncio.sleep(100)
            return built_from(world, "b"), [str(product) for product in world.shop.open]

    assert run(main) == ({"a": "three/4"}, ["three/4", "b/5"])


def test_dependents_of_an_exclusive_swap_that_failed(run):
    """Where the old candidate had to be built again, what was built from its first instance follows."""

    async def main():
        async with World({"lifecycle": {"drain_timeout": 1, "gate_timeout": 50}}, forced=True) as world:
            world.add(A, "one", policies=Policies(mode="exclusive"))
            world.add(
                A, "bad", make=failing(ValueError("no")), priority=-1, policies=Policies(mode="exclusive")
            )
            world.add(B, "b", needs=[Need(A)])
            await world.use(B)
            world.shop.forced.update(world.shop.made)
            with pytest.raises(OneiricError):
                await world.swap(A, "bad")
            await asyncio.sleep(100)
            return built_from(world, "b")

    assert run(main) == {"a": "one/3"}


def test_no_lock_is_held_while_needs_come_up(run):
    """Operations that need each other's slots from both sides do not wait for each other."""

    async def main():
        async with World({"lifecycle": {"busy_timeout": 5}}) as world:
            world.add(A, "one", make=sleeping(1))
            world.add(A, "two", make=sleeping(1), priority=-1)
            world.add(B, "b", needs=[Need(A)], make=turning(2))
            world.add(C, "c", needs=[Need(B)], make=turning(2))

            async def both():
                async with world.runtime.transaction() as changes:
                    changes.swap(*C, "c")
                    changes.swap(*A, "one")

            await asyncio.gather(both(), world.use(B), world.swap(A, "two"), world.use(C))
            return world.serves(B), world.serves(C), asyncio.get_running_loop().time() < 5

    assert run(main) == ("b", "c", True)


def test_a_cancelled_operation_gives_its_needs_back(run):
    """Needs that come up while the last waiter leaves are given back, and stay up for others."""

    async def main():
        async with World() as world:
            world.add(C, "c", needs=[Need(A), Need(B)])
            world.add(A, "a")
            world.add(B, "b", make=sleeping(5))
            using = asyncio.create_task(world.use(C))
            await asyncio.sleep(1)
            using.cancel()
            await world.turn(10)
            world.add(A, "other", priority=-1)
            retirement = await (await world.swap(A, "other")).retired()
            return retirement.drained_ms, world.runtime.status().operations, world.status(B).phase

    assert run(main) == (0.0, (), "empty")


def test_a_factory_that_misses_a_need(run):
    """A factory named by a string that wants what nobody fills is permanent, at the step that knows."""

    async def main():
        async with World() as world:
            from oneiric_hookspecs import Candidate

            world.runtime.register(Candidate(A, "it", "functools:partial"))
            with pytest.raises(FactoryError):
                await world.use(A)

    run(main)


def test_factories_of_one_class_may_want_different_things(run):
    """What one callable object requires says nothing about another of its class."""

    async def main():
        async with World() as world:
            world.add(B, "b", needs=[Need(A)])
            world.add(A, "a")
            world.add(C, "c", needs=[Need(B)])
            await world.use(C)
            return [sorted(product.needs) for product in world.shop.made]

    assert run(main) == [[], ["a"], ["b"]]
