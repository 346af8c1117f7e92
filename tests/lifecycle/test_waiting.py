"""Callers only wait: they join, leave, and are cancelled, and operations are the runtime's."""

import asyncio

import pytest
from oneiric_hookspecs import (
    ActivationError,
    Busy,
    FactoryError,
    Key,
    Need,
    Reentrant,
    RuntimeClosing,
    hookimpl,
)

from oneiric.activation import Want
from oneiric.testing.faults import raising_at
from oneiric.testing.workshop import failing, sleeping
from oneiric.testing.world import World

A, B, C = (Key.of("adapter", name) for name in "abc")


async def first_step(world):
    """Until whatever was started has begun."""
    await world.turn(3)


def under_way(world):
    return [operation.cause for operation in world.engine.operations.under_way]


# --- single flight ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["async", "thread", "context"])
def test_a_hundred_tasks_make_one_instance(run, form):
    """100 tasks that activate one key make one instance, and all of them use it."""

    async def main():
        async with World() as world:
            world.add(A, "it", form, make=None if form == "thread" else sleeping(1))
            used = await asyncio.gather(*(world.use(A) for _ in range(100)))
            return used, len(world.shop.made)

    assert run(main) == (["it"] * 100, 1)


def test_a_hundred_equal_swaps_make_one_instance(run):
    """Equal swaps at one time are one operation, and all callers have its report."""

    async def main():
        async with World() as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", make=sleeping(1))
            reports = await asyncio.gather(*(world.swap(A, "new") for _ in range(100)))
            return len({report.operation for report in reports}), len(world.shop.made)

    assert run(main) == (1, 2)


def test_different_swaps_do_not_join(run):
    """Who wants something else does not get what another one wanted."""

    async def main():
        async with World() as world:
            for name in "pq":
                world.add(A, name, make=sleeping(1))
            reports = await asyncio.gather(world.swap(A, "p"), world.swap(A, "q"))
            return [report.new for report in reports]

    assert run(main) == ["p", "q"]


def test_a_user_joins_whatever_comes_up(run):
    """A user of an empty slot waits for the swap that is under way, and makes nothing of his own."""

    async def main():
        async with World() as world:
            world.add(A, "chosen", make=sleeping(1))
            world.add(A, "better", priority=5)
            swapping = asyncio.create_task(world.swap(A, "chosen"))
            await first_step(world)
            used = await world.use(A)
            await swapping
            return used, len(world.shop.made)

    assert run(main) == ("chosen", 1)


def test_a_user_outlives_what_he_joined(run):
    """Where the joined swap fails, and was not about the winner, the user gets the winner."""

    async def main():
        async with World() as world:
            world.add(A, "bad", make=sleeping(1000))
            world.add(A, "winner", priority=5)
            swapping = asyncio.create_task(world.swap(A, "bad"))
            await first_step(world)
            used = asyncio.create_task(world.use(A))
            await first_step(world)
            with pytest.raises(Exception, match="took longer than 30 s"):
                await swapping
            return await used

    assert run(main) == "winner"


# --- errors -------------------------------------------------------------------------------------------------------------


def test_every_waiter_has_an_error_of_his_own(run):
    """Equal facts, one cause, and an exception object for each."""

    async def main():
        async with World() as world:
            world.add(A, "bad", make=failing(ValueError("no")))
            return await asyncio.gather(*(world.use(A) for _ in range(20)), return_exceptions=True)

    errors = run(main)

    assert {type(error) for error in errors} == {FactoryError}
    assert len({id(error) for error in errors}) == 20
    assert len({str(error) for error in errors}) == 1
    assert {type(error.__cause__) for error in errors} == {ValueError}
    assert len({id(error.__cause__) for error in errors}) == 1


def test_waiters_get_errors_that_do_not_grow(run):
    """The traceback of one waiter holds nothing of another's."""

    async def main():
        async with World() as world:
            world.add(A, "bad", make=failing(ValueError("no")))
            errors = await asyncio.gather(*(world.use(A) for _ in range(20)), return_exceptions=True)
            lengths = set()
            for error in errors:
                length, trace = 0, error.__traceback__
                while trace is not None:
                    length, trace = length + 1, trace.tb_next
                lengths.add(length)
            return lengths

    assert len(run(main)) == 1


def test_an_error_that_nobody_foresaw(run):
    """Even a slip of the kernel's own comes as an error of the tree, one for each waiter, and is kept with the slot."""

    async def main():
        async with World() as world:
            world.add(A, "it")
            with raising_at("create", lambda: ZeroDivisionError("a slip")):
                errors = await asyncio.gather(*(world.swap(A) for _ in range(3)), return_exceptions=True)
            await world.at_rest()
            return errors, world.status(A).last_error, world.listener.words()

    errors, last_error, words = run(main)

    assert {type(error) for error in errors} == {ActivationError}
    assert len({id(error) for error in errors}) == 3
    assert last_error == "adapter:a: it did not come up at step create: ZeroDivisionError: a slip"
    assert "failed" in words


# --- leaving --------------------------------------------------------------------------------------------------------------


def test_one_of_several_leaves(run):
    """A waiter who is cancelled leaves; the others get what they wait for."""

    async def main():
        async with World() as world:
            world.add(A, "it", make=sleeping(5))
            users = [asyncio.create_task(world.use(A)) for _ in range(3)]
            await asyncio.sleep(1)
            users[1].cancel()
            return await asyncio.gather(*users, return_exceptions=True), len(world.shop.made)

    used, made = run(main)

    assert (used[0], type(used[1]), used[2], made) == ("it", asyncio.CancelledError, "it", 1)


@pytest.mark.parametrize("form", ["async", "context", "start"])
def test_the_last_one_leaves(run, form):
    """When the last waiter leaves, what is not committed is cancelled, and nothing of it stays."""

    async def main():
        async with World() as world:
            world.add(A, "it", form, make=sleeping(5))
            users = [asyncio.create_task(world.use(A)) for _ in range(3)]
            await asyncio.sleep(1)
            for user in users:
                user.cancel()
            await world.turn(10)
            status = world.runtime.status()
            return status.operations, world.status(A).phase, status.threads, world.status(A).others

    assert run(main) == ((), "empty", (), ())


def test_the_last_one_leaves_a_thread(run):
    """Cancelled while a thread makes the product: nothing is activating any more, and the product is closed."""
    import threading

    release = threading.Event()

    async def main():
        async with World() as world:
            world.add(A, "it", "thread", make=lambda _: release.wait(10) and None)
            user = asyncio.create_task(world.use(A))
            await world.turn(10)
            user.cancel()
            await world.turn(10)
            phase = world.status(A).phase
            await asyncio.sleep(10)
            assert [each.state for each in world.status(A).others] == []
            release.set()
            while not world.shop.made or world.shop.open:
                await asyncio.sleep(0.01)
            await world.turn(10)
            return phase, world.runtime.status().threads

    assert run(main) == ("empty", ())


def test_a_new_caller_does_not_join_what_was_given_up(run):
    """A caller who comes when the last one has just left starts anew."""

    async def main():
        async with World() as world:
            world.add(A, "it", make=sleeping(5))
            first = asyncio.create_task(world.use(A))
            await asyncio.sleep(1)
            first.cancel()
            used = []
            for turns in range(4):
                used.append(asyncio.create_task(world.use(A)))
                await world.turn(turns)
            return await asyncio.gather(*used)

    assert run(main) == ["it"] * 4


def test_leaving_after_the_commit_undoes_nothing(run):
    """What is committed is confirmed and final, whoever waits."""

    class Slow:
        @hookimpl
        async def oneiric_check_bound(self):
            await asyncio.sleep(2)

    async def main():
        async with World(plugins=[Slow()]) as world:
            world.add(A, "it")
            user = asyncio.create_task(world.use(A))
            await asyncio.sleep(1)
            user.cancel()
            await asyncio.sleep(5)
            return world.serves(A), world.status(A).phase, world.status(A).last_report.outcome

    assert run(main) == ("it", "ready", "activated")


def test_a_joined_callers_own_timeout(run, clock):
    """Who joins keeps his own patience; the operation goes on for the other one."""

    async def main():
        async with World() as world:
            world.add(A, "it", make=sleeping(20))
            first = asyncio.create_task(world.swap(A, "it"))
            await first_step(world)
            with pytest.raises(Busy, match="adapter:a was busy for 5 s"):
                await world.swap(A, "it", timeout=5)
            assert clock.time() == 5.0
            return (await first).outcome

    assert run(main) == "activated"


def test_a_cancelled_swap_changes_nothing(run):
    """Wherever the only caller is cancelled before the commit, the old one serves and no error is kept."""

    async def main():
        async with World() as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", make=sleeping(5))
            swapping = asyncio.create_task(world.swap(A, "new"))
            await asyncio.sleep(1)
            swapping.cancel()
            await world.turn(10)
            status = world.status(A)
            return world.serves(A), status.phase, status.last_error, status.others

    assert run(main) == ("old", "ready", "", ())


# --- what automatic changes do without waiters -----------------------------------------------------------------------------


def test_a_joined_change_of_the_runtimes_own_survives_its_guest(run):
    """Leaving a change that the runtime makes by itself does not cancel it."""

    async def main():
        async with World({"lifecycle": {"keys": {"adapter:a": {"auto_swap": "on"}}}}) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", make=sleeping(5))
            await asyncio.sleep(1)
            # As applying settings asks, and anybody who wants what wins.
            wanting = world.engine.operations.request(world.slot(A), Want(), "settings")
            guest = asyncio.create_task(wanting)
            await asyncio.sleep(1)
            assert len(under_way(world)) == 1
            guest.cancel()
            await asyncio.sleep(10)
            return world.serves(A)

    assert run(main) == "new"


# --- re-entrance ---------------------------------------------------------------------------------------------------------


def test_a_factory_that_uses_its_own_key(run):
    """A factory that activates what it is activating gets ``Reentrant``, with the way, at once."""

    async def main():
        async with World() as world:
            world.add(A, "it", make=lambda _: world.use(A))
            with pytest.raises(Reentrant) as raised:
                await world.use(A)
            return raised.value.path, str(raised.value).splitlines()[0], asyncio.get_running_loop().time()

    assert run(main) == (
        (A, A),
        (
            "adapter:a: it cannot be activated at step create: it is asked for from inside its own operation: "
            "adapter:a -> adapter:a"
        ),
        0.0,
    )


def test_a_factory_that_swaps_its_own_key(run):
    """The same for a swap."""

    async def main():
        async with World() as world:
            world.add(A, "it", make=lambda _: world.swap(A, "it"))
            with pytest.raises(Reentrant) as raised:
                await world.use(A)
            return raised.value.path, world.serves(A)

    assert run(main) == ((A, A), None)


def test_factories_that_use_each_other(run):
    """A's factory uses b, and b's uses a: ``Reentrant`` with the chain."""

    async def main():
        async with World() as world:
            world.add(A, "a", make=lambda _: world.use(B))
            world.add(B, "b", make=lambda _: world.use(A))
            with pytest.raises(Reentrant) as raised:
                await world.use(A)
            return raised.value.path

    assert run(main) == (A, B, A)


def test_factories_that_use_each_other_at_once(run, clock):
    """Started at one time from both ends they do not wait for each other until their deadlines."""

    async def main():
        async with World() as world:

            async def from_a(_):
                await asyncio.sleep(1)
                await world.use(B)

            async def from_b(_):
                await asyncio.sleep(1)
                await world.use(A)

            world.add(A, "a", make=from_a)
            world.add(B, "b", make=from_b)
            return await asyncio.gather(world.use(A), world.use(B), return_exceptions=True)

    found = run(main)

    assert {type(each) for each in found} <= {Reentrant, str}
    assert Reentrant in {type(each) for each in found}
    assert clock.time() < 5


def test_swaps_inside_factories_that_wait_for_each_other(run, clock):
    """The same with swaps inside, which start operations of their own: refused, and nothing of them goes on."""

    async def main():
        async with World() as world:
            world.add(A, "old")
            world.add(B, "old")
            await world.use(A)
            await world.use(B)

            async def swap_b(_):
                await asyncio.sleep(1)
                await world.swap(B, "other")

            async def swap_a(_):
                await asyncio.sleep(1)
                await world.swap(A, "other")

            world.add(A, "new", make=swap_b)
            world.add(B, "new", make=swap_a)
            world.add(A, "other", priority=-1)
            world.add(B, "other", priority=-1)
            found = await asyncio.gather(world.swap(A, "new"), world.swap(B, "new"), return_exceptions=True)
            await asyncio.sleep(1)
            assert under_way(world) == []
            return [type(each) for each in found]

    assert Reentrant in run(main)
    assert clock.time() < 10


def test_what_a_product_does_later_is_not_inside_its_activation(run):
    """A task that a factory started may swap its own slot when the activation is over."""

    async def main():
        async with World() as world:
            tasks = []

            async def later():
                await asyncio.sleep(5)
                return (await world.swap(A, "other")).new

            world.add(A, "it", make=lambda _: tasks.append(asyncio.create_task(later())))
            world.add(A, "other", priority=-1)
            await world.use(A)
            return await tasks[0]

    assert run(main) == "other"


def test_a_hook_that_swaps_its_own_slot(run):
    """A judge that swaps the slot it is asked about is refused; its veto stands."""

    class Swaps:
        @hookimpl
        async def oneiric_check_swap(self, new):
            if new.candidate.provider == "new":
                await world.swap(A, "old", reload=True)

    async def main():
        nonlocal world
        async with World(plugins=[Swaps()]) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new")
            with pytest.raises(Exception, match="it is asked for from inside its own operation"):
                await world.swap(A, "new")
            return world.serves(A)

    world = None

    assert run(main) == "old"


def test_a_factory_may_use_other_keys(run):
    """A factory may activate what it uses, more of them than there is room for at one time."""

    async def main():
        async with World({"lifecycle": {"max_activations": 1}}) as world:
            world.add(A, "a", make=lambda _: world.use(B))
            world.add(B, "b", make=lambda _: world.use(C))
            world.add(C, "c")
            return await world.use(A), [str(product) for product in world.shop.made]

    assert run(main) == ("a", ["c/1", "b/2", "a/3"])


def test_only_so_many_are_made_at_once(run, clock):
    """``max_activations`` is how many products are made at one time."""

    async def main():
        async with World({"lifecycle": {"max_activations": 2}}) as world:
            keys = [Key.of("adapter", f"k{number}") for number in range(6)]
            for key in keys:
                world.add(key, "it", make=sleeping(1))
            await asyncio.gather(*(world.use(key) for key in keys))

    run(main)

    assert clock.time() == 3.0


def test_a_circle_by_way_of_needs(run):
    """A need that uses, in its factory, what is built from it: refused, with the way."""

    async def main():
        async with World() as world:
            world.add(A, "a", needs=[Need(B)])
            world.add(B, "b", make=lambda _: world.use(A))
            with pytest.raises(Reentrant) as raised:
                await world.use(A)
            return raised.value.path

    assert run(main) == (A, B, A)


# --- when the runtime closes -----------------------------------------------------------------------------------------------


def test_waiters_are_told_that_the_runtime_closes(run):
    """Who waits for an operation that closing cancels gets ``RuntimeClosing``."""

    async def main():
        async with World() as world:
            world.add(A, "it", make=sleeping(5))
            users = [asyncio.create_task(world.use(A)) for _ in range(3)]
            await asyncio.sleep(1)
            await world.runtime.close()
            return [type(error) for error in await asyncio.gather(*users, return_exceptions=True)]

    assert run(main) == [RuntimeClosing] * 3
