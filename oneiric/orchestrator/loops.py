"""Loops that end only when they are told to."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

import attrs
from oneiric_hookspecs import OneiricError

log = logging.getLogger("oneiric.orchestrator")


@attrs.frozen
class LoopStatus:
    """How a loop goes.

    Args:
        name: Which.
        failures: How many times in a row it has failed.
        error: What the last failure was, in a sentence; empty where the last turn went well.
        last_ok: When a turn went well last, on the runtime's clock; None where none has.
    """

    name: str
    failures: int = 0
    error: str = ""
    last_ok: float | None = None


class Loop:
    """Does one thing again and again: when it is woken, and every so many seconds.

    Whatever a turn raises is said once, and kept in ``status``; the next turn comes after a while that grows.  A
    cancellation that nobody asked for is such a failure, too.

    Args:
        name: What it is called in reports.
        turn: Done each time.
        every: Seconds between two turns; None where it is only woken.
        longest: Seconds between two turns, at most, while they fail.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], Awaitable[object]],
        every: float | None,
        *,
        longest: float = 30.0,
    ) -> None:
        self._turn, self._every, self._longest = turn, every, longest
        self._woken = asyncio.Event()
        self.status = LoopStatus(name)

    def wake(self) -> None:
        """Let the next turn begin at once; on the loop."""
        self._woken.set()

    async def run(self) -> None:
        """Go on until cancelled."""
        time = asyncio.get_running_loop().time
        while True:
            self._woken.clear()
            try:
                await self._turn()
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._failed("it was cancelled, and nobody had asked for that")
            except Exception as error:
                self._failed(f"{type(error).__name__}: {' '.join(str(error).split())}", error)
            else:
                if self.status.failures:
                    log.info("%s works again", self.status.name)
                self.status = LoopStatus(self.status.name, last_ok=time())
            await self._rest()

    def _failed(self, why: str, error: BaseException | None = None) -> None:
        before = self.status
        self.status = attrs.evolve(before, failures=before.failures + 1, error=why)
        if before.error != why:
            # One of ours says what to do; where it was raised helps with what nobody has thought of.
            told = None if isinstance(error, OneiricError) else error
            log.warning("%s failed, and goes on: %s", before.name, why, exc_info=told)

    async def _rest(self) -> None:
        wait = self._every
        if self.status.failures:
            # Being woken does not make it quicker: whoever wakes it may be what fails.
            first = 0.05 if wait is None else min(wait, 0.5)
            pause = min(self._longest, first * 2.0 ** min(self.status.failures, 16))
            await asyncio.sleep(pause * random.uniform(0.75, 1.0))
            return
        try:
            async with asyncio.timeout(wait):
                await self._woken.wait()
        except TimeoutError:
            return
