"""What every process that keeps going is asked to do once: done, answered, and forgotten."""

import asyncio

import pytest
from oneiric_hookspecs import Key

from oneiric import assemble, orchestrate
from oneiric.state import Answered, Requests

A = Key.of("adapter", "a")


async def one(world):
    world.add(A, "old")
    await world.use(A)


def test_a_part_is_built_anew(run, keeping):
    """With the same candidate, by whoever asked; a part that nobody uses has nothing to build."""

    async def main():
        async with keeping(prepare=one) as node:
            number = await node.requests.ask("reload", key="adapter:a", actor="ann")
            answers = await node.answers(number)
            other = await node.answers(await node.requests.ask("reload", key="adapter:b"))
            events = [(e.actor, e.old, e.new) for e in await node.events("swap")]
            return answers, other, events, len(node.world.shop.open)

    answers, other, events, living = run(main)
    assert list(answers) == ["node"]
    assert answers["node"].ok
    assert answers["node"].result["outcome"] == "swapped"
    assert other["node"].result["outcome"] == "not_bound"
    assert (events, living) == ([("ann", "old", "old")], 1)


def test_one_that_does_not_come_up_is_answered_with_its_error(run, keeping):
    """Exit 4, and why; the old one serves."""
    well = True

    def make(product):
        if not well:
            raise OSError("no route to host")

    async def main():
        nonlocal well

        async def prepare(world):
            world.add(A, "old", make=make)
            await world.use(A)

        async with keeping(prepare=prepare) as node:
            well = False
            answers = await node.answers(await node.requests.ask("reload", key="adapter:a"))
            return answers["node"], node.world.serves(A)

    answer, serves = run(main)
    assert (answer.ok, answer.exit, serves) == (False, 4, "old")
    assert "no route to host" in answer.text


@pytest.mark.parametrize(
    ("verb", "more", "code", "says"),
    [
        ("dance", {}, 2, "does not know the request 'dance'"),
        ("reload", {}, 2, "reload is about one part"),
        ("reload", {"key": "nothing"}, 3, "nothing"),
        ("remote-sync", {"arguments": {"stream": "shop"}}, 3, "there is no stream shop"),
        ("rotate", {"arguments": {"names": ["x"]}}, 6, "x"),
    ],
)
def test_what_cannot_be_done_is_answered_too(run, keeping, verb, more, code, says):
    """Nobody waits for an answer that does not come."""

    async def main():
        async with keeping(prepare=one) as node:
            return (await node.answers(await node.requests.ask(verb, **more)))["node"]

    answer = run(main)
    assert not answer.ok
    assert says in answer.text
    assert answer.exit == code


def test_each_is_done_once(run, keeping):
    """Although it stands there for as long as somebody waits; and what was asked before the node was there, never."""

    async def main():
        async def prepare(world):
            await one(world)
            await Requests(world.runtime.state, now=lambda: 1_799_999_999.0).ask(
                "reload", key="adapter:a", seconds=1000
            )

        async with keeping(prepare=prepare) as node:
            await node.answers(await node.requests.ask("reload", key="adapter:a", seconds=1000))
            await asyncio.sleep(500)
            return len(await node.events("swap"))

    assert run(main) == 1


def test_what_nobody_waits_for_is_swept_away(run, keeping):
    """Requests, and answers to those that were dropped."""

    async def main():
        async with keeping(prepare=one) as node:
            number = await node.requests.ask("probe", seconds=5)
            await node.answers(number)
            await node.requests.answer("gone", "other", Answered(True))
            await asyncio.sleep(200)
            return await node.store.scan("requests/")

    assert run(main) == []


def test_all_are_probed(run, keeping):
    """What is bound, each with its answer; exit 6 where one is ill."""
    well = True

    def probe(product):
        return well

    async def main():
        nonlocal well

        async def prepare(world):
            world.add(A, "old", probe=probe)
            await world.use(A)

        async with keeping(prepare=prepare) as node:
            good = (await node.answers(await node.requests.ask("probe")))["node"]
            well = False
            bad = (await node.answers(await node.requests.ask("probe", key="adapter:a")))["node"]
            return good, bad

    good, bad = run(main)
    assert (good.ok, good.exit, good.result["adapter:a"]["status"]) == (True, 0, "ok")
    assert (bad.ok, bad.exit, bad.result["adapter:a"]["status"]) == (False, 6, "failed")


def test_all_that_live_are_asked_and_nobody_else(run, keeping, wall):
    """Each of two does it once, and answers; one that begins while somebody still waits does not."""
    shared = {"state": {"url": "memory:all-that-live"}}

    def another(name):
        return orchestrate(assemble(shared, environment=False), node=name, wall=wall)

    async def main():
        async with keeping(shared, prepare=one, name="one") as node, another("two"):
            number = await node.requests.ask("probe", seconds=1000)
            await asyncio.sleep(1)
            async with another("three"):
                await asyncio.sleep(100)
                return sorted(await node.requests.answers(number)), sorted(await node.living())

    assert run(main) == (["one", "two"], ["one", "three", "two"])


def test_a_clock_that_was_set_back_keeps_nobody_from_answering(run, keeping, wall):
    """What was asked before a node began is told by what was there then, and not by clocks."""

    async def main():
        async def prepare(world):
            await one(world)
            await Requests(world.runtime.state, now=wall).ask("reload", key="adapter:a", seconds=500)

        async with keeping(prepare=prepare) as node:
            await asyncio.sleep(10)
            old = await node.events("swap")
            day_before = Requests(node.store, now=lambda: wall() - 86_400)
            node.orchestrator._requests._now = day_before._now
            answers = await node.answers(await day_before.ask("reload", key="adapter:a"))
            return old, answers["node"].ok

    assert run(main) == ([], True)
