"""The end of a runtime: in order, once, within its deadline, and what is left is named."""

import asyncio

import pytest
from oneiric_hookspecs import Closed, Key, Need, NotServing, RuntimeClosing, hookimpl

from oneiric.testing.workshop import failing, sleeping
from oneiric.testing.world import World

A, B, C, D = (Key.of("adapter", name) for name in "abcd")


def test_dependents_first(run):
    """What was built from others is closed before them, level by level."""

    async def main():
        async with World() as world:
            world.add(D, "d", needs=[Need(B), Need(C)])
            world.add(C, "c", needs=[Need(A)])
            world.add(B, "b", needs=[Need(A)])
            world.add(A, "a", close=sleeping(1))
            await world.use(D)
            report = await world.runtime.close()
            closes = [line.split()[1].split("/")[0] for line in world.shop.log if line.startswith("close")]
            return closes, report.clean

    closes, clean = run(main)

    assert (closes[0], set(closes[1:3]), closes[3], clean) == ("d", {"b", "c"}, "a", True)


def test_a_level_is_closed_side_by_side(run, clock):
    """What does not need each other ends at one time."""

    async def main():
        async with World() as world:
            for key in (A, B, C):
                world.add(key, "it", close=sleeping(5))
                await world.use(key)
            await world.runtime.close()

    run(main)

    assert clock.time() == 5.0


def test_closing_twice(run):
    """Closing again gives the same report, and does nothing."""

    async def main():
        async with World() as world:
            world.add(A, "it")
            await world.use(A)
            first = await world.runtime.close()
            second = await world.runtime.close()
            return first is second, len(first.retirements)

    assert run(main) == (True, 1)


def test_several_close_at_once(run):
    """Several callers have one closing, and one report."""

    async def main():
        async with World() as world:
            world.add(A, "it", close=sleeping(2))
            await world.use(A)
            reports = await asyncio.gather(*(world.runtime.close() for _ in range(5)))
            return len({id(report) for report in reports})

    assert run(main) == 1


def test_a_caller_who_is_cancelled_stops_nothing(run):
    """Cancelling who waits for the end does not end the ending."""

    async def main():
        async with World() as world:
            world.add(A, "it", close=sleeping(2))
            await world.use(A)
            closing = asyncio.create_task(world.runtime.close())
            await asyncio.sleep(1)
            closing.cancel()
            await asyncio.sleep(2)
            assert world.shop.open == []
            return (await world.runtime.close()).clean

    assert run(main) is True


def test_users_finish(run, clock):
    """Those who have a lease finish; nobody new comes in."""

    async def main():
        async with World() as world:
            world.add(A, "it")
            async with world.runtime.use(*A) as product:
                closing = asyncio.create_task(world.runtime.close())
                await asyncio.sleep(5)
                product.use()
                with (
                    pytest.raises(Closed, match="adapter:a is closed: the runtime is closing"),
                    world.runtime.lease(*A),
                ):
                    pass
                with pytest.raises((NotServing, RuntimeClosing)):
                    await world.use(A)
            report = await closing
            return report.retirements[0].drained_ms, report.clean

    assert run(main) == (5000.0, True)


def test_one_deadline_over_all(run, clock):
    """Users who never finish, and closes that hang, are bounded by one deadline, and named."""

    async def main():
        async with World({"lifecycle": {"shutdown_timeout": 20}}, forced=True) as world:
            world.add(B, "b", needs=[Need(A)])
            world.add(A, "a")
            async with world.runtime.use(*B) as product:
                world.shop.forced.update(world.shop.made)
                report = await world.runtime.close()
                assert product.closed
            return (
                [(each.provider, each.ending, each.forced) for each in report.retirements],
                report.left,
                clock.time(),
            )

    retirements, left, seconds = run(main)

    assert retirements == [("b", "closed", 1), ("a", "closed", 1)]
    assert (left, seconds) == ((), 20.0)


def test_what_does_not_end_is_named(run, clock):
    """A close that outlasts the deadline is in the report by name."""

    async def forever(_):
        while True:
            try:
                await asyncio.sleep(100)
                return
            except asyncio.CancelledError:
                continue

    async def main():
        async with World({"lifecycle": {"shutdown_timeout": 5}}) as world:
            world.add(A, "it", close=forever)
            await world.use(A)
            report = await world.runtime.close()
            when = clock.time()
            await asyncio.sleep(200)
            return report.clean, report.left, when

    clean, left, when = run(main)

    assert (clean, when) == (False, 5.0)
    assert left[0] == "<adapter:a#1 it closing>"


@pytest.mark.parametrize("hangs", ["factory", "judge", "probe", "need"])
def test_an_operation_in_flight_binds_nothing(run, hangs):
    """What is coming up when the runtime closes is disposed of, and bound by nobody."""

    class Slow:
        @hookimpl
        async def oneiric_check_swap(self, new):
            if hangs == "judge" and new.candidate.provider == "new":
                await asyncio.sleep(4)

    async def main():
        async with World(plugins=[Slow()]) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(B, "b", make=sleeping(100))
            needs = [Need(B)] if hangs == "need" else []
            slow = sleeping(100)
            world.add(
                A,
                "new",
                needs=needs,
                make=slow if hangs == "factory" else None,
                probe=slow if hangs == "probe" else None,
            )
            swapping = asyncio.create_task(world.swap(A, "new"))
            await asyncio.sleep(1)
            report = await world.runtime.close()
            with pytest.raises(RuntimeClosing, match="the runtime is closing"):
                await swapping
            assert world.slot(A).bound is None
            return report.clean, world.shop.open

    assert run(main) == (True, [])


def test_a_stubborn_judge_binds_nothing(run):
    """An operation whose judge ignores its cancellation does not commit after all."""

    class Stubborn:
        @hookimpl
        async def oneiric_check_swap(self, new):
            if new.candidate.provider == "new":
                until = asyncio.get_running_loop().time() + 4
                while (left := until - asyncio.get_running_loop().time()) > 0:
                    try:
                        await asyncio.sleep(left)
                    except asyncio.CancelledError:
                        continue

    async def main():
        async with World({"lifecycle": {"shutdown_timeout": 2}}, [Stubborn()]) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new")
            swapping = asyncio.create_task(world.swap(A, "new"))
            await asyncio.sleep(1)
            await world.runtime.close()
            await asyncio.sleep(20)
            with pytest.raises(RuntimeClosing):
                await swapping
            return world.slot(A).bound, world.shop.open

    assert run(main) == (None, [])


def test_nothing_is_bound_once_closing_has_begun(run):
    """An operation that is ready while tasks of the application are still being stopped is refused."""

    async def stubborn():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await asyncio.sleep(1.5)

    async def main():
        async with World() as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new", make=sleeping(2))
            world.runtime.spawn(stubborn(), name="stubborn")
            swapping = asyncio.create_task(world.swap(A, "new"))
            await asyncio.sleep(1)
            report = await world.runtime.close()
            with pytest.raises(RuntimeClosing, match="the runtime is closing"):
                await swapping
            return report.clean, "swapped" in world.listener.words()

    assert run(main) == (True, False)


def test_closing_while_it_is_confirmed(run):
    """A switch that is not confirmed yet is taken back; both are closed."""

    class Slow:
        @hookimpl
        async def oneiric_check_bound(self, new):
            if new.candidate.provider == "new":
                await asyncio.sleep(4)

    async def main():
        async with World(plugins=[Slow()]) as world:
            world.add(A, "old")
            await world.use(A)
            world.add(A, "new")
            swapping = asyncio.create_task(world.swap(A, "new"))
            await asyncio.sleep(1)
            report = await world.runtime.close()
            with pytest.raises(RuntimeClosing):
                await swapping
            return sorted(each.provider for each in report.retirements), report.clean

    assert run(main) == (["new", "old"], True)


def test_nothing_new_after_the_end(run):
    """Every operation is refused, and says that the runtime is closed."""

    async def main():
        async with World() as world:
            world.add(A, "it")
            await world.use(A)
            await world.runtime.close()
            refused = []
            for call in (
                lambda: world.runtime.swap(*A),
                lambda: world.runtime.rollback(*A),
                lambda: world.runtime.apply({}),
                lambda: world.use(A),
                lambda: world.runtime.health(*A),
            ):
                with pytest.raises((RuntimeClosing, NotServing)) as raised:
                    await call()
                refused.append(str(raised.value).splitlines()[0])
            return refused, world.runtime.status().state

    refused, state = run(main)

    assert all("closed" in text for text in refused)
    assert state == "closed"


def test_a_close_that_fails_stops_nobody(run):
    """One product that cannot be closed does not keep the others."""

    async def main():
        async with World() as world:
            world.add(B, "b", needs=[Need(A)], close=failing(ValueError("no")))
            world.add(A, "a")
            await world.use(B)
            report = await world.runtime.close()
            return [(each.provider, each.ending) for each in report.retirements], report.clean

    assert run(main) == ([("b", "close_failed"), ("a", "closed")], False)


def test_plugins_are_told_before(run):
    """``oneiric_stopping`` comes before anything is stopped; leases still work."""
    seen = []

    class Stops:
        @hookimpl
        async def oneiric_stopping(self, host):
            async with host.use(*A) as product:
                seen.append(product.use())

    async def main():
        async with World(plugins=[Stops()]) as world:
            world.add(A, "it")
            await world.use(A)

    run(main)

    assert seen == ["it"]


def test_a_runtime_lives_once(run):
    """A runtime that was started is not started again."""

    async def main():
        async with World() as world:
            with pytest.raises(RuntimeClosing, match="the runtime is running"):
                await world.runtime.start()

    run(main)


# --- tasks of one's own --------------------------------------------------------------------------------------------------------


def test_spawned_tasks_end_with_the_runtime(run):
    """They are named while they run, and cancelled and awaited at close."""
    seen = []

    async def work():
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append("ended")

    async def main():
        async with World() as world:
            task = world.runtime.spawn(work(), name="prices")
            await world.turn()
            names = world.runtime.status().tasks
            await world.runtime.close()
            return names, task.done(), world.runtime.status().tasks

    assert (run(main), seen) == ((("prices",), True, ()), ["ended"])


def test_a_spawned_task_that_fails_is_reported(run, caplog):
    """Its error is logged with its name, and given to who waits for it."""

    async def work():
        raise ValueError("no")

    async def main():
        async with World() as world:
            task = world.runtime.spawn(work(), name="prices")
            with pytest.raises(ValueError, match="no"):
                await task.wait()

    run(main)

    assert "task prices failed: ValueError: no" in caplog.text


def test_a_spawned_task_that_does_not_end(run, clock):
    """One that ignores its cancellation is named in the report."""

    async def work():
        for _ in range(3):
            try:
                await asyncio.sleep(50)
            except asyncio.CancelledError:
                continue

    async def main():
        async with World() as world:
            world.runtime.spawn(work(), name="stubborn")
            await world.turn()
            report = await world.runtime.close()
            when = clock.time()
            await asyncio.sleep(200)
            return report.left, when

    assert run(main) == (("task stubborn",), 2.0)


def test_waiting_for_a_spawned_task_can_be_cancelled(run):
    """Cancelling who waits does not cancel the task."""

    async def work():
        await asyncio.sleep(5)
        return "done"

    async def main():
        async with World() as world:
            task = world.runtime.spawn(work(), name="it")
            waiting = asyncio.create_task(task.wait())
            await asyncio.sleep(1)
            waiting.cancel()
            return await task.wait()

    assert run(main) == "done"


def test_a_group_ends_together(run):
    """If one of a group fails the others are cancelled, and its error is raised."""
    seen = []

    async def forever():
        try:
            await asyncio.sleep(1000)
        finally:
            seen.append("ended")

    async def fails():
        await asyncio.sleep(1)
        raise ValueError("no")

    async def main():
        async with World() as world:
            with pytest.raises(ValueError, match="no"):
                async with world.runtime.tasks() as group:
                    group.spawn(forever(), name="one")
                    group.spawn(fails(), name="two")
            return world.runtime.status().tasks

    assert (run(main), seen) == ((), ["ended"])


def test_nothing_is_spawned_on_a_closed_runtime(run):
    """The coroutine is refused, and not left unawaited."""

    async def work():
        return

    async def main():
        async with World() as world:
            await world.runtime.close()
            with pytest.raises(RuntimeClosing):
                world.runtime.spawn(work(), name="late")

    run(main)
