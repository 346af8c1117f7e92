"""What is measured of operations, and what a process says of itself: in virtual time, with a real orchestrator."""

import asyncio

import pytest
from oneiric_hookspecs import Candidate, Course, Held, Key, Retry, hookimpl

from oneiric.orchestrator.measuring import PARTS, REMEMBERED, Measuring, success_rate
from oneiric.orchestrator.reporting import status_of, summary_of

A, B = Key.of("adapter", "a"), Key.of("adapter", "b")
BEGIN = 1_800_000_000.0


@pytest.fixture
def measured(keeping, run):
    """Run ``story(node)`` in a world with a, b and c for the part a; what ``give(node)`` gives at the end."""

    def go(story, give, settings=None, plugins=()):
        async def main():
            async with keeping(settings, plugins=plugins) as node:
                for provider in ("a", "b", "c"):
                    node.world.add(A, provider)
                await story(node)
                await node.at_rest()
                return give(node)

        return run(main())

    return go


async def _fails():
    raise RuntimeError("no way")


def part(node, key=A):
    return node.orchestrator.measuring.parts[key].plain()


def row(node, key=A):
    return next(each for each in status_of(node.orchestrator)["slots"] if each["key"] == str(key))


# --- measuring -----------------------------------------------------------------------------------------------------


def test_every_phase_of_an_operation_is_told(measured):
    """How long one waited, and what for; the total is their sum, and what failed is no part of that."""

    async def story(node):
        await node.world.swap(A, "a")
        await node.world.swap(A, "b")

    times = measured(story, lambda node: part(node)["latency"])

    assert {name: each["count"] for name, each in times.items()} == {
        "queue": 2, "needs": 2, "load": 2, "create": 2, "warm": 2, "check": 2, "commit": 2, "confirm": 2,
        "total": 2, "gap": 1, "drain": 1, "close": 1,
    }  # fmt: skip


def test_outcomes_are_counted_and_remembered(measured):
    """What came about, what failed, and the share of what stayed."""

    async def story(node):
        await node.world.swap(A, "a")
        await node.world.swap(A, "b")
        node.runtime.register(Candidate(A, "broken", _fails, priority=-1))
        with pytest.raises(Exception, match="no way"):
            await node.world.swap(A, "broken")

    found = measured(story, part)

    assert (found["outcomes"], found["success_rate"]) == ({"activated": 1, "failed": 1, "swapped": 1}, 0.6667)
    assert [each["outcome"] for each in found["recent"]] == ["activated", "swapped", "failed"]
    assert found["latency"]["total"]["count"] == 2  # how long a failure takes says nothing about swaps


def test_what_was_taken_back_did_not_come_about(measured):
    """A swap that probation takes back later was no success, and is no second operation."""

    async def story(node):
        await node.world.swap(A, "a")
        await node.world.swap(A, "b")
        await node.at_rest()
        await node.runtime.rollback(*A)

    found = measured(story, part, {"lifecycle": {"probation": 30.0}})

    assert found["outcomes"] == {"activated": 1, "swapped": 1, "taken_back": 1}
    assert found["success_rate"] == 0.5


def test_refusing_a_held_part_is_no_failure(measured):
    """An operator wanted it so."""

    async def story(node):
        await node.world.swap(A, "a")
        await node.runtime.hold(*A, actor="ann")
        with pytest.raises(Held):
            await node.runtime.swap(*A, "b")

    found = measured(story, part)

    assert found["outcomes"].get("failed", 0) == 0
    assert found["imposed"] == {"hold": 1}


@pytest.mark.parametrize(
    ("outcomes", "rate"),
    [
        ({}, None),
        ({"refused": 3}, None),
        ({"activated": 1, "swapped": 2, "failed": 1}, 0.75),
        ({"swapped": 1, "taken_back": 3}, 0.0),
        ({"rolled_back": 1}, 0.0),
    ],
)
def test_success_rate(outcomes, rate):
    """Of what ended, the share that stays; nothing where nothing ended."""
    assert success_rate(outcomes) == rate


class _Course:
    """What an observer is told of an operation that took two milliseconds."""

    def __init__(self, key):
        self.key = key
        self.course = lambda: Course(
            (("lock", 1.0), ("create", 1.001), ("finalize", 1.002)), 9.0, outcome="swapped"
        )


def test_only_the_first_hundred_parts_have_figures_of_their_own(clock):
    """The others are in their domain's; and of each part the last sixty outcomes are remembered."""
    measuring = Measuring(clock=clock, wall=clock.time)
    for number in range(5_000):
        measuring.oneiric_activated(_Course(Key.of("adapter", f"k{number}")))
    for _ in range(1_000):
        measuring.oneiric_activated(_Course(Key.of("adapter", "k0")))

    assert len(measuring.parts) == PARTS
    assert measuring.domains["adapter"].plain()["latency"]["total"]["count"] == 6_000
    assert len(measuring.parts[Key.of("adapter", "k0")].recent) == REMEMBERED
    assert measuring.domains["adapter"].plain()["latency"]["total"]["p95"] == 2.0


# --- a process -----------------------------------------------------------------------------------------------------


def test_row_says_what_serves_and_what_is_wanted(measured):
    """Who, since when, how well; what failed last, and that it is over; and what was pinned."""

    async def story(node):
        await node.world.swap(A, "a")
        node.runtime.register(Candidate(A, "broken", _fails, priority=-1))
        with pytest.raises(Exception, match="no way"):
            await node.runtime.swap(*A, "broken", actor="ann")
        await asyncio.sleep(40)
        await node.world.swap(A, "b")
        await asyncio.sleep(20)

    found = measured(story, row)

    assert (found["phase"], found["bound"]["provider"], found["previous"]) == ("ready", "b", "a")
    assert found["bound"]["for_seconds"] == pytest.approx(20, abs=0.1)
    assert found["bound"]["since"] == pytest.approx(BEGIN + 40, abs=0.1)
    assert found["last_error"]["current"] is False
    assert "no way" in found["last_error"]["text"]
    assert found["desired"]["pin"] == "b"


def test_last_error_is_current_until_something_succeeds(measured):
    """And says when it was."""

    async def story(node):
        await node.world.swap(A, "a")
        node.runtime.register(Candidate(A, "broken", _fails, priority=-1))
        await asyncio.sleep(5)
        with pytest.raises(Exception, match="no way"):
            await node.runtime.swap(*A, "broken")
        await asyncio.sleep(7)

    error = measured(story, row)["last_error"]

    assert (error["current"], error["at"]) == (True, pytest.approx(BEGIN + 5, abs=0.1))


def test_domain_counts_what_is_imposed(measured):
    """Held, paused, drained; and what has only a note."""

    async def story(node):
        for name in ("b", "c", "d"):
            node.world.add(Key.of("adapter", name), "a")
            await node.world.swap(Key.of("adapter", name), "a")
        await node.world.swap(A, "a")
        await node.runtime.hold(*A, actor="ann")
        await node.runtime.pause("adapter", "b", actor="ann")
        await node.runtime.drain("adapter", "c", actor="ann")
        await node.runtime.note("adapter", "d", "soon", actor="ann")

    block = measured(story, lambda node: summary_of(node.orchestrator)["domains"]["adapter"]["counts"])

    assert {name: block[name] for name in ("parts", "bound", "held", "paused", "draining", "drained", "noted")} == {
        "parts": 4, "bound": 3, "held": 1, "paused": 1, "draining": 0, "drained": 1, "noted": 1
    }  # fmt: skip


def test_summary_that_nothing_changed_is_equal(measured):
    """So that a process that stands still writes nothing."""
    first, second = {}, {}

    async def tell(node):
        await node.world.swap(A, "a")
        await asyncio.sleep(400)
        first.update(summary_of(node.orchestrator))
        await asyncio.sleep(400)
        second.update(summary_of(node.orchestrator))

    measured(tell, lambda _: None)

    assert first == second


class Faulty:
    """A plugin that goes wrong."""

    @hookimpl
    def oneiric_activated(self):
        raise ValueError("not today")


def test_faults_of_plugins_are_told(measured):
    """Which, where, and how often."""

    async def story(node):
        await node.world.swap(A, "a")

    found = measured(story, lambda node: summary_of(node.orchestrator)["plugins"], plugins=[Faulty()])

    assert found["faults"] == 1
    assert [(each["hook"], each["error"]) for each in found["recent"]] == [
        ("oneiric_activated", "ValueError: not today")
    ]


def test_attempts_and_breakers_are_told(measured):
    """What is tried again, how often, and whether it is left alone."""

    async def story(node):
        async def never():
            raise OSError("no route")

        with pytest.raises(OSError, match="no route"):
            await node.runtime.attempt(never, name="price list", retry=Retry(attempts=2))

    found = measured(story, lambda node: summary_of(node.orchestrator)["attempts"])

    assert found == [
        {"name": "price list", "calls": 1, "retries": 1, "failures": 1, "refused": 0, "breaker": "closed"}
    ]


def test_what_is_told_is_as_documented(measured, documented):
    """No field more, no field less, and nothing that JSON does not know."""

    async def story(node):
        await node.world.swap(A, "a")
        node.runtime.register(Candidate(A, "broken", _fails, priority=-1))
        with pytest.raises(Exception, match="no way"):
            await node.runtime.swap(*A, "broken")
        await node.runtime.pause(*A, actor="ann", note="why not")
        await node.runtime.note(*B, "hello", actor="ann")

    status, summary = measured(
        story, lambda node: (status_of(node.orchestrator), summary_of(node.orchestrator)), plugins=[Faulty()]
    )

    documented(status, "node-status")
    documented(summary, "node-summary")


def test_measuring_never_stands_in_the_way(measured):
    """What happens while five hundred parts come and go is measured, and no observer of ours is at fault."""

    async def story(node):
        for _ in range(50):
            await node.world.swap(A, "a")
            await node.world.swap(A, "b")

    def give(node):
        wrong = [
            str(each) for each in node.runtime.hooks.faults if each.kind != "slow"
        ]  # as machines sometimes are
        return wrong, part(node)["latency"]["total"]["count"]

    assert measured(story, give) == ([], 100)


def test_what_is_counted_as_unwell_is_what_the_row_says(run, keeping):
    """One bad answer of three that count is none, in the row and in the sum; with the third it is both."""
    well = True

    async def main():
        nonlocal well

        async def prepare(world):
            world.add(A, "a", probe=lambda _: well)
            await world.use(A)

        settings = {"lifecycle": {"probation": 0.0, "probe_interval": 10.0}, "health": {"failure": 3}}
        async with keeping(settings, prepare=prepare) as node:
            found = []
            await asyncio.sleep(15)
            well = False
            for _ in range(4):
                counts = summary_of(node.orchestrator)["domains"]["adapter"]["counts"]
                found.append((row(node)["supervised"]["effective"], counts["unwell"]))
                await asyncio.sleep(10)
            return found

    found = run(main)
    assert found[0] == ("ok", 0)
    assert found[1] == ("ok", 0)
    assert found[-1] == ("failed", 1)
