"""What every service promises, as tests for whoever writes one; any test runner finds them.

::

    class TestMyService(ServiceConformance):
        async def open(self):
            return MyService(MySettings(), cache=MemoryCache())

A test takes nothing but ``self``, runs a loop of its own, and ends what it has started.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from oneiric_hookspecs import Runnable, Startable


def promise(body: Callable[..., Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
    """A test that takes only ``self``, of a coroutine function."""

    def test(self: ServiceConformance) -> None:
        self.run(body(self))

    # Not ``functools.wraps``: runners would look through it.
    test.__name__, test.__qualname__, test.__doc__ = body.__name__, body.__qualname__, body.__doc__
    return test


class ServiceConformance:
    """The promises of a service; override ``open``.

    Attributes:
        limit: Seconds in which it starts, tells its status, and ends when it is asked to.
        patience: Seconds for which it is watched while it works.
        overlaps: Whether a second one may work beside the first, as in a swap; not where the two want one port.
    """

    limit = 5.0
    patience = 0.05
    overlaps = True

    async def open(self) -> Any:
        """Make one, as its factory does; it is not started yet."""
        raise NotImplementedError("override open()")

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run a test; override it to bring another loop."""
        asyncio.run(main)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[Any]:
        """One that is started, and ended at the end, as the domain does it."""
        service = await self.open()
        if isinstance(service, Startable):
            await self._in_time(_called(service.start), "start()")
        running = asyncio.ensure_future(service.run()) if _runs(service) else None
        try:
            await asyncio.sleep(0)
            yield service
        finally:
            await self._end(service, running)

    async def _end(self, service: Any, running: asyncio.Future[Any] | None) -> None:
        if running is None:
            await self._in_time(_called(service.stop), "stop()")
            return
        if running.done():
            running.result()
            raise AssertionError("its run() has ended by itself")
        try:
            if callable(getattr(service, "stop", None)):
                asked = "stop()"
                # Beside a run() it is called on the loop, and only asks.
                if inspect.isawaitable(answer := service.stop()):
                    await self._in_time(answer, asked)
            else:
                asked = "cancelling it"
                running.cancel()
            _, left = await asyncio.wait({running}, timeout=self.limit)
            assert not left, f"its run() goes on, {self.limit:g} s after {asked}"
            if not running.cancelled():
                running.result()
        finally:
            running.cancel()

    async def _in_time(self, call: Any, what: str) -> Any:
        try:
            async with asyncio.timeout(self.limit):
                return await call
        except TimeoutError:
            raise AssertionError(f"its {what} takes longer than {self.limit:g} s") from None

    @promise
    async def test_it_is_one(self) -> None:
        """It has an async ``run()``, or ``start()`` and ``stop()``."""
        service = await self.open()
        assert isinstance(service, (Startable, Runnable)), "it has neither run() nor start() and stop()"
        if isinstance(service, Runnable) and not isinstance(service, Startable):
            assert _runs(service), "its run() is not async"

    @promise
    async def test_it_works_until_it_is_asked_to_end(self) -> None:
        """It starts, goes on by itself, and ends in time."""
        async with self.at_work():
            await asyncio.sleep(self.patience)

    @promise
    async def test_it_is_ended_at_once(self) -> None:
        """Also right after its start, when nothing has happened yet."""
        async with self.at_work():
            pass

    @promise
    async def test_it_can_be_started_again(self) -> None:
        """By another instance: the first one has let go of all that the second one wants."""
        for _ in range(3):
            async with self.at_work():
                await asyncio.sleep(self.patience / 5)

    @promise
    async def test_another_one_works_beside_it(self) -> None:
        """In a swap the new one works before the old one is asked to end (unless it does not ``overlap``)."""
        if not self.overlaps:
            return
        async with contextlib.AsyncExitStack() as newer:
            async with self.at_work():
                await newer.enter_async_context(self.at_work())
            await asyncio.sleep(self.patience)

    @promise
    async def test_run_can_be_cancelled(self) -> None:
        """After any of its first steps, and it ends: also where it has a ``stop()``, which may take too long."""
        for steps in range(10):
            service = await self.open()
            if not _runs(service):
                return
            started = isinstance(service, Startable)
            if started:
                await self._in_time(_called(service.start), "start()")
            running = asyncio.ensure_future(service.run())
            for _ in range(steps):
                await asyncio.sleep(0)
            running.cancel()
            _, left = await asyncio.wait({running}, timeout=self.limit)
            assert not left, f"its run() goes on, {self.limit:g} s after it was cancelled"
            if not running.cancelled():
                running.result()  # it may end well; what it raises is a failure
            if started:
                await self._in_time(_called(service.stop), "stop()")

    @promise
    async def test_its_status_is_plain(self) -> None:
        """If it has a ``status()``, that gives JSON, in time."""
        async with self.at_work() as service:
            if callable(getattr(service, "status", None)):
                found = await self._in_time(_called(service.status), "status()")
                assert json.loads(json.dumps(found, allow_nan=False)) == found, f"{found!r} is not JSON"

    @promise
    async def test_it_leaves_nothing(self) -> None:
        """When it has ended: no task, no thread."""
        tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
        async with self.at_work():
            await asyncio.sleep(self.patience)
        await asyncio.sleep(0)
        tasks_left = [f"task {each.get_name()}" for each in asyncio.all_tasks() - tasks]
        # Those of the loop stay, as ``asyncio.to_thread`` has them stay.
        threads_left = [
            f"thread {each.name}"
            for each in threading.enumerate()
            if each not in threads and not each.name.startswith("asyncio_")
        ]
        left = sorted(tasks_left + threads_left)
        assert not left, f"it has left {', '.join(left)}"


def _runs(service: Any) -> bool:
    return inspect.iscoroutinefunction(getattr(service, "run", None))


async def _called(call: Callable[[], Any]) -> Any:
    """As the domain calls it: what is not async, in a thread."""
    if inspect.iscoroutinefunction(call):
        return await call()
    answer = await asyncio.to_thread(call)
    return await answer if inspect.isawaitable(answer) else answer
