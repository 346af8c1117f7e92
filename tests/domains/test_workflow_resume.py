"""Runs that were cut off, failed or were cancelled: they go on where they were, and only if they are the same."""

import asyncio

import pytest
from oneiric_hookspecs import Candidate, Graph, Key, Node, NodesFailed, RunError, RunTimeout, WorkflowSpec

from oneiric import assemble


class Task:
    """Notes the nodes that it did; fails where it is told to, hangs where it is told to."""

    def __init__(self, done, bad=(), hang=()):
        self.done, self.bad, self.hang = done, bad, hang

    async def run(self, payload, context):
        if context.node in self.hang:
            await asyncio.sleep(1e6)
        if context.node in self.bad:
            raise OSError("no route")
        self.done.append(context.node)
        return {"of": context.node, "saw": sorted(context.results), "given": payload}


NODES = (
    Node("a", "note"),
    Node("b", "note", ["a"], args={"$result": "a.of"}),
    Node("c", "note", ["b"], args={"$payload": "who"}),
    Node("side", "note"),
)


@pytest.fixture
def application(tmp_path):
    """``application(task, nodes)``: a runtime whose runs are kept in one folder."""

    def make(task, nodes=NODES, *, executor=None, **settings):
        tables = {"domains.workflow": settings, "executors.local": executor or {}}
        runtime = assemble(
            {"app": {"state_dir": str(tmp_path)}, "plugins": {"settings": tables}}, environment=False
        )
        value = Graph(nodes) if isinstance(nodes, tuple) else nodes
        runtime.register(
            Candidate.ready(Key("task", "note"), "mine", task),
            Candidate.ready(Key("workflow", "w"), "mine", value),
        )
        return runtime

    return make


async def until(condition):
    """Wait for it."""
    while not condition():
        await asyncio.sleep(0.01)


RESULT = {
    "c": {"of": "c", "saw": ["b"], "given": "bob"},
    "side": {"of": "side", "saw": [], "given": None},
}


def test_nodes_that_had_succeeded_are_not_run_again(application, run):
    """After a failure: the others are, with what those gave; and its end is a new one."""
    done = []

    async def scenario():
        async with application(Task(done, bad=["b"])) as runtime:
            with pytest.raises(NodesFailed) as error:
                await runtime.domain("workflow").run("w", {"who": "bob"})
        async with application(Task(done)) as runtime:
            face, seen = runtime.domain("workflow"), []
            resumed = await face.resume(error.value.run, watch=lambda each: seen.append(each[1:3]))
            result = await resumed.wait()
            steps = {each.name: each.state for each in await face.steps(resumed.id)}
            with pytest.raises(RunError, match="it is succeeded"):
                await face.resume(resumed.id)
            return str(error.value).splitlines()[1], error.value.run, result, steps, seen, resumed

    hint, identity, result, steps, seen, resumed = run(scenario())
    assert hint == f"  to go on: oneiric workflow resume {identity}"
    assert (result, resumed.id, resumed.here) == (RESULT, identity, True)
    assert sorted(done[:2]) == ["a", "side"]
    assert done[2:] == ["b", "c"]
    assert steps == dict.fromkeys(["a", "b", "c", "side"], "succeeded")
    assert sorted(seen[:2]) == [("a", "kept"), ("side", "kept")]
    assert seen[2:] == [("b", "started"), ("b", "succeeded"), ("c", "started"), ("c", "succeeded")]


@pytest.mark.parametrize("how", ["cancelled", "lost"])
def test_a_run_that_was_ended_goes_on(application, run, how):
    """On request, or with its runtime; in the next one."""
    done = []

    async def scenario():
        async with application(Task(done, hang=["b"])) as runtime:
            submitted = await runtime.domain("workflow").submit("w", {"who": "bob"})
            await until(lambda: len(done) == 2)
            if how == "cancelled":
                await submitted.cancel()
                with pytest.raises(RunError) as error:
                    await submitted.wait()
                assert str(error.value) == (
                    f"workflow w was cancelled\n  to go on: oneiric workflow resume {submitted.id}"
                )
        async with application(Task(done)) as runtime:
            face = runtime.domain("workflow")
            before = await face.get(submitted.id)
            return before.state, await (await face.resume(submitted.id)).wait()

    assert run(scenario()) == (how, RESULT)
    assert (sorted(done[:2]), done[2:]) == (["a", "side"], ["b", "c"])


def test_a_workflow_that_has_changed_is_not_gone_on_with(application, run):
    """It says so, by an id or by a key; one that is only tried longer is the same."""
    changed = (*NODES, Node("d", "note", ["c"]))

    async def scenario():
        async with application(Task([], hang=["b"])) as runtime:
            submitted = await runtime.domain("workflow").submit("w", {"who": "bob"}, key="k")
        async with application(Task([]), changed) as runtime:
            face, errors = runtime.domain("workflow"), []
            for ask in (face.resume(submitted.id), face.run("w", {"who": "bob"}, key="k")):
                with pytest.raises(RunError) as error:
                    await ask
                errors.append(str(error.value))
        same = tuple(Node(each.id, each.task, each.after, each.args, timeout=60.0) for each in NODES)
        async with application(Task([]), same) as runtime:
            return submitted.id, errors, await runtime.domain("workflow").run("w", {"who": "bob"}, key="k")

    identity, errors, result = run(scenario())
    assert (
        errors
        == [f"run {identity} cannot be resumed: workflow w has changed since it was begun\n  begin a new one"]
        * 2
    )
    assert result == RESULT


@pytest.mark.parametrize("how, states", [("auto", {"succeeded"}), ("ask", {"lost"})])
def test_what_was_cut_off_goes_on_by_itself_where_that_is_wanted(application, run, how, states):
    """When the next runtime starts; all of them."""

    async def scenario():
        done = []
        async with application(Task(done, hang=["b"])) as runtime:
            for _ in range(3):
                await runtime.domain("workflow").submit("w", {"who": "bob"})
            await until(lambda: len(done) == 6)
        async with application(Task(done), resume=how) as runtime:
            face = runtime.domain("workflow")
            for _ in range(100):
                await asyncio.sleep(0.01)
                found = {each.state for each in await face.runs()}
                if found == states and how == "auto":
                    break
            return found, sorted(done)

    found, done = run(scenario())
    assert found == states
    assert done == sorted(["a", "side"] * 3 + (["b", "c"] * 3 if how == "auto" else []))


def test_one_that_has_changed_does_not_keep_the_others_from_going_on(application, run, caplog):
    """It is told in the log."""

    async def scenario():
        done = []
        async with application(Task(done, hang=["b"])) as runtime:
            other = Candidate.ready(Key("workflow", "other"), "mine", Graph(NODES))
            runtime.register(other, source="more")
            first = await runtime.domain("workflow").submit("other")
            await runtime.domain("workflow").submit("w", {"who": "bob"})
            await until(lambda: len(done) == 4)
        async with application(Task(done), resume="auto") as runtime:
            await until(lambda: len(done) == 6)
            return first.id, done[4:]

    identity, done = run(scenario())
    assert done == ["b", "c"]
    assert [each.getMessage().splitlines()[0] for each in caplog.records if each.levelname == "WARNING"] == [
        f"run {identity} was cut off, and is not gone on with: no candidate fills workflow:other"
    ]


def test_code_goes_on_with_its_steps(application, run):
    """From the beginning, where the steps that had succeeded give what they gave."""
    done = []

    class Code:
        def __init__(self, hang):
            self.hang = hang

        async def run(self, payload, context):
            async def draw():
                done.append("draw")
                return 42

            async def slow():
                if self.hang:
                    await asyncio.sleep(1e6)
                return "slow"

            drawn = await context.step("draw", draw)
            noted = await context.task("note", drawn)
            return [drawn, noted["given"], await context.step("slow", slow)]

    async def scenario():
        async with application(Task(done), Code(True)) as runtime:
            submitted = await runtime.domain("workflow").submit("w")
            await until(lambda: len(done) == 2)
        async with application(Task(done), Code(False)) as runtime:
            return await (await runtime.domain("workflow").resume(submitted.id)).wait()

    assert run(scenario()) == [42, 42, "slow"]
    assert done == ["draw", "note"]


def test_a_thousand_nodes_are_written_down(application, run):
    """Each as it ends; and a plan knows from then on how long they took."""
    nodes = tuple(Node(f"n{n}", "note", [f"n{n - 10}"] if n >= 10 else ()) for n in range(1000))
    done = []

    async def scenario():
        async with application(Task(done), nodes) as runtime:
            face = runtime.domain("workflow")
            before = await face.plan("w")
            result = await face.run("w")
            after = await face.plan("w")
            (run_,) = await face.runs()
            return before.by, after.by, len(after.critical), set(result), len(await face.steps(run_.id))

    last = {f"n{n}" for n in range(990, 1000)}
    assert run(scenario()) == ("count", "seconds", 100, last, 1000)
    assert sorted(done) == sorted(node.id for node in nodes)


def test_a_plan_knows_nothing_of_another_graph(application, run):
    """What a node took in a workflow that has changed since says nothing of what it takes now."""

    async def scenario():
        async with application(Task([])) as runtime:
            await runtime.domain("workflow").run("w", {"who": "bob"})
        changed = (*NODES[:3], Node("side", "note", args=5))
        async with application(Task([]), changed) as runtime:
            return (await runtime.domain("workflow").plan("w")).by

    assert run(scenario()) == "count"


def test_a_run_that_took_too_long_can_be_gone_on_with(application, run):
    """And says how."""

    async def scenario():
        async with application(Task([], hang=["b"])) as runtime:
            submitted = await runtime.domain("workflow").submit("w", {"who": "bob"}, timeout=5.0)
            with pytest.raises(RunTimeout) as error:
                await submitted.wait()
        async with application(Task([])) as runtime:
            resumed = await runtime.domain("workflow").resume(submitted.id)
            return str(error.value), submitted.id, await resumed.wait()

    said, identity, result = run(scenario())
    assert said == f"workflow w took longer than 5 s\n  to go on: oneiric workflow resume {identity}"
    assert result == RESULT


def test_without_a_journal_nothing_goes_on_and_nobody_is_told_it_would(application, run):
    """The error has no such hint, and resuming says what to set."""

    async def scenario():
        async with application(Task([], bad=["a"]), executor={"journal": False}) as runtime:
            face = runtime.domain("workflow")
            with pytest.raises(NodesFailed) as error:
                await face.run("w", {"who": "bob"})
            with pytest.raises(RunError) as refused:
                await face.resume(error.value.run)
            return error.value.hint, refused.value.hint

    assert run(scenario()) == (None, 'set journal = true in [plugins.settings."executors.local"]')


def test_what_is_no_plain_data_fails_its_node(application, run):
    """It cannot be written down, and so cannot be given to anybody."""

    class Odd:
        async def run(self, payload, context):
            return {1, 2} if context.node == "a" else None

    async def scenario():
        async with application(Odd()) as runtime:
            with pytest.raises(NodesFailed) as error:
                await runtime.domain("workflow").run("w", {"who": "bob"})
            return set(error.value.failures), error.value.skipped, error.value.message

    failed, skipped, said = run(scenario())
    assert (failed, skipped) == ({"a"}, ("b", "c"))
    assert "expected plain data, found set" in said


def test_the_settings_are_checked():
    """As any others: what there is no such executor for is told when it is asked for."""
    from oneiric_hookspecs import SettingsError

    for table, said in (({"resume": "sometimes"}, "resume"), ({"concurrency": 0}, "concurrency")):
        with pytest.raises(SettingsError, match=said):
            assemble({"plugins": {"settings": {"domains.workflow": table}}}, environment=False, strict=True)


def test_another_executor_runs_workflows(application, run):
    """It is chosen by name; one that nobody brings is told."""

    async def scenario():
        runtime = assemble(
            {
                "plugins": {"settings": {"domains.workflow": {"executor": "locol"}}},
                "state": {"url": "memory:"},
            },
            environment=False,
        )
        runtime.register(
            Candidate.ready(Key("task", "note"), "mine", Task([])),
            Candidate.ready(Key("workflow", "w"), "mine", Graph(NODES), data=WorkflowSpec()),
        )
        async with runtime:
            with pytest.raises(RunError) as error:
                await runtime.domain("workflow").run("w")
            return str(error.value)

    assert run(scenario()) == "no plugin brings an executor 'locol'\n  did you mean local?"
