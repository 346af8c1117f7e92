"""Many tasks, several stores, callers that go away."""

from __future__ import annotations

import asyncio
import contextlib

from oneiric_hookspecs import Conflict, StateStore

from .places import Places, promise


class Crowds(Places):
    """Many tasks, several stores, callers that go away."""

    async def _count(self, store: StateStore, key: str) -> None:
        """Add one to a number, whoever else does."""
        while True:
            stored = await store.get(key)
            value, revision = (0, 0) if stored is None else (stored.value, stored.revision)
            with contextlib.suppress(Conflict):
                await store.put(key, value + 1, expect=revision)
                return

    @promise
    async def test_many_tasks_lose_nothing(self, store: StateStore) -> None:
        """As many additions as there were."""
        await asyncio.gather(*(self._count(store, f"n/{task % 3}") for task in range(self.workers * 3)))
        assert [stored.value for _, stored in await store.scan("n/")] == [self.workers] * 3

    def test_two_stores_lose_nothing(self) -> None:
        """The same, half of them by another store at the same place."""

        async def main() -> None:
            async with self.pair() as pair:
                await asyncio.gather(*(self._count(pair[task % 2], "n") for task in range(self.workers * 2)))
                found = [await store.get("n") for store in pair]
                assert [stored and stored.value for stored in found] == [self.workers * 2] * 2

        self.run(main())

    def test_two_stores_are_one(self) -> None:
        """What one has done the other sees at once: values, revisions, nodes and records."""

        async def main() -> None:
            async with self.pair() as (one, other):
                revision = await one.put("a/b", {"x": 1})
                stored = await other.get("a/b")
                assert stored is not None
                assert (stored.value, stored.revision) == ({"x": 1}, revision)
                assert await one.revision("a/") == await other.revision("a/")
                await one.beat("first", {"pid": 1}, 60.0)
                await other.beat("second", {"pid": 2}, 60.0)
                assert [each.node for each in await one.nodes()] == ["first", "second"]
                numbers = [await store.append("log", n) for n, store in enumerate((one, other, one))]
                assert [record.number for record in await other.read("log")] == numbers
                await other.delete("a/b", expect=revision)
                assert await one.get("a/b") is None

        self.run(main())

    def test_places_are_apart(self) -> None:
        """Two places share nothing."""

        async def main() -> None:
            async with self.opened() as one, self.opened() as other:
                await one.put("a", 1)
                await one.append("log", 1)
                await one.beat("node", 1, 60.0)
                assert (await other.scan(""), await other.read("log"), await other.nodes()) == ([], [], [])

        self.run(main())

    @promise
    async def test_who_goes_away_breaks_nothing(self, store: StateStore) -> None:
        """A caller that is cancelled at any moment leaves all of it or nothing, and the store works on."""
        for turns in range(8):
            tasks = [
                asyncio.ensure_future(store.put(f"t/{turns}/{number}", {"a": number, "b": number}))
                for number in range(5)
            ]
            tasks.append(asyncio.ensure_future(store.append("log", turns)))
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for key, stored in await store.scan("t/"):
            number = int(key.rpartition("/")[2])
            assert stored.value == {"a": number, "b": number}
        before = await store.revision("t/")
        assert await store.put("t/last", 1) > before
        numbers = [record.number for record in await store.read("log")]
        assert numbers == sorted(set(numbers))
