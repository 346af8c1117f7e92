"""The application's own tasks, owned by the runtime."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from oneiric.tasks import Tasks, give_up

log = logging.getLogger("oneiric.tasks")


class Task:
    """A task that the runtime owns: shown in status, reported if it fails, cancelled and awaited at close.

    Attributes:
        task: The task itself.
    """

    def __init__(self, task: asyncio.Task[Any], name: str) -> None:
        self.task, self._name = task, name

    @property
    def name(self) -> str:
        """Its name, as in status."""
        return self._name

    def done(self) -> bool:
        """Whether it has ended."""
        return self.task.done()

    def cancel(self) -> None:
        """Ask it to end."""
        self.task.cancel()

    async def wait(self) -> Any:
        """Wait for its result; waiting can be cancelled without cancelling it.

        Raises:
            asyncio.CancelledError: It was cancelled.
            BaseException: What it raised.
        """
        await asyncio.wait({self.task})
        return self.task.result()


class Works:
    """All of an application's own tasks."""

    def __init__(self, tasks: Tasks) -> None:
        from oneiric.activation import Threads

        self.tasks = tasks
        # Apart from those of factories and probes: work that hangs is not to keep the parts from being swapped.
        self.threads = Threads(tasks.loop, what="calls in threads")
        self._mine: dict[asyncio.Task[Any], str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of those that have not ended."""
        return tuple(sorted(self._mine.values()))

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> Task:
        """Start one."""
        task = self.tasks.start(coroutine, f"spawned {name}")
        self._mine[task] = name
        task.add_done_callback(self._ended)
        return Task(task, name)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        name = self._mine.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task %s failed: %s: %s", name, type(error).__name__, error, exc_info=error)

    async def stop(self, seconds: float) -> tuple[str, ...]:
        """Cancel all, and wait at most *seconds*; of those that do not end what they are, and their names."""
        mine = dict(self._mine)
        for task in mine:
            task.cancel()
        until = self.tasks.loop.time() + seconds
        if mine:
            await asyncio.wait(mine, timeout=max(seconds, 0.0))
        threads = await self.threads.quiet(until - self.tasks.loop.time())
        tasks = (f"task {name}" for task, name in mine.items() if not task.done())
        return (*tasks, *(f"thread {name}" for name in threads))


class Group:
    """Several tasks at once: ``async with runtime.tasks() as group``.  The block ends when all of them have ended.

    If one fails, or the block does, the others are cancelled; then what was raised first is raised.
    """

    def __init__(self, works: Works, grace: float) -> None:
        self._works, self._grace = works, grace
        self.tasks: list[Task] = []

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> Task:
        """Start one of the group."""
        task = self._works.spawn(coroutine, name)
        self.tasks.append(task)
        return task

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                running = [task.task for task in self.tasks]
                if running:
                    await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in self.tasks:
                if not task.done():
                    await give_up(task.task, self._grace)
        failed = next(
            (task for task in self.tasks if not task.task.cancelled() and task.task.exception()), None
        )
        if error is None and failed is not None:
            raise failed.task.exception() or AssertionError
