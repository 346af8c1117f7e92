"""Leases: how what is bound is used, and what is promised to whoever uses it."""

import asyncio
import gc
import threading
import warnings

import pytest
from oneiric_hookspecs import Closed, Empty, FactoryError, Key, NoCandidate, RuntimeClosing

CACHE = ("adapter", "store")


def store(shop, provider="a", **more):
    return shop.candidate("store", provider, **more)


def test_a_use_activates_what_a_lease_does_not(shop, run):
    """``use`` brings up what is not bound; ``lease`` refuses, and says how to bring it up."""

    async def main():
        async with shop.runtime(store(shop)) as runtime:
            with pytest.raises(Empty) as refused, runtime.lease(*CACHE):
                pass
            before = len(shop.made)
            async with runtime.use(*CACHE) as used:
                with runtime.lease(*CACHE) as leased:
                    return str(refused.value), before, used is leased is shop.made[0]

    assert run(main()) == (
        'adapter:store has nothing bound\n  async with runtime.use("adapter", "store") activates it',
        0,
        True,
    )
    assert shop.faults() == []


def test_leasing_a_key_nobody_registered_for_is_an_error_that_leaves_nothing_behind(shop, run):
    """A misspelt key costs one line, and no slot."""

    async def main():
        async with shop.runtime(store(shop)) as runtime:
            with pytest.raises(NoCandidate, match="did you mean adapter:store"):
                runtime.lease("adapter", "stoer")
            with pytest.raises(NoCandidate, match="did you mean adapter:store"):
                runtime.use("adapter", "stoer")
            return runtime.status().slots

    assert run(main()) == ()


def test_a_closed_runtime_hands_out_nothing(shop, run):
    """After the end every way to a lease says that it is closed, and nothing is brought up again."""

    async def main():
        async with shop.runtime(store(shop)) as runtime:
            handle = runtime.handle(*CACHE)
            kept = runtime.use(*CACHE)
            async with runtime.use(*CACHE):
                pass
        refused = []
        for way in (handle, lambda: runtime.lease(*CACHE), lambda: runtime.handle(*CACHE)()):
            with pytest.raises(Closed) as error, way():
                pass
            refused.append(str(error.value))
        for use in (kept, runtime.use(*CACHE), handle.use()):
            with pytest.raises(Closed) as error:
                await use.__aenter__()
            refused.append(str(error.value))
        return refused

    assert run(main()) == ["adapter:store is closed: the runtime is closing"] * 6
    assert shop.faults() == []


def test_a_key_that_was_never_used_is_closed_too(shop, run):
    """It makes no difference to a latecomer whether anybody came before."""

    async def main():
        async with shop.runtime(store(shop)) as runtime:
            pass
        with pytest.raises(Closed), runtime.lease(*CACHE):
            pass
        with pytest.raises(Closed):
            await runtime.use(*CACHE).__aenter__()

    run(main())
    assert shop.made == []


def test_before_the_start_there_is_nothing_to_lease(shop):
    """A runtime that was not entered says how it is entered."""
    runtime = shop.runtime(store(shop))
    for way in (runtime.use, runtime.lease, runtime.handle):
        with pytest.raises(
            RuntimeClosing, match=r"the runtime is new, not running\n  async with runtime: ..."
        ):
            way(*CACHE)


def test_a_lease_keeps_its_generation_open_through_a_swap(shop, run):
    """Whoever leased the old one has it until he is done, while others already have the new one."""

    async def main():
        async with shop.runtime(store(shop, "a"), store(shop, "b")) as runtime:
            await runtime.swap(*CACHE, "a")
            async with runtime.use(*CACHE) as mine:
                report = await runtime.swap(*CACHE, "b")
                async with runtime.use(*CACHE) as other:
                    seen = (mine.use(), other.use(), mine.closed)
            end = await report.retired()
            return seen, end.ending, end.forced, mine.closed

    assert run(main()) == (("a", "b", 0), "closed", 0, 1)
    assert shop.faults() == []


def test_leases_nest(shop, run):
    """One inside another, of one generation or of two, each stands for itself."""

    async def main():
        async with shop.runtime(store(shop, "a"), store(shop, "b")) as runtime:
            await runtime.swap(*CACHE, "a")
            handle = runtime.handle(*CACHE)
            with handle() as outer:
                with handle() as inner:
                    assert outer is inner
                    counts = [runtime.status().of(*CACHE).bound.leases]
                counts.append(runtime.status().of(*CACHE).bound.leases)
                await runtime.swap(*CACHE, "b")
                with handle() as newer, handle() as newest:
                    assert newer is newest is not outer
                    counts.append(runtime.status().of(*CACHE).bound.leases)
                assert not outer.closed
            return counts

    assert run(main()) == [2, 1, 2]
    assert shop.faults() == []


def test_one_lease_object_cannot_be_held_twice_at_once(shop, run):
    """A ``use`` that is kept and shared would be given back by the first who is done; it says so instead."""

    async def main():
        async with shop.runtime(store(shop)) as runtime:
            use = runtime.use(*CACHE)
            async with use:
                with pytest.raises(RuntimeError, match=r"handle\(\)"):
                    await use.__aenter__()
                lease = runtime.lease(*CACHE)
                with lease, pytest.raises(RuntimeError, match=r"handle\(\)"):
                    lease.__enter__()
                with lease:  # one after the other is fine
                    held = runtime.status().of(*CACHE).bound.leases
            async with use:
                pass
            return held, runtime.status().of(*CACHE).bound.leases

    assert run(main()) == (2, 0)


def test_a_lease_knows_that_its_generation_retires(shop, run):
    """A long user can look (``retiring``) or wait (``until_retiring``), finish, and lease again."""

    async def main():
        async with shop.runtime(store(shop, "a"), store(shop, "b")) as runtime:
            await runtime.swap(*CACHE, "a")
            handle = runtime.handle(*CACHE)
            seen = []

            async def long_user():
                for _ in range(2):
                    with (lease := handle()) as thing:
                        seen.append((thing.use(), lease.retiring))
                        await lease.until_retiring()
                        seen.append((thing.use(), lease.retiring, thing.closed))

            user = asyncio.create_task(long_user())
            await asyncio.sleep(1)
            report = await runtime.swap(*CACHE, "b")
            await report.retired()
            await asyncio.sleep(1)
            still = list(seen)
        await user
        return still, seen[3:]

    assert run(main()) == ([("a", False), ("a", True, 0), ("b", False)], [("b", True, 0)])
    assert shop.faults() == []


def test_who_holds_on_too_long_is_named(shop, run):
    """After the drain timeout the old one is closed all the same, and the report names every task and thread."""

    async def main():
        settings = {"lifecycle": {"drain_timeout": 7.0}}
        async with shop.runtime(store(shop, "a"), store(shop, "b"), settings=settings) as runtime:
            loop = asyncio.get_running_loop()
            await runtime.swap(*CACHE, "a")
            handle = runtime.handle(*CACHE)
            entered, leave = threading.Event(), threading.Event()

            async def hold():
                with handle():
                    await asyncio.sleep(1000)

            def hold_in_a_thread():
                with handle():
                    entered.set()
                    leave.wait()

            task = asyncio.create_task(hold(), name="the reader")
            thread = threading.Thread(target=hold_in_a_thread, name="the writer")
            thread.idle = True
            thread.start()
            await asyncio.sleep(0)
            entered.wait()
            began = loop.time()
            report = await runtime.swap(*CACHE, "b")
            end = await report.retired()
            took = loop.time() - began
            leave.set()
            thread.join()
            task.cancel()
            await asyncio.wait({task})
            return took, end.ending, end.forced, end.holders, round(end.drained_ms)

    assert run(main()) == (7.0, "closed", 2, ("task the reader", "thread the writer"), 7000)
    assert [each.closed for each in shop.made] == [1, 1]


def test_how_the_body_ended_is_counted(shop, run):
    """An exception counts against the generation; a cancellation, as any other end of the task, as neither."""

    async def main():
        settings = {"lifecycle": {"probation": 100.0, "probe_interval": 1000.0}}
        async with shop.runtime(store(shop, "a"), store(shop, "b"), settings=settings) as runtime:
            await runtime.swap(*CACHE, "a")
            report = await runtime.swap(*CACHE, "b")

            async def work(error):
                async with runtime.use(*CACHE):
                    raise error

            # Of those that say anything about it, four of four were bad: too few to judge by.
            for _ in range(4):
                with pytest.raises(ValueError):
                    await work(ValueError())
            for _ in range(20):
                await asyncio.wait({asyncio.create_task(work(asyncio.CancelledError()))})
            await asyncio.sleep(1)
            before = runtime.status().of(*CACHE).bound.provider
            # Five of five; had the cancelled ones counted as good, it would be five of 25.
            with pytest.raises(ValueError):
                await work(ValueError())
            await asyncio.sleep(1)
            slot = runtime.status().of(*CACHE)
            return report.outcome, before, slot.bound.provider, slot.last_error

    assert run(main()) == (
        "swapped",
        "b",
        "a",
        "adapter:store: b was rolled back: 5 of 5 uses ended by an exception",
    )
    assert shop.faults() == []


def test_in_debug_mode_a_lost_lease_is_a_warning_with_its_stack(shop, run):
    """Who forgets to give a lease back is found by where he took it, and blocks nothing."""

    async def main():
        asyncio.get_running_loop().set_debug(True)
        async with shop.runtime(store(shop, "a"), store(shop, "b")) as runtime:
            await runtime.swap(*CACHE, "a")

            def forget_a_lease(lease):
                lease.__enter__()

            async def forget_a_use(use):
                await use.__aenter__()

            told = []
            for forget in (
                lambda: forget_a_lease(runtime.lease(*CACHE)),
                lambda: forget_a_lease(runtime.handle(*CACHE)()),
                lambda: forget_a_use(runtime.use(*CACHE)),
                lambda: forget_a_use(runtime.handle(*CACHE).use()),
            ):
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    waiting = forget()
                    if waiting is not None:
                        await waiting
                    del waiting
                    gc.collect()
                told += [(each.category, str(each.message)) for each in caught]
            held = runtime.status().of(*CACHE).bound.leases
            report = await runtime.swap(*CACHE, "b")
            end = await report.retired()
            return told, held, end.forced

    told, held, forced = run(main())
    assert [category for category, _ in told] == [ResourceWarning] * 4
    assert ["in forget_a_" in text for _, text in told] == [True] * 4
    assert (held, forced) == (0, 0)
    assert shop.faults() == []


def test_in_debug_mode_a_lease_that_is_given_back_is_no_warning(shop, run):
    """Being watched changes nothing for those who do as they should."""

    async def main():
        asyncio.get_running_loop().set_debug(True)
        async with shop.runtime(store(shop, "a"), store(shop, "b")) as runtime:
            async with runtime.use(*CACHE) as used:
                with runtime.lease(*CACHE) as leased, runtime.handle(*CACHE)() as handled:
                    held = runtime.status().of(*CACHE).bound.leases
            return used is leased is handled, held, runtime.status().of(*CACHE).bound.leases

    assert run(main()) == (True, 3, 0)
    gc.collect()


def test_a_lease_may_be_given_back_when_the_runtime_is_gone(shop):
    """A thread that comes back late finds no loop, and no error."""
    entered, leave, errors = threading.Event(), threading.Event(), []

    async def main():
        async with shop.runtime(store(shop), settings={"lifecycle": {"drain_timeout": 0.01}}) as runtime:
            await runtime.swap(*CACHE)
            handle = runtime.handle(*CACHE)

            def hold():
                try:
                    with handle():
                        entered.set()
                        leave.wait(10)
                        raise ValueError("late")
                except ValueError as error:
                    errors.append(str(error))

            thread = threading.Thread(target=hold, name="late")
            thread.start()
            await asyncio.to_thread(entered.wait, 10)
            return thread, await runtime.close()

    thread, report = asyncio.run(main())
    leave.set()
    thread.join(10)
    assert errors == ["late"]
    assert [(end.ending, end.holders) for end in report.retirements] == [("closed", ("thread late",))]


def test_a_handle_is_shared_by_tasks_and_threads(shop, run):
    """One object for all of them, and each ``with`` of it is a lease of its own."""

    async def main():
        async with shop.runtime(store(shop)) as runtime:
            await runtime.swap(*CACHE)
            handle = runtime.handle(*CACHE)
            inside = []
            barrier = threading.Barrier(4)

            def in_a_thread():
                with handle() as thing:
                    inside.append(thing)
                    barrier.wait()
                    barrier.wait()

            async def in_a_task():
                with handle() as thing:
                    inside.append(thing)
                    await asyncio.sleep(10)

            tasks = [asyncio.create_task(in_a_task()) for _ in range(3)]
            threads = [threading.Thread(target=in_a_thread) for _ in range(3)]
            for thread in threads:
                thread.start()
            await asyncio.sleep(0)
            barrier.wait()
            counted = [runtime.status().of(*CACHE).bound.leases]
            barrier.wait()
            for thread in threads:
                thread.join()
            counted.append(runtime.status().of(*CACHE).bound.leases)
            await asyncio.gather(*tasks)
            counted.append(runtime.status().of(*CACHE).bound.leases)
            return counted, set(inside) == set(shop.made), len(inside), handle.key, repr(handle)

    assert run(main()) == ([6, 3, 0], True, 6, Key("adapter", "store"), "<handle of adapter:store>")


def test_a_hundred_tasks_that_use_one_key_make_one_instance(shop, run):
    """They join the one operation that brings it up."""

    async def main():
        async with shop.runtime(store(shop, before=lambda _: asyncio.sleep(5))) as runtime:

            async def use():
                async with runtime.use(*CACHE) as thing:
                    return thing

            return len(set(await asyncio.gather(*(use() for _ in range(100)))))

    assert run(main()) == 1
    assert len(shop.made) == 1
    assert shop.faults() == []


def test_each_of_those_who_wait_gets_an_exception_of_his_own(shop, run):
    """A failure is told to all, as objects that nobody else raises."""

    async def main():
        def fail(_):
            raise OSError("no route")

        async with shop.runtime(store(shop, before=fail)) as runtime:

            async def use():
                async with runtime.use(*CACHE):
                    pass

            errors = await asyncio.gather(*(use() for _ in range(5)), return_exceptions=True)
            return [type(each) for each in errors], len(set(map(id, errors))), {str(each) for each in errors}

    assert run(main()) == (
        [FactoryError] * 5,
        5,
        {"adapter:store: a did not come up at step create: OSError: no route\n  still serving: nothing"},
    )


@pytest.mark.parametrize("gap", range(3))
@pytest.mark.parametrize("turns", range(12))
def test_who_goes_away_takes_nobody_with_him(shop, run, turns, gap):
    """The only user of an activation is cancelled, and another one comes while that is being ended: he is served."""

    async def main():
        async with shop.runtime(store(shop, before=lambda _: asyncio.sleep(0))) as runtime:

            async def use():
                async with runtime.use(*CACHE) as thing:
                    return thing.use()

            first = asyncio.create_task(use())
            for _ in range(turns):
                await asyncio.sleep(0)
            first.cancel()
            for _ in range(gap):
                await asyncio.sleep(0)
            answers = await asyncio.gather(use(), use())
            await asyncio.wait({first})
            return answers

    assert run(main()) == ["a", "a"]
    assert shop.faults() == []


@pytest.mark.parametrize("turns", range(12))
def test_who_goes_away_takes_nobody_with_him_who_swaps_to_the_same(shop, run, turns):
    """The only caller of a swap is cancelled; who asks for the same swap while that ends gets it."""

    async def main():
        async with shop.runtime(
            store(shop, "a"), store(shop, "b", before=lambda _: asyncio.sleep(0))
        ) as runtime:
            await runtime.swap(*CACHE, "a")
            first = asyncio.create_task(runtime.swap(*CACHE, "b"))
            for _ in range(turns):
                await asyncio.sleep(0)
            first.cancel()
            second = asyncio.create_task(runtime.swap(*CACHE, "b"))
            await asyncio.sleep(0)
            third = asyncio.create_task(runtime.swap(*CACHE, "b"))
            reports = await asyncio.gather(second, third)
            await asyncio.wait({first})
            return {report.new for report in reports}, runtime.status().of(*CACHE).bound.provider

    assert run(main()) == ({"b"}, "b")
    assert shop.faults() == []
