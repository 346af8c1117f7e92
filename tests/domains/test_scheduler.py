"""The scheduler: what is due is run, once, whatever becomes of it and whatever the clock does."""

import asyncio
import datetime as dt
import logging

import pytest
from oneiric_hookspecs import ActionError, Candidate, Key, SettingsError

from oneiric import assemble
from oneiric.plugins import scheduler

BEGIN = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC).timestamp()
DAY = 86_400


class World:
    """A wall clock that goes with the test's, and may be set; and a task that remembers when it was run."""

    def __init__(self, clock):
        self.clock, self.set_by, self.ran, self.going, self.most = clock, 0.0, [], 0, 0
        self.takes, self.fails = 0.0, 0

    def now(self):
        return BEGIN + self.clock.time() + self.set_by

    async def run(self, payload, context):
        self.ran.append((round(self.now() - BEGIN), payload))
        self.going += 1
        self.most = max(self.most, self.going)
        try:
            await asyncio.sleep(self.takes)
            if self.fails:
                self.fails -= 1
                raise OSError("no space left")
        finally:
            self.going -= 1

    def runtime(self, schedules=None, *, lag=0, state="memory:", journal=False, tables=None, **settings):
        """An assembled runtime whose scheduler has this clock."""

        class Clocked(scheduler.Plugin):
            def __init__(inner, context):
                super().__init__(context, wall=lambda: self.now() - lag)

        Clocked.__name__ = "clocked"
        runtime = assemble(
            {
                "app": {"state_dir": str(settings.pop("folder", "."))},
                "state": {"url": state},
                "plugins": {
                    "settings": {
                        "clocked": {"schedules": schedules or {}, **settings},
                        "executors.local": {"journal": journal},
                    },
                },
                **(tables or {}),
            },
            [Clocked],
            off=["scheduler"],
            environment=False,
        )
        runtime.register(Candidate.ready(Key("task", "reindex"), "mine", self))
        return runtime

    @property
    def at(self):
        """When it was run, in seconds since the test began."""
        return [at for at, _ in self.ran]


@pytest.fixture
def world(clock):
    return World(clock)


def test_a_task_is_run_when_it_is_due(run, world):
    """As long as the runtime is held open: at each due time, with its payload."""
    schedule = {"task": "reindex", "cron": "*/10 * * * *", "payload": {"deep": True}}

    async def scenario():
        async with world.runtime({"often": schedule}):
            await asyncio.sleep(1801)

    run(scenario())

    assert world.ran == [(600, {"deep": True}), (1200, {"deep": True}), (1800, {"deep": True})]


def test_a_task_that_fails_is_told_and_run_again(run, world, caplog):
    """Each time; with the schedule, the due time, and what the task said."""
    world.fails = 2

    async def scenario():
        async with world.runtime({"often": {"task": "reindex", "every": 60}}):
            await asyncio.sleep(181)

    with caplog.at_level(logging.ERROR):
        run(scenario())

    assert world.at == [60, 120, 180]
    assert [each.splitlines()[0] for each in caplog.messages if "schedule" in each] == [
        "schedule often: 2026-03-02T12:01:00Z: task reindex failed: OSError: no space left",
        "schedule often: 2026-03-02T12:02:00Z: task reindex failed: OSError: no space left",
    ]


def test_a_task_that_is_none_does_not_end_the_schedule(run, world, caplog):
    """It is told each time, until there is one."""

    async def scenario():
        async with world.runtime({"often": {"task": "later", "every": 60}}) as runtime:
            await asyncio.sleep(61)
            runtime.register(Candidate.ready(Key("task", "later"), "mine", world))
            await asyncio.sleep(60)

    run(scenario())

    assert world.at == [120]
    assert [each for each in caplog.messages if "12:01:00Z" in each and "later" in each]


@pytest.mark.parametrize("jump", [400 * DAY, -400 * DAY])
def test_a_clock_that_is_set_by_a_year_ends_nothing(run, world, jump):
    """It goes on by the clock as it is; what it jumped over was missed."""

    async def scenario():
        async with world.runtime({"often": {"task": "reindex", "cron": "0,30 * * * *"}}):
            await asyncio.sleep(1801)
            world.set_by = jump
            await asyncio.sleep(3600)

    run(scenario())

    assert world.at == [1800, jump + 3600, jump + 5400]


def test_a_clock_that_is_set_there_and_back_ends_nothing(run, world):
    """A year ahead for ten minutes: what is due afterwards is run."""

    async def scenario():
        async with world.runtime({"often": {"task": "reindex", "cron": "0,30 * * * *"}}):
            world.set_by = 400 * DAY
            await asyncio.sleep(600)
            world.set_by = 0
            await asyncio.sleep(3001)

    run(scenario())

    assert world.at == [1800, 3600]


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [("skip", [60, 240, 420]), ("queue", [60, 210, 360, 510])],
)
def test_a_task_that_takes_long_never_overlaps_itself(run, world, overlap, expected):
    """What is due meanwhile is left out; or waits, and is run as soon as there is room."""
    world.takes = 150

    async def scenario():
        async with world.runtime({"often": {"task": "reindex", "every": 60, "overlap": overlap}}):
            await asyncio.sleep(511)

    run(scenario())

    assert (world.at, world.most) == (expected, 1)


def test_no_more_wait_than_are_allowed(run, world):
    """The oldest goes."""
    world.takes = 590

    async def scenario():
        async with world.runtime(
            {"often": {"task": "reindex", "every": 60, "overlap": "queue"}}, queue=2
        ) as r:
            await asyncio.sleep(1261)
            return sorted(each.key for each in await r.domain("task").runs())

    assert run(scenario()) == [f"schedule/often/2026-03-02T12:{minute}:00Z" for minute in ("01", "09", "19")]
    assert world.at == [60, 650, 1240]


@pytest.mark.parametrize(("missed", "expected"), [("skip", [DAY * 4]), ("once", [DAY * 3 + 3600, DAY * 4])])
def test_what_was_missed_while_nobody_was_there(run, world, tmp_path, missed, expected):
    """Two days without a process: left out, or done once for all as soon as there is one."""
    schedules = {"daily": {"task": "reindex", "cron": "0 12 * * *", "missed": missed, "overlap": "queue"}}

    async def scenario():
        async with world.runtime(schedules, state="sqlite:", folder=tmp_path):
            await asyncio.sleep(1)
        world.set_by = 3 * DAY + 3599
        async with world.runtime(schedules, state="sqlite:", folder=tmp_path):
            await asyncio.sleep(DAY - 3599)

    run(scenario())

    assert world.at == expected


@pytest.mark.parametrize("lag", [0, 5])
def test_two_processes_run_each_due_time_once(run, world, tmp_path, lag):
    """Where they have state and runs in common; whoever is first, and however much the clock of the other lags."""
    schedules = {"often": {"task": "reindex", "every": 60, "max_runs": 4}}
    shared = {"state": "sqlite:", "folder": tmp_path, "journal": True}
    world.set_by = 10

    async def scenario():
        async with world.runtime(schedules, **shared), world.runtime(schedules, lag=lag, **shared):
            await asyncio.sleep(371)

    run(scenario())

    assert world.at == [60, 120, 180, 240]


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [("skip", [60, 240, 420]), ("queue", [60, 210, 360])],
)
def test_two_processes_never_overlap(run, world, tmp_path, overlap, expected):
    """What goes on in the one is waited for, or left out, by the other."""
    world.takes = 149.5
    schedules = {"often": {"task": "reindex", "every": 60, "overlap": overlap}}
    shared = {"state": "sqlite:", "folder": tmp_path, "journal": True}

    async def scenario():
        async with world.runtime(schedules, **shared), world.runtime(schedules, **shared):
            await asyncio.sleep(450)
            return world.at

    assert [round(each, -1) for each in run(scenario())] == expected
    assert world.most == 1


def test_where_the_executor_knows_no_keys(run, world):
    """It is told so by ``once``; then no run has one."""

    async def scenario():
        async with world.runtime({"often": {"task": "reindex", "every": 60}}, once=False) as runtime:
            await asyncio.sleep(121)
            return [each.key for each in await runtime.domain("task").runs()]

    assert (run(scenario()), world.at) == ([None, None], [60, 120])


def test_jitter_is_later_by_no_more_than_it_says(run, world):
    """And never behind the next."""

    async def scenario():
        async with world.runtime({"often": {"task": "reindex", "every": 60, "jitter": 30}}):
            await asyncio.sleep(60 * 20 - 1)

    run(scenario())

    late = [at - 60 * number for number, at in enumerate(world.at, 1)]
    assert len(late) == 19
    assert all(0 <= each <= 30 for each in late)
    assert len(set(late)) > 3


START = {"operation": "start", "name": "mine", "task": "reindex", "every": 60, "payload": 1}


def test_a_schedule_that_is_started_is_followed_at_once(run, world):
    """By the process in which it was started, and by every other that sees the state store."""

    async def scenario():
        async with world.runtime(kept=True) as runtime:
            await asyncio.sleep(1)
            await runtime.call("action", "task.schedule", {**START, "every": 10})
            await asyncio.sleep(20)

    run(scenario())

    assert world.at == [10, 20]


def test_a_schedule_that_is_started_runs_on_and_in_the_next_process(run, world, tmp_path):
    """Until it is stopped; to start it again changes nothing."""
    how = {"state": "sqlite:", "folder": tmp_path, "kept": True}

    async def scenario():
        said = []
        async with world.runtime(**how) as runtime:
            said += [(await runtime.call("action", "task.schedule", START))["changed"] for _ in range(2)]
            await asyncio.sleep(61)
        async with world.runtime(**how) as runtime:
            await asyncio.sleep(60)
            stop = {"operation": "stop", "name": "mine"}
            said += [(await runtime.call("action", "task.schedule", stop))["changed"] for _ in range(2)]
            await asyncio.sleep(120)
        return said

    assert run(scenario()) == [True, False, True, False]
    assert world.ran == [(60, 1), (120, 1)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"task": "reindx"}, "task: nobody fills it"),
        ({"name": "declared"}, "name: 'declared' is declared in the settings"),
        ({"every": 1}, "every: is due every 1 s, and 30 s are the least"),
        ({"until": "2020-01-01"}, "until: is over: there is no time after now at which it is due"),
        ({"name": None}, "operation 'start' wants a name"),
        ({"task": None}, "operation 'start' wants a task"),
        ({"name": "No Name"}, "name: 'No Name' is no name"),
    ],
)
def test_what_cannot_be_started_is_refused(run, world, more, said):
    """And nothing is kept of it."""

    async def scenario():
        tables = {"actions": {"settings": {"task.schedule": {"min_interval": 30.0}}}}
        declared = {"declared": {"task": "reindex", "cron": "@yearly"}}
        async with world.runtime(declared, kept=True, tables=tables) as runtime:
            with pytest.raises(ActionError) as caught:
                await runtime.call("action", "task.schedule", {**START, **more})
            return str(caught.value), await runtime.state.scan("schedules/")

    text, kept = run(scenario())
    assert said in text
    assert kept == []


DAMAGED = [
    "what is this",
    {"due": "now"},
    {"due": 1, "runs": "many"},
    {"due": 1, "run": []},
    {"more": 1},
    None,
    [],
]


@pytest.mark.parametrize("known", DAMAGED, ids=str)
def test_what_is_kept_and_damaged_is_told_and_the_others_run(run, world, caplog, known):
    """Once; with its name."""

    async def scenario():
        async with world.runtime(kept=True) as runtime:
            await runtime.state.put("schedules/bad", {"task": "reindex", "cron": "61 * * * *"})
            await runtime.state.put("scheduled/mine", known)
            await runtime.call("action", "task.schedule", START)
            await asyncio.sleep(125)

    run(scenario())

    assert world.at == [60, 120]
    [said] = [each for each in caplog.messages if "schedule bad" in each]
    assert "bad.cron: '61' is no minute" in said


def test_a_runtime_of_one_command_runs_nothing(run, world):
    """It would be gone before the task has ended."""

    async def scenario():
        runtime = world.runtime({"often": {"task": "reindex", "every": 1}})
        runtime.brief = True
        async with runtime:
            await asyncio.sleep(100)

    run(scenario())

    assert world.at == []


def test_bad_settings_are_named_by_their_path(world):
    """Each with the schedule and the field."""
    schedules = {
        "a": {"task": "reindex", "cron": "61 * * * *", "zone": "Mars"},
        "b": {"cron": "@daily", "overlap": "x"},
        "c": {"task": "reindex"},
    }
    with pytest.raises(SettingsError) as caught:
        assemble(
            {"plugins": {"settings": {"scheduler": {"schedules": schedules}}}}, environment=False, strict=True
        )

    start = "plugins.settings.scheduler.schedules."
    assert [each.path.removeprefix(start) for each in caught.value.problems] == [
        "a.cron",
        "a.zone",
        "b.overlap",
        "b.task",
        "c",
    ]
