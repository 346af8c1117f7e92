"""Fetching secrets in tasks and threads of the runtime, as operations: so it is known who waits for whom."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from oneiric_hookspecs import Key, Reentrant, Secret, WrongThread

from oneiric.secrets import Hung
from oneiric.tasks import Tasks

from .operation import Operation, Want, current
from .threads import Threads

#: What stands before the name of a secret where the key of a slot would stand.
DOMAIN = "secret"


class Fetching:
    """What ``Secrets`` fetches with, while the runtime runs.

    An adapter may provide secrets, and be built from some itself.  So each fetch is an operation of its own: what its
    source asks for is asked for from inside it, and whoever wants the secret waits for it.  A circle is found when it
    is closed.
    """

    def __init__(self, tasks: Tasks, threads: Threads) -> None:
        self._tasks, self._threads = tasks, threads

    def check(self) -> None:
        """Raises: WrongThread, unless this is the loop of the runtime."""
        if asyncio.get_running_loop() is not self._tasks.loop:
            raise WrongThread(
                "secrets belong on the loop on which the runtime was entered",
                hint="from another thread: runtime.blocking.run(runtime.secrets.get(...))",
            )

    def start(self, name: str, work: Coroutine[Any, Any, Secret]) -> Operation:
        """Begin to fetch the secret *name*."""
        operation = Operation(Key(DOMAIN, name), "use", Want(), self._tasks.loop.time, parent=_inside())
        operation.at("fetch")
        context = self._tasks.context.copy()
        context.run(current.set, operation)
        operation.task = self._tasks.start(work, f"fetch secret {name}", context)
        return operation

    def ask(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begin to ask its source, in a task that may be given up."""
        context = self._tasks.context.copy()
        context.run(current.set, current.get())
        return self._tasks.start(work, f"source of secret {name}", context)

    @contextlib.contextmanager
    def waiting(self, flight: Operation) -> Iterator[None]:
        """In this block somebody waits for *flight*.

        Raises:
            Reentrant: It waits for him.
        """
        by = _inside()
        if by is None:
            yield
            return
        for each in by.chain():
            way = flight.reaches(each)
            if way is not None:
                raise Reentrant(path=[each.key, *(step.key for step in way)])
        by.waits_for.add(flight)
        try:
            yield
        finally:
            by.waits_for.discard(flight)

    async def in_thread(self, call: Callable[[], Any], name: str, hung: Hung) -> Any:
        """Call *call* in a thread; should it hang, *hung* counts it."""
        return await self._threads.run(call, name=name, counted=hung, late=lambda _, __: hung.back(hung))


def _inside() -> Operation | None:
    operation = current.get()
    while operation is not None and operation.done:
        operation = operation.parent
    return operation
