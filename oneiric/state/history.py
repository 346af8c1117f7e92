"""What has happened: operations, by whom and why, and what came of them.  The log ``history``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import attrs
from oneiric_hookspecs import StateStore

from .values import Kept, plain, value_of

_LOG = "history"


@attrs.frozen
class Event(Kept):
    """Something that happened.

    Args:
        kind: What: ``swap``, ``rollback``, ``pin``, ``pause``, ``settings``, ...
        key: To which part, as text; None where it was no single one.
        actor: By whom.
        cause: What made it happen: ``operator``, ``settings``, ``health``, ...
        outcome: What came of it: ``swapped``, ``unchanged``, ``failed``, ``rolled_back``, ...
        old: The provider before.
        new: The provider after.
        reason: In a sentence.
        operation: The operation's id, where it was one.
        node: Where it happened.
        ms: How many milliseconds it took.
        at: When it happened, in seconds since 1970; None where that is when it was written down.
    """

    kind: str
    key: str | None = None
    actor: str = ""
    cause: str = ""
    outcome: str = ""
    old: str | None = None
    new: str | None = None
    reason: str = ""
    operation: str = ""
    node: str = ""
    ms: float | None = None
    at: float | None = None


@attrs.frozen
class Told:
    """An event in its place.

    Args:
        number: Later ones have higher numbers.
        at: When it happened, in seconds since 1970: later ones may be older, where the store was away.
        event: What happened.
    """

    number: int
    at: float
    event: Event


class History:
    """The view on what has happened.

    Args:
        store: Where it is kept.
        log: The name of the log.
    """

    def __init__(self, store: StateStore, log: str = _LOG) -> None:
        self._store, self._log = store, log

    async def append(self, event: Event) -> int:
        """Write it down; its number."""
        return await self._store.append(self._log, plain(event))

    async def read(self, after: int = 0, limit: int = 1000) -> list[Told]:
        """Events with a number above *after*, oldest first, *limit* at most."""
        found = []
        for record in await self._store.read(self._log, after, limit):
            event = value_of(Event, record.value, f"{self._log} {record.number}")
            found.append(Told(record.number, record.at if event.at is None else event.at, event))
        return found

    async def latest(self, limit: int) -> list[Told]:
        """The last *limit* events, oldest first."""
        last = await self._last()
        back = limit
        while True:
            start = max(0, last - back)
            found = await self.read(start, back)
            # Numbers may leave out some; then it is further back.
            if len(found) >= limit or start == 0:
                return found[-limit:]
            back *= 2

    async def follow(self, after: int, every: float = 1.0) -> AsyncIterator[Told]:
        """Events above *after*, and then those that come; looks every so many seconds, and never ends."""
        while True:
            for told in await self.read(after):
                yield told
                after = told.number
            await asyncio.sleep(every)

    async def _last(self) -> int:
        """A number above which there is nothing, and not far above the last."""
        low, high = 0, 1
        while await self._store.read(self._log, high, 1):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if await self._store.read(self._log, middle, 1) else (low, middle)
        return high
