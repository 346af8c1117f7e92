"""A run goes on where it was."""

from __future__ import annotations

import asyncio
from pathlib import Path

from oneiric_hookspecs import JSON, Body, Executing, Job, NoSuchRun, Steps

from .places import Held, Places, gives, job, outcome, promise, refused


def of_steps(done: list[str], fail_at: str = "", held: Held | None = None) -> Body:
    """A body of steps a, b and c, each written into *done*; at one of them it fails, or waits."""

    async def body(steps: Steps) -> JSON:
        results: list[JSON] = []
        for name in ("a", "b", "c"):

            async def call(name: str = name) -> JSON:
                done.append(name)
                if name == fail_at:
                    if held is not None:
                        await held(steps)
                    raise OSError(f"no {name}")
                return name.upper()

            results.append(await steps.step(name, call))
        return results

    return body


class Resuming(Places):
    """What holds of executors that resume runs."""

    @promise("resume")
    async def test_what_had_succeeded_is_not_done_again(self, executing: Executing, folder: Path) -> None:
        """A run that failed goes on under its id, and with the results it had."""
        done: list[str] = []
        identity = await executing.submit(job(payload=1, version="1"), of_steps(done, "b"))
        assert (await executing.wait(identity)).state == "failed"
        await executing.resume(identity, job(payload=1, version="1"), of_steps(done))
        found = await executing.wait(identity)
        assert outcome(found) == ("task", "reindex", "succeeded", 1, ["A", "B", "C"], None)
        assert done == ["a", "b", "b", "c"]
        steps = [(each.name, each.state) for each in await executing.steps(identity)]
        assert steps == [("a", "succeeded"), ("b", "succeeded"), ("c", "succeeded")]

    @promise("resume", "durable")
    async def test_a_run_that_was_cut_off_goes_on_in_the_next(
        self, executing: Executing, folder: Path
    ) -> None:
        """It is lost until somebody resumes it."""
        done: list[str] = []
        held = Held()
        identity = await executing.submit(job(version="1"), of_steps(done, "b", held))
        await held.begun.wait()
        await executing.close()
        async with self.started(folder) as other:
            lost = await other.wait(identity)
            assert (lost.state, lost.over) == ("lost", False)
            assert [each.id for each in await other.runs(states=["lost"])] == [identity]
            await other.resume(identity, job(version="1"), of_steps(done))
            assert (await other.wait(identity)).result == ["A", "B", "C"]
        assert done == ["a", "b", "b", "c"]

    @promise("resume", "durable", "keys")
    async def test_a_lost_run_goes_on_when_its_key_is_submitted(
        self, executing: Executing, folder: Path
    ) -> None:
        """With the body that is given then."""
        done: list[str] = []
        held = Held()
        identity = await executing.submit(job(key="k"), of_steps(done, "c", held))
        await held.begun.wait()
        await executing.close()
        async with self.started(folder) as other:
            assert await other.submit(job(key="k"), of_steps(done)) == identity
            assert (await other.wait(identity)).result == ["A", "B", "C"]
        assert done == ["a", "b", "c", "c"]

    @promise("resume", "durable")
    async def test_of_two_who_resume_one_run_one_does(self, executing: Executing, folder: Path) -> None:
        """The other is refused; the body is called once."""
        held = Held()
        identity = await executing.submit(job(), held)
        await held.begun.wait()
        await executing.close()
        calls: list[str] = []
        async with self.started(folder) as one, self.started(folder) as other:
            came = await asyncio.gather(
                *(each.resume(identity, job(), gives(1, calls)) for each in (one, other) * 4),
                return_exceptions=True,
            )
            assert (await one.wait(identity)).result == 1
        assert (sum(each is None for each in came), calls) == (1, [identity])

    @promise("resume", "cancel")
    async def test_a_run_that_was_cancelled_goes_on(self, executing: Executing, folder: Path) -> None:
        """Who ended it may have changed his mind."""
        held = Held()
        identity = await executing.submit(job(), held)
        await held.begun.wait()
        await executing.cancel(identity)
        await executing.wait(identity)
        await executing.resume(identity, job(), gives("after all"))
        assert (await executing.wait(identity)).result == "after all"

    @promise("resume")
    async def test_what_cannot_go_on_is_refused(self, executing: Executing, folder: Path) -> None:
        """What there is not, goes on, has succeeded, was of another version, or is another's; no body is called."""
        calls: list[str] = []
        again = gives("again", calls)
        await refused(executing.resume("nope", job(), again), "a run that there is not", NoSuchRun)
        held = Held()
        identity = await executing.submit(job(version="1"), held)
        await held.begun.wait()
        await refused(executing.resume(identity, job(version="1"), again), "a run that goes on")
        held.free.set()
        await executing.wait(identity)
        await refused(executing.resume(identity, job(version="1"), again), "a run that has succeeded")
        identity = await executing.submit(job(version="1"), of_steps([], "a"))
        await executing.wait(identity)
        await refused(executing.resume(identity, job(version="2"), again), "another version")
        await refused(executing.resume(identity, job("other", version="1"), again), "another task")
        await refused(
            executing.resume(identity, Job("workflow", "reindex", version="1"), again), "another kind"
        )
        found = await executing.get(identity)
        assert (found and found.state, calls) == ("failed", [])
