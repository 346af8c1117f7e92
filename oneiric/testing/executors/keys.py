"""Two submissions with one key are one run."""

from __future__ import annotations

import asyncio
from pathlib import Path

from oneiric_hookspecs import Executing, Job

from .places import Held, Places, gives, job, promise, refused


class Keys(Places):
    """What holds of executors that know keys."""

    @promise("keys")
    async def test_one_key_is_one_run(self, executing: Executing, folder: Path) -> None:
        """While it goes on, and when it has ended; only the first body is called."""
        held, calls = Held(1), list[str]()
        first = await executing.submit(job(payload={"a": 1, "b": 2}, key="k"), held)
        second = await executing.submit(job(payload={"b": 2, "a": 1}, key="k"), gives(2, calls))
        held.free.set()
        found = await executing.wait(second)
        third = await executing.submit(job(payload={"a": 1, "b": 2}, key="k"), gives(3, calls))
        assert (first, first, calls) == (second, third, [])
        assert (found.key, found.result) == ("k", 1)

    @promise("keys")
    async def test_many_at_once_with_one_key_are_one_run(self, executing: Executing, folder: Path) -> None:
        """Whoever comes first."""
        calls: list[str] = []
        ids = await asyncio.gather(*(executing.submit(job(key="k"), gives(1, calls)) for _ in range(30)))
        await executing.wait(ids[0])
        assert (len(set(ids)), len(calls)) == (1, 1)

    @promise("keys")
    async def test_a_key_belongs_to_a_name_of_a_kind(self, executing: Executing, folder: Path) -> None:
        """Of another name, or kind, it is another run."""
        jobs = [job("a", key="k"), job("b", key="k"), Job("workflow", "a", key="k"), job("a"), job("a")]
        ids = [await executing.submit(each, gives()) for each in jobs]
        assert len(set(ids)) == len(jobs)

    @promise("keys")
    async def test_a_key_is_not_used_with_another_payload(self, executing: Executing, folder: Path) -> None:
        """That is an error; true is no 1."""
        calls: list[str] = []
        identity = await executing.submit(job(payload=1, key="k"), gives())
        await executing.wait(identity)
        for payload in (2, True, None, [1]):
            await refused(
                executing.submit(job(payload=payload, key="k"), gives(None, calls)), f"payload {payload!r}"
            )
        assert (calls, [each.id for each in await executing.runs()]) == ([], [identity])

    @promise("keys")
    async def test_a_run_that_failed_keeps_its_key(self, executing: Executing, folder: Path) -> None:
        """Who submits it again learns that it failed."""
        first = await executing.submit(job(key="k"), gives([{1}]))  # no plain data
        await executing.wait(first)
        second = await executing.submit(job(key="k"), gives(1))
        assert (first, (await executing.wait(second)).state) == (second, "failed")

    @promise("keys", "durable")
    async def test_one_key_is_one_run_in_several_processes(self, executing: Executing, folder: Path) -> None:
        """The other one waits for the run of the first."""
        held, calls = Held("first"), list[str]()
        async with self.started(folder) as other:
            first = await executing.submit(job(payload=1, key="k"), held)
            second = await other.submit(job(payload=1, key="k"), gives("second", calls))
            await refused(other.submit(job(payload=2, key="k"), gives()), "another payload")
            waiting = asyncio.ensure_future(other.wait(second))
            await held.begun.wait()
            held.free.set()
            assert ((await waiting).result, first, calls) == ("first", second, [])
