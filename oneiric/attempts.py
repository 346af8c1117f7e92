"""Trying again and ceasing to try, for whoever calls what may fail: one piece for tasks, events, actions, adapters."""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs
from oneiric_hookspecs import Breaker, BreakerOpen, Clock, FetchError, Permanent, Retry

T = TypeVar("T")

#: How many names are remembered; what was not called for longest is forgotten first.
_REMEMBERED = 1000


@attrs.frozen
class AttemptStatus:
    """What has come of the calls under one name.

    Args:
        name: Whose.
        calls: How often it was called.
        retries: How many attempts were not the first of their call.
        failures: How many calls failed in the end.
        refused: How many were refused since it was left alone.
        breaker: ``closed`` while it is tried, ``open`` while it is left alone, ``half-open`` while one attempt is let
            through.
    """

    name: str
    calls: int
    retries: int
    failures: int
    refused: int
    breaker: str


@attrs.define(eq=False)
class _Tally:
    calls: int = 0
    retries: int = 0
    failures: int = 0
    refused: int = 0
    recent: deque[float] = attrs.field(factory=deque)  # when attempts failed lately
    open_until: float | None = None
    trying: bool = False  # the one attempt that is let through

    def phase(self, now: float) -> str:
        if self.open_until is None:
            return "closed"
        return "half-open" if self.trying or now >= self.open_until else "open"


class Attempts:
    """Calls things with the patience that was asked for, and remembers by name how that went.

    Args:
        clock: Gives the time.
        draw: Gives numbers from 0 to 1, for the jitter.
    """

    def __init__(self, clock: Clock, draw: Callable[[], float] = random.random) -> None:
        self._clock, self._draw = clock, draw
        self._tallies: OrderedDict[str, _Tally] = OrderedDict()

    async def attempt(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        name: str,
        retry: Retry | None = None,
        breaker: Breaker | None = None,
    ) -> T:
        """Await ``call()``, again where it fails and *retry* allows.

        Args:
            call: Makes one attempt.
            name: What is called, for the breaker and the status; those of one name share them.
            retry: None tries once.
            breaker: None always tries.
        Raises:
            BreakerOpen: It was left alone, and nothing was called.
            Exception: Of the last attempt.
        """
        tally = self._tally(name)
        tally.calls += 1
        attempts = 1 if retry is None else retry.attempts
        for failed in range(1, attempts + 1):
            trying = breaker is not None and self._admit(tally, name)
            try:
                result = await call()
            except Exception as error:
                self._failed(tally, breaker, trying=trying)
                if retry is None or failed == attempts or not _worth_it(error, retry):
                    tally.failures += 1
                    raise
                delay = retry.delay(failed, self._draw())
                if isinstance(error, FetchError) and error.retry_after is not None:
                    delay = max(delay, min(error.retry_after, retry.max_backoff))
            except BaseException:
                if trying:
                    tally.trying = False  # it was cancelled, and says nothing; the next one may try
                raise
            else:
                tally.trying, tally.open_until = False, None
                tally.recent.clear()
                return result
            tally.retries += 1
            await asyncio.sleep(delay)
        raise AssertionError("the last attempt returns or raises")

    def status(self) -> tuple[AttemptStatus, ...]:
        """Of every name that is remembered, by name."""
        now = self._clock.time()
        return tuple(
            AttemptStatus(name, tally.calls, tally.retries, tally.failures, tally.refused, tally.phase(now))
            for name, tally in sorted(self._tallies.items())
        )

    def _tally(self, name: str) -> _Tally:
        tally = self._tallies.get(name)
        if tally is None:
            tally = self._tallies[name] = _Tally()
            while len(self._tallies) > _REMEMBERED:
                self._tallies.popitem(last=False)
        else:
            self._tallies.move_to_end(name)
        return tally

    def _admit(self, tally: _Tally, name: str) -> bool:
        """Whether this is the one attempt that is let through, on which it depends."""
        if tally.open_until is None:
            return False
        left = tally.open_until - self._clock.time()
        if left > 0 or tally.trying:
            tally.refused += 1
            raise BreakerOpen(name, max(left, 0.0))
        tally.trying = True
        return True

    def _failed(self, tally: _Tally, breaker: Breaker | None, *, trying: bool) -> None:
        if breaker is None:
            return
        now = self._clock.time()
        recent = tally.recent
        recent.append(now)
        while recent and recent[0] <= now - breaker.window:
            recent.popleft()
        if trying or (tally.open_until is None and len(recent) >= breaker.failures):
            tally.trying, tally.open_until = False, now + breaker.reset
            recent.clear()


def _worth_it(error: Exception, retry: Retry) -> bool:
    if isinstance(error, (Permanent, BreakerOpen)) or (isinstance(error, FetchError) and not error.retryable):
        return False
    return retry.covers(error)
