"""Tasks that have an owner.

A ``TaskGroup`` ends all of its tasks when one fails; what is wanted here is the opposite: each stands for itself,
is referenced until it ends, and what it raised is seen by somebody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger("oneiric.tasks")


class Tasks:
    """The tasks of one runtime.

    Args:
        loop: Where they run.
        context: What they see of context variables: the runtime's own, so that no request's trace or tenant
            lives on in something that outlives the request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self.loop = loop
        self.context = context
        self._running: set[asyncio.Task[Any]] = set()

    def start(
        self,
        coroutine: Coroutine[Any, Any, T],
        name: str,
        context: Context | None = None,
        then: Callable[[asyncio.Task[T]], object] | None = None,
    ) -> asyncio.Task[T]:
        """Start a task that is kept until it ends; an exception of it is logged unless somebody looks at it.

        Args:
            coroutine: What it does.
            name: What it is called in reports.
            context: What it sees of context variables; None gives it a copy of the runtime's.
            then: Called with the task when it has ended, before anybody who waits for it.
        """
        task = self.loop.create_task(
            coroutine, name=name, context=self.context.copy() if context is None else context
        )
        self._running.add(task)
        task.add_done_callback(self._ended if then is None else partial(self._ended, then=then))
        return task

    def _ended(
        self, task: asyncio.Task[Any], then: Callable[[asyncio.Task[Any]], object] | None = None
    ) -> None:
        self._running.discard(task)
        if then is not None:
            then(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("task %s ended: %r", task.get_name(), error)

    @property
    def running(self) -> tuple[asyncio.Task[Any], ...]:
        """The tasks that have not ended, by name."""
        return tuple(sorted(self._running, key=lambda task: task.get_name()))


async def ended(task: asyncio.Future[Any]) -> None:
    """Wait until *task* has ended; neither its outcome nor cancelling the wait touches the other.

    As ``asyncio.wait({task})``, at half its price: one is waited for in every operation.
    """
    if task.done():
        return
    waiter = task.get_loop().create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    task.add_done_callback(wake)
    try:
        await waiter
    finally:
        task.remove_done_callback(wake)


async def outlast(task: asyncio.Future[Any]) -> None:
    """Wait until *task* has ended, however often the waiting task is cancelled; then pass on that it was.

    For tasks of the kernel, whose ends are bounded.  The result of *task* is not looked at.
    """
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def give_up(task: asyncio.Task[Any], grace: float) -> bool:
    """Cancel *task* and wait, at most *grace* seconds; whether it has ended."""
    task.cancel()
    await asyncio.wait({task}, timeout=grace)
    return task.done()
