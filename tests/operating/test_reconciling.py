"""What operators write into the store is made so by every process that keeps going, and what came of it is there."""

import asyncio
import itertools
import logging

from oneiric_hookspecs import Domain, Key, NotServing, StateError, hookimpl

from oneiric.state import Desired, Event, living

A, B = Key.of("adapter", "a"), Key.of("adapter", "b")


async def two(world):
    """``old`` serves, ``new`` could."""
    world.add(A, "old")
    world.add(A, "new", priority=-1)
    await world.use(A)


def test_a_pin_is_swapped_to(run, keeping):
    """By the node, with the actor of the pin; what it says of the part has come up to the pin's revision."""

    async def main():
        async with keeping(prepare=two) as node:
            seen = await node.acted(await node.desired.pin(A, "new", actor="ann"))
            events = await node.events("swap")
            return seen, node.world.serves(A), [(e.actor, e.cause, e.old, e.new, e.node) for e in events]

    seen, serves, events = run(main)
    assert (seen.provider, seen.outcome, seen.exit, seen.told, seen.previous) == (
        "new",
        "swapped",
        0,
        "",
        "old",
    )
    assert serves == "new"
    assert events == [("ann", "operator", "old", "new", "node")]


def test_a_pin_that_is_dropped_goes_back(run, keeping):
    """To whoever wins without it."""

    async def main():
        async with keeping(prepare=two) as node:
            await node.acted(await node.desired.pin(A, "new"))
            seen = await node.acted(await node.desired.unpin(A))
            return seen.provider, seen.outcome

    assert run(main) == ("old", "swapped")


def test_a_bad_one_is_told_and_the_old_one_serves(run, keeping):
    """With the code that a command exits with; and when the pin is put back, nothing is tried again."""
    tries = []

    def make(product):
        tries.append(product)
        raise OSError("no route to host")

    async def main():
        async def prepare(world):
            await two(world)
            world.add(A, "bad", priority=-2, make=make)

        async with keeping(prepare=prepare) as node:
            seen = await node.acted(await node.desired.pin(A, "bad"))
            during = node.world.serves(A)
            after = await node.acted(await node.desired.unpin(A))
            made = len(tries)
            await asyncio.sleep(600)
            return seen, during, after, len(tries) - made

    seen, during, after, again = run(main)
    assert (seen.outcome, seen.exit, seen.provider) == ("failed", 4, "old")
    assert "no route to host" in seen.told
    assert during == "old"
    assert (after.outcome, after.provider, again) == ("unchanged", "old", 0)


def test_what_nobody_has_is_an_error_of_its_own(run, keeping):
    """A provider, and a part, that are not registered: exit 3."""

    async def main():
        async with keeping(prepare=two) as node:
            provider = await node.acted(await node.desired.pin(A, "nosuch"))
            part = await node.acted(await node.desired.pin(B, "any"), B)
            return (provider.outcome, provider.exit), (part.outcome, part.exit, part.phase)

    assert run(main) == (("failed", 3), ("failed", 3, "empty"))


def test_a_pin_activates_while_it_runs_and_not_at_the_start(run, keeping):
    """What was pinned before counts when the part is first used; what is pinned now is wanted now."""

    async def main():
        async def registered(world):
            world.add(A, "old")
            world.add(A, "new", priority=-1)
            world.add(B, "old")
            world.add(B, "new", priority=-1)
            from oneiric.state import Desired

            await Desired(world.runtime.state).pin(A, "new")

        async with keeping(prepare=registered) as node:
            await asyncio.sleep(60)
            at_start = node.world.serves(A), await node.world.use(A)
            seen = await node.acted(await node.desired.pin(B, "new"), B)
            return at_start, (seen.provider, seen.outcome), node.world.serves(B)

    assert run(main) == ((None, "new"), ("new", "activated"), "new")


def test_a_pin_ends_when_it_is_over(run, keeping, wall):
    """By the wall clock; the part goes back by itself, and history tells why."""

    async def main():
        async with keeping(prepare=two) as node:
            await node.acted(await node.desired.pin(A, "new", actor="ann", until=wall() + 100))
            before = node.world.serves(A)
            await asyncio.sleep(110)
            events = await node.events("unpin")
            return before, node.world.serves(A), [(e.actor, e.cause, e.old) for e in events]

    assert run(main) == ("new", "old", [("ann", "expiry", "new")])


def test_what_failed_is_tried_again_until_its_cause_is_gone(run, keeping):
    """A pin that nobody takes back is not forgotten; and not tried all the time either."""
    well, tries = False, 0

    def make(product):
        nonlocal tries
        tries += 1
        if not well:
            raise OSError("no route to host")

    async def main():
        nonlocal well

        async def prepare(world):
            await two(world)
            world.add(A, "later", priority=-2, make=make)

        async with keeping(prepare=prepare) as node:
            await node.acted(await node.desired.pin(A, "later"))
            await asyncio.sleep(600)
            tried = tries
            well = True
            await asyncio.sleep(90)
            seen = await node.seen()
            return tried, node.world.serves(A), (seen.error, seen.outcome, seen.told, seen.exit)

    tried, serves, told = run(main)
    assert 5 < tried < 25
    assert (serves, told) == ("later", ("", "swapped", "", 0))


def test_a_better_registry_is_looked_at_at_once(run, keeping):
    """What could not be done for want of a candidate is done when it is there."""

    async def main():
        async with keeping(prepare=two) as node:
            await node.acted(await node.desired.pin(A, "late"))
            await asyncio.sleep(300)
            node.world.add(A, "late", priority=-5)
            await asyncio.sleep(3)
            return node.world.serves(A)

    assert run(main) == "late"


def test_a_pause_from_elsewhere_is_in_force_and_ends(run, keeping):
    """New users are refused; those that are there go on; a resume lets them in."""

    async def main():
        async with keeping(prepare=two) as node:
            with node.runtime.lease(*A) as product:
                revision = await node.desired.impose(A, "pause", actor="ann", note="moving")
                seen = await node.acted(revision)
                try:
                    async with node.runtime.use(*A):
                        refused = ""
                except NotServing as error:
                    refused = type(error).__name__
                used = product.use()
            await node.acted(await node.desired.resume(A))
            return seen.mode, refused, used, await node.world.use(A), (await node.seen()).mode

    assert run(main) == ("pause", "Paused", "old", "old", None)


def test_a_domain_is_paused_as_a_whole(run, keeping):
    """Its parts, those that come later too; that the node has taken it in is in what it says about itself."""

    async def main():
        async with keeping(prepare=two) as node:
            revision = await node.desired.impose("adapter", "pause")
            await asyncio.sleep(1)
            from oneiric.state import living

            [alive] = await living(node.store)
            node.world.add(B, "b")
            refused = []
            for key in (A, B):
                try:
                    async with node.runtime.use(*key):
                        refused.append(None)
                except NotServing as error:
                    refused.append(type(error).__name__)
            return alive.node.desired >= revision, refused

    assert run(main) == (True, ["Paused", "Paused"])


def test_what_is_changed_while_held_comes_at_the_resume_once_and_the_latest(run, keeping):
    """Three changes of the settings while it is held: one swap, when it is resumed."""

    async def main():
        async def prepare(world):
            for number, name in enumerate(["one", "two", "three", "four"]):
                world.add(A, name, priority=-number)
            await world.use(A)

        async with keeping(prepare=prepare) as node:
            await node.acted(await node.desired.impose(A, "hold"))
            for name in ("two", "three", "four"):
                await node.runtime.apply(
                    {"state": {"url": "memory:"}, "adapters": {"selections": {"a": name}}}
                )
                await asyncio.sleep(20)
            during = node.world.serves(A)
            await node.acted(await node.desired.resume(A))
            await asyncio.sleep(5)
            swaps = await node.events("swap")
            await asyncio.sleep(300)
            return (
                during,
                node.world.serves(A),
                [(e.old, e.new) for e in swaps],
                len(await node.events("swap")),
            )

    assert run(main) == ("one", "four", [("one", "four")], 1)


def test_what_is_chosen_here_is_written_there(run, keeping):
    """``runtime.swap`` in the process, and its going back."""

    async def main():
        async with keeping(prepare=two) as node:
            await node.runtime.swap(*A, "new", actor="ann")
            await node.at_rest()
            pinned = await node.desired.pinned(A)
            await node.runtime.swap(*A, actor="bob")
            await node.at_rest()
            after = await node.desired.pinned(A)
            events = await node.events("pin", "unpin", "swap")
            return (pinned.provider, pinned.mark.actor), after, [(e.kind, e.actor, e.new) for e in events]

    pinned, after, events = run(main)
    assert (pinned, after) == (("new", "ann"), None)
    assert sorted(events) == [
        ("pin", "ann", "new"),
        ("swap", "ann", "new"),
        ("swap", "bob", "old"),
        ("unpin", "bob", None),
    ]


def test_a_hold_said_here_is_written_there(run, keeping):
    """With who, why, and how long."""

    async def main():
        async with keeping(prepare=two) as node:
            await node.runtime.hold(*A, actor="ann", note="moving", until=2_000_000_000.0)
            admin = await node.desired.admin(A)
            await node.runtime.resume(*A, actor="bob")
            return (
                admin.hold,
                await node.desired.admin(A),
                [(e.kind, e.actor, e.reason) for e in await node.events("hold", "resume")],
            )

    hold, after, events = run(main)
    assert (hold.actor, hold.note, hold.until) == ("ann", "moving", 2_000_000_000.0)
    assert after.hold is None
    assert events == [("hold", "ann", "moving"), ("resume", "bob", "")]


# --- faults ------------------------------------------------------------------------------------------------------------


class Away:
    """A store whose methods raise while it is told to."""

    def __init__(self, monkeypatch, store, error):
        self.away = False
        for name in ("get", "put", "scan", "delete", "revision", "beat", "nodes", "append", "read"):
            monkeypatch.setattr(store, name, self._method(getattr(store, name), error))

    def _method(self, method, error):
        async def call(*arguments, **more):
            if self.away:
                raise error
            return await method(*arguments, **more)

        return call


def test_a_store_that_goes_away_loses_nothing(run, keeping, monkeypatch, caplog):
    """Whatever it raises: what happens meanwhile is written when it is back, in order, with the time when it was.

    What was wanted is done then.
    """
    caplog.set_level(logging.CRITICAL, "oneiric")

    async def main(error):
        async with keeping(prepare=two) as node:
            store = Away(monkeypatch, node.store, error)
            await node.at_rest()
            store.away = True
            engine = node.world.engine
            from oneiric.activation import Want

            for _ in range(3):
                await engine.operations.request(engine.slot(A), Want(reload=True), "settings")
            await asyncio.sleep(120)
            store.away = False
            await asyncio.sleep(60)
            revision = await node.desired.pin(A, "new")
            seen = await node.acted(revision)
            swaps = await node.events("swap")
            numbers = [(e.kind, e.new) for e in swaps]
            assert swaps[2].at < swaps[3].at - 120
            return seen.provider, numbers, [each.failures for each in node.orchestrator.loops]

    for error in (StateError("gone"), OSError("disk"), ZeroDivisionError(), asyncio.CancelledError()):
        provider, events, failures = run(main(error))
        assert provider == "new"
        assert events == [("swap", "old")] * 3 + [("swap", "new")], error
        assert set(failures) == {0}
        monkeypatch.undo()


def test_damaged_wishes_are_told_and_the_last_good_ones_stay(run, keeping, caplog):
    """What is said of others counts at once; the damaged one stays as it was, is shown, and can be taken back."""

    async def main():
        async def prepare(world):
            await two(world)
            world.add(B, "old")
            world.add(B, "new", priority=-1)
            await world.use(B)

        async with keeping(prepare=prepare) as node:
            await node.acted(await node.desired.pin(A, "new"))
            await node.store.put("desired/pins/adapter:a", {"provider": 7})
            async with asyncio.timeout(1):
                await node.acted(await node.desired.pin(B, "new"), B)
            await asyncio.sleep(60)
            serves = node.world.serves(A), node.world.serves(B)
            [why] = [each for each in node.orchestrator.summary().reasons if "wishes" in each]
            await node.acted(await node.desired.unpin(A))
            after = node.world.serves(A), [e for e in node.orchestrator.summary().reasons if "wishes" in e]
            return serves, why, after

    serves, why, after = run(main)
    assert serves == ("new", "new")
    assert "desired/pins/adapter:a is damaged" in why
    assert why.endswith("to take it back: oneiric unpin adapter a")
    assert after == ("old", [])
    assert [each.getMessage() for each in caplog.records if "is damaged" in each.getMessage()] == [
        "desired/pins/adapter:a is damaged: provider: expected a text, found 7; what was wanted before stands;"
        " to take it back: oneiric unpin adapter a"
    ]


def test_a_damaged_wish_keeps_nobody_from_starting(run, keeping, caplog):
    """It wants nothing, and that is said; the others count."""

    async def main():
        async def prepare(world):
            world.add(A, "old")
            world.add(A, "new", priority=-1)
            await world.runtime.state.put("desired/pins/adapter:b", "new")
            await Desired(world.runtime.state).pin(A, "new")

        async with keeping(prepare=prepare) as node:
            return await node.world.use(A)

    assert run(main) == "new"
    assert "desired/pins/adapter:b is damaged" in caplog.text


def test_what_was_written_is_written_anew_when_it_is_gone(run, keeping, caplog):
    """The store was lost, or another node has taken this one for gone: its parts and its health are seen again."""

    async def main():
        async with keeping(prepare=two) as node:
            await asyncio.sleep(10)
            before = await node.seen()
            await node.observed.clear("node")
            await asyncio.sleep(10)
            return before, await node.seen(), await node.observed.summary("node") is not None

    before, after, summed = run(main)
    assert (after.provider, after.phase, after.generation) == (
        before.provider,
        before.phase,
        before.generation,
    )
    assert summed
    assert [each.getMessage() for each in caplog.records if "anew" in each.getMessage()] == [
        "what this node had written is not there any more, and is written anew; "
        "what operators had said is not, if the store was lost"
    ]


def test_many_choices_here_are_as_many_swaps(run, keeping):
    """What is read of them from the store is older than what has come about since: nobody swaps back to it."""

    async def main():
        async with keeping(prepare=two) as node:
            for number in range(50):
                await node.runtime.swap(*A, ("new", "old")[number % 2])
                if number % 7 == 0:
                    await asyncio.sleep(0.001 * number)
            await asyncio.sleep(10)
            pinned = await node.desired.pinned(A)
            return len(await node.events("swap")), node.world.serves(A), pinned.provider

    assert run(main) == (50, "old", "old")


def test_the_last_word_counts_wherever_it_was_said(run, keeping):
    """One from elsewhere after one of here."""

    async def main():
        async with keeping(prepare=two) as node:
            await node.runtime.swap(*A, "new")
            await node.at_rest()
            await node.acted(await node.desired.pin(A, "old"))
            first = node.world.serves(A)
            await node.runtime.swap(*A, "new")
            await node.at_rest()
            await node.acted(await node.desired.unpin(A))
            return first, node.world.serves(A), await node.desired.pinned(A)

    assert run(main) == ("old", "old", None)


def test_a_pin_of_what_nobody_has_registered_for_hinders_no_other(run, keeping):
    """The loop goes on, and no part is made of it; it is brought up when somebody registers for it."""

    async def main():
        async with keeping(prepare=two) as node:
            await node.acted(await node.desired.pin(B, "late"), B)
            await asyncio.sleep(60)
            failures = {each.failures for each in node.orchestrator.loops}
            parts = [each.key for each in node.runtime.status().slots]
            node.world.add(B, "late")
            await asyncio.sleep(3)
            return failures, parts, node.world.serves(B)

    assert run(main) == ({0}, [A], "late")


def test_a_pin_counts_again_when_the_clock_is_set_back(run, keeping, wall):
    """Before its end it is in force, whatever time it was meanwhile."""
    ahead = 0.0

    async def main():
        nonlocal ahead
        async with keeping(prepare=two, clock_of=lambda: wall() + ahead) as node:
            await node.acted(await node.desired.pin(A, "new", until=wall() + 1000))
            found = [node.world.serves(A)]
            for jump in (2000.0, 0.0):
                ahead = jump
                await asyncio.sleep(10)
                found.append(node.world.serves(A))
            return found

    assert run(main) == ["new", "old", "new"]


def test_whoever_waits_goes_on_though_the_node_cannot_say_how_far_it_is(run, keeping, monkeypatch):
    """What was imposed is in force; the next sign of life says so."""

    async def main():
        async with keeping(prepare=two) as node:
            member, real = node.orchestrator.member, node.orchestrator.member.beat
            failed = []

            async def beat():
                if not failed:
                    failed.append(True)
                    raise StateError("gone")
                await real()

            monkeypatch.setattr(member, "beat", beat)
            async with asyncio.timeout(60):
                await node.runtime.pause(*A)
            await asyncio.sleep(30)
            [alive] = await living(node.store)
            return failed, alive.node.desired >= await node.desired.revision()

    assert run(main) == ([True], True)


def test_events_are_bounded_behind_a_choice_that_cannot_be_written(run, keeping, monkeypatch, caplog):
    """The oldest are lost, and counted; the choice is written when the store is back."""
    caplog.set_level(logging.CRITICAL, "oneiric")
    monkeypatch.setattr("oneiric.orchestrator.recording.KEPT", 20)

    async def main():
        async with keeping(prepare=two) as node:
            await node.at_rest()
            store = Away(monkeypatch, node.store, StateError("gone"))
            store.away = True
            await node.runtime.swap(*A, "new")
            for number in range(100):
                node.orchestrator.recorder.tell(Event("note", reason=str(number)))
            store.away = False
            await asyncio.sleep(60)
            told = [each.reason for each in await node.events("note")]
            return (
                told[-1],
                len(told) <= 20,
                node.orchestrator.recorder.dropped > 80,
                (await node.desired.pinned(A)).provider,
            )

    assert run(main) == ("99", True, True, "new")


# --- when it is looked at, and how often -------------------------------------------------------------------------------


def test_tries_come_less_and_less_often(run, keeping):
    """After a second, two, four, and so on, up to a minute; and what is wanted is shown as pending meanwhile."""
    tries = []

    def make(product):
        tries.append(asyncio.get_running_loop().time())
        raise OSError("no route to host")

    async def main():
        async def prepare(world):
            await two(world)
            world.add(A, "bad", priority=-2, make=make)

        async with keeping({"orchestrate": {"rescan": 0.1}}, prepare=prepare) as node:
            await node.acted(await node.desired.pin(A, "bad"))
            await asyncio.sleep(300)
            return [round(later - earlier) for earlier, later in itertools.pairwise(tries)]

    assert run(main) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_cannot_be_done_is_pending(run, keeping):
    """From the first failure until it is done, or is not wanted any more: the node says so."""

    def make(product):
        raise OSError("no route to host")

    async def main():
        async def prepare(world):
            await two(world)
            world.add(A, "bad", priority=-2, make=make)

        async with keeping(prepare=prepare) as node:
            found = [(await node.acted(await node.desired.pin(A, "bad"))).pending]
            await asyncio.sleep(100)
            found.append((await node.seen()).pending)
            await node.acted(await node.desired.unpin(A))
            await asyncio.sleep(5)
            found.append((await node.seen()).pending)
            return found

    at_once, later, after = run(main)
    assert "no route to host" in at_once
    assert "no route to host" in later
    assert after == ""


def test_a_hint_makes_it_look_at_once(run, keeping, clock):
    """However seldom it looks by itself: what operators want, and what they ask for."""

    async def main():
        async with keeping({"orchestrate": {"rescan": 1000.0}}, prepare=two) as node:
            await asyncio.sleep(100)
            began = clock.time()
            await node.acted(await node.desired.pin(A, "new"))
            wanted = clock.time() - began
            await asyncio.sleep(100)
            began = clock.time()
            await node.answers(await node.requests.ask("probe"))
            return wanted < 0.5, clock.time() - began < 0.5

    assert run(main) == (True, True)


def test_a_hint_that_is_missed_is_only_late(run, keeping, clock, monkeypatch):
    """A store that gives none: it looks every ``[orchestrate] rescan`` seconds all the same."""

    async def silent(prefix):
        await asyncio.Event().wait()
        yield prefix

    async def main():
        async def prepare(world):
            monkeypatch.setattr(world.runtime.state, "changes", silent)
            await two(world)

        async with keeping({"orchestrate": {"rescan": 20.0}}, prepare=prepare) as node:
            await asyncio.sleep(101)
            began = clock.time()
            await node.acted(await node.desired.pin(A, "new"))
            wanted = clock.time() - began
            began = clock.time()
            await node.answers(await node.requests.ask("probe"))
            return 0.5 < wanted <= 20.5, clock.time() - began <= 20.5

    assert run(main) == (True, True)


def test_a_domain_and_a_part_of_another_at_once(run, keeping):
    """Both were said before the node has looked: both are in force."""
    mine = Key.of("report", "sales")

    class Reports:
        @hookimpl
        def oneiric_domains(self):
            yield Domain("report", "reports")

    async def main():
        async def prepare(world):
            await two(world)
            world.add(mine, "it")
            await world.use(mine)

        async with keeping(prepare=prepare, plugins=[Reports()]) as node:
            await node.desired.impose("report", "pause")
            await node.acted(await node.desired.impose(A, "pause"))
            return node.world.serves(A), node.world.serves(mine)

    assert run(main) == (None, None)


def test_a_pause_ends_by_the_clock_of_the_node(run, keeping, wall):
    """When it is over, also when that is set back: then it is in force again; and history tells of its end."""
    ahead = 0.0

    async def main():
        nonlocal ahead
        async with keeping(prepare=two, clock_of=lambda: wall() + ahead) as node:
            await node.acted(await node.desired.impose(A, "pause", actor="ann", until=wall() + 1000))
            found = [node.world.serves(A)]
            for jump in (2000.0, 0.0):
                ahead = jump
                await asyncio.sleep(10)
                found.append(node.world.serves(A))
            await asyncio.sleep(1000)
            found.append(node.world.serves(A))
            return found, [(e.kind, e.actor, e.old) for e in await node.events("expire")]

    told = ("expire", "ann", "pause")
    assert run(main) == ([None, "old", None, "old"], [told, told])


# --- what is written ---------------------------------------------------------------------------------------------------


def test_ten_thousand_events_are_kept_in_their_order(run, keeping, monkeypatch, caplog):
    """While the store is away: the latest so many, without a gap; the oldest of more than that are lost, and counted."""
    caplog.set_level(logging.CRITICAL, "oneiric")

    async def main():
        async with keeping({"state": {"url": "memory:", "history_records": 50_000}}, prepare=two) as node:
            await node.at_rest()
            store = Away(monkeypatch, node.store, StateError("gone"))
            store.away = True
            for number in range(10_007):
                node.orchestrator.recorder.tell(Event("note", reason=str(number)))
            await asyncio.sleep(60)
            store.away = False
            await asyncio.sleep(60)
            told = await node.history.read(limit=50_000)
            numbers = [int(each.event.reason) for each in told if each.event.kind == "note"]
            return numbers == list(range(7, 10_007)), node.orchestrator.recorder.dropped

    assert run(main) == (True, 7)


def test_a_swap_writes_a_row_of_its_part_and_of_no_other(run, keeping, monkeypatch):
    """So it costs the same beside many; and a node at which nothing happens writes nothing but its sign of life."""

    async def main():
        async def prepare(world):
            await two(world)
            for number in range(20):
                key = Key.of("adapter", f"p{number}")
                world.add(key, "it")
                await world.use(key)

        async with keeping(prepare=prepare) as node:
            await asyncio.sleep(60)
            written, put = [], node.store.put

            async def noted(key, value, **more):
                written.append(key)
                return await put(key, value, **more)

            monkeypatch.setattr(node.store, "put", noted)
            await asyncio.sleep(300)
            quiet = list(written)
            await node.runtime.swap(*A, "new")
            await asyncio.sleep(300)
            return quiet, {key for key in written if key.startswith("observed/")}

    assert run(main) == ([], {"observed/node/adapter:a"})


def test_an_operation_waits_for_no_store(run, keeping, clock, monkeypatch):
    """One that does not answer delays nobody: neither the swap, nor users, nor the next swap."""

    async def never(*_, **__):
        await asyncio.Event().wait()

    async def main():
        async with keeping(prepare=two) as node:
            await node.at_rest()
            with monkeypatch.context() as patched:
                for name in ("get", "put", "scan", "delete", "revision", "beat", "append"):
                    patched.setattr(node.store, name, never)
                began = clock.time()
                await node.runtime.swap(*A, "new")
                found = [await node.world.use(A)]
                await node.runtime.swap(*A, "old")
                found.append(await node.world.use(A))
                took = clock.time() - began
            return found, took < 0.1

    assert run(main) == (["new", "old"], True)


def test_choices_while_the_store_is_away_are_one_for_each_part(run, keeping, monkeypatch, caplog):
    """However many: what is kept of them does not grow, and the last one is written when the store is back."""
    caplog.set_level(logging.CRITICAL, "oneiric")

    async def main():
        async with keeping(prepare=two) as node:
            await node.at_rest()
            store = Away(monkeypatch, node.store, StateError("gone"))
            store.away = True
            for number in range(101):
                await node.runtime.swap(*A, ("new", "old")[number % 2])
            waiting = len(node.orchestrator.recorder._choices)
            store.away = False
            await asyncio.sleep(60)
            pins = await node.events("pin")
            return waiting, (await node.desired.pinned(A)).provider, len(pins), node.world.serves(A)

    assert run(main) == (1, "new", 101, "new")


def test_a_choice_that_is_dropped_before_it_was_written_is_told(run, keeping, monkeypatch, caplog):
    """History has both, and nothing is pinned."""
    caplog.set_level(logging.CRITICAL, "oneiric")

    async def main():
        async with keeping(prepare=two) as node:
            await node.at_rest()
            store = Away(monkeypatch, node.store, StateError("gone"))
            store.away = True
            await node.runtime.swap(*A, "new")
            node.runtime.unpin(*A)
            await asyncio.sleep(1)
            store.away = False
            await asyncio.sleep(60)
            return [e.kind for e in await node.events("pin", "unpin")], await node.desired.pinned(A)

    assert run(main) == (["pin", "unpin"], None)


def test_what_is_pinned_while_held_comes_at_the_resume(run, keeping):
    """It is refused by name, and is pending: a pin that nobody takes back is brought about by the resume."""

    async def main():
        async with keeping(prepare=two) as node:
            await node.acted(await node.desired.impose(A, "hold", actor="ann"))
            seen = await node.acted(await node.desired.pin(A, "new"))
            during = seen.outcome, seen.exit, seen.provider, seen.pending
            await asyncio.sleep(100)
            waits = node.world.serves(A)
            await node.acted(await node.desired.resume(A))
            await asyncio.sleep(10)
            seen = await node.seen()
            return during, waits, (seen.outcome, seen.exit, seen.provider, seen.pending)

    held = "held by ann, and new is wanted"
    assert run(main) == (("held", 4, "old", held), "old", ("swapped", 0, "new", ""))


def test_what_is_pinned_while_held_and_taken_back_is_forgotten(run, keeping):
    """As a command does that was refused: nothing is pending, and the resume changes nothing."""

    async def main():
        async with keeping(prepare=two) as node:
            await node.acted(await node.desired.impose(A, "hold", actor="ann"))
            await node.acted(await node.desired.pin(A, "new"))
            await node.acted(await node.desired.unpin(A))
            during = (await node.seen()).pending
            await node.acted(await node.desired.resume(A))
            await asyncio.sleep(100)
            return during, node.world.serves(A), len(await node.events("swap")), (await node.seen()).pending

    assert run(main) == ("", "old", 0, "")


def test_how_a_drain_went_is_written_down(run, keeping):
    """When the last user has gone, or has lost it: then it is said who."""

    async def main():
        settings = {"lifecycle": {"drain_timeout": 5}}
        async with keeping(settings, prepare=two, forced=True) as node:
            await node.desired.impose(A, "drain", actor="ann")
            await asyncio.sleep(10)
            await node.acted(await node.desired.resume(A))
            await node.world.use(A)
            with node.runtime.lease(*A):
                await node.desired.impose(A, "drain", actor="bob")
                await asyncio.sleep(30)
            return [
                (e.actor, e.outcome, e.reason.partition(" task")[0]) for e in await node.events("drained")
            ]

    assert run(main) == [("ann", "finished", ""), ("bob", "forced", "closed under")]


def test_what_is_said_here_is_in_force_when_the_call_returns(run, keeping):
    """Although it goes by way of the store: the next user is refused, and the one after the resume is not."""

    async def main():
        async with keeping(prepare=two) as node:
            found = []
            for _ in range(5):
                await node.runtime.pause(*A)
                found.append(node.world.serves(A))
                await node.runtime.resume(*A)
                found.append(node.world.serves(A))
            return found

    assert run(main) == [None, "old"] * 5
