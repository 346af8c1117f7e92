"""The domain of tasks: what is run, how often it is tried, when it ends, and what is known of it."""

import asyncio
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import (
    BreakerOpen,
    Candidate,
    Job,
    Key,
    NoCandidate,
    NoSuchRun,
    PluginError,
    Retry,
    RunContext,
    RunError,
    RunTimeout,
    SettingsError,
    TaskSpec,
)

from oneiric import assemble


class Task:
    """Remembers how it was called; does what it is made with."""

    def __init__(self, do=None):
        self.do, self.calls, self.inside, self.most = do, [], 0, 0

    async def run(self, payload, context):
        self.calls.append(context)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            return payload if self.do is None else await self.do(payload, context)
        finally:
            self.inside -= 1


def task(do=None, *, name="reindex", provider="mine", **spec):
    """A task, and the candidate that brings it."""
    instance = Task(do)
    return instance, Candidate.ready(Key("task", name), provider, instance, data=TaskSpec(**spec))


def runtime_of(*candidates, executor=None, **how):
    """An assembled runtime with these, whose runs are not written down; *how* is the table of the domain."""
    tables = {"executors.local": executor or {"journal": False}, "domains.task": how}
    runtime = assemble({"plugins": {"settings": tables}}, environment=False)
    runtime.register(*candidates)
    return runtime


def failing(times, error=OSError):
    """What fails so many times, and then gives how often it was called."""
    count = 0

    async def do(payload, context):
        nonlocal count
        count += 1
        if count <= times:
            raise error(f"no paper ({count})")
        return count

    return do


async def slowly(payload, context):
    await asyncio.sleep(10)
    return "slept"


# --- what comes of it ----------------------------------------------------------------------------------------------


def test_a_task_gives_what_it_gives(run):
    """By the typed interface, and by ``call``."""
    _, candidate = task()

    async def scenario():
        async with runtime_of(candidate) as runtime:
            return await runtime.call("task", "reindex", {"n": 1}), await runtime.domain("task").run(
                "reindex"
            )

    assert run(scenario()) == ({"n": 1}, None)


def test_a_task_knows_the_run_it_is_part_of(run):
    """Its id, its payload, and a key that is the same in every attempt."""
    instance, candidate = task(failing(2), retry=Retry(attempts=3, backoff=1))

    async def scenario():
        async with runtime_of(candidate) as runtime:
            submitted = await runtime.domain("task").submit("reindex", {"n": 1})
            return submitted.id, await submitted.wait()

    identity, result = run(scenario())
    assert result == 3
    assert instance.calls == [
        RunContext(identity, "reindex", attempt=number, payload={"n": 1}) for number in (1, 2, 3)
    ]
    assert {each.effect_key for each in instance.calls} == {f"{identity}/reindex"}


def test_what_a_task_raises_is_the_cause(run):
    """Of an error that names the task, and the run to look at."""
    _, candidate = task(failing(9, KeyError))

    async def scenario():
        async with runtime_of(candidate) as runtime:
            with pytest.raises(RunError) as caught:
                await runtime.call("task", "reindex")
            return caught.value, (await runtime.domain("task").runs())[0]

    error, known = run(scenario())
    assert (str(error), repr(error.__cause__)) == (
        f"task reindex failed: KeyError: 'no paper (1)'\n  that was run {known.id}",
        "KeyError('no paper (1)')",
    )
    assert (error.exit_code, error.run, known.state, known.error) == (
        4,
        known.id,
        "failed",
        "KeyError: 'no paper (1)'",
    )


def test_a_name_that_nobody_fills_is_no_run(run):
    """The error says what is near."""
    _, candidate = task()

    async def scenario():
        async with runtime_of(candidate) as runtime:
            with pytest.raises(NoCandidate, match="did you mean task:reindex?"):
                await runtime.call("task", "reindx")
            return await runtime.domain("task").runs()

    assert run(scenario()) == []


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({1, 2}, "the payload of task reindex: expected plain data, found set"),
        ({"a": [object()]}, "the payload of task reindex: expected plain data at a.0, found object"),
        ({1: 2}, "the payload of task reindex: expected texts as keys, found 1"),
        (float("nan"), "the payload of task reindex: expected a finite number, found nan"),
    ],
    ids=["set", "object", "number", "nan"],
)
def test_a_payload_is_plain_data(payload, said, run):
    """What is not is named by its path, and the task is not called."""
    instance, candidate = task()

    async def scenario():
        async with runtime_of(candidate) as runtime:
            with pytest.raises(RunError) as caught:
                await runtime.call("task", "reindex", payload)
            return str(caught.value).splitlines()[0], await runtime.domain("task").runs()

    assert (run(scenario()), instance.calls) == ((said, []), [])


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.just({1}),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
        max_leaves=8,
    )
)
def test_whatever_is_given_comes_back_or_is_refused(payload):
    """As it is: never something else, and never another error."""
    _, candidate = task()

    async def scenario(journal):
        async with runtime_of(candidate, executor={"journal": journal}) as runtime:
            try:
                return await runtime.call("task", "reindex", payload)
            except RunError as error:
                return str(error)

    came = asyncio.run(scenario(journal=False))
    assert came == payload or (isinstance(came, str) and came.startswith("the payload of task reindex: "))


# --- attempts ------------------------------------------------------------------------------------------------------


def test_settings_say_how_a_task_is_run(run, clock):
    """Instead of what the task says; what they do not say stays."""
    instance, candidate = task(failing(2), retry=Retry(attempts=2, backoff=1), timeout=5)
    runs = {"reindex": {"retry": {"attempts": 3, "backoff": 7.0, "factor": 1.0, "jitter": 0.0}}}

    async def scenario():
        async with runtime_of(candidate, runs=runs) as runtime:
            spec = runtime.domain("task").spec("reindex")
            before = clock.time()
            return await runtime.call("task", "reindex"), clock.time() - before, spec.timeout

    assert (run(scenario()), len(instance.calls)) == ((3, 14.0, 5), 3)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"timeout": 0}, "the timeout is a number of seconds above 0, found 0.0"),
        ({"concurrency": 0}, "the concurrency is a whole number, 1 or more, found 0"),
        ({"retries": 3}, "retries: unknown key (there are: breaker, concurrency, retry, timeout)"),
        ({"retry": {"attempts": "3"}}, "retry.attempts: expected a whole number, found '3'"),
    ],
    ids=["timeout", "concurrency", "unknown", "type"],
)
def test_settings_of_a_task_are_strict(table, said):
    """A slip fails the domain, and is named."""
    with pytest.raises(SettingsError) as caught:
        assemble(
            {"plugins": {"settings": {"domains.task": {"runs": {"reindex": table}}}}},
            environment=False,
            strict=True,
        )
    place = 'plugins.settings."domains.task".runs.reindex'
    assert str(caught.value) in (f"{place}: {said}", f"{place}.{said}")


def test_names_in_the_settings_that_are_no_tasks_are_told(run, caplog):
    """With what is near; the application may still register it."""
    _, candidate = task()

    async def scenario():
        async with runtime_of(candidate, runs={"reindx": {"timeout": 5}}):
            pass

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert [each.message for each in caplog.records] == [
        "plugins.settings.\"domains.task\".runs: there is no task 'reindx' (did you mean reindex?)"
    ]


def test_each_attempt_has_its_time(run, clock):
    """One that takes too long is tried again, as for any TimeoutError; in the end that is the error."""
    instance, candidate = task(slowly, timeout=2, retry=Retry(attempts=2, backoff=0, on=["TimeoutError"]))

    async def scenario():
        async with runtime_of(candidate) as runtime:
            before = clock.time()
            with pytest.raises(RunTimeout) as caught:
                await runtime.call("task", "reindex")
            return str(caught.value), caught.value.exit_code, clock.time() - before

    assert (run(scenario()), len(instance.calls)) == (("task reindex took longer than 2 s", 8, 4.0), 2)


def test_a_timeout_of_the_task_itself_is_its_own(run):
    """It did not take too long."""

    async def do(payload, context):
        raise TimeoutError("the database")

    _, candidate = task(do, timeout=2)

    async def scenario():
        async with runtime_of(candidate) as runtime:
            with pytest.raises(RunError) as caught:
                await runtime.domain("task").run("reindex", timeout=5)
            return type(caught.value), repr(caught.value.__cause__)

    assert run(scenario()) == (RunError, "TimeoutError('the database')")


def test_a_run_has_its_time_too(run, clock):
    """However many attempts are left."""
    _, candidate = task(failing(99), retry=Retry(attempts=99, backoff=3, factor=1, jitter=0))

    async def scenario():
        async with runtime_of(candidate) as runtime:
            before = clock.time()
            with pytest.raises(RunTimeout, match="task reindex took longer than 10 s"):
                await runtime.domain("task").run("reindex", timeout=10)
            return clock.time() - before

    assert run(scenario()) == 10.0


def test_a_task_that_fails_and_fails_is_left_alone(run):
    """As its breaker says; runs fail at once then, and the status tells why."""
    instance, candidate = task(failing(99))
    runs = {"reindex": {"breaker": {"failures": 2, "reset": 30.0}}}

    async def scenario():
        async with runtime_of(candidate, runs=runs) as runtime:
            causes = []
            for wait in (0, 0, 0, 31):
                await asyncio.sleep(wait)
                with pytest.raises(RunError) as caught:
                    await runtime.call("task", "reindex")
                causes.append(type(caught.value.__cause__))
            return causes, [(each.name, each.breaker) for each in runtime.status().attempts]

    came = run(scenario())
    assert came == ([OSError, OSError, BreakerOpen, OSError], [("task reindex", "open")])
    assert len(instance.calls) == 3


def test_each_attempt_is_made_by_who_serves_then(run):
    """A provider that is swapped between two attempts finishes nothing."""

    async def scenario():
        once = asyncio.Event()

        async def fail(payload, context):
            once.set()
            raise OSError("no paper")

        old, first = task(fail, provider="old", retry=Retry(attempts=2, backoff=60, jitter=0))
        new, second = task(provider="new", retry=Retry(attempts=2))
        async with runtime_of(first, second, executor={"journal": False}) as runtime:
            await runtime.swap("task", "reindex", "old")
            submitted = await runtime.domain("task").submit("reindex", 5)
            await once.wait()
            await runtime.swap("task", "reindex", "new")
            return await submitted.wait(), len(old.calls), len(new.calls)

    assert run(scenario()) == (5, 1, 1)


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_at_once_than_the_task_allows(limit, run, clock):
    """The others wait for their turn; settings may allow fewer."""
    instance, candidate = task(slowly, concurrency=5)

    async def scenario():
        async with runtime_of(candidate, runs={"reindex": {"concurrency": limit}}) as runtime:
            before = clock.time()
            await asyncio.gather(*(runtime.call("task", "reindex") for _ in range(6)))
            return clock.time() - before

    assert (run(scenario()), instance.most) == (60.0 / limit, limit)


def test_no_more_runs_at_once_than_the_executor_has_room_for(run):
    """Those that wait are queued."""
    instance, candidate = task(slowly)

    async def scenario():
        async with runtime_of(candidate, executor={"journal": False, "concurrency": 2}) as runtime:
            tasks = runtime.domain("task")
            submitted = [await tasks.submit("reindex") for _ in range(5)]
            await asyncio.sleep(1)
            states = [each.state for each in await tasks.runs()]
            results = [await each.wait() for each in submitted]
            return states, results

    assert run(scenario()) == (["queued"] * 3 + ["running"] * 2, ["slept"] * 5)
    assert instance.most == 2


# --- keys, and the end ---------------------------------------------------------------------------------------------


def test_two_runs_with_one_key_are_one(run):
    """The second waits for the first; with another payload it is refused."""
    instance, candidate = task(slowly)

    async def scenario():
        async with runtime_of(candidate) as runtime:
            tasks = runtime.domain("task")
            both = await asyncio.gather(*(tasks.run("reindex", 1, key="monday") for _ in range(2)))
            with pytest.raises(RunError) as caught:
                await tasks.run("reindex", 2, key="monday")
            return both, str(caught.value).splitlines()[0]

    said = "task reindex: the key 'monday' was used with another payload"
    assert (run(scenario()), len(instance.calls)) == ((["slept", "slept"], said), 1)


@pytest.mark.parametrize("key", ["", "x" * 256, 5], ids=["empty", "long", "number"])
def test_a_key_is_a_text(key, run):
    """Of 1 to 255 characters."""
    _, candidate = task()

    async def scenario():
        async with runtime_of(candidate) as runtime:
            with pytest.raises(PluginError, match="a key of a run is a text of 1 to 255 characters"):
                await runtime.domain("task").run("reindex", key=key)

    run(scenario())


@pytest.mark.parametrize(("key", "state"), [(None, "cancelled"), ("monday", "running")])
def test_who_waits_and_is_cancelled_ends_what_is_his(key, state, run):
    """A run with a key may be waited for by others, and goes on."""
    _, candidate = task(slowly)

    async def scenario():
        async with runtime_of(candidate) as runtime:
            tasks = runtime.domain("task")
            waiting = asyncio.ensure_future(tasks.run("reindex", key=key))
            await asyncio.sleep(1)
            waiting.cancel()
            await asyncio.sleep(1)
            return [each.state for each in await tasks.runs()]

    assert run(scenario()) == [state]


@pytest.mark.parametrize("journal", [True, False])
def test_cancelling_leaves_nothing_behind(journal, tmp_path):
    """After any step of the loop: no run goes on, none is left half submitted, and the next one has room."""

    async def scenario():
        instance, candidate = task(lambda payload, context: asyncio.sleep(0.002))
        more = {"executor": {"journal": journal, "path": str(tmp_path / "runs.db"), "concurrency": 1}}
        async with runtime_of(candidate, **more) as runtime:
            tasks = runtime.domain("task")
            for steps in range(40):
                waiting = asyncio.ensure_future(tasks.run("reindex", steps))
                for _ in range(steps):
                    await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait({waiting})
            assert await asyncio.wait_for(tasks.run("reindex", "last"), 10) is None
            return instance.inside, {each.state for each in await tasks.runs(limit=1000)}

    inside, states = asyncio.run(scenario())
    assert inside == 0
    assert states <= {"cancelled", "succeeded"}


def test_a_handle_tells_and_ends(run):
    """How the run is; that it was asked to end; that it was cancelled."""
    _, candidate = task(slowly)

    async def scenario():
        async with runtime_of(candidate) as runtime:
            tasks = runtime.domain("task")
            submitted = await tasks.submit("reindex")
            await asyncio.sleep(1)
            states = [(await submitted.status()).state, await submitted.cancel()]
            with pytest.raises(RunError, match="task reindex was cancelled"):
                await submitted.wait()
            return [*states, (await submitted.status()).state, await submitted.cancel()]

    assert run(scenario()) == ["running", True, "cancelled", False]


def test_runs_of_others_are_none_of_its_own(run):
    """A run of another kind is no run of a task."""
    _, candidate = task()

    async def scenario():
        async with runtime_of(candidate) as runtime:
            executing = await runtime.executor("local")

            async def body(steps):
                return 1

            identity = await executing.submit(Job("workflow", "reindex"), body)
            await executing.wait(identity)
            tasks = runtime.domain("task")
            for ask in (tasks.cancel, tasks.resume):
                with pytest.raises(NoSuchRun, match=f"there is no run {identity} of a task"):
                    await ask(identity)
            return await tasks.get(identity), await tasks.runs()

    assert run(scenario()) == (None, [])


def test_resuming_needs_a_journal(run):
    """The error says what to set."""
    _, candidate = task(failing(1))

    async def scenario():
        async with runtime_of(candidate) as runtime:
            tasks = runtime.domain("task")
            submitted = await tasks.submit("reindex")
            with pytest.raises(RunError):
                await submitted.wait()
            with pytest.raises(RunError) as caught:
                await tasks.resume(submitted.id)
            return str(caught.value)

    assert run(scenario()) == (
        "task reindex needs an executor that is capable of resume, and 'local' is not\n"
        '  set journal = true in [plugins.settings."executors.local"]'
    )


def test_what_goes_on_is_cut_off_when_the_runtime_closes(run, tmp_path):
    """And can be resumed in the next."""
    instance, candidate = task(slowly)
    more = {"executor": {"path": str(tmp_path / "runs.db")}}

    async def scenario():
        async with runtime_of(candidate, **more) as runtime:
            submitted = await runtime.domain("task").submit("reindex", 5)
            await asyncio.sleep(1)
        async with runtime_of(candidate, **more) as runtime:
            tasks = runtime.domain("task")
            before = (await tasks.get(submitted.id)).state
            resumed = await tasks.resume(submitted.id)
            return before, resumed.id == submitted.id, await resumed.wait()

    assert run(scenario()) == ("lost", True, "slept")
    assert [(each.attempt, each.payload) for each in instance.calls] == [(1, 5), (1, 5)]


def test_a_task_is_done_as_part_of_another_run(run):
    """With the retry and the timeout of who asks, and no run of its own."""
    instance, candidate = task(failing(1), retry=Retry(attempts=1))

    async def scenario():
        async with runtime_of(candidate) as runtime:
            tasks = runtime.domain("task")
            context = RunContext("r", "nightly", node="index", payload={"all": True})
            retry = Retry(attempts=2, backoff=0)
            return await tasks.perform("reindex", [1], context, retry=retry), await tasks.runs()

    assert run(scenario()) == (2, [])
    assert [(each.effect_key, each.attempt, each.payload) for each in instance.calls] == [
        ("r/index", 1, {"all": True}),
        ("r/index", 2, {"all": True}),
    ]
