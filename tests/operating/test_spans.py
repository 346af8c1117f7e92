"""What goes around an operation, and the span that OpenTelemetry has of each."""

import asyncio
import contextvars
import subprocess
import sys
from contextlib import contextmanager

import pytest
from oneiric_hookspecs import FactoryError, Key, Need, OneiricError, RolledBack, hookimpl

from oneiric.plugins.telemetry.spans import ATTRIBUTES, SPANS
from oneiric.testing.world import World

A, B = Key.of("adapter", "a"), Key.of("adapter", "b")
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
TENANT = contextvars.ContextVar("tenant", default="nobody")


def broken(product):
    """What a factory does that fails, with a text that is for people."""
    raise OSError("the password is hunter2")


def unwell_when_used():
    """A probe that is well until it is asked to confirm."""
    answers = iter([True])
    return lambda product: next(answers, False)


class Listening:
    """Goes around every operation, and writes down how it went."""

    def __init__(self, fails=""):
        self.fails, self.log, self.tenants = fails, [], []

    @hookimpl
    def oneiric_around_operation(self, operation):
        if self.fails == "ask":
            raise OSError("it cannot be asked")
        return None if self.fails == "none" else self.around(operation)

    @contextmanager
    def around(self, operation):
        if self.fails == "enter":
            raise OSError("it cannot begin")
        task = asyncio.current_task().get_name().partition(" ")[0]
        self.tenants.append((operation.caller.get(TENANT, None), TENANT.get()))
        self.log.append(
            ("begins", operation.key.name, operation.step, task in (operation.id, operation.parent))
        )
        try:
            yield
        except BaseException as error:
            course = operation.course()
            self.log.append(("fails", operation.key.name, course.steps[-1][0], type(error).__name__))
            if self.fails != "swallow":
                raise
        else:
            course = operation.course()
            self.log.append(("ends", operation.key.name, course.outcome, course.provider))
        if self.fails == "leave":
            raise OSError("it cannot end")


# --- around ------------------------------------------------------------------------------------------------------------


def test_each_operation_is_gone_around(run):
    """In its own task, before its first step; left when its outcome is known, which can be asked for."""
    plugin = Listening()

    async def main():
        async with World(plugins=[plugin]) as world:
            world.add(A, "two")
            world.add(A, "bad", make=broken)
            world.add(A, "one")
            await world.use(A)
            await world.swap(A, "two")
            await world.swap(A, "two")
            with pytest.raises(FactoryError):
                await world.swap(A, "bad")

    run(main)

    begins = ("begins", "a", "", True)
    assert plugin.log == [
        *(begins, ("ends", "a", "activated", "one")),
        *(begins, ("ends", "a", "swapped", "two")),
        *(begins, ("ends", "a", "unchanged", "two")),
        *(begins, ("fails", "a", "create", "FactoryError")),
    ]


@pytest.mark.parametrize("fails", ["ask", "enter", "leave", "swallow", "none"])
def test_what_goes_around_fails_no_operation(fails, run):
    """Its faults are recorded; the operation ends as it would have, by its own error too."""

    async def main():
        async with World(plugins=[Listening(fails)]) as world:
            world.add(A, "two")
            world.add(A, "bad", make=broken)
            world.add(A, "one")
            await world.use(A)
            report = await world.swap(A, "two")
            with pytest.raises(FactoryError):
                await world.swap(A, "bad")
            return report.outcome, world.serves(A), {fault.kind for fault in world.runtime.hooks.faults}

    faults = {"none": set(), "swallow": {"type"}}.get(fails, {"raised"})
    assert run(main) == ("swapped", "two", faults)


def test_each_member_of_a_transaction_is_gone_around(run):
    """The others are parts of the first, whose task it is; all of them end before any caller goes on."""
    plugin = Listening()

    async def main():
        async with World(plugins=[plugin]) as world:
            for key in (A, B):
                world.add(key, "one")
            async with world.runtime.transaction() as tx:
                tx.swap(*A, "one")
                tx.swap(*B, "one")

    run(main)

    assert plugin.log == [
        ("begins", "a", "", True),
        ("begins", "b", "", True),
        ("ends", "b", "activated", "one"),
        ("ends", "a", "activated", "one"),
    ]


def test_the_context_of_the_caller_can_be_looked_at(run):
    """Whose request set it off is known, and lives on in nothing that the operation does."""
    plugin = Listening()

    async def main():
        async with World(plugins=[plugin]) as world:
            world.add(A, "one")
            TENANT.set("acme")
            await world.use(A)

    run(main)

    assert plugin.tenants == [("acme", "nobody")]


def test_an_operation_that_is_cancelled_is_left(run):
    """By that; nothing of it is left over."""
    plugin = Listening()

    async def main():
        async with World(plugins=[plugin]) as world:
            world.add(A, "slow", make=lambda product: asyncio.sleep(60))
            using = asyncio.ensure_future(world.use(A))
            await asyncio.sleep(1)
            using.cancel()
            await asyncio.wait({using})
            await world.at_rest()

    run(main)

    assert plugin.log == [("begins", "a", "", True), ("fails", "a", "create", "CancelledError")]


def test_how_long_nobody_was_served_is_known_where_it_failed(run):
    """Of a swap without overlap, until the old one served again."""
    gaps = []

    class Gap:
        @hookimpl
        @contextmanager
        def oneiric_around_operation(self, operation):
            try:
                yield
            finally:
                gaps.append(operation.course().gap_ms)

    async def main():
        async with World({"lifecycle": {"keys": {"adapter:a": {"mode": "exclusive"}}}}, [Gap()]) as world:
            world.add(A, "slow", make=slow_and_broken)
            world.add(A, "one")
            await world.use(A)
            with pytest.raises(OneiricError):
                await world.swap(A, "slow")

    run(main)

    assert (gaps[0], 2000 <= gaps[1] < 2100) == (0.0, True)


async def slow_and_broken(product):
    """It fails after two seconds."""
    await asyncio.sleep(2)
    broken(product)


# --- spans -------------------------------------------------------------------------------------------------------------


def seen(span):
    """What a span says, without its times."""
    attributes = {name.removeprefix("oneiric."): value for name, value in span.attributes.items()}
    attributes.pop("domain")
    return span.name, attributes


def play(run, act, settings=None, **more):
    """Act in a world that has good and bad providers of ``a``; what *act* gives."""

    async def main():
        async with World(settings, **more) as world:
            world.add(A, "two")
            world.add(A, "bad", make=broken)
            world.add(A, "sick", probe=unwell_when_used())
            world.add(A, "one")
            answer = await act(world)
            await world.at_rest()
            return answer

    return run(main)


async def all_outcomes(world):
    """An activation, a swap, one that changes nothing, one that fails, one that is rolled back."""
    await world.use(A)
    await world.swap(A, "two")
    await world.swap(A, "two")
    with pytest.raises(FactoryError):
        await world.swap(A, "bad")
    with pytest.raises(RolledBack):
        await world.swap(A, "sick")


def test_each_operation_is_a_span(run, sdk):
    """With its outcome and its cause; what fails is an error, by the name of its class, and says no more."""
    play(run, all_outcomes)

    key = {"key": "a", "cause": "operator"}
    assert [seen(span) for span in sdk.spans()] == [
        ("oneiric.activate", {"key": "a", "cause": "use", "outcome": "activated", "provider": "one"}),
        ("oneiric.swap", key | {"outcome": "swapped", "provider": "two"}),
        ("oneiric.swap", key | {"outcome": "unchanged", "provider": "two"}),
        ("oneiric.swap", key | {"outcome": "failed", "provider": "bad", "error.type": "FactoryError"}),
        ("oneiric.swap", key | {"outcome": "rolled_back", "provider": "sick", "error.type": "RolledBack"}),
    ]
    assert [span.status.is_ok for span in sdk.spans()] == [True, True, True, False, False]
    assert "hunter2" not in "".join(span.to_json() for span in sdk.spans())


def test_steps_are_events(run, sdk, clock):
    """Each at its time, in the span."""

    async def act(world):
        world.add(B, "slow", make=lambda product: asyncio.sleep(2))
        await world.use(B)

    play(run, act)

    [span] = sdk.spans()
    times = {event.name: event.timestamp for event in span.events}
    assert list(times) == STEPS
    assert 1.9e9 < times["warm"] - times["create"] < 2.1e9


def test_every_name_and_attribute_is_in_the_reference(run, sdk):
    """And everything in the reference is told by some operation; syncs are told elsewhere."""

    async def act(world):
        await all_outcomes(world)
        world.add(A, "weak")
        await world.swap(A, "weak")
        await world.runtime.rollback(*A)

    play(run, act, {"lifecycle": {"probation": 30}})

    assert {span.name for span in sdk.spans()} | {"oneiric.remote.sync"} == set(SPANS)
    assert {name for span in sdk.spans() for name in span.attributes} == set(ATTRIBUTES)


def test_a_span_is_linked_to_its_caller(run, sdk):
    """It is no child of it: others may wait for the operation too, and it may outlive them all."""

    async def act(world):
        with sdk.tracer.start_as_current_span("request"):
            await world.use(A)

    play(run, act)

    span, request = sdk.spans()
    assert (span.parent, [link.context.span_id for link in span.links]) == (None, [request.context.span_id])
    assert span.context.trace_id != request.context.trace_id


def test_what_is_current_where_the_runtime_is_entered_is_no_parent(run, sdk):
    """An application may start inside of a span, and does not want its whole life in it."""

    async def main():
        with sdk.tracer.start_as_current_span("start"):
            world = World()
            await world.__aenter__()
        world.add(A, "one")
        await world.use(A)
        await world.__aexit__(None, None, None)

    run(main)

    span = sdk.spans()[-1]
    assert (span.name, span.parent, span.links) == ("oneiric.activate", None, ())


def test_an_operation_inside_of_another_is_its_child(run, sdk):
    """Its cause is in the same trace, and so is what a factory does itself."""

    async def act(world):
        def make(product):
            sdk.tracer.start_span("connect").end()

        world.add(B, "needy", needs=(Need(A),), make=make)
        await world.use(B)

    play(run, act)

    need, connect, outer = sdk.spans()
    assert [span.name for span in (need, connect, outer)] == [
        "oneiric.activate",
        "connect",
        "oneiric.activate",
    ]
    assert [span.parent.span_id for span in (need, connect)] == [outer.context.span_id] * 2
    assert (seen(need)[1]["cause"], need.links) == ("need", ())


def test_a_transaction_is_one_trace(run, sdk):
    """The first of its members, and the others below it."""

    async def act(world):
        world.add(B, "one")
        async with world.runtime.transaction() as tx:
            tx.swap(*A, "one")
            tx.swap(*B, "one")

    play(run, act)

    inner, outer = sdk.spans()
    assert (outer.parent, inner.parent.span_id) == (None, outer.context.span_id)
    assert [seen(span)[1]["key"] for span in (inner, outer)] == ["b", "a"]


def test_what_probation_takes_back_is_a_span_of_its_own(run, sdk):
    """Linked to the operation that bound it, and as long as it was bound."""

    async def act(world):
        await world.use(A)
        await world.swap(A, "two")
        await asyncio.sleep(5)
        await world.runtime.rollback(*A)

    play(run, act, {"lifecycle": {"probation": 30}})

    _, swap, back = sdk.spans()
    assert seen(back) == (
        "oneiric.rollback",
        {
            "key": "a",
            "cause": "operator",
            "provider": "two",
            "outcome": "rolled_back",
            "error.type": "RolledBack",
        },
    )
    assert [link.context.span_id for link in back.links] == [swap.context.span_id]
    assert 4.9e9 < back.end_time - back.start_time < 5.1e9


def test_no_spans_where_the_settings_want_none(run, sdk):
    """Metrics go on; and settings that change count at once."""

    async def act(world):
        await world.use(A)
        await world.runtime.apply({"telemetry": {"spans": True}})
        await world.swap(A, "two")

    play(run, act, {"telemetry": {"spans": False}})

    assert [span.name for span in sdk.spans()] == ["oneiric.swap"]
    assert len({dict(where)["outcome"] for name, where in sdk.metrics() if "duration" in name}) == 2


def test_a_tracer_that_fails_fails_no_operation(run, sdk, monkeypatch):
    """It is a fault of the plugin; the part is swapped."""

    def start_span(*_, **__):
        raise RuntimeError("the exporter is gone")

    from oneiric.plugins.telemetry import spans

    monkeypatch.setattr(type(spans.tracer()), "start_span", start_span)

    async def act(world):
        await world.use(A)
        return world.serves(A), [fault.plugin for fault in world.runtime.hooks.faults]

    assert play(run, act) == ("one", ["telemetry"])


def test_nobody_pays_who_does_not_listen(tmp_path):
    """Without an SDK nothing of OpenTelemetry is imported, by no operation, action, event or workflow."""
    code = """
import asyncio, sys
import oneiric
from oneiric import assemble
from oneiric_hookspecs import Candidate, Key
async def make(): return object()
async def main():
    async with assemble({}, environment=False) as runtime:
        runtime.register(Candidate(Key.of("adapter", "a"), "one", make))
        await runtime.swap("adapter", "a", "one")
        await runtime.call("action", "compression.hash", {"text": "a"})
        await runtime.domain("event").emit("a.b")
asyncio.run(main())
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)

    assert (ended.stdout, ended.stderr) == ("[]\n", "")
