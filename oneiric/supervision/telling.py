"""Telling plugins of changes, of one part one after another, without making anybody wait."""

from __future__ import annotations

import asyncio

from oneiric_hookspecs import Health, Key, specs

from oneiric.hooks import HookManager
from oneiric.tasks import Tasks


class Telling:
    """Tells ``oneiric_health_changed``."""

    def __init__(self, tasks: Tasks, hooks: HookManager) -> None:
        self._tasks, self._hook = tasks, hooks[specs.oneiric_health_changed]
        self._last: dict[Key, asyncio.Task[None]] = {}

    def changed(self, key: Key, before: Health | None, after: Health) -> None:
        """*key* is not as it was *before*."""
        if not self._hook.impls:
            return
        earlier = self._last.get(key)

        async def tell() -> None:
            if earlier is not None:
                await asyncio.wait({earlier})
            await self._hook(key, before, after)

        task = self._last[key] = self._tasks.start(tell(), f"tell of the health of {key}")
        task.add_done_callback(lambda done: self._last.pop(key) if self._last.get(key) is done else None)

    async def quiet(self, seconds: float) -> None:
        """Wait until all is told, at most *seconds*; what is not told by then is not told."""
        while self._last and seconds > 0:
            began = self._tasks.loop.time()
            await asyncio.wait(set(self._last.values()), timeout=seconds)
            seconds -= self._tasks.loop.time() - began
        left = set(self._last.values())
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1.0)
