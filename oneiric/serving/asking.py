"""Routes that plugins declare: asked within a time limit, and never in the way of others."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from oneiric_hookspecs import Route

#: Threads of routes that have not come back; more are not started.
HUNG = 4

log = logging.getLogger("oneiric.serving")


class Declared(Protocol):
    """A route, and who declares it."""

    @property
    def plugin(self) -> str:
        """The plugin's name."""

    @property
    def value(self) -> Any:
        """The route."""


class Late(Exception):
    """It took longer than it may, or the end would not wait for it."""


def by_path(routes: Iterable[Declared], own: Iterable[str]) -> dict[str, list[tuple[str, Route]]]:
    """Routes by their paths, and with who declares each; those at paths of our own are left out, and told."""
    found: dict[str, list[tuple[str, Route]]] = {}
    for each in routes:
        route: Route = each.value
        if any(route.path == path or route.path.startswith(f"{path}/") for path in own):
            log.warning("plugin %s: the route %s is not served: its path is taken", each.plugin, route.path)
            continue
        found.setdefault(route.path, []).append((each.plugin, route))
    for path, several in found.items():
        if len(several) > 1:
            log.warning(
                "the route %s is not served: %s declare it", path, " and ".join(name for name, _ in several)
            )
    return found


class Asking:
    """Asks routes for what they give.

    Args:
        seconds: How long each may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._threads = 0
        self._left: set[asyncio.Task[Any]] = set()
        self._hurry: asyncio.Future[None] | None = None

    def hurry(self) -> None:
        """Wait for nobody any more."""
        if self._hurry is not None and not self._hurry.done():
            self._hurry.set_result(None)

    async def ask(self, get: Callable[[], Any]) -> bytes:
        """What it gives, as bytes.

        Raises:
            Late: In time it gives nothing.
            Exception: Whatever it raises; TypeError, it gave neither text nor bytes.
        """
        loop = asyncio.get_running_loop()
        if self._hurry is None:
            self._hurry = loop.create_future()
        task = loop.create_task(self._given(get), name="oneiric-route")
        # One that will not be cancelled is left: whoever asked is not to wait for it.
        self._left.add(task)
        task.add_done_callback(self._back)
        try:
            await asyncio.wait(
                {task, self._hurry}, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            if not task.done():
                task.cancel()
        if not task.done() or task.cancelled():
            raise Late
        body = task.result()
        if isinstance(body, str):
            return body.encode("utf-8", "replace")
        if isinstance(body, (bytes, bytearray, memoryview)):
            return bytes(body)
        raise TypeError(f"it gave a {type(body).__name__}, neither text nor bytes")

    def _back(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be there to look at it

    async def _given(self, get: Callable[[], Any]) -> Any:
        if inspect.iscoroutinefunction(get) or inspect.iscoroutinefunction(getattr(get, "__call__", None)):  # noqa: B004 - its colour is asked for
            return await get()
        body = await self._in_thread(get)
        return await body if inspect.isawaitable(body) else body

    async def _in_thread(self, get: Callable[[], Any]) -> Any:
        if self._threads >= HUNG:
            raise Late
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        future: asyncio.Future[Any] = loop.create_future()

        def back(value: Any, error: Exception | None) -> None:
            self._threads -= 1
            if future.done():
                if inspect.iscoroutine(value):
                    value.close()
            elif error is None:
                future.set_result(value)
            else:
                future.set_exception(error)

        def call() -> None:
            value: Any = None
            error: Exception | None = None
            try:
                value = context.run(get)
            except StopIteration as raised:  # no future takes one
                error = RuntimeError(f"StopIteration: {raised}")
            except BaseException as raised:
                error = raised if isinstance(raised, Exception) else RuntimeError(type(raised).__name__)
            try:
                loop.call_soon_threadsafe(back, value, error)
            except RuntimeError:
                pass  # the loop has closed: nobody waits any more

        self._threads += 1
        # A daemon, unlike the threads of asyncio: one that hangs is no reason not to end.
        threading.Thread(target=call, name="oneiric-route", daemon=True).start()
        return await future
