"""Processes that live, those that do not any more, and what is left of them."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from oneiric_hookspecs import Candidate, Key, StateError

from oneiric import assemble, orchestrate
from oneiric.state import Event, Node, Observed, Seen, living, this_process
from oneiric.state.nodes import birth_of, said

A = Key.of("adapter", "a")


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
