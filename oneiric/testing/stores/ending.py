"""Closing, and opening again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from oneiric_hookspecs import StateStore

from .places import Places, promise, refused


class Ending(Places):
    """Closing, and opening again."""

    @promise
    async def test_nothing_goes_on_after_the_end(self, store: StateStore) -> None:
        """Closing twice, or by two at once, does nothing more; every other method says that it is closed."""
        await store.put("a", 1)
        await asyncio.gather(store.close(), store.close())
        await store.close()

        async def listen() -> None:
            async for _ in store.changes(""):
                pass

        calls: tuple[Callable[[], Awaitable[Any]], ...] = (
            lambda: store.get("a"),
            lambda: store.put("a", 1),
            lambda: store.scan(""),
            lambda: store.delete("a"),
            lambda: store.revision(""),
            listen,
            lambda: store.beat("a", 1, 1.0),
            store.nodes,
            lambda: store.append("log", 1),
            lambda: store.read("log"),
        )
        for call in calls:
            with refused("a closed store"):
                await call()

    @promise
    async def test_what_was_begun_is_finished(self, store: StateStore) -> None:
        """Closing waits for what was asked for before it."""
        await store.put("a", 0)
        pending = [asyncio.ensure_future(store.put("a", n)) for n in range(10)]
        await asyncio.sleep(0)
        await store.close()
        ended = await asyncio.gather(*pending, return_exceptions=True)
        assert [each for each in ended if not isinstance(each, int)] == []

    def test_what_was_put_is_there_again(self) -> None:
        """Values, revisions and records survive when all have closed the store (unless it is not ``durable``)."""

        async def main() -> None:
            place = f"p{uuid.uuid4().hex}"
            async with self.opened(place) as store:
                await store.put("a/b", {"x": [1]})
                await store.put("a/c", 1)
                await store.delete("a/c")
                await store.append("log", "first")
                before = await store.scan(""), await store.revision("a/"), await store.read("log")
            async with self.opened(place) as store:
                assert (await store.scan(""), await store.revision("a/"), await store.read("log")) == before
                assert await store.put("a/b", 2) > before[1]
                assert await store.append("log", "second") > before[2][-1].number

        if self.durable:
            self.run(main())
