"""Runs begin, end, are cancelled and take too long."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from oneiric_hookspecs import (
    JSON,
    Capability,
    Executing,
    NoSuchRun,
    OneiricError,
    RunTimeout,
    Steps,
)

from .places import Held, Places, gives, job, outcome, promise, refused

_ALL: tuple[Capability, ...] = ("durable", "resume", "keys", "cancel", "distributed")


class Running(Places):
    """What holds of every executor."""

    @promise()
    async def test_a_run_gives_what_its_body_gives(self, executing: Executing, folder: Path) -> None:
        """Who waits gets it, and so does who asks later; its times are in order."""
        calls: list[str] = []
        identity = await executing.submit(job(payload={"a": [1]}, version="7"), gives({"b": None}, calls))
        found = await executing.wait(identity)
        expected = ("task", "reindex", "succeeded", {"a": [1]}, {"b": None}, None)
        assert outcome(found) == outcome(await executing.get(identity)) == expected
        assert calls == [identity] == [found.id]
        assert found.version == "7"
        assert 0 < found.submitted <= (found.started or 0) <= (found.ended or 0)

    @promise()
    async def test_a_body_that_raises_fails_its_run(self, executing: Executing, folder: Path) -> None:
        """The run says why, and holds what was raised."""
        error = KeyError("lost")

        async def body(steps: Steps) -> JSON:
            raise error

        found = await executing.wait(await executing.submit(job(), body))
        assert (found.state, found.result, found.cause) == ("failed", None, error)
        assert "KeyError" in (found.error or "")

    @promise()
    async def test_a_body_that_cancels_itself_fails_its_run(self, executing: Executing, folder: Path) -> None:
        """Nobody asked for it."""

        async def body(steps: Steps) -> JSON:
            raise asyncio.CancelledError

        found = await executing.wait(await executing.submit(job(), body))
        assert found.state == "failed"
        assert found.error

    @promise()
    async def test_what_is_not_plain_data_is_refused(self, executing: Executing, folder: Path) -> None:
        """A payload when it is submitted, and nothing is known of it; a result when it comes."""
        await refused(
            executing.submit(job(payload=[{1, 2}]), gives()),  # that is what it is about
            "a payload with a set",
            OneiricError,
        )
        assert await executing.runs() == []
        found = await executing.wait(await executing.submit(job(), gives([float("nan")])))
        assert (found.state, found.result) == ("failed", None)

    @promise()
    async def test_a_run_that_takes_too_long_fails(self, executing: Executing, folder: Path) -> None:
        """Its body is cancelled; a body's own TimeoutError is an error like any other."""
        held = Held()
        found = await executing.wait(await executing.submit(job(timeout=0.05), held))
        assert (found.state, type(found.cause), held.ended) == ("failed", RunTimeout, "cancelled")

        async def body(steps: Steps) -> JSON:
            raise TimeoutError("its own")

        found = await executing.wait(await executing.submit(job(timeout=5), body))
        assert (found.state, type(found.cause)) == ("failed", TimeoutError)

    @promise()
    async def test_nobody_knows_a_run_that_there_is_not(self, executing: Executing, folder: Path) -> None:
        """It is None, an error to wait for, and nothing to cancel."""
        assert await executing.get("nope") is None
        assert await executing.steps("nope") == []
        assert await executing.cancel("nope") is False
        await refused(executing.wait("nope"), "a run that there is not", NoSuchRun)

    @promise()
    async def test_runs_are_listed_newest_first(self, executing: Executing, folder: Path) -> None:
        """Those of a kind, of a name, in one of some states, and no more than were asked for."""

        async def fail(steps: Steps) -> JSON:
            raise ValueError("no")

        ids = []
        for name, body in (("a", gives(1)), ("b", fail), ("a", fail), ("b", gives(2))):
            ids.append(await executing.submit(job(name), body))
            await executing.wait(ids[-1])
        a, b, c, d = ids

        async def listed(**which: object) -> list[str]:
            return [each.id for each in await executing.runs(**which)]  # type: ignore[arg-type]

        assert await listed() == await listed(kind="task") == [d, c, b, a]
        assert await listed(kind="workflow") == await listed(name="c") == await listed(states=["lost"]) == []
        assert await listed(name="a") == [c, a]
        assert await listed(states=["failed"]) == [c, b]
        assert await listed(states=["failed", "succeeded"], limit=3) == [d, c, b]
        assert await listed(name="b", states=["failed"]) == [b]

    @promise()
    async def test_who_waits_may_go_away(self, executing: Executing, folder: Path) -> None:
        """The run goes on, and others who wait for it go on waiting."""
        held = Held(5)
        identity = await executing.submit(job(), held)
        one, other = (asyncio.ensure_future(executing.wait(identity)) for _ in range(2))
        await held.begun.wait()
        one.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await one
        held.free.set()
        assert outcome(await other) == ("task", "reindex", "succeeded", None, 5, None)

    @promise()
    async def test_many_run_at_once(self, executing: Executing, folder: Path) -> None:
        """Each gives its own."""
        ids = await asyncio.gather(*(executing.submit(job(payload=n), gives(n)) for n in range(150)))
        found = await asyncio.gather(*map(executing.wait, ids))
        assert len(set(ids)) == 150
        assert [(each.payload, each.result) for each in found] == [(n, n) for n in range(150)]

    @promise()
    async def test_a_run_may_wait_for_another(self, executing: Executing, folder: Path) -> None:
        """However many do so at once, and however deep: none waits for a place that another keeps while it waits."""

        async def nested(steps: Steps, depth: int = 4) -> JSON:
            if depth == 0:
                return 1
            inner = await executing.submit(job("inner"), lambda steps: nested(steps, depth - 1))
            found = (await executing.wait(inner)).result
            return found + 1 if isinstance(found, int) else None

        ids = await asyncio.gather(*(executing.submit(job(), nested) for _ in range(120)))
        assert {(await executing.wait(each)).result for each in ids} == {5}

    @promise()
    async def test_what_it_is_not_capable_of_is_refused(self, executing: Executing, folder: Path) -> None:
        """When it is submitted, and nothing is known of the job."""
        calls: list[str] = []
        for missing in set(_ALL) - self.capabilities:
            needy = job(needs=frozenset({missing}))
            await refused(executing.submit(needy, gives(1, calls)), f"a job that needs {missing!r}")
        assert (calls, await executing.runs()) == ([], [])
        if "resume" not in self.capabilities:
            identity = await executing.submit(job(), gives([float("nan")]))
            await executing.wait(identity)
            await refused(executing.resume(identity, job(), gives(1, calls)), "to resume a run")
            assert calls == []

    @promise("cancel")
    async def test_a_run_ends_on_request(self, executing: Executing, folder: Path) -> None:
        """Its body is cancelled; a second request finds that it has ended."""
        held = Held()
        identity = await executing.submit(job(), held)
        await held.begun.wait()
        assert await executing.cancel(identity) is True
        found = await executing.wait(identity)
        assert (found.state, found.result, found.error, held.ended) == ("cancelled", None, None, "cancelled")
        assert await executing.cancel(identity) is False

    @promise("cancel")
    async def test_a_run_that_was_not_begun_ends_on_request(self, executing: Executing, folder: Path) -> None:
        """At every step of the loop after it was submitted."""
        for steps in range(8):
            held = Held()
            identity = await executing.submit(job(), held)
            for _ in range(steps):
                await asyncio.sleep(0)
            assert await executing.cancel(identity) is True
            assert (await executing.wait(identity)).state == "cancelled"
            assert held.ended in ("", "cancelled")

    @promise("cancel")
    async def test_a_body_may_end_well_although_it_was_asked_to_end(
        self, executing: Executing, folder: Path
    ) -> None:
        """What it gives after all is the result."""
        held = Held()

        async def stubborn(steps: Steps) -> JSON:
            with contextlib.suppress(asyncio.CancelledError):
                await held(steps)
            return "all the same"

        identity = await executing.submit(job(), stubborn)
        await held.begun.wait()
        await executing.cancel(identity)
        found = await executing.wait(identity)
        assert (found.state, found.result) == ("succeeded", "all the same")

    @promise()
    async def test_closing_a_second_time_does_nothing(self, executing: Executing, folder: Path) -> None:
        """What goes on is cancelled, and nothing is taken any more."""
        held = Held()
        identity = await executing.submit(job(), held)
        await held.begun.wait()
        waiting = asyncio.ensure_future(executing.wait(identity))
        await asyncio.sleep(0)
        await executing.close()
        await executing.close()
        assert held.ended == "cancelled"
        with contextlib.suppress(OneiricError):
            assert (await waiting).state == "lost"
        await refused(executing.submit(job(), gives()), "a job after the end", OneiricError)
