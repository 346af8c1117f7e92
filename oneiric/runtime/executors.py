"""The executors of one application: chosen by name, started when they are first asked for."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from oneiric_hookspecs import Executing, Executor, OneiricError, RunError

from oneiric.hooks import Answer
from oneiric.hooks.choosing import choose_one

#: What the plugins declare by ``oneiric_executors``, each with the plugin's name.
Declared = Iterable[Answer]


def choose(name: str, declared: Declared) -> tuple[Executor, str]:
    """The executor of that name, and the plugin that brings it.

    Raises:
        RunError: No plugin brings it, or more than one.
    """

    def refuse(message: str, hint: str) -> RunError:
        return RunError(message, hint=hint)

    found = choose_one(declared, name, of="name", what=f"an executor {name!r}", refuse=refuse)
    return found.value, found.plugin


class Executors:
    """Those that were asked for: each is started once, and closed with the runtime.

    Who asks while one is being started waits for that; a start that failed is told to all who waited, and tried again
    for the next one.

    Args:
        host: What executors are started with.
        folder: Gives the application's state directory; asked when one is started.
        declared: Gives what plugins declare; the same.
    """

    def __init__(self, host: Any, folder: Callable[[], Path], declared: Callable[[], Declared]) -> None:
        self._host, self._folder, self._declared = host, folder, declared
        self._starting: dict[str, asyncio.Task[Executing]] = {}
        self._closed = False

    async def get(self, name: str) -> Executing:
        """The executor of that name, started.

        Raises:
            RunError: There is none, there are two, it does not start; or all are closed.
            OneiricError: As starting it says.
        """
        starting = self._starting.get(name)
        if not self._closed:
            if starting is not None and _started(starting):
                return starting.result()
            if starting is None or starting.done():
                # A task of its own: who asked first may go away, and others wait for the same.
                starting = asyncio.create_task(self._start(name), name=f"start the executor {name}")
                self._starting[name] = starting
            await asyncio.wait({starting})
        if self._closed or starting is None:
            raise RunError(f"the executor {name!r} is closed")
        if starting.cancelled():  # by whoever ends the loop
            raise RunError(f"the executor {name!r} was not started: that was cancelled")
        error = starting.exception()
        if isinstance(error, OneiricError):
            raise error.twin()  # each who waits gets one of his own
        return starting.result()

    async def _start(self, name: str) -> Executing:
        executor, plugin = choose(name, self._declared())
        try:
            started = executor.start(self._host, self._folder())
            if inspect.isawaitable(started):
                started = await started
        except OneiricError:
            raise
        except Exception as error:
            raise RunError(
                f"the executor {name!r} of plugin {plugin} did not start: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(started, Executing):
            raise RunError(
                f"plugin {plugin} starts an executor {name!r} that is none: {type(started).__name__}",
                hint="see oneiric_hookspecs.Executing",
            )
        return started

    def end(self) -> dict[str, asyncio.Task[None]]:
        """Start none any more, and close those that were started: the tasks that do so, by name."""
        self._closed = True
        return {
            name: asyncio.create_task(_end(starting), name=f"close the executor {name}")
            for name, starting in self._starting.items()
            if not starting.done() or _started(starting)
        }


def _started(task: asyncio.Task[Executing]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


async def _end(starting: asyncio.Task[Executing]) -> None:
    try:
        await asyncio.wait({starting})  # whatever comes of it is closed below
    except asyncio.CancelledError:
        starting.cancel()  # it takes too long
        raise
    if _started(starting):
        await starting.result().close()
