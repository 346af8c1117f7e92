"""The sweep: a scenario is cut short after every step of the loop, and an error is raised at every named place.

Whatever happens then: the invariants hold, what users see is the old or the new, and everything that was made is closed
exactly once.
"""

import asyncio
import contextlib

import attrs
import pytest
from oneiric_hookspecs import Candidate, FactoryError, Key, Need, Objection, OneiricError, Policies, hookimpl

from oneiric.testing.faults import raising_at
from oneiric.testing.workshop import failing, turning
from oneiric.testing.world import World

A, B, C = (Key.of("adapter", name) for name in "abc")


class Refuses:
    """Lets nothing of the provider ``bad`` stay bound."""

    @hookimpl
    async def oneiric_check_bound(self, new):
        await asyncio.sleep(0)
        return [Objection("it will not do")] if new.candidate.provider == "bad" else None


class Slow:
    """Judges and observers that take a turn."""

    @hookimpl
    async def oneiric_check_swap(self):
        await asyncio.sleep(0)

    @hookimpl
    async def oneiric_check_bound(self):
        await asyncio.sleep(0)

    @hookimpl
    async def oneiric_swapped(self):
        await asyncio.sleep(0)


@attrs.frozen
class Scenario:
    """What is there before, what is done, and what users may see after it, by key: ``|`` between, ``-`` for nothing.

    Keys that stand together are never seen to differ, at any step.
    """

    name: str
    before: object
    act: object
    sees: dict
    settings: dict = attrs.field(factory=dict)
    plugins: tuple = (Slow,)
    together: tuple = ()
    after: object = None


def scenario(sees, **more):
    def decorate(act):
        SCENARIOS[act.__name__] = Scenario(act.__name__, more.pop("before", old), act, sees, **more)
        return act

    return decorate


SCENARIOS = {}


async def nothing(world):
    world.add(A, "old", make=turning(1))


async def old(world):
    """``old`` is bound, and ``new`` is registered."""
    world.add(A, "new", make=turning(1), close=turning(1))
    world.add(A, "old", make=turning(1), close=turning(1))
    await world.use(A)


@scenario({A: "old|-"}, before=nothing)
async def first_activation(world):
    await world.use(A)


@scenario({A: "old|new"})
async def swap(world):
    await world.swap(A, "new")


@scenario({A: "old|new"}, settings={"lifecycle": {"probation": 30}})
async def swap_on_probation(world):
    await world.swap(A, "new")
    await asyncio.sleep(40)


@scenario({A: "old|new"})
async def swap_in_use(world):
    async with world.runtime.use(*A) as product:
        await world.swap(A, "new")
        product.use()


async def old_and_needs(world):
    world.add(B, "base", make=turning(1))
    world.add(C, "base", make=turning(1))
    world.add(A, "new", needs=[Need(B), Need(C)], make=turning(1))
    world.add(A, "old", make=turning(1))
    await world.use(A)


@scenario({A: "old|new", B: "base|-", C: "base|-"}, before=old_and_needs)
async def swap_with_needs(world):
    await world.swap(A, "new")


async def old_and_dependent(world):
    world.add(A, "new", make=turning(1))
    world.add(A, "old", make=turning(1))
    world.add(B, "user", needs=[Need(A)], make=turning(1))
    await world.use(B)


@scenario({A: "old|new", B: "user"}, before=old_and_dependent)
async def swap_under_a_dependent(world):
    await world.swap(A, "new")
    await world.at_rest()


async def old_in_thread(world):
    world.add(A, "new", "thread")
    world.add(A, "old", "thread close")
    await world.use(A)


@scenario({A: "old|new"}, before=old_in_thread)
async def swap_to_a_sync_factory(world):
    await world.swap(A, "new")


async def old_contexts(world):
    world.add(A, "new", "context", enter=turning(1), close=turning(1))
    world.add(A, "old", "context", enter=turning(1), close=turning(1))
    await world.use(A)


@scenario({A: "old|new"}, before=old_contexts)
async def swap_of_context_managers(world):
    await world.swap(A, "new")


async def old_sync_contexts(world):
    world.add(A, "new", "thread context")
    world.add(A, "old", "thread context")
    await world.use(A)


@scenario({A: "old|new"}, before=old_sync_contexts)
async def swap_of_sync_context_managers(world):
    await world.swap(A, "new")


async def old_and_bad(world):
    world.add(A, "bad", make=turning(1))
    world.add(A, "old", make=turning(1))
    await world.use(A)


@scenario({A: "old"}, before=old_and_bad, plugins=(Refuses,))
async def failing_confirm(world):
    with pytest.raises(OneiricError):
        await world.swap(A, "bad")


@scenario({A: "second"}, plugins=(Refuses,), settings={"lifecycle": {"probation": 30}})
async def failing_confirm_during_probation(world):
    world.add(A, "bad", make=turning(1))
    with pytest.raises(OneiricError):
        await world.swap(A, "bad")
    await asyncio.sleep(60)


async def on_probation(world):
    world.add(A, "second", make=turning(1))
    world.add(A, "old", make=turning(1))
    await world.use(A)
    await world.swap(A, "second")


SCENARIOS["failing_confirm_during_probation"] = attrs.evolve(
    SCENARIOS["failing_confirm_during_probation"], before=on_probation
)


@scenario({A: "old|second|third"}, before=on_probation, settings={"lifecycle": {"probation": 30}})
async def swap_during_probation(world):
    world.add(A, "third", make=turning(1))
    await world.swap(A, "third")
    await asyncio.sleep(60)


@scenario({A: "old|second"}, before=on_probation, settings={"lifecycle": {"probation": 30}})
async def rollback(world):
    await world.runtime.rollback(*A)


async def old_exclusive(world):
    for provider in ("new", "old"):
        world.add(A, provider, make=turning(1), close=turning(1), policies=Policies(mode="exclusive"))
    await world.use(A)


@scenario({A: "old|new"}, before=old_exclusive)
async def exclusive(world):
    await world.swap(A, "new")


async def old_exclusive_and_bad(world):
    world.add(A, "bad", make=turning(1, failing(ValueError("no"))), policies=Policies(mode="exclusive"))
    world.add(A, "old", make=turning(1), close=turning(1), policies=Policies(mode="exclusive"))
    await world.use(A)


@scenario({A: "old|-"}, before=old_exclusive_and_bad)
async def failing_exclusive(world):
    with pytest.raises(OneiricError):
        await world.swap(A, "bad")


async def two_keys(world):
    world.add(A, "new", make=turning(1))
    world.add(A, "old", make=turning(1))
    world.add(B, "new", needs=[Need(A)], make=turning(1))
    world.add(B, "old", needs=[Need(A)], make=turning(1))
    await world.use(B)


@scenario({A: "old|new", B: "old|new"}, before=two_keys, together=(A, B))
async def transaction(world):
    async with world.runtime.transaction() as changes:
        changes.swap(*A, "new")
        changes.swap(*B, "new")


async def two_keys_and_bad(world):
    await two_keys(world)
    world.add(B, "bad", needs=[Need(A)], make=turning(1))
    await world.swap(B, "old")


@scenario({A: "old", B: "old"}, before=two_keys_and_bad, plugins=(Refuses,), together=(A, B))
async def failing_transaction(world):
    with pytest.raises(OneiricError):
        async with world.runtime.transaction() as changes:
            changes.swap(*A, "new")
            changes.swap(*B, "bad")


@scenario({A: "old|new|-"})
async def close_in_the_middle(world):
    swapping = asyncio.create_task(world.swap(A, "new"))
    swapping.add_done_callback(lambda task: task.cancelled() or task.exception())
    await world.turn(8)
    await world.runtime.close()
    with contextlib.suppress(OneiricError):
        await swapping


@attrs.frozen
class Size:
    size: int = 1


async def old_in_place(world):
    """``old`` goes over to other settings by itself."""

    class Tunable(world.shop.maker("old").shape):
        async def reconfigure(self, settings):
            await asyncio.sleep(0)
            self.settings = settings
            await asyncio.sleep(0)

    maker = world.shop.maker("old", needs=[Need(B, name="settings")])
    maker.shape = Tunable
    world.runtime.register(
        Candidate(A, "old", maker, settings_class=Size, policies=Policies(mode="in_place"))
    )
    async with world.runtime.use(*A) as product:
        product.settings = Size()


def settings_are_known(world):
    """What the instance has is what its generation says it has, and what it is compared by."""
    bound = world.slot(A).bound
    written = {1: "{}", 2: '{"size" = 2}'}[bound.settings.size]
    if bound.instance.settings != bound.settings or bound.fingerprint[3] != written:
        world.shop.problems.append(f"I5: {bound.instance.settings}, {bound.settings}, {bound.fingerprint}")


@scenario({A: "old"}, before=old_in_place, after=settings_are_known)
async def in_place(world):
    await world.runtime.apply({"adapters": {"settings": {"a": {"old": {"size": 2}}}}})


@scenario({A: "old"})
async def pause_and_resume(world):
    try:
        await world.runtime.pause(*A)
        await world.turn(3)
        await world.runtime.resume(*A)
    finally:
        world.runtime.control._adopt({})


@scenario({A: "old|new"})
async def pause_in_a_swap(world):
    swapping = asyncio.create_task(world.swap(A, "new"))
    swapping.add_done_callback(lambda task: task.cancelled() or task.exception())
    await world.turn(4)
    try:
        await world.runtime.pause(*A)
        await swapping
    finally:
        world.runtime.control._adopt({})


@scenario({A: "old|-"})
async def drain_and_resume(world):
    try:
        async with world.runtime.use(*A):
            draining = asyncio.create_task(world.runtime.drain(*A))
            await world.turn(3)
        await draining
    finally:
        world.runtime.control._adopt({})


@scenario({A: "old"})
async def drain_taken_back(world):
    async with world.runtime.use(*A) as product:
        draining = asyncio.create_task(world.runtime.drain(*A))
        try:
            await world.turn(3)
        finally:
            world.runtime.control._adopt({})
        await draining
        product.use()


CLOSING = ("close_in_the_middle",)
WITHOUT_PLACES = ("rollback", "pause_and_resume", "drain_and_resume", "drain_taken_back")  # one assignment


async def play(scenario, cut=None, at=None, fault=None):
    """Play *scenario*, and *cut* it short after *at* steps; the steps there were, the outcome, the places."""
    closes = cut is close_runtime or scenario.name in CLOSING
    world = World(scenario.settings, [plugin() for plugin in scenario.plugins])
    with contextlib.ExitStack() as stack:
        async with world:
            await scenario.before(world)
            await world.at_rest()
            begun = stack.enter_context(raising_at(*fault)) if fault else []
            if scenario.together and not closes:
                world.steps.watchers.append(lambda _: see_together(world, scenario.together))
            acting = asyncio.create_task(scenario.act(world), name="acting")
            world.steps.count = 0
            if cut is not None:
                cut(world, acting, at)
            # One that never ends is left to the watchdog of the run, which shows where it waits.
            await asyncio.wait({acting})
            steps = world.steps.count
            world.steps.actions.clear()
            outcome = None if acting.cancelled() else acting.exception()
            if not closes:
                await asyncio.sleep(0.001)
                await world.at_rest()
                for key, allowed in scenario.sees.items():
                    seen = world.serves(key) or "-"
                    if seen not in allowed.split("|"):
                        world.shop.problems.append(f"users of {key} see {seen}, not {allowed}")
                if scenario.after is not None:
                    scenario.after(world)
                stack.close()
                for key, allowed in scenario.sees.items():
                    # And the slot still works.
                    seen = await asyncio.wait_for(world.use(key), 1000)
                    if seen not in allowed.split("|"):
                        world.shop.problems.append(f"later users of {key} see {seen}, not {allowed}")
    return steps, outcome, begun


def see_together(world, keys):
    seen = {world.slot(key).bound for key in keys}
    providers = {"old" if each is not None and each.provider == "old" else each and "new" for each in seen}
    if len(providers) > 1 and world.engine.operations.closing is None:
        world.shop.problems.append(f"I6: {keys} are seen as {seen}")


def cancel_operations(world, acting, at, times=1):
    def cancel():
        for operation in world.engine.operations.under_way:
            operation.task.cancel()

    for n in range(times):
        world.steps.actions[at + n] = cancel


def cancel_caller(world, acting, at, times=1):
    for n in range(times):
        world.steps.actions[at + n] = acting.cancel


def cancel_operations_twice(world, acting, at):
    cancel_operations(world, acting, at, 2)


def cancel_caller_twice(world, acting, at):
    cancel_caller(world, acting, at, 2)


def close_runtime(world, acting, at):
    def close():
        closing.append(asyncio.get_running_loop().create_task(world.runtime.close(), name="closing"))

    closing = []
    world.steps.actions[at] = close


CUTS = [cancel_operations, cancel_caller, cancel_operations_twice, cancel_caller_twice, close_runtime]


@pytest.mark.parametrize("name", SCENARIOS)
def test_undisturbed(name, run):
    """Each scenario is sound when nothing is cut short."""

    async def main():
        _, outcome, _ = await play(SCENARIOS[name])
        return outcome

    assert run(main) is None


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.__name__)
@pytest.mark.parametrize("name", SCENARIOS)
def test_cut_after_every_step(name, cut, run):
    """Wherever it is cut short: invariants, old or new, everything closed once."""

    async def main():
        at, problems = 1, []
        while True:
            try:
                steps, outcome, _ = await play(SCENARIOS[name], cut, at)
            except AssertionError as error:
                problems.append(f"after {at} steps: {error}")
                steps, outcome = at + 1, None
            if outcome is not None and not isinstance(outcome, OneiricError):
                problems.append(f"after {at} steps: it raised {outcome!r}")
            if steps < at or len(problems) > 5:
                return at, problems
            at += 1

    steps, problems = run(main, timeout=300)

    assert problems == []
    assert steps > 3


ERRORS = [
    lambda: FactoryError("planted"),
    lambda: ZeroDivisionError("planted"),
    lambda: MemoryError("planted"),
]


@pytest.mark.parametrize("error", ERRORS, ids=["ours", "any", "memory"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_raise_at_every_place(name, error, run):
    """Wherever an error is raised: the same."""

    async def main():
        _, _, places = await play(SCENARIOS[name], fault=("nowhere", error))
        assert len(set(places)) > 3 or name in WITHOUT_PLACES
        problems = []
        for place in dict.fromkeys(places):
            for nth in range(1, places.count(place) + 1):
                try:
                    await play(SCENARIOS[name], fault=(place, error, nth))
                except AssertionError as found:
                    problems.append(f"at {place} {nth}: {found}")
        return problems

    assert run(main, timeout=300) == []
