"""How products end: once, in the right way, and whatever does not end is named."""

import asyncio
import threading

import pytest
from oneiric_hookspecs import (
    ActivationTimeout,
    Candidate,
    FactoryError,
    HealthRejected,
    Key,
    Need,
    OneiricError,
)

from oneiric.testing.workshop import failing, sleeping
from oneiric.testing.world import World

A, B = Key.of("adapter", "a"), Key.of("adapter", "b")


async def retire(world, product=None, **more):
    """Bind *product*, or what *more* says, and swap it away; how it ended."""
    if product is None:
        world.add(A, "old", **more)
    else:

        async def make():
            return product

        world.runtime.register(Candidate(A, "old", make, **more))
    async with world.runtime.use(*A):
        pass
    world.add(A, "new")
    report = await world.swap(A, "new")
    return await report.retired()


def calls(*names):
    """An object with those methods, and what was called of it."""
    called = []

    def method(name):
        def call(self):
            called.append(name)

        return call

    return type("Thing", (), {name: method(name) for name in names})(), called


# --- the close method --------------------------------------------------------------------------------------------------


ORDER = ["aclose", "close", "cleanup", "shutdown", "stop"]


@pytest.mark.parametrize("first", range(len(ORDER)), ids=ORDER)
def test_the_first_close_method_that_exists(run, first):
    """Of ``aclose close cleanup shutdown stop`` the first that exists is called, and no other."""
    thing, called = calls(*reversed(ORDER[first:]))

    async def main():
        async with World() as world:
            return (await retire(world, thing)).ending

    assert (run(main), called) == ("closed", [ORDER[first]])


def test_nothing_to_close(run):
    """A product without a close method is simply let go."""

    async def main():
        async with World() as world:
            return (await retire(world, object())).ending

    assert run(main) == "closed"


@pytest.mark.parametrize("close", ["shutdown", lambda thing: thing.shutdown()], ids=["name", "callable"])
def test_the_candidates_own_close_comes_first(run, close):
    """What the candidate says is called, and nothing else."""
    thing, called = calls("aclose", "close", "shutdown")

    async def main():
        async with World() as world:
            return (await retire(world, thing, close=close)).ending

    assert (run(main), called) == ("closed", ["shutdown"])


def test_the_candidates_close_instead_of_leaving(run):
    """The candidate's ``close`` takes the place of leaving the context, and the host task ends."""
    seen = []

    class Context:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *_):
            seen.append("left")

        async def bye(self):
            seen.append("bye")

    async def main():
        async with World() as world:
            ending = (await retire(world, Context(), close="bye")).ending
            await world.turn(3)
            return ending, [
                task.get_name() for task in world.engine.tasks.running if "old" in task.get_name()
            ]

    assert (run(main), seen) == (("closed", []), ["bye"])


def test_a_close_method_that_is_not_there(run):
    """A name that the instance does not have is a failed close, and says so."""

    async def main():
        async with World() as world:
            return await retire(world, object(), close="bye")

    retirement = run(main)

    assert (retirement.ending, retirement.error) == (
        "close_failed",
        "AttributeError: the candidate is closed by 'bye', and object has no such method",
    )


def test_leaving_comes_before_the_methods(run):
    """What was entered is left; its ``close`` is not called."""
    seen = []

    class Context:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            seen.append("left")

        def close(self):
            seen.append("closed")

    async def main():
        async with World() as world:
            return (await retire(world, Context())).ending

    assert (run(main), seen) == ("closed", ["left"])


@pytest.mark.parametrize("own", [True, False])
def test_ready_made_values(run, own):
    """What was made before is closed only where the candidate owns it."""
    thing, called = calls("close")

    async def main():
        async with World() as world:
            world.runtime.register(Candidate.ready(A, "old", thing, own=own))
            async with world.runtime.use(*A) as used:
                assert used is thing
            world.add(A, "new")
            return (await (await world.swap(A, "new")).retired()).ending

    assert (run(main), called) == (("closed", ["close"]) if own else ("kept", []))


def test_what_is_not_ours_is_neither_entered_nor_left(run):
    """A factory whose products are not owned hands out what somebody else opens and closes."""
    seen = []

    class Context:
        async def __aenter__(self):
            seen.append("entered")

        async def __aexit__(self, *_):
            seen.append("left")

    async def main():
        async with World() as world:
            retirement = await retire(world, Context(), own=False)
            await world.turn(3)
            return retirement.ending

    assert (run(main), seen) == ("kept", [])


class Falsy(list):
    """An instance that is false, and equal to others of its kind."""

    def __init__(self):
        super().__init__()
        self.closed = 0

    async def aclose(self):
        self.closed += 1


def test_falsy_instances(run):
    """Truth and equality belong to the object: an empty list is used, swapped and closed like any other."""
    things = []

    async def make():
        things.append(Falsy())
        return things[-1]

    async def main():
        async with World() as world:
            world.runtime.register(Candidate(A, "it", make))
            async with world.runtime.use(*A) as used:
                assert used is things[0]
            await (await world.swap(A, "it", reload=True)).retired()
            async with world.runtime.use(*A) as used:
                assert used is things[1]
            return [thing.closed for thing in things]

    assert run(main) == [1, 0]
    assert [thing.closed for thing in things] == [1, 1]


# --- one object, several owners --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["async", "context", "thread context", "start"])
def test_one_object_for_two_generations(run, form):
    """A factory that hands out the same object again: it is closed when its last owner is gone, and entered once."""

    async def main():
        async with World() as world:
            first = []
            candidate = world.add(A, "it", form)
            shared = candidate.factory
            shared.make = lambda _: first[0] if first else None
            async with world.runtime.use(*A) as product:
                first.append(product)
            report = await world.swap(A, "it", reload=True)
            retirement = await report.retired()
            assert world.serves(A) == "it"
            return retirement.ending, first[0].closes, first[0].entries, len(world.shop.made)

    ending, closes, entries, made = run(main)

    assert (ending, closes, entries, made) == ("kept", 0, 0 if form == "async" else 1, 1)


def test_one_object_for_two_keys(run):
    """The same for two keys."""
    thing, called = calls("close")

    async def make():
        return thing

    async def main():
        async with World() as world:
            for key in (A, B):
                world.runtime.register(Candidate(key, "it", make))
                async with world.runtime.use(*key):
                    pass
            world.add(A, "new")
            ending = (await (await world.swap(A, "new")).retired()).ending
            before = list(called)
            world.add(B, "new")
            last = (await (await world.swap(B, "new")).retired()).ending
            return ending, before, last

    assert (run(main), called) == (("kept", [], "closed"), ["close"])


def test_one_object_refused_the_second_time(run):
    """A shared object that is refused in its second place is not closed in its first."""

    async def main():
        async with World({"lifecycle": {"startup_timeout": 1}}) as world:
            first = []
            answers = iter([True, True, False])
            candidate = world.add(A, "it", probe=lambda _: next(answers, True) if not first else False)
            candidate.factory.make = lambda _: first[0] if first else None
            async with world.runtime.use(*A) as product:
                pass
            first.append(product)
            with pytest.raises(HealthRejected):
                await world.swap(A, "it", reload=True)
            await world.turn(5)
            return product.closes, world.serves(A)

    assert run(main) == (0, "it")


# --- closes that fail -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["async", "thread close", "context", "thread context"])
def test_a_close_that_raises(run, form):
    """It is reported, and the swap stands."""

    async def main():
        async with World() as world:
            retirement = await retire(world, form=form, close=failing(ValueError("no")))
            await world.at_rest()
            assert world.serves(A) == "new"
            return retirement.ending, retirement.error, world.status(A).last_error

    assert run(main) == ("close_failed", "ValueError: no", "")


@pytest.mark.parametrize("form", ["async", "context"])
def test_a_close_that_hangs(run, clock, form):
    """After the close timeout it is cancelled, and is a failed close."""

    async def main():
        async with World() as world:
            return await retire(world, form=form, close=sleeping(1000)), clock.time()

    retirement, seconds = run(main)

    assert (retirement.ending, seconds) == ("close_failed", 10.0)
    assert "longer than 10 s" in retirement.error


def stubborn(seconds):
    """Sleeps, whoever cancels it."""

    async def act(_):
        until = asyncio.get_running_loop().time() + seconds
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue

    return act


@pytest.mark.parametrize("form", ["async", "context"])
def test_a_close_that_ignores_its_cancellation(run, clock, form):
    """It is abandoned after the grace, and visible; what comes after does not wait for it."""

    async def main():
        async with World() as world:
            retirement = await retire(world, form=form, close=stubborn(40))
            when = clock.time()
            await asyncio.sleep(60)
            return retirement, when

    retirement, when = run(main)

    assert (retirement.ending, when) == ("abandoned", 12.0)
    assert "does not end when cancelled" in retirement.error


def test_a_close_that_cancels_itself(run):
    """A CancelledError of the close's own is a failed close, not a cancellation."""

    async def main():
        async with World() as world:
            return (await retire(world, close=failing(asyncio.CancelledError()))).ending

    assert run(main) == "close_failed"


def test_a_sync_close_that_hangs(run):
    """It hangs in its thread, and is named; nothing else waits for it."""
    release = threading.Event()

    async def main():
        async with World() as world:
            retirement = await retire(world, form="thread close", close=lambda _: release.wait(20))
            threads = world.runtime.status().threads
            release.set()
            return retirement.ending, threads

    assert run(main) == ("close_failed", ("close-adapter:a#1",))


# --- users ---------------------------------------------------------------------------------------------------------------------


def test_nothing_is_closed_under_its_users(run, clock):
    """The old one stays open until its last user has gone."""

    async def main():
        async with World() as world:
            world.add(A, "old")
            world.add(A, "new", priority=-1)
            async with world.runtime.use(*A) as product:
                report = await world.swap(A, "new")
                await asyncio.sleep(20)
                assert (product.use(), product.closed) == ("old", False)
            retirement = await report.retired()
            return retirement.ending, retirement.forced, retirement.drained_ms, clock.time()

    assert run(main) == ("closed", 0, 20000.0, 20.0)


def test_only_its_own_users_are_waited_for(run, clock):
    """Users of the new one, or of another slot, keep no old one open."""

    async def main():
        async with World() as world:
            world.add(A, "old")
            world.add(A, "new", priority=-1)
            world.add(B, "it")
            await world.use(A)
            async with world.runtime.use(*B):
                report = await world.swap(A, "new")
                async with world.runtime.use(*A):
                    retirement = await report.retired()
            return retirement.ending, clock.time()

    assert run(main) == ("closed", 0.0)


def test_users_who_do_not_finish(run, clock):
    """After the drain timeout it is closed under them, and they are named."""

    async def main():
        async with World(forced=True) as world:
            world.add(A, "old")
            world.add(A, "new", priority=-1)
            async with world.runtime.use(*A) as product:
                world.shop.forced.add(product)
                retirement = await (await world.swap(A, "new")).retired()
            return retirement.ending, retirement.forced, retirement.holders, clock.time()

    assert run(main) == ("closed", 1, ("task main",), 30.0)


def test_users_are_told_to_finish(run):
    """A lease knows that what it holds retires."""

    async def main():
        async with World() as world:
            world.add(A, "old")
            world.add(A, "new", priority=-1)
            await world.use(A)
            with (lease := world.runtime.lease(*A)):
                before = lease.retiring
                swapping = asyncio.create_task(world.swap(A, "new"))
                await lease.until_retiring()
                after = lease.retiring
            await swapping
            return before, after

    assert run(main) == (False, True)


# --- what comes late --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("why", ["timeout", "cancellation"])
@pytest.mark.parametrize("form", ["thread", "thread context", "thread close"])
def test_a_product_that_a_thread_makes_too_late(run, form, why):
    """It is closed when it comes."""
    release = threading.Event()

    async def main():
        async with World({"lifecycle": {"create_timeout": 3}}) as world:
            late = (lambda _: release.wait(20) and None) if form != "thread close" else None
            if form == "thread close":

                def make():
                    release.wait(20)
                    return world.shop.maker("it", "thread close")()

                world.runtime.register(Candidate(A, "it", make))
            else:
                world.add(A, "it", form, make=late)
            using = asyncio.create_task(world.use(A))
            await world.turn(10)
            if why == "cancellation":
                using.cancel()
            with pytest.raises((ActivationTimeout, asyncio.CancelledError)):
                await using
            await asyncio.sleep(5)
            assert world.shop.made == []
            assert world.runtime.status().threads == ("adapter:a#1",)
            release.set()
            while not world.shop.made or world.shop.open:
                await asyncio.sleep(0.01)
            await world.turn(10)
            return [product.closes for product in world.shop.made], len(world.engine.activator.owners)

    assert run(main) == ([1], 0)


def test_a_thread_that_comes_back_in_time(run):
    """A thread has the grace, too: what it was built from is held until its product is closed."""
    release = threading.Event()

    async def main():
        async with World() as world:
            world.add(B, "base")
            world.add(A, "it", "thread", needs=[Need(B)], make=lambda _: release.wait(20) and None)
            using = asyncio.create_task(world.use(A))
            await world.turn(20)
            using.cancel()
            await world.turn(5)
            closing = asyncio.create_task(world.runtime.close())
            await world.turn(5)
            release.set()
            report = await closing
            return [(each.provider, each.ending) for each in report.retirements], world.shop.log

    assert run(main) == (
        [("it", "closed"), ("base", "closed")],
        ["make base/1", "make it/2", "close it/2", "close base/1"],
    )


def test_a_thread_that_enters_too_late(run):
    """A product whose ``__enter__`` comes back after it was given up is left."""
    release = threading.Event()

    async def main():
        async with World({"lifecycle": {"create_timeout": 3}}) as world:
            world.add(A, "it", "thread context", enter=lambda _: release.wait(20))
            with pytest.raises(ActivationTimeout):
                await world.use(A)
            await asyncio.sleep(5)
            before = [product.closes for product in world.shop.made]
            release.set()
            while world.shop.open:
                await asyncio.sleep(0.01)
            await world.turn(10)
            return before, [(product.entries, product.closes) for product in world.shop.made]

    assert run(main) == ([0], [(1, 1)])


def test_a_thread_whose_product_arrives_as_it_is_cancelled(run):
    """A product that is delivered in the very step of the cancellation is closed."""
    delivered = []

    async def main():
        async with World() as world:
            world.add(A, "it", "thread")
            using = asyncio.create_task(world.use(A))
            arrive = world.engine.threads._arrive

            def arriving(job, result, error):
                arrive(job, result, error)
                delivered.append(result)
                for operation in world.engine.operations.under_way:
                    operation.task.cancel()
                for task in world.engine.tasks.running:
                    if task.get_name().startswith("host"):
                        task.cancel()

            world.engine.threads._arrive = arriving
            with pytest.raises(OneiricError):
                await using
            await world.turn(10)
            return [product.closes for product in world.shop.made]

    assert run(main) == [1]
    assert len(delivered) == 1


def test_a_factory_that_ignores_its_cancellation(run):
    """It is abandoned after the grace, and what it makes after all is closed."""

    async def main():
        async with World({"lifecycle": {"create_timeout": 3}}) as world:
            world.add(A, "it", make=stubborn(20))
            with pytest.raises(ActivationTimeout):
                await world.use(A)
            await asyncio.sleep(4)
            ended = [told for told in world.listener.heard if told[0] == "retired"]
            await asyncio.sleep(30)
            return ended[0][3], [product.closes for product in world.shop.made]

    assert run(main) == ("abandoned", [1])


@pytest.mark.parametrize("seconds", [4, 20], ids=["within the grace", "after it"])
def test_a_context_that_ignores_its_cancellation(run, seconds):
    """A context manager that is entered although it was given up is left again, by the task that entered it."""

    async def main():
        async with World({"lifecycle": {"create_timeout": 3}}) as world:
            world.add(A, "it", "context", enter=stubborn(seconds))
            with pytest.raises(ActivationTimeout):
                await world.use(A)
            await asyncio.sleep(30)
            running = [task.get_name() for task in world.engine.tasks.running]
            return [(product.entries, product.closes) for product in world.shop.made], running

    assert run(main) == ([(1, 1)], [])


def test_a_product_that_comes_after_the_runtime_was_closed(run):
    """A thread that comes back when the runtime is closed: named in the report, and closed on its loop."""
    release = threading.Event()

    async def main():
        async with World({"lifecycle": {"create_timeout": 3}}, hung=1) as world:
            world.add(A, "it", "thread", make=lambda _: release.wait(20) and None)
            with pytest.raises(ActivationTimeout):
                await world.use(A)
            report = await world.runtime.close()
            release.set()
            while not world.shop.made or world.shop.open:
                await asyncio.sleep(0.01)
            await world.turn(10)
        return report.clean, report.left, [product.closes for product in world.shop.made]

    assert run(main) == (False, ("thread adapter:a#1",), [1])


def test_a_product_that_comes_after_the_loop_was_closed():
    """Nobody else is left to close it, so its own thread does."""
    release, closed = threading.Event(), threading.Event()

    class Thing:
        def close(self):
            closed.set()

    def make():
        release.wait(20)
        return Thing()

    async def main():
        world = World({"lifecycle": {"create_timeout": 0.05, "cancel_grace": 0.05}}, each_step=False)
        await world.runtime.start()
        world.runtime.register(Candidate(A, "it", make))
        with pytest.raises(ActivationTimeout):
            await world.use(A)
        return await world.runtime.close()

    report = asyncio.run(main())
    release.set()

    assert report.left == ("thread adapter:a#1",)
    assert closed.wait(10)


# --- one task for one product ----------------------------------------------------------------------------------------------------


def test_a_cancel_scope_is_left_by_the_task_that_entered_it(run):
    """``asyncio.timeout`` and task groups inside a product, which belong to one task, work."""

    class Scoped:
        async def __aenter__(self):
            self.group = await asyncio.TaskGroup().__aenter__()
            self.scope = await asyncio.timeout(1000).__aenter__()
            return self

        async def __aexit__(self, *_):
            await self.scope.__aexit__(None, None, None)
            await self.group.__aexit__(None, None, None)

    async def main():
        async with World() as world:
            return (await retire(world, Scoped())).ending

    assert run(main) == "closed"


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_generator_is_a_factory(run, kind):
    """What a generator yields is the instance, and what follows is its end."""
    seen = []

    async def asynchronous():
        seen.append("begin")
        yield "instance"
        seen.append("end")

    def synchronous():
        seen.append("begin")
        yield "instance"
        seen.append("end")

    async def main():
        async with World() as world:
            world.runtime.register(Candidate(A, "old", asynchronous if kind == "async" else synchronous))
            async with world.runtime.use(*A) as instance:
                assert (instance, seen) == ("instance", ["begin"])
            world.add(A, "new")
            return (await (await world.swap(A, "new")).retired()).ending

    assert (run(main), seen) == ("closed", ["begin", "end"])


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("times", [0, 2])
def test_a_generator_yields_once(run, kind, times):
    """One that yields nothing is a failed factory; one that yields twice a failed close."""

    async def asynchronous():
        for _ in range(times):
            yield "instance"

    def synchronous():
        yield from ["instance"] * times

    async def main():
        async with World() as world:
            world.runtime.register(Candidate(A, "old", asynchronous if kind == "async" else synchronous))
            if not times:
                with pytest.raises(FactoryError, match="yielded nothing") as raised:
                    async with world.runtime.use(*A):
                        pass
                return str(raised.value)
            async with world.runtime.use(*A):
                pass
            world.add(A, "new")
            retirement = await (await world.swap(A, "new")).retired()
            assert retirement.ending == "close_failed"
            return retirement.error

    assert f"yielded {'twice' if times else 'nothing'}" in run(main)


def test_a_probe_in_a_thread_that_hangs(run):
    """A hung check does not keep its product from being closed."""
    release = threading.Event()

    class Thing:
        closed = 0

        def health(self):
            release.wait(20)

        async def aclose(self):
            self.closed += 1

    thing = Thing()

    async def make():
        return thing

    async def main():
        async with World({"lifecycle": {"startup_timeout": 3}}, hung=1) as world:
            world.runtime.register(Candidate(A, "it", make))
            with pytest.raises(HealthRejected):
                async with world.runtime.use(*A):
                    pass
            await asyncio.sleep(5)
            release.set()
            return thing.closed

    assert run(main) == 1
