"""Clients that work on ``adapter:cache`` without pause, and remember how it went."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from time import perf_counter, sleep
from typing import Any

from oneiric.runtime import Runtime


class WrongAnswer(Exception):
    """A caller did not see its own write."""


class Clients:
    """A number of tasks that set, get and delete values of their own, each three calls in one lease.

    Half of them use ``runtime.use``, half a handle.  Between two leases each lets the others go on, no longer.

    Attributes:
        failed: What went wrong that no provider is to blame for, and how often.
        bad: Calls that a bad provider failed.
        swapping: Whether a swap is under way; to be set by whoever swaps.
    """

    def __init__(self, runtime: Runtime, bad: frozenset[str]) -> None:
        self._runtime, self._bad = runtime, bad
        self.calls = 0
        self.failed: Counter[str] = Counter()
        self.bad = 0
        self.swapping = 0
        self.greetings = 0
        self._quiet, self._busy = array("d"), array("d")
        self._stop = False
        self._tasks: list[Any] = []

    async def start(self, count: int) -> None:
        """Let them begin; a handle does not activate, so the first use is made here."""
        async with self._runtime.use("adapter", "cache"):
            pass
        self._tasks = [
            self._runtime.spawn(self._work(number), name=f"client {number}") for number in range(count)
        ]
        self._tasks.append(self._runtime.spawn(self._greet(), name="guest"))
        self._tasks.append(self._runtime.spawn(self._breathe(), name="rest"))

    async def stop(self) -> None:
        """Let them end what they are at."""
        self._stop = True
        for task in self._tasks:
            await task.wait()

    async def _work(self, number: int) -> None:
        handle, turn = self._runtime.handle("adapter", "cache"), 0
        while not self._stop:
            turn += 1
            name, value = f"client-{number}-{turn % 100}", b"%d" % turn
            provider = ""
            try:
                if number % 2:
                    with handle() as cache:
                        provider = cache.provider
                        await self._calls(cache, name, value)
                else:
                    async with self._runtime.use("adapter", "cache") as cache:
                        provider = cache.provider
                        await self._calls(cache, name, value)
            except Exception as error:  # it is what is counted here
                if provider in self._bad:
                    self.bad += 1
                else:
                    self.failed[f"{provider or 'no lease'}: {type(error).__name__}: {error}"] += 1
            await asyncio.sleep(0)

    async def _breathe(self) -> None:
        """Let threads run: a real loop waits for its sockets now and then.

        One that never rests can starve them of the interpreter's lock for as long as it runs: each time it lets go of
        the lock, in polling, it has it back before they wake.
        """
        while not self._stop:
            sleep(0.0002)  # noqa: ASYNC251 - the whole loop rests, that is the point
            await asyncio.sleep(0)

    async def _calls(self, cache: Any, name: str, value: bytes) -> None:
        await self._call(cache.set, None, name, value)
        await self._call(cache.get, value, name)
        await self._call(cache.delete, True, name)

    async def _call(self, call: Any, expected: object, *arguments: Any) -> None:
        began, swapping = perf_counter(), self.swapping
        self.calls += 1
        answer = await call(*arguments)
        (self._busy if swapping or self.swapping else self._quiet).append(perf_counter() - began)
        if answer != expected:
            raise WrongAnswer(f"{call.__name__} gave {answer!r}, not {expected!r}")

    async def _greet(self) -> None:
        """One client of what was built from the cache, and is built anew when the cache is another one."""
        while not self._stop:
            provider = ""
            try:
                async with self._runtime.use("service", "greeter") as greeter:
                    provider = greeter.built_from
                    await greeter.greet("guest")
                self.greetings += 1
            except Exception as error:  # as above
                self.failed[f"greeter from {provider or 'nothing'}: {type(error).__name__}: {error}"] += 1
            await asyncio.sleep(0.02)

    def latency(self) -> dict[str, dict[str, float | int | None]]:
        """Calls with and without a swap under way: how many, and their middle and slow ones, in milliseconds."""
        return {"without_swaps": _summary(self._quiet), "with_swaps": _summary(self._busy)}


def _summary(seconds: array[float]) -> dict[str, float | int | None]:
    ordered = sorted(seconds)
    count = len(ordered)

    def at(share: float) -> float | None:
        return round(ordered[min(count - 1, int(count * share))] * 1000, 6) if count else None

    return {"calls": count, "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0)}
