"""What a build puts around an instance: entered last, left first, in the task that hosts it, whatever happens."""

import asyncio

import attrs
import pytest
from oneiric_hookspecs import FactoryError, Key, OneiricError, hookimpl

from oneiric.plugins._calling import build_of
from oneiric.testing.world import World

A = Key.of("adapter", "a")
FORMS = ["async", "thread", "context", "thread context", "start", "thread close"]
#: Whether the instance came out of a context manager, by form.
ENTERED = {"context", "thread context"}


class Around:
    """Puts something around every instance, and remembers what became of it."""

    def __init__(self, fails=""):
        self.fails, self.log, self.world = fails, [], None

    @hookimpl
    def oneiric_activate(self, candidate, factory, settings, needs):
        return attrs.evolve(build_of(candidate, factory, settings, needs), around=self.around)

    def around(self, instance, entered):
        if entered is not (instance.maker.shape.__name__ in ("_Context", "_ThreadContext")):
            self.world.shop.problems.append(f"{instance}: entered is {entered}")
        if self.fails == "make":
            raise FactoryError("it will not have it")
        return _Around(self, instance)


class _Around:
    def __init__(self, plugin, instance):
        self.plugin, self.instance, self.task = plugin, instance, None

    async def __aenter__(self):
        await asyncio.sleep(0)
        if self.plugin.fails == "enter":
            raise OSError("it cannot begin")
        await asyncio.sleep(0)
        self.task = asyncio.current_task()
        self.plugin.log.append(f"enter {self.instance}")

    async def __aexit__(self, *_):
        problems = self.plugin.world.shop.problems
        if asyncio.current_task() is not self.task:
            problems.append(f"around {self.instance}: left in another task")
        if self.instance.closed:
            problems.append(f"around {self.instance}: left after that was closed")
        self.plugin.log.append(f"leave {self.instance}")
        await asyncio.sleep(0)
        if self.plugin.fails == "leave":
            raise OSError("it cannot end")


def world_of(fails=""):
    """A world in which everything has something around it."""
    plugin = Around(fails)
    plugin.world = World(plugins=[plugin])
    return plugin, plugin.world


async def closed_by_hand(world):
    """What is left first is all the clean-up of a plain instance; here nothing is missing for that."""
    for product in world.shop.open:
        product.closes = 1


@pytest.mark.parametrize("form", FORMS)
def test_entered_last_and_left_first(form, run):
    """Users have the instance, not what is around it; its own context is left after that."""

    async def main():
        plugin, world = world_of()
        async with world:
            world.add(A, "a", form)
            async with world.runtime.use(*A) as product:
                begun = plugin.log[:]
            await world.runtime.close()
            if form not in ENTERED:
                await closed_by_hand(world)  # leaving what is around it has closed it
            return begun, plugin.log, product.provider, [each.closes for each in world.shop.made]

    assert run(main) == (["enter a/1"], ["enter a/1", "leave a/1"], "a", [1])


def test_its_own_close_comes_after_that(run):
    """Where the candidate says how it is closed."""

    async def main():
        plugin, world = world_of()
        async with world:
            world.add(A, "a", "context", close_by=lambda product: product.ending())
            await world.use(A)
            await world.runtime.close()
            return plugin.log, world.shop.log

    assert run(main) == (["enter a/1", "leave a/1"], ["make a/1", "close a/1"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fails", ["make", "enter"])
def test_one_that_refuses_leaves_nothing(fails, form, run):
    """The instance is closed, or its context left by the task that has entered it; and nobody has it."""

    async def main():
        plugin, world = world_of(fails)
        async with world:
            world.add(A, "a", form)
            with pytest.raises(FactoryError) as refused:
                await world.use(A)
            await asyncio.sleep(1)
            started = [each.entries for each in world.shop.made]
            return refused.value.reason, world.serves(A), world.shop.open, plugin.log, started

    reason = {"make": "it will not have it", "enter": "OSError: it cannot begin"}[fails]
    started = int(form in ENTERED or (form == "start" and fails == "enter"))
    assert run(main) == (reason, None, [], [], [started])


@pytest.mark.parametrize("form", ["context", "thread context"])
def test_one_that_cannot_end_keeps_nothing_open(form, run):
    """What it is around is left all the same, and its end is told."""

    async def main():
        plugin, world = world_of("leave")
        async with world:
            world.add(A, "b", form)
            world.add(A, "a", form)
            await world.use(A)
            report = await world.swap(A, "b")
            retirement = await report.retired()
            seen = retirement.ending, retirement.error, [each.closes for each in world.shop.of("a")]
            plugin.fails = ""
            return seen

    assert run(main) == ("close_failed", "OSError: it cannot end", [1])


@pytest.mark.parametrize("form", ["context", "thread context", "start"])
@pytest.mark.parametrize("exclusive", [False, True])
def test_cut_after_every_step(form, exclusive, run):
    """A swap, cancelled after each step of the loop: all that was entered is left, once."""

    async def play(at):
        plugin, world = world_of()
        mode = {"lifecycle": {"keys": {"adapter:a": {"mode": "exclusive"}}}} if exclusive else {}
        world = plugin.world = World(mode, plugins=[plugin])
        async with world:
            for provider in ("b", "a"):
                world.add(A, provider, form, close_by=lambda product: product.ending())
            await world.use(A)
            acting = asyncio.ensure_future(world.swap(A, "b"))

            def cancel():
                for operation in world.engine.operations.under_way:
                    operation.task.cancel()

            world.steps.count = 0
            world.steps.actions[at] = cancel
            await asyncio.wait({acting})
            steps = world.steps.count
            await world.at_rest()
            if not acting.cancelled() and (error := acting.exception()) is not None:
                assert isinstance(error, OneiricError)
            await world.use(A)
        entered = sorted(line[6:] for line in plugin.log if line.startswith("enter"))
        left = sorted(line[6:] for line in plugin.log if line.startswith("leave"))
        assert (entered, world.shop.open) == (left, []), f"after {at} steps: {plugin.log}"
        return steps

    async def main():
        at = 1
        while await play(at) >= at:
            at += 1
        return at

    assert run(main, timeout=120) > 3


def test_one_that_is_cancelled_in_the_middle_is_left_at_once(run, clock):
    """It does not wait until it is given up."""

    async def main():
        plugin, world = world_of()
        async with world:
            world.add(A, "a", "context")
            plugin.around = lambda instance, entered: _Endless()
            using = asyncio.ensure_future(world.use(A))
            await asyncio.sleep(1)
            began = clock.time()
            using.cancel()
            await asyncio.wait({using})
            await world.at_rest()
            while world.shop.open:
                await asyncio.sleep(0.01)
            return clock.time() - began

    assert run(main) < 0.1


class _Endless:
    async def __aenter__(self):
        await asyncio.sleep(1e6)

    async def __aexit__(self, *_):
        raise AssertionError("it was never entered")


# --- what was entered is left, also without anything around it ------------------------------------------------------


def test_a_context_that_gives_what_breaks_the_contract_is_left(run):
    """The task that has entered it does so."""

    async def main():
        async with World() as world:
            world.add(Key.of("adapter", "cache"), "bad", "context")
            with pytest.raises(FactoryError, match="is no Cache"):
                await world.runtime.swap("adapter", "cache", "bad")
            await asyncio.sleep(1)
            return [each.closes for each in world.shop.made]

    assert run(main) == [1]


def test_a_close_that_is_not_there_keeps_no_task(run):
    """The host of a context manager ends, though nobody knows how to close what it has entered."""

    async def main():
        async with World() as world:
            world.add(A, "a", "context", close_by="no_such_method")
            await world.use(A)
            report = await world.runtime.close()
            await closed_by_hand(world)
            return report.left, [(each.ending, each.error.partition(":")[0]) for each in report.retirements]

    assert run(main) == ((), [("close_failed", "AttributeError")])
