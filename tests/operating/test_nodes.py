"""Processes that live, those that do not any more, and what is left of them."""

import asyncio
import contextlib
import gc
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from oneiric_hookspecs import Candidate, Key, Need, Paused, StateError, Store, hookimpl

from oneiric import assemble, orchestrate
from oneiric.activation import Generation
from oneiric.plugins._state import Clocks
from oneiric.plugins.stores.memory import MemoryStore
from oneiric.state import Desired, Event, History, Node, Observed, Seen, living, this_process
from oneiric.state.nodes import birth_of, said

A, B = Key.of("adapter", "a"), Key.of("adapter", "b")


async def one(world):
    world.add(A, "old")
    await world.use(A)


def test_a_node_lives_while_it_is_kept_going(run, keeping):
    """It says so again and again, and where it runs; at the end it is gone at once, and so is what it wrote."""

    async def main():
        async with keeping(prepare=one) as node:
            await asyncio.sleep(100)
            [during] = await living(node.store)
            await node.orchestrator.stop()
            after = await living(node.store)
            await node.orchestrator.last_words()
            return during, after, await node.store.scan("observed/"), await node.store.scan("summary/")

    during, after, written, summary = run(main)
    host, pid, birth = this_process()
    assert (during.name, during.node.host, during.node.pid, during.node.birth) == ("node", host, pid, birth)
    assert during.age <= 5
    assert (after, written, summary) == ([], [], [])


def test_what_a_killed_one_left_is_tidied_up(run, keeping):
    """By whoever starts next: it is not claimed any more, and history tells that the node was lost."""

    async def main():
        async def prepare(world):
            await one(world)
            dead = Observed(world.runtime.state, "dead")
            await dead.put(A, Seen("ready", "old"))
            await dead.sum_up({})
            await dead.beat(said(Node(this_process()[0], 2**22 + 1, "1")), 1000)

        async with keeping(prepare=prepare) as node:
            events = await node.events("lost")
            await node.runtime.swap(*A, reload=True)
            await node.at_rest()
            return [(e.node, e.cause) for e in events], set(await node.observed.all()), await node.living()

    assert run(main) == ([("dead", "node")], {"node"}, ["node"])


def test_start_and_stop_are_written_down(run, keeping):
    """With the node's name; the stop last, when everything has ended."""

    async def main():
        async with keeping(prepare=one) as node:
            history, store = node.history, node.store
            await node.at_rest()
            await node.orchestrator.stop()
            await node.orchestrator.last_words()
            return [(t.event.kind, t.event.node) for t in await history.read()], await living(store)

    told, alive = run(main)
    assert told[0] == ("start", "node")
    assert told[-1] == ("stop", "node")
    assert alive == []


def test_a_process_is_told_from_another_of_its_number():
    """By its birth; one that has ended has none."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        there = birth_of(child.pid)
        mine = birth_of(os.getpid())
    finally:
        child.communicate(b"\n")

    assert there is not None
    assert mine is not None
    assert there != mine or not Path("/proc/self/stat").exists()
    assert birth_of(child.pid) is None


@pytest.mark.parametrize(
    ("host", "pid", "birth", "counts"),
    [
        ("here", "mine", "mine", True),
        ("here", "mine", "", True),  # written by a platform that does not say
        ("here", "mine", "another", False),  # the number was given to somebody else
        ("here", "none", "1", False),
        ("elsewhere", "none", "1", True),  # nobody can say from here
    ],
)
def test_who_is_counted_as_living(run, keeping, host, pid, birth, counts):
    """On this machine only a process that is still that one."""
    name, mine, born = this_process()

    async def main():
        async with keeping() as node:
            other = Observed(node.store, "other")
            info = Node(
                name if host == "here" else "far-away",
                mine if pid == "mine" else 2**22 + 1,
                born if birth == "mine" else birth,
            )
            await other.beat(said(info), 100)
            return "other" in await node.living()

    assert run(main) is counts


def test_two_nodes_act_each_for_itself(run, keeping, wall):
    """Both swap, and each says what came of it there."""

    async def main():
        async def prepare(world):
            world.add(A, "old")
            world.add(A, "new", priority=-1)
            await world.use(A)

        shared = {"state": {"url": "memory:two-nodes"}}
        other = assemble(shared, environment=False)
        other.register(Candidate.ready(A, "old", 1), Candidate.ready(A, "new", 2, priority=-1))
        async with (
            keeping(shared, prepare=prepare, name="one") as one,
            orchestrate(other, node="two", wall=wall),
        ):
            async with other.use(*A):
                pass
            revision = await one.desired.pin(A, "new")
            first = await one.acted(revision)
            await asyncio.sleep(5)
            second = (await one.observed.of("two"))[A]
            names = await one.living()
            events = {(e.kind, e.node) for e in await one.events("swap", "start")}
            return [first.provider, second.provider], names, events

    providers, names, events = run(main)
    assert (providers, names) == (["new", "new"], ["one", "two"])
    assert events == {(kind, node) for kind in ("start", "swap") for node in ("one", "two")}


def test_the_same_failure_is_written_down_once_in_a_while(run, keeping):
    """A part that everybody asks for and that does not come up fills no log."""

    def make(product):
        raise OSError("no route to host")

    async def main():
        async with keeping() as node:
            node.world.add(A, "bad", make=make)
            for _ in range(200):
                with pytest.raises(Exception, match="no route"):
                    await node.world.use(A)
                await asyncio.sleep(1)
            return [e.outcome for e in await node.events("fail")]

    assert 3 <= len(run(main)) <= 5


def test_events_keep_their_node(run, keeping):
    """What another node is said to have done is not this one's."""

    async def main():
        async with keeping() as node:
            node.orchestrator.recorder.tell(Event("note", node="other"))
            node.orchestrator.recorder.tell(Event("note"))
            return [e.node for e in await node.events("note")]

    assert run(main) == ["other", "node"]


def test_two_processes_have_no_name_in_common(run, keeping):
    """Each would write over what the other writes: the second does not start, and says who has the name."""

    async def main():
        async def prepare(world):
            other = Observed(world.runtime.state, "node")
            await other.beat(said(Node("far-away", 7, "1")), 1000)

        async with keeping(prepare=prepare):
            raise AssertionError("it has started")

    with pytest.raises(StateError, match="node node runs already: process 7 on far-away"):
        run(main)


def test_what_an_earlier_one_of_the_name_left_is_not_claimed(run, keeping):
    """A name may be given for good: what the process before has not tidied up is not this one's."""

    async def main():
        async def prepare(world):
            await Observed(world.runtime.state, "node").put(Key.of("adapter", "gone"), Seen("ready", "old"))

        async with keeping(prepare=prepare) as node:
            events = await node.events("lost")
            return await node.observed.of("node"), [e.node for e in events]

    assert run(main) == ({}, ["node"])


# --- signs of life -----------------------------------------------------------------------------------------------------


@pytest.fixture
def ticking(clock):
    """A plugin with a store in memory, ``ticking:NAME``, whose clock is the test's."""

    class Ticking:
        @hookimpl
        def oneiric_stores(self):
            clocks = Clocks(lambda: 1_800_000_000.0 + clock.time(), clock.time, lambda: "this start")
            yield Store("ticking", lambda rest, folder, keep: MemoryStore(rest, keep, clocks=clocks))

    return {"state": {"url": "ticking:"}}, Ticking()


@pytest.mark.parametrize("every", [5.0, 1.0], ids=["default", "often"])
def test_silence_of_three_signs_of_life_is_the_end(run, keeping, ticking, monkeypatch, every):
    """It says that it lives every five seconds, or as the settings say; who does not say so three times is gone."""
    settings, plugin = ticking

    async def main():
        async with keeping(
            settings | {"orchestrate": {"heartbeat": every}}, prepare=one, plugins=[plugin]
        ) as node:
            ages = []
            for _ in range(100):
                await asyncio.sleep(every / 7)
                [alive] = await living(node.store)
                ages.append(alive.age)

            async def lost(*_):
                pass

            monkeypatch.setattr(node.store, "beat", lost)
            await asyncio.sleep(1.9 * every)
            still = await node.living()
            await asyncio.sleep(1.2 * every)
            return max(ages) <= every, still, await node.living()

    assert run(main) == (True, ["node"], [])


def test_what_one_that_lives_wrote_is_left_alone(run, keeping, wall):
    """By those that begin beside it; and one that was lost is told once, however many begin after it."""

    async def main():
        shared = {"state": {"url": "memory:left-alone"}}

        async def prepare(world):
            await one(world)
            await Observed(world.runtime.state, "dead").put(A, Seen("ready", "old"))

        async with keeping(shared, prepare=prepare, name="one") as node:
            await node.runtime.swap(*A, reload=True)
            await node.at_rest()
            before = await node.observed.of("one")
            for name in ("two", "three"):
                async with orchestrate(assemble(shared, environment=False), node=name, wall=wall):
                    await asyncio.sleep(10)
            return [e.node for e in await node.events("lost")], await node.observed.of("one") == before != {}

    assert run(main) == (["dead"], True)


def test_one_that_was_lost_is_told_once_by_those_that_begin_together(run, tmp_path, wall):
    """As after a machine has gone: whoever of them is first tells it, and the others leave it at that."""
    shared = {"state": {"url": f"sqlite:{tmp_path / 'state.db'}"}}

    async def main():
        async with assemble(shared, environment=False) as runtime:
            dead, history = Observed(runtime.state, "dead"), History(runtime.state)
            await dead.put(A, Seen("ready", "old"))
            await dead.put(B, Seen("ready", "old"))
            await dead.sum_up({})
            async with contextlib.AsyncExitStack() as stack:
                blocks = [
                    orchestrate(assemble(shared, environment=False), node=f"n{n}", wall=wall)
                    for n in range(4)
                ]
                await asyncio.gather(*(stack.enter_async_context(block) for block in blocks))
                await asyncio.sleep(1)
                told = await history.read()
            return [each.event.reason for each in told if each.event.kind == "lost"]

    assert run(main) == ["node dead ended without saying so"]


# --- the start ---------------------------------------------------------------------------------------------------------


def test_what_operators_want_is_read_before_anything_else(run, wall):
    """Before a plugin hears that the runtime runs, and before what is to be up at once is activated."""
    shared = {"state": {"url": "memory:before"}, "orchestrate": {"start": ["adapter:*"]}}

    class Hears:
        heard = ()

        @hookimpl
        async def oneiric_started(self, host):
            async with host.use("adapter", "a") as part:
                self.heard += (part,)
            with pytest.raises(Paused, match="ann"):
                await host.use("adapter", "b").__aenter__()
            self.heard += ("paused",)

    async def main():
        store = MemoryStore("before")
        await Desired(store).pin(A, "new")
        await Desired(store).impose(B, "pause", actor="ann")
        hears, made = Hears(), []
        runtime = assemble(shared, plugins=[hears], environment=False)
        runtime.register(
            Candidate(A, "old", lambda: made.append("old a")),
            Candidate.ready(A, "new", "new a", priority=-1),
            Candidate(B, "old", lambda: made.append("old b")),
        )
        async with orchestrate(runtime, wall=wall):
            await asyncio.sleep(60)
        await store.close()
        return hears.heard, made

    assert run(main) == (("new a", "paused"), [])


# --- what is said of failures ------------------------------------------------------------------------------------------


def test_another_failure_is_written_down_at_once(run, keeping):
    """The same of another part, and another one of the same part: each is a row of its own."""
    why = "no route to host"

    def make(product):
        raise OSError(why)

    async def main():
        nonlocal why
        async with keeping() as node:
            for key in (A, B):
                node.world.add(key, "bad", make=make)
            for key in (A, B, A, B):
                with pytest.raises(Exception, match="no route"):
                    await node.world.use(key)
            why = "no space left"
            with pytest.raises(Exception, match="no space"):
                await node.world.use(A)
            return [(e.key, e.reason.rpartition(": ")[2]) for e in await node.events("fail")]

    route, space = "no route to host", "no space left"
    assert run(main) == [("adapter:a", route), ("adapter:b", route), ("adapter:a", space)]


def test_a_loop_that_fails_makes_the_node_degraded(run, keeping, monkeypatch, caplog):
    """For as long as it does: in its health, with the reason, and in its status; never more than degraded."""
    caplog.set_level(logging.CRITICAL, "oneiric")

    async def main():
        async with keeping(prepare=one) as node:
            await node.at_rest()
            found = [node.orchestrator.ready().status]

            async def away(*_, **__):
                raise StateError("the folder is gone")

            with monkeypatch.context() as patched:
                patched.setattr(node.store, "revision", away)
                await asyncio.sleep(100)
                ready = node.orchestrator.ready()
                found.append(ready.status)
                loops = {each["name"]: each for each in node.orchestrator.status()["loops"]}
            await asyncio.sleep(100)
            found.append(node.orchestrator.ready().status)
            return found, [each for each in ready.reasons if "reconciling" in each], loops

    found, [reason], loops = run(main)
    assert found == ["ok", "degraded", "ok"]
    assert "the folder is gone" in reason
    assert "the folder is gone" in loops["reconciling"]["error"]


def test_what_was_built_from_what_is_ill_is_written_as_ill(run, keeping):
    """The row of a part says how it is with what it needs; in the history is what has changed by itself."""
    well = True

    async def main():
        nonlocal well

        async def prepare(world):
            world.add(A, "old", probe=lambda _: well)
            world.add(B, "user", needs=[Need(A)])
            await world.use(B)

        seldom = {"lifecycle": {"keys": {"adapter:b": {"probe_interval": 1000.0}}}}
        async with keeping(seldom, prepare=prepare) as node:
            await asyncio.sleep(20)
            before = (await node.seen(B)).health
            well = False
            await asyncio.sleep(60)
            told = [(e.key, e.old, e.outcome) for e in await node.events("health")]
            return before, (await node.seen(B)).health, told[-1]

    assert run(main) == ("ok", "failed", ("adapter:a", "ok", "failed"))


def test_a_node_is_back_within_a_heartbeat(run, keeping, monkeypatch):
    """However long the store was away: it counts as gone by then, and is not to for longer than it has to."""

    async def main():
        async with keeping(prepare=one) as node:
            beat, away = type(node.orchestrator.member.observed).beat, True

            async def or_not(self, info, ttl):
                if away:
                    raise StateError("the disk is full")
                await beat(self, info, ttl)

            monkeypatch.setattr(type(node.orchestrator.member.observed), "beat", or_not)
            [loop] = [each for each in node.orchestrator._loops if each.status.name == "heartbeat"]
            for seconds in (600, 610, 620):
                away = True
                await asyncio.sleep(seconds)
                assert loop.status.failures
                away = False
                await asyncio.sleep(5)
                assert not loop.status.failures

    run(main)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "a\0b", "a/b", "", "x" * 201])
def test_names_that_would_break_a_line_are_refused(name):
    """They stand in tables and in names of files."""
    with pytest.raises(StateError, match="is not the name of a node"):
        Observed(None, name)


def test_what_has_ended_is_not_kept():
    """A hundred swaps later there are as many generations as are in use: none holds the one before it."""

    def generations():
        gc.collect()
        return sum(isinstance(each, Generation) for each in gc.get_objects())

    async def main():
        runtime = assemble({"state": {"url": "memory:"}})
        runtime.register(Candidate(A, "old", object))
        async with orchestrate(runtime):
            async with runtime.use("adapter", "a"):
                pass
            before = generations()
            for _ in range(100):
                report = await runtime.swap("adapter", "a", reload=True)
                await report.retired()
            return generations() - before

    assert asyncio.run(main()) < 25  # some are told of still
