"""What is measured and counted, held against the reference; by a real SDK."""

import asyncio
import itertools

import attrs
import pytest
from oneiric_hookspecs import (
    Action,
    ActionError,
    ActionTimeout,
    Activity,
    Candidate,
    FactoryError,
    Graph,
    Health,
    Key,
    Node,
    OneiricError,
    RolledBack,
    StreamView,
    Subscription,
    SyncReport,
    hookimpl,
    specs,
)

from oneiric import assemble
from oneiric.plugins._metrics import METRICS, STATUS
from oneiric.testing.world import World

A = Key.of("adapter", "a")
STEPS = [
    "decide",
    "needs",
    "lock",
    "recheck",
    "load",
    "create",
    "warm",
    "check",
    "commit",
    "confirm",
    "finalize",
]


def of(sdk, name):
    """The values of one metric, by the values of its attributes in the order of the reference."""
    order = METRICS[name][1]
    found = {}
    for (metric, attributes), value in sdk.metrics().items():
        if metric == name:
            assert {key for key, _ in attributes} == set(order)
            found[tuple(dict(attributes)[key] for key in order)] = value
    return found


def broken(product):
    """What a factory does that fails."""
    raise OSError("hunter2")


# --- operations --------------------------------------------------------------------------------------------------------


def unwell_when_used():
    """A probe that is well until it is asked to confirm."""
    answers = iter([True])
    return lambda product: next(answers, False)


def test_operations_are_measured_by_phase_and_outcome(run, sdk):
    """Every step that was begun, and the whole; once for each operation."""

    async def main():
        async with World() as world:
            world.add(A, "two")
            world.add(A, "bad", make=broken)
            world.add(A, "sick", probe=unwell_when_used())
            world.add(A, "one")
            await world.use(A)
            await world.swap(A, "two")
            await world.swap(A, "one")
            await world.swap(A, "one")
            with pytest.raises(FactoryError):
                await world.swap(A, "bad")
            with pytest.raises(RolledBack):
                await world.swap(A, "sick")
            await world.at_rest()
            return of(sdk, "oneiric_lifecycle_swap_duration_ms"), of(sdk, "oneiric_lifecycle_swap_gap_ms")

    durations, gaps = run(main)

    def phases(outcome, steps, count=1):
        return {("adapter", phase, outcome): count for phase in [*steps, "total"]}

    assert durations == {
        **phases("activated", STEPS),
        **phases("swapped", STEPS, 2),
        **phases("unchanged", STEPS[:4]),
        **phases("failed", STEPS[:6]),
        **phases("rolled_back", STEPS[:10]),
    }
    assert gaps == {("adapter",): 2}


def test_a_roll_back_by_probation_is_a_phase(run, sdk):
    """Its operation had ended well."""

    async def main():
        async with World({"lifecycle": {"probation": 30}}) as world:
            world.add(A, "two")
            world.add(A, "one")
            await world.use(A)
            await world.swap(A, "two")
            await world.runtime.rollback(*A)
            await world.at_rest()
            return of(sdk, "oneiric_lifecycle_swap_duration_ms")

    durations = run(main)
    assert {where[1:]: count for where, count in durations.items() if "rolled_back" in where} == {
        ("probation", "rolled_back"): 1
    }


def test_nothing_is_told_where_the_settings_want_none(run, sdk):
    """By what was on, too."""

    async def main():
        async with World({"telemetry": {"metrics": False}}) as world:
            world.add(A, "one")
            await world.use(A)
            await world.runtime.domain("event").emit("a.b")
            return sdk.metrics()

    assert run(main) == {}


def test_a_plugin_that_is_off_tells_nothing(run, sdk):
    """Nor do the domains, which would."""

    async def main():
        async with assemble({"plugins": {"off": ["telemetry"]}}, environment=False) as runtime:
            await runtime.call("action", "compression.hash", {"text": "a"})
            await runtime.domain("event").emit("a.b")
        return sdk.metrics(), sdk.spans()

    assert run(main) == ({}, [])


# --- what plugins and operators do ---------------------------------------------------------------------------------------


class Bad:
    """A plugin that goes wrong where it is told of anything."""

    @hookimpl
    def oneiric_activated(self):
        raise OSError("hunter2")


def test_faults_are_counted_by_plugin(run, sdk):
    """Those that have none are not listed."""

    async def main():
        async with World(plugins=[Bad()]) as world:
            world.add(A, "one")
            await world.use(A)
            await world.at_rest()
            return of(sdk, "oneiric_plugin_faults_total")

    assert run(main) == {("Bad",): 1}


def test_health_is_a_number_of_what_is_bound(run, sdk):
    """As it was told last; of what is not bound there is none, and nothing of a runtime that is closed."""

    async def main():
        async with World() as world:
            world.add(A, "one")
            await world.use(A)
            changed = world.runtime.hooks[specs.oneiric_health_changed]
            seen = []
            for status in STATUS:
                await changed(A, None, Health(status))
                await changed(Key.of("adapter", "gone"), None, Health(status))
                seen.append(of(sdk, "oneiric_health_status"))
        return seen, of(sdk, "oneiric_health_status")

    assert run(main) == ([{("adapter", "a"): number} for number in range(4)], {})


def test_what_operators_impose_is_counted(run, sdk):
    """Once for each change of the mode; a drain that has come to its end is no other mode."""

    async def main():
        async with World() as world:
            changed = world.runtime.hooks[specs.oneiric_activity_changed]
            modes = [Activity(), Activity("hold"), Activity("drain"), Activity("drain", drained=True)]
            modes += [Activity("pause"), Activity(), Activity("hold"), Activity()]
            for before, after in itertools.pairwise(modes):
                await changed(A, before, after, "ada", "maintenance")
        return {
            mode: of(sdk, f"oneiric_activity_{mode}_total") for mode in ("hold", "pause", "drain", "resume")
        }

    where = ("adapter",)
    assert run(main) == {"hold": {where: 2}, "pause": {where: 1}, "drain": {where: 1}, "resume": {where: 2}}


# --- actions, events, workflows --------------------------------------------------------------------------------------------


@attrs.frozen
class Nothing:
    """What an action takes that takes nothing."""


class Shop:
    """Actions, handlers and workflows that go well and wrong."""

    @hookimpl
    def oneiric_actions(self):
        async def well(request, settings):
            return request

        async def wrong(request, settings):
            raise OSError("hunter2")

        async def slow(request, settings):
            await asyncio.sleep(60)

        for run in (well, wrong, slow):
            yield Action(f"shop.{run.__name__}", "does something", takes=Nothing, run=run)

    @hookimpl
    def oneiric_candidates(self):
        for name, handle in {"well": self.handle, "wrong": self.fail, "slow": self.wait}.items():
            yield Candidate(
                Key.of("event", name),
                "shop",
                lambda handle=handle: Handler(handle),
                data=Subscription(["order.*"], timeout=5),
            )
            yield Candidate(Key.of("task", name), "shop", lambda handle=handle: Task(handle))
        for name, nodes in {
            "good": (Node("one", "well"), Node("two", "well", after=("one",))),
            "bad": (Node("one", "wrong"), Node("two", "well", after=("one",)), Node("three", "well")),
            "long": (Node("one", "slow"),),
        }.items():
            yield Candidate(Key.of("workflow", name), "shop", lambda nodes=nodes: Graph(nodes))

    async def handle(self):
        return None

    async def fail(self):
        raise OSError("hunter2")

    async def wait(self):
        await asyncio.sleep(60)


class Handler:
    """Of events."""

    def __init__(self, act):
        self.act = act

    async def handle(self, envelope):
        return await self.act()


class Task:
    """Of runs."""

    def __init__(self, act):
        self.act = act

    async def run(self, payload, context):
        return await self.act()


def in_a_shop(run, act, settings=None):
    """Act in a runtime that has them; what *act* gives."""

    async def main():
        async with assemble(settings or {}, [Shop()], environment=False) as runtime:
            return await act(runtime)

    return run(main)


async def actions(runtime):
    """One of each outcome; what nobody registered has no name."""
    invoke = runtime.domain("action").invoke
    await invoke("shop.well", {})
    await runtime.call("action", "shop.well", {})
    with pytest.raises(ActionError):
        await invoke("shop.wrong", {})
    with pytest.raises(ActionTimeout):
        await invoke("shop.slow", {}, timeout=1)
    with pytest.raises(OneiricError):
        await invoke("customer.4711", {})
    invoking = asyncio.ensure_future(invoke("shop.slow", {}))
    await asyncio.sleep(1)
    invoking.cancel()
    await asyncio.wait({invoking})


def test_actions_are_counted(run, sdk):
    """By name and outcome."""
    in_a_shop(run, actions)

    counts = {
        ("shop.well", "succeeded"): 2,
        ("shop.wrong", "failed"): 1,
        ("shop.slow", "timed_out"): 1,
        ("shop.slow", "cancelled"): 1,
        ("", "failed"): 1,
    }
    assert of(sdk, "oneiric_action_invocations_total") == counts
    assert of(sdk, "oneiric_action_duration_ms") == counts


async def events(runtime):
    """One that three handlers want, and one that nobody does."""
    await runtime.domain("event").emit("order.paid", {"customer": "hunter2"})
    await runtime.domain("event").emit("customer.4711")


def test_events_are_counted(run, sdk):
    """Topics are anybody's, and handlers are registered: so by handler."""
    in_a_shop(run, events)

    assert of(sdk, "oneiric_event_emitted_total") == {(): 2}
    assert of(sdk, "oneiric_event_duration_ms") == {(): 1}
    assert of(sdk, "oneiric_event_deliveries_total") == {
        ("well", "handled"): 1,
        ("wrong", "failed"): 1,
        ("slow", "timed_out"): 1,
    }


async def workflows(runtime):
    """One that goes well, one that does not, one that is ended."""
    face = runtime.domain("workflow")
    await face.run("good")
    with pytest.raises(OneiricError):
        await face.run("bad")
    long = await face.submit("long")
    await asyncio.sleep(1)
    await long.cancel()
    with pytest.raises(OneiricError):
        await long.wait()


def test_workflows_are_counted(run, sdk, tmp_path):
    """Runs by outcome, and what came of their nodes."""
    in_a_shop(run, workflows, {"app": {"state_dir": str(tmp_path)}})

    runs = {("good", "succeeded"): 1, ("bad", "failed"): 1, ("long", "cancelled"): 1}
    assert of(sdk, "oneiric_workflow_runs_total") == runs
    assert of(sdk, "oneiric_workflow_duration_ms") == runs
    assert of(sdk, "oneiric_workflow_nodes_total") == {
        ("good", "succeeded"): 2,
        ("bad", "failed"): 1,
        ("bad", "succeeded"): 1,
        ("bad", "skipped"): 1,
        ("long", "cancelled"): 1,
    }


@pytest.mark.parametrize(("limit", "named"), [(3, True), (2, False)])
def test_keys_are_named_where_there_are_few(run, sdk, limit, named):
    """In a domain of more keys than the settings allow, all of them are one."""
    in_a_shop(run, events, {"telemetry": {"max_keys": limit}})

    assert {key for key, _ in of(sdk, "oneiric_event_deliveries_total")} == (
        {"well", "wrong", "slow"} if named else {""}
    )


# --- the reference -------------------------------------------------------------------------------------------------------


def test_all_that_is_told_is_in_the_reference(run, sdk, tmp_path):
    """By the same names, kinds and attributes; all of the reference is told; and no text of anybody's is anywhere."""

    async def act(runtime):
        for play in (actions, events, workflows):
            await play(runtime)
        runtime.plug(Bad(), "bad")
        runtime.register(Candidate(A, "one", list), Candidate(A, "two", list))
        await runtime.swap(*A, "one")
        await (await runtime.swap(*A, "two")).observed()
        hooks = runtime.hooks
        await hooks[specs.oneiric_health_changed](A, None, Health("ok"))
        modes = [Activity(), Activity("hold"), Activity("pause"), Activity("drain"), Activity()]
        for before, after in itertools.pairwise(modes):
            await hooks[specs.oneiric_activity_changed](A, before, after, "hunter2", "hunter2")
        entry = ("adapter", "a", "one", "1")
        report = SyncReport("prod", "applied", epoch=1, version=1, added=(entry,), sent=9, digests=1)
        hooks[specs.oneiric_synced](StreamView("prod", "https://example.org/hunter2"), report)
        return {name: of(sdk, name) for name in METRICS}, sdk.metrics()

    named, told = in_a_shop(run, act, {"app": {"state_dir": str(tmp_path)}})

    assert {name for name, _ in told} == set(METRICS)
    assert [name for name, values in named.items() if not values] == []
    assert "hunter2" not in repr(told)
    assert "4711" not in repr(told)


def test_kinds_are_those_of_the_reference(sdk, run):
    """What is a counter there is one here, and so on."""

    async def act(runtime):
        await events(runtime)

    in_a_shop(run, act)
    kinds = {"Sum": "counter", "Histogram": "histogram", "Gauge": "gauge"}

    data = sdk._reader.get_metrics_data().resource_metrics[0].scope_metrics[0]
    assert data.scope.name == "oneiric"
    for metric in data.metrics:
        assert kinds[type(metric.data).__name__] == METRICS[metric.name][0]
