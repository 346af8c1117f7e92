"""Signals of a process that keeps going: SIGTERM and SIGINT end it, SIGHUP reads the settings again."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import signal
from collections.abc import Awaitable, Callable
from types import FrameType, TracebackType
from typing import Any, Self

log = logging.getLogger("oneiric.orchestrator")

#: Seconds until what waits after a cancellation is cancelled, too, when somebody is in a hurry.
AGAIN = 0.2
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT") if hasattr(signal, name))
_RELOADING = getattr(signal, "SIGHUP", None)


class Signals:
    """Handles signals while its block runs; afterwards they are handled as before.

    ::

        with Signals() as signals:
            async with orchestrate(runtime) as orchestrator:
                signals.on_reload(orchestrator.reload)
                await signals.told()

    The first that ends is waited for by ``told``: after that, what is in use is waited for.  A second one hurries: it
    does what it would have done before the block, and where that is the system's default, cancels the task; and what
    the task waits for then is cancelled, too, until it leaves the block.  One that comes while nobody waits yet cancels
    the task once: what is being started is to be started no further, and closed.

    To be entered in a task, on the main thread; elsewhere no signal can be handled, and none is.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._reload: Callable[[], Awaitable[object]] | None = None
        self._woken = asyncio.Event()
        self._again = self._waiting = False
        self._got: int | None = None
        self._cut: int | None = None
        self._pressed = 0
        self._press: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        for number in _ENDING:
            # What a shell runs in the background ignores Ctrl-C, and goes on doing so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._handle(number, self._end)
        if _RELOADING is not None:
            self._handle(_RELOADING, self._hang_up)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self._press is not None:
            self._press.cancel()
        for _ in range(
            self._pressed
        ):  # what the first of these cancellations was is for whoever sees the error
            if self._task is not None:
                self._task.uncancel()
        if self._cut is not None and isinstance(error, asyncio.CancelledError):
            if self._task is not None:
                self._task.uncancel()
            if self._cut == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(128 + self._cut) from None

    def on_reload(self, reload: Callable[[], Awaitable[object]]) -> None:
        """Have SIGHUP call *reload*, from ``told``; what it raises is reported."""
        self._reload = reload

    async def told(self) -> signal.Signals:
        """Wait for the first signal that ends; which it was."""
        self._waiting = True
        while self._got is None:
            await self._woken.wait()
            self._woken.clear()
            if self._again and self._got is None:
                self._again = False
                await self._reloaded()
        return signal.Signals(self._got)

    async def _reloaded(self) -> None:
        """Call what SIGHUP calls; a signal that ends is not kept waiting by it."""
        if self._reload is None:
            return
        reload = asyncio.ensure_future(self._reload())
        try:
            while not reload.done() and self._got is None:
                woken = asyncio.ensure_future(self._woken.wait())
                await asyncio.wait({reload, woken}, return_when=asyncio.FIRST_COMPLETED)
                if not woken.done():
                    woken.cancel()
                    await asyncio.wait({woken})
                elif not reload.done():
                    self._woken.clear()  # one more SIGHUP is noted, and comes after this one
        finally:
            if not reload.done():
                reload.cancel()
                await asyncio.wait({reload})
        if self._again:
            self._woken.set()
        if not reload.cancelled() and (error := reload.exception()) is not None:
            log.warning("SIGHUP: the settings were not read again: %s", error, exc_info=error)

    # --- what a signal does, on the loop ---------------------------------------------------------------------------

    def _end(self, number: int) -> None:
        if self._got is None and self._waiting:
            self._got = number
            self._woken.set()
            return
        before = self._before.get(number)
        self._restore()
        if self._got is not None:
            self._press = self._loop.call_later(AGAIN, self._hurry)
        if callable(before):
            # As if it had come before: asyncio's own cancels the main task at the first, and interrupts at the next.
            before(number, None)
        elif self._task is not None:
            self._cut = number
            self._task.cancel()

    def _hurry(self) -> None:
        """Clean-up that waits is not waited for either."""
        if self._task is not None and not self._task.done():
            self._pressed += 1
            self._task.cancel()
            self._press = self._loop.call_later(AGAIN, self._hurry)

    def _hang_up(self, number: int) -> None:
        self._again = True
        self._woken.set()

    # --- handlers --------------------------------------------------------------------------------------------------

    def _handle(self, number: int, does: Callable[[int], None]) -> None:
        before = signal.getsignal(number)
        try:
            self._loop.add_signal_handler(number, functools.partial(does, number))
        except NotImplementedError:  # on Windows, where the loop is told by the handler of the interpreter

            def handler(number: int, frame: FrameType | None) -> None:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(does, number)

            try:
                signal.signal(number, handler)
            except ValueError:
                return
        except (ValueError, RuntimeError):  # not the main thread
            return
        self._before[number] = before

    def _restore(self) -> None:
        while self._before:
            number, before = self._before.popitem()
            with contextlib.suppress(NotImplementedError):
                self._loop.remove_signal_handler(number)
            # None is a handler that was not set from Python, which nobody can set again.
            signal.signal(number, signal.SIG_DFL if before is None else before)
