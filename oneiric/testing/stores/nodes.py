"""Who lives."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from oneiric_hookspecs import StateStore

from .places import Places, promise, refused


class Nodes(Places):
    """Who lives."""

    @promise
    async def test_nodes_live_as_long_as_they_say(self, store: StateStore) -> None:
        """By name, with what they said last; one that says nothing more is gone when its time is over."""
        await store.beat("b", {"pid": 1}, 60.0)
        await store.beat("a", [1], 0.2)
        await store.beat("b", {"pid": 2}, 60.0)
        found = {each.node: each for each in await store.nodes()}
        assert found["b"].info == {"pid": 2}
        assert all(0 <= each.age < 60 for each in found.values())
        async with asyncio.timeout(self.patience):
            while [each.node for each in await store.nodes()] != ["b"]:  # noqa: ASYNC110 - time is all that passes
                await asyncio.sleep(0.05)
        await store.beat("a", [2], 60.0)
        assert [(each.node, each.info) for each in await store.nodes()] == [("a", [2]), ("b", {"pid": 2})]

    @promise
    async def test_what_is_no_time_to_live_isrefused(self, store: StateStore) -> None:
        """More than 0 seconds, and not for ever."""
        wrong: Any
        for wrong in (0, -1.0, math.nan, math.inf, True, "1", None):
            with refused(wrong):
                await store.beat("node", 1, wrong)
        assert await store.nodes() == []
