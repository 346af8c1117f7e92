"""Syncs that go on: ``runtime.remote.start()`` and ``watch()``, in virtual time, from a source of real files."""

import asyncio
import json
import os

import pytest
from oneiric_hookspecs import Fetched, Fetcher, FetchError, hookimpl
from stream_publisher import entry

A = entry("adapter", "thing", "a", "stream_kit:Part")
YEAR = 365 * 86_400


class Flaky:
    """A fetcher of the scheme ``flaky``: the files of the publisher, unless ``fails`` says otherwise."""

    def __init__(self, project) -> None:
        self.project, self.fails, self.asked = project, None, []

    @hookimpl
    def oneiric_fetchers(self):
        yield Fetcher("flaky", self.open)

    def open(self, spec):
        return self

    def get(self, path, sink, *, etag=None):
        if path == "head.json":
            self.asked.append(self.clock())
        if self.fails is not None:
            raise self.fails
        place = self.project.publisher.folder / path
        if not place.exists():
            return Fetched("absent")
        sink.write(place.read_bytes())
        return Fetched("ok")

    def close(self):
        pass


@pytest.fixture
def flaky(project, clock) -> Flaky:
    """A project whose stream comes by it, on the clock of the test."""
    project.settings(url="flaky:there")
    plugin = Flaky(project)
    plugin.clock = clock.time
    return plugin


def started(project, clock, flaky):
    """A runtime whose wall clock is the virtual one, and whose jitter is none."""
    runtime = project.runtime(plugins=[flaky])
    begin = project.now
    for stream in [runtime.remote.stream("prod")]:
        stream.wall = lambda: begin + clock.time() + flaky.__dict__.get("jump", 0)
        stream.draw = lambda: 0.5
    runtime.remote._wall = stream.wall
    return runtime


def test_it_asks_at_its_interval(project, flaky, clock, run):
    """At once, and then every five minutes; what is new is there after the next."""
    project.publisher.publish(A)

    async def main():
        async with started(project, clock, flaky) as runtime:
            runtime.remote.start()
            await asyncio.sleep(1000)
            project.publisher.publish({**A, "priority": 7})
            await asyncio.sleep(300)
            return runtime.resolve("adapter", "thing").priority, runtime.remote.status()[0]

    priority, status = run(main)
    assert [round(each) for each in flaky.asked] == [0, 300, 600, 900, 1200]
    assert (priority, status.attempts, status.successes, status.running) == (7, 5, 5, True)


def test_a_source_that_fails_is_asked_less_and_less(project, flaky, clock, run):
    """Its failures are kept over a restart, and one success puts an end to them."""
    project.publisher.publish(A)
    flaky.fails = FetchError("it is on fire", code="http-status")

    async def main():
        async with started(project, clock, flaky) as runtime:
            runtime.remote.start()
            await asyncio.sleep(400)
            return runtime.remote.status()[0]

    async def again():
        async with started(project, clock, flaky) as runtime:
            first = runtime.remote.status()[0]
            runtime.remote.start()
            flaky.fails = None
            await asyncio.sleep(500)
            return first, runtime.remote.status()[0]

    status = run(main)
    gaps = [round(b - a, 1) for a, b in zip(flaky.asked, flaky.asked[1:], strict=False)]
    assert gaps == [7.5, 15.0, 30.0, 60.0, 120.0]
    assert (status.failures, status.circuit, status.failed) == (6, "open", {"http-status": 6})
    first, last = run(again)
    assert (first.failures, last.failures, last.circuit, last.version) == (6, 0, "closed", 1)


@pytest.mark.parametrize("asked", [99_999, -1, float("inf"), float("nan"), "soon"])
def test_what_the_source_asks_for_is_bounded(project, flaky, clock, run, asked):
    """An absurd Retry-After is a quarter of an hour at most."""
    flaky.fails = FetchError("later", retry_after=asked)

    async def main():
        async with started(project, clock, flaky) as runtime:
            runtime.remote.start()
            await asyncio.sleep(2000)

    run(main)
    gaps = [b - a for a, b in zip(flaky.asked, flaky.asked[1:], strict=False)]
    assert gaps
    assert max(gaps) <= 901


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        MemoryError(),
        RecursionError(),
        OSError(5, "I/O error"),
        asyncio.CancelledError(),
        KeyError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_it_outlives_what_fetchers_raise(project, flaky, clock, run, error):
    """Each is told with a code, and the loop goes on."""
    project.publisher.publish(A)
    flaky.fails = error

    async def main():
        async with started(project, clock, flaky) as runtime:
            runtime.remote.start()
            await asyncio.sleep(100)
            failed = runtime.remote.status()[0].failed
            flaky.fails = None
            await asyncio.sleep(500)
            return failed, runtime.remote.status()[0]

    failed, status = run(main)
    assert sum(failed.values()) >= 2
    assert set(failed) <= {"plugin-error", "io", "unreachable"}
    assert (status.version, status.failures) == (1, 0)


@pytest.mark.parametrize("hook", ["oneiric_check_manifest", "oneiric_synced", "oneiric_resolved"])
def test_it_outlives_what_hooks_raise(project, flaky, clock, run, hook):
    """A judge that fails refuses; an observer that fails changes nothing."""
    calls = []

    def failing(self):
        calls.append(1)
        raise RuntimeError("a bug")

    failing.__name__ = hook
    plugin = type("Failing", (), {hook: hookimpl(failing)})()
    project.publisher.publish(A)

    async def main():
        runtime = started(project, clock, flaky)
        runtime.plug(plugin)
        async with runtime:
            runtime.remote.start()
            await asyncio.sleep(700)
            return runtime.remote.status()[0]

    status = run(main)
    assert calls
    expected = (None, {"plugin-error"}) if hook == "oneiric_check_manifest" else (1, set())
    assert (status.version, set(status.failed)) == expected
    assert status.attempts >= 3


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_it_outlives_clocks_that_jump(project, flaky, clock, run, jump):
    """A year on, what is in force is stale; a year back, it is believed as before; and it is asked on and on."""
    project.publisher.publish(A)

    async def main():
        async with started(project, clock, flaky) as runtime:
            runtime.remote.start()
            await asyncio.sleep(10)
            flaky.jump = jump
            await asyncio.sleep(3000)
            asked, status = len(flaky.asked), runtime.remote.status()[0]
            flaky.jump = 0
            await asyncio.sleep(3000)
            return asked, status, runtime.remote.status()[0]

    asked, status, after = run(main)
    assert asked >= 3
    assert status.condition == ("stale" if jump > 0 else "active")
    assert (after.condition, after.last.outcome, after.version) == ("active", "unchanged", 1)


def test_it_ends_with_the_runtime_and_when_told(project, flaky, clock, run):
    """Nothing goes on afterwards, and to start twice is to start once."""
    project.publisher.publish(A)

    async def main():
        async with started(project, clock, flaky) as runtime:
            runtime.remote.start()
            runtime.remote.start("prod", interval=10)
            await asyncio.sleep(5)
            runtime.remote.stop()
            await asyncio.sleep(1000)
            count = len(flaky.asked)
            runtime.remote.start("prod", interval=10)
            await asyncio.sleep(1000)
            return count

    assert run(main) == 1
    assert 3 <= len(flaky.asked) <= 110


def test_a_hint_wakes_it(project, flaky, clock, run):
    """``wake`` asks at once."""
    project.publisher.publish(A)

    async def main():
        async with started(project, clock, flaky) as runtime:
            runtime.remote.start()
            await asyncio.sleep(100)
            runtime.remote.wake()
            await asyncio.sleep(1)

    run(main)
    assert [round(each) for each in flaky.asked] == [0, 100]


def test_secrets_that_cannot_be_had_count_as_failures(project, flaky, clock, run):
    """The loop goes on, and the source was not asked without."""
    project.settings('auth = "token"', url="flaky:there", head='[secrets]\ntoken = "env:NO_SUCH_TOKEN"')

    async def main():
        async with started(project, clock, flaky) as runtime:
            runtime.remote.start()
            await asyncio.sleep(100)
            return runtime.remote.status()[0]

    status = run(main)
    assert (flaky.asked, status.failures >= 2, status.version) == ([], True, None)


def test_a_sync_that_takes_longer_than_its_budget_is_told(project, flaky, clock, run, caplog):
    """As a warning with both figures, and counted."""
    project.settings("latency_budget = 1", url="flaky:there")
    project.publisher.publish(A)

    async def main():
        async with started(project, clock, flaky) as runtime:
            await runtime.remote.sync()
            return runtime.remote.status()[0]

    status = run(main)
    assert (status.budget_ms, status.over_budget) == (1, 1)
    assert "its latency_budget is 1" in caplog.text


def test_what_came_of_it_is_in_a_file(project, flaky, clock, run):
    """For who does not ask the process: written whole, with the process and the time."""
    project.publisher.publish(A)

    async def main():
        async with started(project, clock, flaky) as runtime:
            runtime.remote.start()
            await asyncio.sleep(10)
            first = json.loads((project.folder / "state/remote_status.json").read_text())
            flaky.fails = FetchError("it is on fire", code="http-status")
            await asyncio.sleep(400)
            return first, json.loads((project.folder / "state/remote_status.json").read_text())

    first, last = run(main)
    assert (first["schema"], first["pid"]) == ("oneiric/remote-status-file/1", os.getpid())
    streams = first["streams"] + last["streams"]
    assert [(each["version"], each["last"]["outcome"], each["running"]) for each in streams] == [
        (1, "applied", True),
        (1, "unreachable", True),
    ]
    assert last["written"] > first["written"]


def test_watching_ends_what_it_began(project, flaky, clock, run):
    """Each report as it comes; whoever stops asking stops the syncs."""
    project.publisher.publish(A)

    async def main():
        async with started(project, clock, flaky) as runtime:
            outcomes = []
            watching = runtime.remote.watch(interval=2)
            async for report in watching:
                outcomes.append(report.outcome)
                if len(outcomes) == 3:
                    break
            await watching.aclose()
            await asyncio.sleep(100)
            return outcomes

    assert run(main) == ["applied", "unchanged", "unchanged"]
    assert len(flaky.asked) == 3
