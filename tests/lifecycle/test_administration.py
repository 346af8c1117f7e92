"""Hold, pause and drain: who may come in, what waits, and what is done when it is taken back."""

import asyncio
import threading

import pytest
from oneiric_hookspecs import (
    Activity,
    Candidate,
    Domain,
    Draining,
    DrainReport,
    Empty,
    Held,
    Key,
    Need,
    NothingToCall,
    Paused,
    Policies,
    SelectionUnsatisfied,
    hookimpl,
)

from oneiric import assemble
from oneiric.state import Admin, Mark
from oneiric.testing.workshop import sleeping
from oneiric.testing.world import World

A, B = Key.of("adapter", "a"), Key.of("adapter", "b")
ON = {"lifecycle": {"keys": {"adapter:a": {"auto_swap": "on"}}}}
EPOCH = 1_800_000_000.0


class Told:
    """Remembers what is told of hold, pause and drain."""

    def __init__(self):
        self.heard = []

    @hookimpl
    def oneiric_activity_changed(self, key, before, after, actor, reason):
        self.heard.append((key.name, before.mode, after.mode, after.drained, actor, reason))


class Reports:
    """Brings a second domain whose parts may be anything."""

    @hookimpl
    def oneiric_domains(self):
        yield Domain("report", "reports")


async def bound(world, key=A, **more):
    world.add(key, "old", **more)
    await world.use(key)


def on_the_wall(world, clock):
    """The wall clock goes as the loop's does."""
    world.engine.administration.wall = lambda: EPOCH + clock.time()
    world.runtime.control._wall = world.engine.administration.wall


async def settle(world):
    await world.at_rest()
    await asyncio.sleep(0.01)
    await world.at_rest()


# --- who may come in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hold", "pause", "drain"])
def test_who_may_come_in(run, mode):
    """A hold lets users in by every door; a pause and a drain let nobody in by any; after a resume all may."""

    async def main():
        async with World() as world:
            await bound(world)
            runtime = world.runtime
            handle = runtime.handle(*A)

            async def doors():
                found = []
                for door in (runtime.lease(*A), handle(), runtime.use(*A), handle.use()):
                    try:
                        if hasattr(door, "__aenter__"):
                            async with door:
                                found.append("in")
                        else:
                            with door:
                                found.append("in")
                    except (Paused, Draining, Empty) as error:
                        found.append(type(error).__name__)
                return found

            await getattr(runtime, mode)(*A, actor="ann")
            during = await doors()
            await runtime.resume(*A)
            await world.use(A)
            return during, await doors()

    kind = {"hold": "in", "pause": "Paused", "drain": "Draining"}[mode]

    assert run(main) == ([kind] * 4, ["in"] * 4)


def test_what_is_said_to_who_may_not(run, clock):
    """The refusal names the part, who it was, until when and why, and what to do."""

    async def main():
        async with World() as world:
            on_the_wall(world, clock)
            await bound(world)
            await world.runtime.pause(*A, actor="ann", note="moving the disk", until=EPOCH + 3600)
            with pytest.raises(Paused) as paused:
                await world.use(A)
            await world.runtime.drain(*A, actor="bob")
            with pytest.raises(Draining) as drained:
                await world.use(A)
            return str(paused.value), str(drained.value)

    assert run(main) == (
        "adapter:a is paused: by ann, until 2027-01-15T09:00:00Z: moving the disk\n  oneiric resume adapter a",
        "adapter:a takes no new users now: it was drained by bob\n  oneiric resume adapter a",
    )


def test_those_there_go_on(run):
    """Who had a lease when it was paused keeps it, and it is open."""

    async def main():
        async with World() as world:
            await bound(world)
            async with world.runtime.use(*A) as product:
                await world.runtime.pause(*A)
                await asyncio.sleep(100)
                return product.use(), product.closed

    assert run(main) == ("old", False)


def test_first_use(run):
    """What nobody has used yet is activated under a hold, and not under a pause, by users or by what needs it."""

    async def main():
        async with World() as world:
            world.add(A, "old")
            world.add(B, "user", needs=[Need(A)])
            await world.runtime.hold("adapter")
            held = await world.use(A)
        async with World() as world:
            world.add(A, "old")
            world.add(B, "user", needs=[Need(A)])
            await world.runtime.pause(*A)
            errors = []
            for key in (A, B):
                try:
                    await world.use(key)
                except Exception as error:
                    errors.append(type(error).__name__)
            return held, errors, world.shop.made

    assert run(main) == ("old", ["Paused", "DependencyFailed"], [])


def test_threads(run):
    """From the moment a pause is in force no thread gets a lease; who got one before is in the set that is read."""

    async def main():
        async with World(each_step=False) as world:
            await bound(world)
            handle = world.runtime.handle(*A)
            paused, stop, late, count = threading.Event(), threading.Event(), [], [0]

            def hammer():
                while not stop.is_set():
                    before = paused.is_set()
                    try:
                        with handle():
                            count[0] += 1
                            if before and paused.is_set():
                                late.append(1)
                    except Paused:
                        continue

            threads = [threading.Thread(target=hammer) for _ in range(3)]
            for thread in threads:
                thread.start()
            try:
                for _ in range(200):
                    await world.runtime.pause(*A)
                    paused.set()
                    await asyncio.sleep(0)
                    paused.clear()
                    await world.runtime.resume(*A)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            return late, bool(count[0])

    assert run(main) == ([], True)


def test_from_a_thread_while_draining(run):
    """Who would use it from a thread is refused, and does not go round for ever."""

    async def main():
        async with World() as world:
            await bound(world)
            async with world.runtime.use(*A):
                draining = asyncio.create_task(world.runtime.drain(*A, actor="ann"))
                await asyncio.sleep(1)

                def use():
                    with pytest.raises(Draining, match="ann"), world.runtime.blocking.use(*A):
                        pass
                    return "refused"

                answer = await asyncio.to_thread(use)
            [report] = await draining
            return answer, report.finished

    assert run(main) == ("refused", True)


def test_a_slot_made_later(run):
    """A part of a paused domain that is first asked for later is paused too, whatever thread asks for it first."""

    async def main():
        async with World() as world:
            world.add(A, "old")
            world.add(B, "old")
            await world.runtime.pause("adapter", actor="ann")
            with pytest.raises(Paused):
                await world.use(A)
            await asyncio.to_thread(world.runtime.handle, *B)
            with pytest.raises(Paused):
                await world.use(B)
            return {key.name: each.mode for key, each in world.runtime.activity().items()}

    assert run(main) == {"a": "pause", "b": "pause"}


# --- automatic changes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hold", "pause"])
def test_automatic_changes_wait(run, mode):
    """What would be swapped by itself waits, says so, and at the resume one swap goes to the latest."""

    async def main():
        async with World(ON) as world:
            await bound(world)
            await getattr(world.runtime, mode)(*A, actor="ann", note="a release")
            for priority, provider in enumerate(["better", "best"], 1):
                world.add(A, provider, priority=priority)
                await settle(world)
            during = world.slot(A).bound.provider, world.status(A).pending, len(world.slot(A).automatic)
            await world.runtime.resume(*A)
            await settle(world)
            return during, world.serves(A), world.status(A).pending, world.status(A).swaps

    said = {"hold": "held", "pause": "paused"}[mode]

    assert run(main) == (("old", f"{said} by ann: a release, and best is wanted", 0), "best", "", 1)


def test_one_that_was_under_way(run):
    """What began by itself before the hold does not commit during it; it comes about after it."""

    async def main():
        async with World(ON) as world:
            await bound(world)
            world.add(A, "slow", priority=5, make=sleeping(10))
            await asyncio.sleep(1)
            await world.runtime.hold(*A)
            await asyncio.sleep(60)
            during = world.serves(A), world.status(A).pending, world.status(A).last_error
            await world.runtime.resume(*A)
            await asyncio.sleep(60)
            return during, world.serves(A)

    assert run(main) == (("old", "held, and slow is wanted", ""), "slow")


def test_one_that_an_operator_asked_for_before(run):
    """An operator's swap that was under way when it was paused goes on and commits."""

    async def main():
        async with World() as world:
            await bound(world)
            world.add(A, "slow", make=sleeping(10))
            swapping = asyncio.create_task(world.swap(A, "slow"))
            await asyncio.sleep(1)
            await world.runtime.pause(*A)
            report = await swapping
            return report.outcome, world.slot(A).bound.provider, world.serves(A)

    assert run(main) == ("swapped", "slow", None)


def test_settings(run, tmp_path):
    """Other settings are applied to what is not held; what is says so, and follows at the resume.  From a file."""
    file = tmp_path / "oneiric.toml"
    file.write_text('[adapters.selections]\ncache = "memory"\n')

    async def main():
        async with assemble(file) as runtime:
            async with runtime.use("adapter", "cache"):
                pass
            await runtime.hold("adapter", "cache", actor="ann")
            file.write_text('[adapters.selections]\ncache = "disk"\n')
            first = await runtime.apply(file)
            again = await runtime.apply(file)
            slot = runtime.status().of("adapter", "cache")
            during = [type(each) for each in first + again], slot.bound.provider, slot.pending
            planned = [each.after for each in runtime.plan(file)]
            await runtime.resume("adapter", "cache")
            async with asyncio.timeout(30):
                while runtime.status().of("adapter", "cache").bound.provider != "disk":
                    await asyncio.sleep(0.01)
            return during, planned, runtime.status().of("adapter", "cache").pending

    assert run(main) == (([Held, Held], "memory", "held by ann, and disk is wanted"), ["disk"], "")


def test_what_was_built_from_another(run):
    """A part that is held is not built anew because what it was built from has changed; it is when it is resumed."""

    async def main():
        async with World() as world:
            world.add(A, "new")
            world.add(A, "old")
            world.add(B, "user", needs=[Need(A)])
            await world.use(B)
            await world.runtime.hold(*B)
            await world.swap(A, "new")
            await settle(world)
            during = world.slot(B).bound.number, world.status(B).pending
            await world.runtime.resume(*B)
            await settle(world)
            return during, world.slot(B).bound.number

    assert run(main) == ((1, "held, and user anew is wanted"), 2)


def test_probation_takes_back(run):
    """What turns bad on probation is taken back although it is held: that is for safety."""

    async def main():
        async with World({"lifecycle": {"probation": 30, "probe_interval": 1}}) as world:
            await bound(world)
            world.add(A, "bad", probe=lambda _: world.engine.loop.time() < 5)
            await world.swap(A, "bad")
            await world.runtime.pause(*A)
            await asyncio.sleep(20)
            return world.slot(A).bound.provider, world.status(A).rollbacks, world.serves(A)

    assert run(main) == ("old", 1, None)


def test_the_pin_stays(run):
    """A choice that probation took back stays chosen: what is left out is said, and what serves stays."""

    async def main():
        async with World({"lifecycle": {"probation": 30, "probe_interval": 1}}) as world:
            await bound(world)
            world.add(A, "bad", probe=lambda _: world.engine.loop.time() < 5)
            await world.swap(A, "bad")
            await asyncio.sleep(20)
            decision = world.runtime.explain(*A)
            return world.serves(A), type(decision.error), world.status(A).pending.partition(":")[0]

    assert run(main) == ("old", SelectionUnsatisfied, "bad was rolled back")


# --- what operators ask for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hold", "pause", "drain"])
def test_swaps_and_rollbacks(run, mode):
    """An operator's change is refused by name; with override it comes about, and what is imposed stays imposed."""

    async def main():
        async with World() as world:
            world.add(A, "new")
            await bound(world)
            await world.swap(A, "new")
            await getattr(world.runtime, mode)(*A, actor="ann", note="why")
            refused = []
            for asked in (world.swap(A, "old"), world.runtime.rollback(*A), transaction(world)):
                with pytest.raises(Held) as error:
                    await asked
                refused.append((error.value.mode, error.value.actor, error.value.note))
            assert world.status(A).last_error == ""  # nothing has gone wrong with the part
            report = await world.swap(A, "old", override=True)
            return refused, report.new, world.slot(A).bound.provider, world.serves(A), world.status(A).phase

    async def transaction(world):
        async with world.runtime.transaction() as changes:
            changes.swap(*A, "old")

    assert run(main) == (
        [(mode, "ann", "why")] * 3,
        "old",
        "old",
        "old" if mode == "hold" else None,
        "ready",
    )


def test_transaction_with_override(run):
    """Several at once, of which one is paused: with override they change together, and it stays paused."""

    async def main():
        async with World() as world:
            for key in (A, B):
                world.add(key, "new")
                await bound(world, key)
            await world.runtime.pause(*A)
            async with world.runtime.transaction() as changes:
                changes.swap(*A, "new", override=True)
                changes.swap(*B, "new")
            return world.slot(A).bound.provider, world.serves(A), world.serves(B)

    assert run(main) == ("new", None, "new")


def test_exclusive_swap_of_what_is_paused(run):
    """What cannot overlap is swapped with override behind the bar: nobody comes in while it is, nor after."""

    async def main():
        async with World() as world:
            world.add(A, "new", policies=Policies(mode="exclusive"))
            await bound(world, policies=Policies(mode="exclusive"))
            await world.runtime.pause(*A)
            await world.swap(A, "new", override=True)
            with pytest.raises(Paused):
                await world.use(A)
            await world.runtime.resume(*A)
            return await world.use(A)

    assert run(main) == "new"


def test_exclusive_swap_of_what_others_have(run, clock):
    """What another part was built from is exchanged at once: that one would have kept it for ever."""

    async def main():
        async with World(forced=True) as world:
            world.add(A, "new", policies=Policies(mode="exclusive"))
            world.add(A, "old", policies=Policies(mode="exclusive"))
            world.add(B, "user", needs=[Need(A)])
            await world.use(B)
            world.shop.forced.update(world.shop.made)
            await world.swap(A, "new")
            await settle(world)
            return clock.time() < 1, world.slot(B).bound.number

    assert run(main) == (True, 2)


# --- draining ----------------------------------------------------------------------------------------------------------


def test_drain(run, clock):
    """Users are told and waited for; then it is closed, once, and the next use after the resume activates."""

    async def main():
        async with World() as world:
            await bound(world)
            async with world.runtime.use(*A) as product:
                draining = asyncio.create_task(world.runtime.drain(*A, actor="ann"))
                await asyncio.sleep(10)
                before = product.closed, world.status(A).phase, world.runtime.activity()[A].drained
            reports = await draining
            after = product.closes, world.status(A).phase, world.runtime.activity()[A].drained
            await world.runtime.resume(*A)
            empty = world.status(A).phase
            return before, reports, after, empty, await world.use(A)

    assert run(main) == (
        (False, "ready", False),
        [DrainReport(A, True, 10.0, (), "old")],
        (1, "drained", True),
        "empty",
        "old",
    )


def test_users_are_told(run):
    """A long user hears that he should finish, and if it is taken back that he need not."""

    async def main():
        async with World() as world:
            await bound(world)
            lease = world.runtime.use(*A)
            async with lease:
                waiting = asyncio.create_task(lease.until_retiring())
                draining = asyncio.create_task(world.runtime.drain(*A))
                await asyncio.wait_for(waiting, 1)
                during = lease.retiring
                await world.runtime.resume(*A)
                [report] = await draining
                await asyncio.sleep(100)
                return during, lease.retiring, report.finished, world.serves(A), world.status(A).swaps

    assert run(main) == (True, False, False, "old", 0)


def test_drain_timeout(run, clock):
    """Who does not go in time is named, and it is closed over his head."""

    async def main():
        async with World({"lifecycle": {"drain_timeout": 5}}, forced=True) as world:
            await bound(world)
            done = asyncio.Event()

            async def hold_on():
                async with world.runtime.use(*A):
                    await done.wait()

            holding = asyncio.create_task(hold_on(), name="stubborn")
            await asyncio.sleep(1)
            [report] = await world.runtime.drain(*A)
            closed_at = clock.time()
            done.set()
            await holding
            return report, closed_at

    assert run(main) == (DrainReport(A, False, 5.0, ("task stubborn",), "old"), 6.0)


def test_drain_of_a_domain(run):
    """Of a domain every part is drained, those that were built from others first; none waits for its time to be over."""

    async def main():
        async with World() as world:
            world.add(A, "base")
            world.add(B, "user", needs=[Need(A)])
            await world.use(B)
            reports = await world.runtime.drain("adapter")
            return [(each.key.name, each.finished, each.seconds < 2) for each in reports]

    assert run(main) == [("a", True, True), ("b", True, True)]


def test_what_was_built_from_what_is_drained(run):
    """It is named; when the part is resumed, it is brought up again, and what was built from it is built anew."""

    async def main():
        async with World({"lifecycle": {"drain_timeout": 5}}, forced=True) as world:
            world.add(A, "base")
            world.add(B, "user", needs=[Need(A)])
            await world.use(B)
            world.shop.forced.update(world.shop.made)
            [report] = await world.runtime.drain(*A)
            during = world.serves(A), world.slot(B).bound.number
            await world.runtime.resume(*A)
            await settle(world)
            return report.left, during, world.serves(A), world.slot(B).bound.number

    assert run(main) == (("adapter:b, which was built from it",), (None, 1), "base", 2)


def test_what_was_replaced_before_is_drained(run):
    """What an earlier swap has left to a part that is held goes with the rest, and that part is built anew later."""

    async def main():
        async with World({"lifecycle": {"drain_timeout": 5}}, forced=True) as world:
            world.add(A, "base")
            world.add(A, "next", priority=-1)
            world.add(B, "user", needs=[Need(A)])
            await world.use(B)
            world.shop.forced.update(world.shop.made)
            await world.runtime.hold(*B)
            await world.swap(A, "next")
            [report] = await world.runtime.drain(*A)
            during = [product.closes for product in world.shop.made], len(world.slot(A).alive)
            await world.runtime.resume(*A)
            await world.runtime.resume(*B)
            await settle(world)
            return report, during, world.serves(A), world.slot(B).bound.number

    left = ("adapter:b, which was built from it",)
    assert run(main) == (DrainReport(A, False, 5.0, left, "next"), ([1, 0, 1], 0), "next", 2)


def test_drained_with_a_change_waiting(run):
    """What waited for a drained part needs no swap: whoever uses it next gets the latest."""

    async def main():
        async with World(ON) as world:
            await bound(world)
            await world.runtime.hold(*A)
            world.add(A, "better", priority=5)
            await settle(world)
            await world.runtime.drain(*A)
            await world.runtime.resume(*A)
            await settle(world)
            return world.status(A).phase, world.status(A).pending, len(world.shop.made), await world.use(A)

    assert run(main) == ("empty", "", 1, "better")


def test_closing_while_draining(run, clock):
    """Closing the runtime waits for no drain beyond its own time, and closes it once."""

    async def main():
        async with World({"lifecycle": {"drain_timeout": 1000, "shutdown_timeout": 5}}, forced=True) as world:
            await bound(world)
            lease = world.runtime.lease(*A)
            lease.__enter__()
            draining = asyncio.create_task(world.runtime.drain(*A))
            await asyncio.sleep(1)
            closing = asyncio.create_task(world.runtime.close())
            await asyncio.sleep(1)
            lease.__exit__(None, None, None)
            report = await closing
            [drained] = await draining
            return (
                report.left,
                [each.forced for each in report.retirements],
                drained.finished,
                clock.time() < 10,
            )

    assert run(main) == ((), [0], False, True)


def test_a_spare_is_closed_too(run):
    """What was kept warm for a probation goes with what is drained."""

    async def main():
        async with World({"lifecycle": {"probation": 30}}) as world:
            await bound(world)
            world.add(A, "new")
            await world.swap(A, "new")
            await world.runtime.drain(*A)
            return [product.closes for product in world.shop.made], world.status(A).phase

    assert run(main) == ([1, 1], "drained")


# --- until when, and who is told ---------------------------------------------------------------------------------------


def test_it_ends_by_itself(run, clock):
    """At its time a pause ends; a jump of the wall clock is seen within seconds."""

    async def main():
        async with World() as world:
            on_the_wall(world, clock)
            await bound(world)
            await world.runtime.pause(*A, until=EPOCH + 100)
            await asyncio.sleep(90)
            before = world.serves(A)
            await asyncio.sleep(11)
            after = world.serves(A)
            await world.runtime.pause(*A, until=EPOCH + 100_000)
            world.engine.administration.wall = lambda: EPOCH + 200_000
            await asyncio.sleep(6)
            return before, after, world.serves(A), world.runtime.activity()

    assert run(main) == (None, "old", "old", {})


def test_the_stronger_counts(run, clock):
    """Of a part's and its domain's the stronger is in force, and when it ends the other; whose it is is said."""

    async def main():
        async with World() as world:
            on_the_wall(world, clock)
            await bound(world)
            administration = world.engine.administration
            administration.adopt(
                {
                    "adapter": Admin(pause=Mark("bob", EPOCH, EPOCH + 10)),
                    "adapter:a": Admin(hold=Mark("ann", EPOCH)),
                }
            )
            first = administration.activity(A)
            await asyncio.sleep(20)
            return (first.mode, first.actor), administration.activity(A), world.serves(A)

    assert run(main) == (("pause", "bob"), Activity("hold", "ann", "", EPOCH), "old")


def test_who_is_told(run, clock):
    """Plugins hear of each change in order, with who wanted it; of one that ended by itself nobody did."""
    told = Told()

    async def main():
        async with World(plugins=[told]) as world:
            on_the_wall(world, clock)
            await bound(world)
            await world.runtime.hold(*A, actor="ann", note="n", until=EPOCH + 10)
            await asyncio.sleep(20)
            await world.runtime.drain(*A, actor="bob")
            await world.runtime.resume(*A, actor="cid")
            await settle(world)

    run(main)

    assert told.heard == [
        ("a", None, "hold", False, "ann", "n"),
        ("a", "hold", None, False, "", ""),
        ("a", None, "drain", False, "bob", ""),
        ("a", "drain", "drain", True, "bob", ""),
        ("a", "drain", None, False, "cid", ""),
    ]


def test_what_there_is_not(run):
    """A domain that nobody declares is refused by name."""

    async def main():
        async with World() as world:
            with pytest.raises(NothingToCall, match="adaptr"):
                await world.runtime.hold("adaptr")

    run(main)


# --- and at the edges --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hold", "pause"])
def test_what_is_kept_warm_is_not_gone_back_to(run, mode):
    """Going back is refused like a swap, also where it would cost nothing; with override it comes about."""

    async def main():
        async with World({"lifecycle": {"probation": 30}}) as world:
            await bound(world)
            world.add(A, "new")
            await world.swap(A, "new")
            await getattr(world.runtime, mode)(*A, actor="ann")
            with pytest.raises(Held, match="ann"):
                await world.runtime.rollback(*A)
            during = world.slot(A).bound.provider, world.status(A).rollbacks
            report = await world.runtime.rollback(*A, override=True)
            return during, report.outcome, world.slot(A).bound.provider

    assert run(main) == (("new", 0), "rolled_back", "old")


def test_a_domain_counts_for_what_is_bound(run):
    """What is said of a domain is in force for its parts that are there, and for no others."""
    other = Key.of("report", "sales")

    async def main():
        async with World(plugins=[Reports()]) as world:
            for key in (A, B, other):
                await bound(world, key)
            await world.runtime.pause("adapter")
            during = [world.serves(key) for key in (A, B, other)]
            await world.runtime.resume("adapter")
            return during, [world.serves(key) for key in (A, B, other)]

    assert run(main) == ([None, None, "old"], ["old", "old", "old"])


def test_a_drain_of_a_domain_closes_its_parts(run):
    """All that is bound in it, and nothing else."""
    other = Key.of("report", "sales")

    async def main():
        async with World(plugins=[Reports()]) as world:
            for key in (A, B, other):
                await bound(world, key)
            reports = await world.runtime.drain("adapter")
            found = {each.key.name: each.provider for each in reports}
            return found, [product.closes for product in world.shop.made]

    assert run(main) == ({"a": "old", "b": "old"}, [1, 1, 0])


def test_an_operation_under_way_is_finished_before_it_is_drained(run, clock):
    """What an operator began before the drain commits, and is closed with the rest: nothing is bound after it."""

    async def main():
        async with World() as world:
            await bound(world)
            world.add(A, "slow", make=sleeping(10))
            swapping = asyncio.create_task(world.swap(A, "slow"))
            await asyncio.sleep(1)
            [report] = await world.runtime.drain(*A)
            swapped = await swapping
            closes = [product.closes for product in world.shop.made]
            return swapped.new, report.finished, clock.time() >= 10, world.slot(A).bound, closes

    assert run(main) == ("slow", True, True, None, [1, 1])


def test_what_was_bound_after_a_drain_is_drained_too(run):
    """Somebody bound it with override; whoever says drain again has it closed."""

    async def main():
        async with World() as world:
            await bound(world)
            await world.runtime.drain(*A, actor="ann")
            await world.swap(A, "old", override=True)
            before = world.slot(A).bound.provider, world.runtime.activity()[A].drained
            await asyncio.sleep(1)
            [report] = await world.runtime.drain(*A, actor="bob")
            closes = [product.closes for product in world.shop.made]
            return before, report.provider, world.slot(A).bound, world.runtime.activity()[A].drained, closes

    assert run(main) == (("old", False), "old", None, True, [1, 1])


def test_users_of_what_is_kept_warm_are_waited_for(run, clock):
    """Who still has the one before, on probation, is told and waited for like who has the new one."""

    async def main():
        async with World({"lifecycle": {"probation": 100}}) as world:
            await bound(world)
            lease = world.runtime.use(*A)
            async with lease as product:
                world.add(A, "new")
                await world.swap(A, "new")
                draining = asyncio.create_task(world.runtime.drain(*A))
                await asyncio.sleep(10)
                during = lease.retiring, product.closes
            [report] = await draining
            return during, report.finished, report.left, [each.closes for each in world.shop.made]

    assert run(main) == ((True, 0), True, (), [1, 1])


def test_a_drain_does_not_forget_who_served_before(run):
    """What was on probation is gone with the one before it; going back leads there all the same."""

    async def main():
        async with World({"lifecycle": {"probation": 30}}) as world:
            await bound(world)
            world.add(A, "new")
            await world.swap(A, "new")
            await world.runtime.drain(*A)
            await world.runtime.resume(*A)
            await world.use(A)
            before = world.serves(A)
            await world.runtime.rollback(*A)
            return before, world.serves(A)

    assert run(main) == ("new", "old")


def test_who_lost_it_is_in_the_activity(run):
    """Not only in the report: whoever looks later can tell whom it was taken from."""

    async def main():
        async with World({"lifecycle": {"drain_timeout": 5}}, forced=True) as world:
            await bound(world)
            done = asyncio.Event()

            async def hold_on():
                async with world.runtime.use(*A):
                    await done.wait()

            holding = asyncio.create_task(hold_on(), name="stubborn")
            await asyncio.sleep(1)
            await world.runtime.drain(*A)
            left = world.runtime.activity()[A].left
            done.set()
            await holding
            return left

    assert run(main) == ("task stubborn",)


def test_the_drain_timeout_of_a_key(run, clock):
    """What ``[lifecycle.keys]`` says of a part counts for its drain."""
    settings = {"lifecycle": {"drain_timeout": 1000, "keys": {"adapter:a": {"drain_timeout": 3}}}}

    async def main():
        async with World(settings, forced=True) as world:
            await bound(world)
            lease = world.runtime.lease(*A)
            with lease:
                [report] = await world.runtime.drain(*A)
            return report.seconds, len(report.left)

    assert run(main) == (3.0, 1)


def test_whoever_waits_for_a_drain_may_leave(run):
    """Cancelling the caller does not stop it: it is closed when the last user has gone."""

    async def main():
        async with World() as world:
            await bound(world)
            async with world.runtime.use(*A):
                draining = asyncio.create_task(world.runtime.drain(*A))
                await asyncio.sleep(1)
                draining.cancel()
                await asyncio.wait({draining})
                await asyncio.sleep(1)
                during = world.runtime.activity()[A].drained
            await settle(world)
            return draining.cancelled(), during, world.status(A).phase

    assert run(main) == (True, False, "drained")


def test_what_waits_is_said_when_another_change_has_come_about(run):
    """An operator's swap past the hold commits, and what the settings want by then is still pending."""

    async def main():
        async with World() as world:
            world.add(A, "slow", make=sleeping(10))
            world.add(A, "other")
            await bound(world)
            await world.runtime.hold(*A, actor="ann")
            await world.runtime.apply({"adapters": {"selections": {"a": "slow"}}})
            swapping = asyncio.create_task(world.swap(A, override=True))
            await asyncio.sleep(1)
            await world.runtime.apply({"adapters": {"selections": {"a": "other"}}})
            await swapping
            await settle(world)
            return world.serves(A), world.status(A).pending

    assert run(main) == ("slow", "held by ann, and other is wanted")


def test_a_resume_while_it_is_closed_comes_too_late(run):
    """It is finished, and said to be; whoever uses it next gets another."""

    async def main():
        async with World() as world:
            await bound(world, close=sleeping(5))
            draining = asyncio.create_task(world.runtime.drain(*A))
            await asyncio.sleep(1)
            await world.runtime.resume(*A)
            [report] = await draining
            closes = [product.closes for product in world.shop.made]
            return report.finished, closes, await world.use(A), len(world.shop.made)

    assert run(main) == (True, [1], "old", 2)


def test_what_is_bound_meanwhile_is_not_drained(run):
    """With override, while what was bound before is still being closed: the part is not said to be drained."""

    async def main():
        async with World() as world:
            await bound(world, close=sleeping(5))
            draining = asyncio.create_task(world.runtime.drain(*A))
            await asyncio.sleep(1)
            world.add(A, "new")
            await world.swap(A, "new", override=True)
            await draining
            return world.slot(A).bound.provider, world.runtime.activity()[A].drained, world.status(A).phase

    assert run(main) == ("new", False, "ready")


def test_what_waits_is_one_and_none_of_it_is_lost(run):
    """Other settings, and then a part it was built from: it is built anew, although the settings came first."""

    async def main():
        async with World() as world:
            world.add(A, "new")
            world.add(A, "old")
            world.add(B, "other", needs=[Need(A)])
            world.add(B, "user", needs=[Need(A)])
            await world.use(B)
            await world.runtime.hold(*B)
            for name in ("other", "user"):
                await world.runtime.apply({"adapters": {"selections": {"b": name}}})
            await world.swap(A, "new")
            await settle(world)
            during = world.slot(B).bound.number
            await world.runtime.resume(*B)
            await settle(world)
            return during, world.slot(B).bound.number, world.serves(B)

    assert run(main) == (1, 2, "user")


def test_a_clock_that_is_set_back_prolongs(run, clock):
    """It ends when the clock on the wall says so, and not as long after its beginning as was meant then."""
    behind = 0.0

    async def main():
        nonlocal behind
        async with World() as world:
            await bound(world)
            wall = lambda: EPOCH + clock.time() - behind  # noqa: E731
            world.engine.administration.wall = world.runtime.control._wall = wall
            await world.runtime.pause(*A, until=EPOCH + 100)
            await asyncio.sleep(50)
            behind = 1000.0
            await asyncio.sleep(500)
            during = world.serves(A)
            await asyncio.sleep(560)
            return during, world.serves(A)

    assert run(main) == (None, "old")


def test_what_has_ended_is_in_force_again_when_the_clock_is_set_back(run, clock):
    """Within seconds; and what is said of it is never something else than what is in force."""
    ahead = 0.0

    async def main():
        nonlocal ahead
        async with World() as world:
            await bound(world)
            world.engine.administration.wall = lambda: EPOCH + clock.time() + ahead
            await world.runtime.pause(*A, until=EPOCH + 100)
            found = []
            for jump in (200.0, 0.0):
                ahead = jump
                await asyncio.sleep(6)
                modes = [each.mode for each in world.runtime.activity().values()]
                found.append((world.serves(A), modes))
            return found

    assert run(main) == [("old", []), (None, ["pause"])]


def test_in_a_script():
    """What may be said on the loop may be said by whoever waits: each does what its name says."""
    with assemble({}, environment=False).blocking as runtime:
        runtime.runtime.register(Candidate.ready(A, "old", "it"))
        with runtime.use(*A):
            pass
        found = []
        for say in (runtime.hold, runtime.pause, runtime.drain):
            say(*A, actor="ann", note="why")
            each = runtime.activity()[A]
            found.append((each.mode, each.actor, each.reason, each.drained))
        runtime.note(*A, "ask bob")
        runtime.resume(*A)
        after = runtime.activity(), runtime.runtime.bound(*A)
        with pytest.raises(NothingToCall):
            runtime.hold("adaptr")

    assert found == [(mode, "ann", "why", mode == "drain") for mode in ("hold", "pause", "drain")]
    assert after == ({}, None)
