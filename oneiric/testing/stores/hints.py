"""Who listens learns what may have changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from oneiric_hookspecs import StateStore

from .places import Places, promise


class Hints(Places):
    """Who listens learns what may have changed."""

    async def _hinted(self, hints: AsyncIterator[str], wanted: set[str]) -> None:
        """Wait until all of *wanted* were hinted at, some perhaps more than once."""
        seen: set[str] = set()
        async with asyncio.timeout(self.patience):
            async for key in hints:
                seen.add(key)
                if seen >= wanted:
                    break
        assert seen == wanted

    @promise
    async def test_hints_of_one_s_own_changes(self, store: StateStore) -> None:
        """Who listens learns what may have changed below his prefix, and nothing else."""
        hints = store.changes("a/")
        waiting = asyncio.ensure_future(self._hinted(hints, {"a/b", "a/c"}))
        while not waiting.done():
            # Again and again, as one may be missed; and slowly, as what was there only for a moment may be, too.
            await store.put("b/x", 1)
            await store.put("a/b", 1)
            await store.put("a/c", 1)
            await asyncio.wait({waiting}, timeout=0.3)
            await store.delete("a/c")
            await asyncio.wait({waiting}, timeout=0.3)
        await waiting

    def test_hints_of_others_changes(self) -> None:
        """What another store at the same place puts and deletes is hinted at, too."""

        async def main() -> None:
            async with self.pair() as (one, other):
                await other.put("a/gone", 1)
                waiting = asyncio.ensure_future(self._hinted(one.changes("a/"), {"a/b", "a/gone"}))
                async with asyncio.timeout(self.patience):
                    while not waiting.done():
                        await other.put("a/b", 1)
                        await other.put("b/x", 1)
                        await other.put("a/gone", 1)
                        await asyncio.sleep(0.05)
                        await other.delete("a/gone")
                        await asyncio.wait({waiting}, timeout=1.0)
                await waiting

        self.run(main())

    @promise
    async def test_hints_end_with_the_store(self, store: StateStore) -> None:
        """Who waits for one is let go when the store is closed."""

        async def listen() -> list[str]:
            return [key async for key in store.changes("")]

        listening = [asyncio.ensure_future(listen()) for _ in range(3)]
        await asyncio.sleep(0.05)
        await store.close()
        async with asyncio.timeout(self.patience):
            assert await asyncio.gather(*listening) == [[], [], []]
