"""What the store of a fleet goes through: many nodes, many stores on one place, a place that is away for a while."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from oneiric_hookspecs import Conflict, StateError, StateStore

from .places import Places, promise


class Fleets(Places):
    """Many nodes, many stores on one place, and a place that is away for a while."""

    #: How many nodes there are, and how many stores of one place they share.
    fleet, stores = 50, 5

    def away(self, place: str) -> AbstractAsyncContextManager[None] | None:
        """A block in which *place* cannot be reached: a server that is stopped, a network that is cut.

        When it ends, what was there before is there again.  None where that cannot be tried; then no test tries it.
        """
        return None

    @contextlib.asynccontextmanager
    async def many(self) -> AsyncIterator[tuple[str, list[StateStore]]]:
        """Several stores at one place."""
        place = f"p{uuid.uuid4().hex}"
        async with contextlib.AsyncExitStack() as stack:
            yield place, [await stack.enter_async_context(self.opened(place)) for _ in range(self.stores)]

    def test_many_nodes_live_and_go(self) -> None:
        """Who says so often enough is never missed, and who falls silent is gone when his time is over."""

        async def main() -> None:
            async with self.many() as (_, stores):
                names = [f"node-{number:03}" for number in range(self.fleet)]
                lively, silent = names[::2], names[1::2]

                async def beat(nodes: list[str], ttl: float) -> None:
                    await asyncio.gather(
                        *(
                            stores[number % self.stores].beat(node, {"number": number}, ttl)
                            for number, node in enumerate(nodes)
                        )
                    )

                began = time.monotonic()
                await asyncio.gather(beat(lively, 60.0), beat(silent, 60.0))
                for store in stores:
                    assert [each.node for each in await store.nodes()] == names
                last = time.monotonic()
                await beat(silent, 0.3)
                async with asyncio.timeout(self.patience):
                    while True:
                        await beat(lively, 60.0)
                        found = {each.node: each for each in await stores[0].nodes()}
                        assert set(lively) <= set(found)
                        assert all(0 <= each.age < time.monotonic() - began + 1.0 for each in found.values())
                        if not set(silent) & set(found):
                            break
                        await asyncio.sleep(0.02)
                assert time.monotonic() - last >= 0.29  # not before it was over
                for store in stores:
                    assert {each.node: each.info["number"] for each in await store.nodes()} == {
                        node: number for number, node in enumerate(lively)
                    }

        self.run(main())

    def test_many_stores_lose_nothing(self) -> None:
        """Who changes a value by what he has read, and says which revision that was, overwrites nobody."""

        async def main() -> None:
            async with self.many() as (_, stores):

                async def add(store: StateStore, item: int) -> None:
                    while True:
                        stored = await store.get("shared/list")
                        value, revision = ([], 0) if stored is None else (stored.value, stored.revision)
                        with contextlib.suppress(Conflict):
                            await store.put("shared/list", [*value, item], expect=revision)
                            return

                items = range(self.stores * 4)
                await asyncio.gather(*(add(stores[item % self.stores], item) for item in items))
                for store in stores:
                    stored = await store.get("shared/list")
                    assert stored is not None
                    assert sorted(stored.value) == list(items)

        self.run(main())

    def test_the_first_of_many_wins(self) -> None:
        """Of those who expect that nothing is there, one is right, and all others learn its revision."""

        async def main() -> None:
            async with self.many() as (_, stores):

                async def claim(store: StateStore, number: int) -> tuple[int, int]:
                    try:
                        return await store.put("claim", number, expect=0), 1
                    except Conflict as error:
                        return error.revision or 0, 0

                found = await asyncio.gather(*(claim(store, n) for n, store in enumerate(stores * 4)))
                stored = await stores[0].get("claim")
                assert stored is not None
                assert sorted(found) == sorted(
                    [(stored.revision, 0)] * (len(found) - 1) + [(stored.revision, 1)]
                )

        self.run(main())

    @promise
    async def test_the_revision_of_a_folder_keeps_up(self, store: StateStore) -> None:
        """It only grows, and is never below that of what was put in it before it was asked for."""
        top, lasts = 0, {"a/": 0, "a/b/": 0, "": 0}

        async def put(worker: int) -> None:
            nonlocal top
            for number in range(5):
                given = await store.put(f"a/b/{worker}/{number}", number)
                top = max(top, given)
                if number % 2:
                    await store.delete(f"a/b/{worker}/{number}")

        async def look() -> None:
            while not working.done():
                await asyncio.sleep(0)  # for stores that never wait
                for prefix, last in lasts.items():
                    known = top
                    now = await store.revision(prefix)
                    assert now >= known, (prefix, now, known)
                    assert now >= last, (prefix, now, last)
                    lasts[prefix] = now

        working = asyncio.gather(*(put(worker) for worker in range(self.workers)))
        looking = asyncio.ensure_future(look())
        await working
        await looking
        assert [prefix for prefix in lasts if await store.revision(prefix) < top] == []

    def test_a_place_that_is_away_comes_back(self) -> None:
        """While it is away, whatever is asked ends with a ``StateError``; afterwards the same store works as before.

        What was there is there again, nothing that was refused has been done, and no revision comes again.
        """

        async def main() -> None:
            place = f"p{uuid.uuid4().hex}"
            async with self.opened(place) as store:
                revision = await store.put("kept/a", {"x": 1})
                number = await store.append("log", "before")
                block = self.away(place)
                if block is None:
                    return
                calls: tuple[Callable[[], Awaitable[Any]], ...] = (
                    lambda: store.get("kept/a"),
                    lambda: store.put("kept/lost", 1),
                    lambda: store.scan(""),
                    lambda: store.delete("kept/a"),
                    lambda: store.revision(""),
                    lambda: store.beat("node", 1, 60.0),
                    store.nodes,
                    lambda: store.append("log", "lost"),
                    lambda: store.read("log"),
                )
                async with block:
                    for call in calls * 2:
                        await self._fails(call)
                async with asyncio.timeout(self.patience):
                    await self._works(lambda: store.get("kept/a"))
                assert [(key, each.value) for key, each in await store.scan("kept/")] == [
                    ("kept/a", {"x": 1})
                ]
                stored = await store.get("kept/a")
                assert stored is not None
                assert stored.revision == revision
                assert await store.put("kept/a", 2, expect=revision) > revision
                await store.append("log", "after")
                found = [(each.number, each.value) for each in await store.read("log")]
                assert found[0] == (number, "before")
                assert [value for _, value in found] == ["before", "after"]
                await store.beat("node", 2, 60.0)
                assert [(each.node, each.info) for each in await store.nodes()] == [("node", 2)]

        self.run(main())

    def test_hints_go_on_when_a_place_is_back(self) -> None:
        """Who waits for them meanwhile goes on waiting: he learns what changes afterwards, of others, too."""

        async def main() -> None:
            place = f"p{uuid.uuid4().hex}"
            async with self.opened(place) as store, self.opened(place) as other:
                await store.put("a/b", 1)
                seen: set[str] = set()

                async def listen() -> None:
                    async for key in store.changes("a/"):
                        seen.add(key)

                block = self.away(place)
                if block is None:
                    return
                listening = asyncio.ensure_future(listen())
                await asyncio.sleep(0.1)
                async with block:
                    await self._fails(lambda: store.get("a/b"))
                    await asyncio.sleep(0.2)
                assert not listening.done()
                async with asyncio.timeout(self.patience):
                    await self._works(lambda: other.put("a/of-another", 1))
                    await self._works(lambda: store.put("a/own", 1))
                    number = 1
                    while not {"a/of-another", "a/own"} <= seen:
                        number += 1
                        await other.put("a/of-another", number)
                        await store.put("a/own", number)
                        await asyncio.sleep(0.05)
                assert not listening.done()
                await store.close()
                async with asyncio.timeout(self.patience):
                    await listening

        self.run(main())

    async def _fails(self, call: Callable[[], Awaitable[Any]]) -> None:
        """It ends with a ``StateError``, in its time."""
        try:
            async with asyncio.timeout(self.patience):
                found = await call()
        except StateError:
            return
        raise AssertionError(f"it gave {found!r} of a place that is away")

    async def _works(self, call: Callable[[], Awaitable[Any]]) -> None:
        """It works sooner or later: what is back may need a moment."""
        while True:
            with contextlib.suppress(StateError):
                await call()
                return
            await asyncio.sleep(0.05)
