"""Quarantine: what was rolled back is left out for a while, so that it does not come straight back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from oneiric_hookspecs import Identity, Key

from oneiric.activation import Generation
from oneiric.registry import Registry

#: Seconds, by how often it has happened.
TERMS = (60.0, 300.0, 1800.0)


class Quarantine:
    """Leaves candidates out, longer each time, and lets them in again.

    Args:
        registry: Where being left out is seen, and explained.
        loop: Whose clock ends it.
    """

    def __init__(self, registry: Registry, loop: asyncio.AbstractEventLoop) -> None:
        self._registry, self._loop = registry, loop
        self._times: dict[tuple[Key, Identity], int] = {}
        self._ends: dict[tuple[Key, Identity], asyncio.TimerHandle] = {}

    def put(self, generation: Generation, reason: str) -> None:
        """Leave the candidate of *generation* out."""
        identity: Identity = (generation.source.name, generation.provider, generation.candidate.version)
        self.leave_out(generation.key, identity, f"rolled back ({reason}) and left out")

    def leave_out(self, key: Key, identity: Identity, because: str) -> None:
        """Leave the candidate of that *identity* out, *because*; for how long is added to that."""
        what = (key, identity)
        times = self._times[what] = self._times.get(what, 0) + 1
        seconds = TERMS[min(times, len(TERMS)) - 1]
        self._registry.quarantine(*what, f"{because} for {seconds:g} s")
        if (earlier := self._ends.get(what)) is not None:
            earlier.cancel()
        release: Callable[[], None] = lambda: self._release(what)  # noqa: E731 - a name for the type checker
        self._ends[what] = self._loop.call_later(seconds, release)

    def _release(self, what: tuple[Key, Identity]) -> None:
        self._ends.pop(what, None)
        self._registry.release(*what)

    def close(self) -> None:
        """Stop the timers."""
        for timer in self._ends.values():
            timer.cancel()
        self._ends.clear()
