"""Asking again and again: one task with a heap of what is due."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from oneiric_hookspecs import Key

from oneiric.tasks import Tasks

log = logging.getLogger("oneiric.supervision")

#: Seconds between two looks at what no timer tells of: other settings, a part that is free again.
LOOK = 1.0


class Schedule:
    """Begins a round of each key when it is due; never two of one key at once.

    Args:
        tasks: Where rounds run.
        every: Gives the seconds between two rounds of a key; None where it is to be asked no more.
        round: Asks one key.
        look: Called at least once a second.
        late: Told how many seconds after its time the loop came to it.
        draw: Gives numbers from 0 to 1.
    """

    def __init__(
        self,
        tasks: Tasks,
        every: Callable[[Key], float | None],
        round: Callable[[Key], Coroutine[Any, Any, None]],
        look: Callable[[], None],
        late: Callable[[float, float], None],
        draw: Callable[[], float],
    ) -> None:
        self._tasks, self._every, self._round = tasks, every, round
        self._look, self._late, self._draw = look, late, draw
        self._time = tasks.loop.time
        self._heap: list[tuple[float, int, Key]] = []
        self._numbers = itertools.count()
        self._known: set[Key] = set()  # in the heap, or under way
        self._rounds: dict[Key, asyncio.Task[None]] = {}
        self._stirred = asyncio.Event()
        self._ended = False
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self.task = self._tasks.start(self._run(), "supervision")

    def add(self, key: Key) -> None:
        """Ask *key* from now on, first at some time within one interval."""
        every = None if key in self._known or self._ended else self._every(key)
        if every is not None:
            self._known.add(key)
            self._put(key, self._time() + every * self._draw())
            self._stirred.set()

    def _put(self, key: Key, due: float) -> None:
        heapq.heappush(self._heap, (due, next(self._numbers), key))

    async def _run(self) -> None:
        looked = self._time()
        while True:
            now = self._time()
            while self._heap and self._heap[0][0] <= now:
                self.begin(heapq.heappop(self._heap)[2], again=now)
            if now >= looked + LOOK:
                looked = now
                try:
                    self._look()
                except Exception:
                    log.exception("supervision failed, and goes on")
            self._stirred.clear()
            wake = min(self._heap[0][0] if self._heap else looked + LOOK, looked + LOOK)
            try:
                async with asyncio.timeout_at(wake):
                    await self._stirred.wait()
            except TimeoutError:
                self._late(self._time(), self._time() - wake)

    def begin(self, key: Key, *, again: float | None = None) -> asyncio.Task[None]:
        """Ask *key* now, or join the round that is under way.

        Args:
            key: Which.
            again: When this round was due; None for one that is no part of the schedule.
        """
        task = self._rounds.get(key)
        if task is None:
            task = self._rounds[key] = self._tasks.start(self._round(key), f"ask {key}")
            task.add_done_callback(lambda done: self._done(key, done))
        if again is not None:
            task.add_done_callback(lambda _: self._next(key, again))
        return task

    def _done(self, key: Key, task: asyncio.Task[None]) -> None:
        del self._rounds[key]
        # Whatever it was that a plugin raised: only this round has ended.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("asking %s failed: %r", key, error, exc_info=error)

    def _next(self, key: Key, began: float) -> None:
        every = None if self._ended else self._every(key)
        if every is None:
            self._known.discard(key)
            return
        self._put(key, max(began + every * (0.9 + 0.2 * self._draw()), self._time()))
        self._stirred.set()

    async def stop(self, grace: float) -> None:
        """Nothing of it goes on."""
        self._ended = True
        going = {task for task in (self.task, *self._rounds.values()) if task is not None}
        current = asyncio.current_task()
        for task in going:
            if task is not current:
                task.cancel()
        going.discard(current)
        if going:
            await asyncio.wait(going, timeout=grace)
        self._heap.clear()
        self._known.clear()
