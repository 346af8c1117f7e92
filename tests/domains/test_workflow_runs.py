"""Runs of graphs: what is started when, what a node is told, what becomes of what fails, and that nothing is left."""

import asyncio

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import (
    Candidate,
    Graph,
    Key,
    Node,
    NodesFailed,
    Retry,
    RunError,
    RunTimeout,
    TaskSpec,
    WorkflowSpec,
)

from oneiric import assemble
from oneiric.testing import run_virtual


class Task:
    """Does what it is made with; remembers what it was told."""

    def __init__(self, do):
        self.do, self.told = do, []

    async def run(self, payload, context):
        self.told.append(context)
        return await self.do(payload, context)


def task(name, do, **spec):
    """A task, and its candidate."""
    instance = Task(do)
    return instance, Candidate.ready(Key("task", name), "mine", instance, data=TaskSpec(**spec))


def graph(*nodes, name="w", **more):
    """A candidate with a graph."""
    return Candidate.ready(Key("workflow", name), "mine", Graph(nodes, **more))


def runtime_of(*candidates, **settings):
    """An assembled runtime that writes nothing down, and these."""
    tables = {"executors.local": {"journal": False}, "domains.workflow": settings}
    runtime = assemble({"state": {"url": "memory:"}, "plugins": {"settings": tables}}, environment=False)
    runtime.register(*candidates)
    return runtime


async def say(payload, context):
    return payload


async def sleep(payload, context):
    await asyncio.sleep(payload)
    return payload


async def fail(payload, context):
    if payload:
        await asyncio.sleep(payload)
    raise OSError("no route")


SAY = task("say", say)[1]
SLEEP = task("sleep", sleep)[1]
FAIL = task("fail", fail)[1]


def test_a_node_is_told_what_those_gave_that_it_comes_after(run):
    """With the run, the node, and what the run was started with; the results of the last nodes are the run's."""
    instance, candidate = task("say", say)

    async def scenario():
        nodes = [
            Node("a", "say", args={"x": {"$payload": "who"}}),
            Node("b", "say", args=2),
            Node("c", "say", ["a", "b"], args=[{"$result": "a.x"}, {"$result": "b"}]),
            Node("d", "say", ["c"], args={"$result": "a"}),
            Node("e", "say", ["b"]),
        ]
        async with runtime_of(candidate, graph(*nodes)) as runtime:
            submitted = await runtime.domain("workflow").submit("w", {"who": "bob"})
            return submitted.id, await submitted.wait(), await submitted.results(), submitted.here

    identity, result, results, here = run(scenario())
    assert (result, here) == ({"d": {"x": "bob"}, "e": None}, True)
    assert results == {"a": {"x": "bob"}, "b": 2, "c": ["bob", 2], "d": {"x": "bob"}, "e": None}
    assert {each.node: dict(each.results) for each in instance.told} == {
        "a": {},
        "b": {},
        "c": {"a": {"x": "bob"}, "b": 2},
        "d": {"c": ["bob", 2]},
        "e": {"b": 2},
    }
    assert {(each.run, each.name, each.attempt, each.payload["who"]) for each in instance.told} == {
        (identity, "w", 1, "bob")
    }
    assert sorted(each.effect_key for each in instance.told) == [f"{identity}/{node}" for node in "abcde"]


def test_a_node_waits_for_what_it_comes_after_and_for_nothing_else(run):
    """There is no barrier between layers: the short branch has ended before the first node of the long one."""
    ends = {}

    async def scenario():
        loop = asyncio.get_running_loop()

        async def until(payload, context):
            await asyncio.sleep(payload)
            ends[context.node] = round(loop.time() - began, 3)

        nodes = [
            Node("slow", "until", args=10),
            Node("fast", "until", args=1),
            Node("after-fast", "until", ["fast"], args=1),
            Node("last-fast", "until", ["after-fast"], args=1),
            Node("after-both", "until", ["slow", "fast"], args=1),
        ]
        async with runtime_of(task("until", until)[1], graph(*nodes)) as runtime:
            began = loop.time()
            await runtime.domain("workflow").run("w")

    run(scenario())
    assert ends == {"fast": 1.0, "after-fast": 2.0, "last-fast": 3.0, "slow": 10.0, "after-both": 11.0}


@pytest.mark.parametrize(
    "on_graph, in_settings, most", [(3, {}, 3), (None, {"concurrency": 4}, 4), (None, {}, 10), (1, {}, 1)]
)
def test_no_more_nodes_at_once_than_the_graph_wants(on_graph, in_settings, most, run):
    """Or the settings, where it does not say; and no fewer."""
    inside, seen = 0, []

    async def slowly(payload, context):
        nonlocal inside
        inside += 1
        seen.append(inside)
        await asyncio.sleep(1)
        inside -= 1

    nodes = [Node(f"n{number}", "slowly") for number in range(25)]

    async def scenario():
        candidates = task("slowly", slowly)[1], graph(*nodes, concurrency=on_graph)
        async with runtime_of(*candidates, **in_settings) as runtime:
            began = asyncio.get_running_loop().time()
            await runtime.domain("workflow").run("w")
            return asyncio.get_running_loop().time() - began

    assert run(scenario()) == pytest.approx(-(-25 // most))
    assert (max(seen), len(seen)) == (most, 25)


def test_two_runs_of_one_workflow_never_see_each_others_results(run):
    """Nor can one change what the other is given."""

    async def spoil(payload, context):
        await asyncio.sleep(1 if context.payload == "alice" else 2)
        payload["whose"].append(context.payload)
        return payload

    nodes = [
        Node("a", "spoil", args={"whose": []}),
        Node("b", "spoil", ["a"], args={"$result": "a"}),
        Node("c", "spoil", ["a"], args={"$result": "a"}),
    ]

    async def scenario():
        async with runtime_of(task("spoil", spoil)[1], graph(*nodes)) as runtime:
            face = runtime.domain("workflow")
            both = await asyncio.gather(face.run("w", "alice"), face.run("w", "bob"))
            return [*both, await face.run("w", "alice")]

    alice, bob, again = run(scenario())
    assert alice == again == {node: {"whose": ["alice", "alice"]} for node in "bc"}
    assert bob == {node: {"whose": ["bob", "bob"]} for node in "bc"}


# --- what fails ---------------------------------------------------------------------------------------------------


def test_what_does_not_come_after_a_failed_node_is_run(run):
    """All failures are told at once, with what was not begun for them."""
    nodes = [
        Node("a", "fail"),
        Node("after-a", "say", ["a"]),
        Node("after-that", "say", ["after-a", "fine"]),
        Node("late", "fail", args=5),
        Node("fine", "sleep", args=9),
        Node("after-fine", "say", ["fine"], args="done"),
    ]

    async def scenario():
        async with runtime_of(SAY, SLEEP, FAIL, graph(*nodes)) as runtime:
            submitted = await runtime.domain("workflow").submit("w")
            with pytest.raises(NodesFailed) as error:
                await submitted.wait()
            return error.value, await submitted.results()

    error, results = run(scenario())
    assert str(error) == (
        "workflow w: 2 of 6 nodes failed: a (OSError: no route), late (OSError: no route); 2 were not begun"
    )
    assert (list(error.failures), error.skipped) == (["a", "late"], ("after-a", "after-that"))
    assert [repr(each) for each in error.__cause__.exceptions] == ["OSError('no route')"] * 2
    assert results == {"fine": 9, "after-fine": "done"}


def test_where_the_graph_wants_it_the_others_are_ended(run):
    """They are cancelled, and nothing more is begun."""
    ended = []

    async def linger(payload, context):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(3)
            ended.append(context.node)
            raise

    nodes = [
        Node("x", "linger"),
        Node("y", "linger"),
        Node("bad", "fail", args=5),
        Node("never", "linger", ["x"]),
    ]

    async def scenario():
        candidates = task("linger", linger)[1], FAIL, graph(*nodes, on_failure="cancel")
        async with runtime_of(*candidates) as runtime:
            began = asyncio.get_running_loop().time()
            with pytest.raises(NodesFailed) as error:
                await runtime.domain("workflow").run("w")
            return error.value, asyncio.get_running_loop().time() - began

    error, seconds = run(scenario())
    assert str(error) == (
        "workflow w: 1 of 4 nodes failed: bad (OSError: no route); 2 were ended for it; 1 was not begun"
    )
    assert (error.skipped, sorted(ended), seconds) == (("x", "y", "never"), ["x", "y"], pytest.approx(8.0))
    assert repr(error.__cause__) == "OSError('no route')"


def test_a_node_that_cancels_itself_has_failed(run):
    """Nobody else has asked for it, and the run goes on."""

    async def give_up(payload, context):
        raise asyncio.CancelledError

    nodes = [Node("a", "give-up"), Node("b", "say"), Node("c", "say", ["a"])]

    async def scenario():
        async with runtime_of(task("give-up", give_up)[1], SAY, graph(*nodes)) as runtime:
            with pytest.raises(NodesFailed) as error:
                await runtime.domain("workflow").run("w")
            return str(error.value)

    assert run(scenario()) == "workflow w: 1 of 3 nodes failed: a (it cancelled itself); 1 was not begun"


def test_arguments_that_cannot_be_filled_in_fail_their_node(run):
    """And it alone."""
    nodes = [
        Node("a", "say", args=5),
        Node("b", "say", ["a"], args={"$result": "a.x"}),
        Node("c", "say", ["a"]),
    ]

    async def scenario():
        async with runtime_of(SAY, graph(*nodes)) as runtime:
            with pytest.raises(NodesFailed) as error:
                await runtime.domain("workflow").run("w")
            return str(error.value)

    assert run(scenario()) == (
        "workflow w: 1 of 3 nodes failed: b (there is nothing at x in the result of a)"
    )


def test_a_node_is_tried_as_the_task_says_unless_it_says_itself(run):
    """Again, and for how long."""

    async def flaky(payload, context):
        if context.attempt < payload:
            raise OSError(f"attempt {context.attempt}")
        return context.attempt

    nodes = [
        Node("own", "flaky", args=3, retry=Retry(attempts=3, jitter=0.0)),
        Node("tasks", "flaky", args=2),
        Node("slow", "sleep", args=9, timeout=2.0),
        Node("too-often", "flaky", args=5, retry=Retry(attempts=4, jitter=0.0)),
    ]
    flaky_task = task("flaky", flaky, retry=Retry(attempts=2, jitter=0.0))[1]

    async def scenario():
        async with runtime_of(flaky_task, SLEEP, graph(*nodes)) as runtime:
            submitted = await runtime.domain("workflow").submit("w")
            with pytest.raises(NodesFailed) as error:
                await submitted.wait()
            return str(error.value), await submitted.results()

    said, results = run(scenario())
    assert said == (
        "workflow w: 2 of 4 nodes failed: too-often (OSError: attempt 4), slow (task sleep took longer than 2 s)"
    )
    assert results == {"tasks": 2, "own": 3}


@pytest.mark.parametrize("graphs, given_, limit", [(5.0, None, 5), (None, 3.0, 3), (5.0, 3.0, 3)])
def test_a_run_has_a_limit(graphs, given_, limit, run):
    """The graph's, or that of who runs it; nothing goes on afterwards."""
    nodes = [Node("a", "sleep", args=60), Node("b", "sleep", ["a"], args=60)]

    async def scenario():
        async with runtime_of(SLEEP, graph(*nodes, timeout=graphs)) as runtime:
            began = asyncio.get_running_loop().time()
            with pytest.raises(RunTimeout, match=f"workflow w took longer than {limit} s"):
                await runtime.domain("workflow").run("w", timeout=given_)
            return asyncio.get_running_loop().time() - began

    assert run(scenario()) == pytest.approx(limit)


# --- ending -------------------------------------------------------------------------------------------------------


def test_whoever_waits_and_is_cancelled_ends_the_run(run):
    """After any number of steps of the loop; every node that was begun has ended, and no task is left."""
    inside = 0

    async def slowly(payload, context):
        nonlocal inside
        inside += 1
        try:
            await asyncio.sleep(payload)
        finally:
            inside -= 1

    nodes = [Node(f"n{n}", "slowly", [f"n{n - 2}"] if n > 1 else (), args=0.01 * (n % 3)) for n in range(8)]

    async def scenario():
        outcomes = set()
        async with runtime_of(task("slowly", slowly)[1], graph(*nodes, concurrency=2)) as runtime:
            face = runtime.domain("workflow")
            for steps in range(60):
                known = {each.id for each in await face.runs(limit=1000)}
                waiting = asyncio.create_task(face.run("w"))
                for _ in range(steps):
                    await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait({waiting})
                states = []
                for each in await face.runs():
                    if each.id not in known:
                        while not (await face.get(each.id)).over:
                            await asyncio.sleep(0.001)
                        states.append((await face.get(each.id)).state)
                assert inside == 0
                outcomes.add((waiting.cancelled(), *states))
        return outcomes

    outcomes = run(scenario())
    assert outcomes <= {(True,), (True, "cancelled"), (False, "succeeded")}
    assert (True, "cancelled") in outcomes


def test_a_run_is_ended_on_request(run):
    """By its id, or by who submitted it; a second time there is nothing to end."""
    nodes = [Node("a", "sleep", args=60)]

    async def scenario():
        async with runtime_of(SLEEP, graph(*nodes)) as runtime:
            face, found = runtime.domain("workflow"), []
            for number in range(2):
                submitted = await face.submit("w")
                await asyncio.sleep(1)
                ask = (submitted.cancel, lambda: face.cancel(submitted.id))[number]
                asked = await ask()
                with pytest.raises(RunError, match="^workflow w was cancelled$"):
                    await submitted.wait()
                found.append((asked, await ask(), (await submitted.status()).state))
            with pytest.raises(RunError, match="there is no run nope of a workflow"):
                await face.cancel("nope")
            return found

    assert run(scenario()) == [(True, False, "cancelled")] * 2


def test_a_node_that_does_not_mind_is_waited_for(run):
    """Nothing of a run goes on after it has ended."""
    ended = []

    async def stubborn(payload, context):
        for _ in range(2):
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                ended.append("asked")
        ended.append("ended")
        return "all the same"

    async def scenario():
        async with runtime_of(task("stubborn", stubborn)[1], graph(Node("a", "stubborn"))) as runtime:
            submitted = await runtime.domain("workflow").submit("w")
            await asyncio.sleep(1)
            await submitted.cancel()
            with pytest.raises(RunError, match="was cancelled"):
                await submitted.wait()
            return list(ended)

    assert run(scenario()) == ["asked", "ended"]


def test_one_key_is_one_run(run):
    """Also where both are begun at once; another payload wants another key."""
    instance, candidate = task("say", say)

    async def scenario():
        async with runtime_of(candidate, graph(Node("a", "say", args={"$payload": ""}))) as runtime:
            face = runtime.domain("workflow")
            both = await asyncio.gather(face.run("w", 1, key="k"), face.run("w", 1, key="k"))
            again = await face.submit("w", 1, key="k")
            with pytest.raises(RunError, match="the key 'k' was used with another payload"):
                await face.run("w", 2, key="k")
            return both, await again.wait(), again.here, len(instance.told)

    assert run(scenario()) == ([{"a": 1}, {"a": 1}], {"a": 1}, False, 1)


# --- watching, and the rest ---------------------------------------------------------------------------------------


def test_whoever_watches_is_told_of_every_node(run):
    """As it starts and ends; who fails at being told changes nothing."""
    nodes = [
        Node("a", "say"),
        Node("bad", "fail", ["a"]),
        Node("c", "say", ["bad"]),
        Node("d", "sleep", ["a"], args=1),
    ]
    told = []

    def broken(progress):
        told.append(progress.node)
        raise ValueError("not now")

    async def scenario():
        async with runtime_of(SAY, SLEEP, FAIL, graph(*nodes)) as runtime:
            face, seen = runtime.domain("workflow"), []
            for watch in (lambda each: seen.append(each[1:]), broken):
                with pytest.raises(NodesFailed):
                    await face.run("w", watch=watch)
            return seen

    assert run(scenario()) == [
        ("a", "started", "", 0, 4),
        ("a", "succeeded", "", 1, 4),
        ("bad", "started", "", 1, 4),
        ("d", "started", "", 1, 4),
        ("bad", "failed", "OSError: no route", 1, 4),
        ("d", "succeeded", "", 2, 4),
        ("c", "skipped", "", 2, 4),
    ]
    assert told == ["a"]


def test_a_workflow_is_called_like_any_other_part(run):
    """By `runtime.call`; one that is data, a table, or a graph; and swapped like any other, in the middle of a run."""
    table = Candidate.ready(
        Key("workflow", "table"), "mine", {"nodes": [{"id": "a", "task": "say", "args": 1}]}
    )
    nodes = [Node("a", "sleep", args=5), Node("b", "say", ["a"], args="old")]
    data = Candidate(Key("workflow", "data"), "old", "ep:graph", data=WorkflowSpec(nodes=nodes))
    new = attrs.evolve(
        data, provider="new", data=WorkflowSpec(nodes=[Node("b", "say", args="new")]), priority=5
    )

    async def scenario():
        async with runtime_of(SAY, SLEEP, table, data) as runtime:
            first = await runtime.call("workflow", "table")
            going = await runtime.domain("workflow").submit("data")
            await asyncio.sleep(1)
            runtime.register(new, source="more")
            await runtime.swap("workflow", "data")
            return first, await runtime.call("workflow", "data"), await going.wait()

    assert run(scenario()) == ({"a": 1}, {"b": "new"}, {"b": "old"})


def test_a_workflow_may_run_another(run):
    """From within a task, however few runs may go on at once."""

    async def inner(payload, context):
        return await runtimes[0].call("workflow", "inner", payload)

    runtimes = []

    async def scenario():
        tables = {"executors.local": {"journal": False, "concurrency": 1}}
        settings = {"state": {"url": "memory:"}, "plugins": {"settings": tables}}
        runtime = assemble(settings, environment=False)
        outer = graph(Node("a", "inner", args={"$payload": ""}), name="outer")
        below = graph(Node("b", "say", args={"$payload": ""}), name="inner")
        runtime.register(SAY, task("inner", inner)[1], outer, below)
        runtimes.append(runtime)
        async with runtime:
            return await runtime.call("workflow", "outer", 5)

    assert run(scenario()) == {"a": {"b": 5}}


CODE_FAILS = (
    ("hang", "took longer than 5 s"),
    ("odd", "'../odd' is no id of a node"),
    ("odder", "'' is no id of a node"),
)


def test_a_workflow_may_be_code(run):
    """Its steps are those it asks for; its timeout is its candidate's."""
    instance, candidate = task("say", say)

    class Code:
        async def run(self, payload, context):
            async def twice():
                return [payload, payload]

            both = await context.step("twice", twice)
            first = await context.task("say", both[0])
            again = await context.task("say", first, step="again", timeout=5.0)
            if payload == "odd":
                await context.task("say", None, step="../odd")
            if payload == "odder":
                await context.step("", twice)
            await asyncio.sleep(60 if payload == "hang" else 0)
            return {"name": context.name, "run": context.run, "again": again}

    code = Candidate.ready(Key("workflow", "w"), "mine", Code(), data=WorkflowSpec(timeout=5.0))

    async def scenario():
        async with runtime_of(candidate, code) as runtime:
            face = runtime.domain("workflow")
            submitted = await face.submit("w", "x")
            result = await submitted.wait()
            for payload, said in CODE_FAILS:
                with pytest.raises(RunError, match=said):
                    await face.run("w", payload)
            return submitted.id, result

    identity, result = run(scenario())
    assert result == {"name": "w", "run": identity, "again": "x"}
    assert [(each.node, each.name, each.payload) for each in instance.told[:2]] == [
        ("say", "w", "x"),
        ("again", "w", "x"),
    ]


@st.composite
def graphs(draw):
    """A graph whose nodes come after some of those before them, in any order; and how long each takes."""
    count = draw(st.integers(1, 12))
    nodes = [
        Node(
            f"n{n}",
            "rec",
            draw(st.lists(st.sampled_from([f"n{each}" for each in range(n)]), max_size=4)) if n else (),
        )
        for n in range(count)
    ]
    seconds = [draw(st.sampled_from([0.0, 0.5, 1.0, 3.0])) for _ in nodes]
    nodes = [attrs.evolve(node, args=took) for node, took in zip(nodes, seconds, strict=True)]
    return (
        draw(st.permutations(nodes)),
        draw(st.integers(1, 5)),
        draw(st.sets(st.sampled_from(nodes), max_size=2)),
    )


@settings(max_examples=15, deadline=None)
@given(st.lists(graphs(), min_size=1, max_size=6))
def test_any_graph_is_run_in_order_once_and_as_far_as_it_can_be(drawn):
    """Every node after those it comes after, with their results; none twice; those after a failed one not at all.

    Several at once, of which none minds the others.
    """
    orders, tolds, inside = [[[] for _ in drawn], [{} for _ in drawn], [0 for _ in drawn]]
    bads = [{node.id for node in bad} for _, _, bad in drawn]

    async def rec(payload, context):
        number = context.payload
        inside[number] += 1
        assert inside[number] <= drawn[number][1]
        tolds[number][context.node] = dict(context.results)
        await asyncio.sleep(payload)
        inside[number] -= 1
        orders[number].append(context.node)
        if context.node in bads[number]:
            raise ValueError(context.node)
        return f"of {context.node} {number}"

    async def one(runtime, number):
        submitted = await runtime.domain("workflow").submit(f"w{number}", number)
        try:
            await submitted.wait()
        except NodesFailed as error:
            return await submitted.results(), set(error.failures), set(error.skipped)
        return await submitted.results(), set(), set()

    async def scenario():
        candidates = [
            graph(*nodes, name=f"w{number}", concurrency=limit)
            for number, (nodes, limit, _) in enumerate(drawn)
        ]
        async with runtime_of(task("rec", rec)[1], *candidates) as runtime:
            return await asyncio.gather(*(one(runtime, number) for number in range(len(drawn))))

    for number, (results, failed, skipped) in enumerate(run_virtual(scenario())):
        by_id, bad, order = {node.id: node for node in drawn[number][0]}, bads[number], orders[number]
        doomed = set()
        for identity in sorted(by_id, key=lambda each: int(each[1:])):  # as drawn: after what they come after
            if any(other in bad | doomed for other in by_id[identity].after):
                doomed.add(identity)
        assert (set(results), failed, skipped) == (by_id.keys() - bad - doomed, bad - doomed, doomed)
        assert sorted(order) == sorted(by_id.keys() - doomed)
        for place, identity in enumerate(order):
            assert set(by_id[identity].after) <= set(order[:place])
            assert tolds[number][identity] == {
                other: f"of {other} {number}" for other in by_id[identity].after
            }
