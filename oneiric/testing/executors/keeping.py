"""What was written down is known to the next process, and to others."""

from __future__ import annotations

import asyncio
from pathlib import Path

from oneiric_hookspecs import JSON, Executing, Steps

from .places import Held, Places, gives, job, outcome, promise, refused


class Keeping(Places):
    """What holds of executors that write down what happens."""

    @promise()
    async def test_a_step_gives_what_its_call_gives(self, executing: Executing, folder: Path) -> None:
        """Or raises what it raises; and is written down in the order in which it ended, if anything is."""
        first = asyncio.Event()

        async def body(steps: Steps) -> JSON:
            async def late() -> JSON:
                await first.wait()
                return {"n": 2}

            async def early() -> JSON:
                first.set()
                return None

            async def bad() -> JSON:
                raise OSError("no paper")

            both = await asyncio.gather(steps.step("late", late), steps.step("early", early))
            await refused(steps.step("bad", bad), "a step that raises", OSError)
            return [*both, dict(steps.finished)]

        identity = await executing.submit(job(), body)
        assert (await executing.wait(identity)).result == [{"n": 2}, None, {}]
        found = [(each.name, each.state, each.result) for each in await executing.steps(identity)]
        expected = [("early", "succeeded", None), ("late", "succeeded", {"n": 2}), ("bad", "failed", None)]
        assert found == expected or (found == [] and "durable" not in self.capabilities)

    @promise("durable")
    async def test_what_has_ended_is_known_to_the_next(self, executing: Executing, folder: Path) -> None:
        """All of it but what was raised."""

        async def fail(steps: Steps) -> JSON:
            raise ValueError("no")

        ids = [
            await executing.submit(job(payload=["ü", 1.5], key="k", version="2"), gives({"a": [True]})),
            await executing.submit(job(), fail),
        ]
        before = [await executing.wait(each) for each in ids]
        async with self.started(folder) as other:
            assert [await other.wait(each) for each in ids] == before
            assert [each.id for each in await other.runs()] == ids[::-1]
        await executing.close()
        async with self.started(folder) as other:
            assert [await other.get(each) for each in ids] == before

    @promise("durable")
    async def test_a_run_that_goes_on_is_seen_by_others(self, executing: Executing, folder: Path) -> None:
        """And is not lost as long as it does."""
        held = Held()
        async with self.started(folder) as other:
            identity = await executing.submit(job(), held)
            await held.begun.wait()
            seen = await other.get(identity)
            assert (outcome(seen), [each.id for each in await other.runs(states=["lost"])]) == (
                ("task", "reindex", "running", None, None, None),
                [],
            )
            held.free.set()
            assert (await other.wait(identity)).state == "succeeded"

    @promise("durable", "cancel")
    async def test_a_run_ends_on_request_of_another(self, executing: Executing, folder: Path) -> None:
        """Wherever it goes on."""
        held = Held()
        async with self.started(folder) as other:
            identity = await executing.submit(job(), held)
            await held.begun.wait()
            assert await other.cancel(identity) is True
            assert (await other.wait(identity)).state == "cancelled"
            assert (held.ended, await other.cancel(identity)) == ("cancelled", False)
