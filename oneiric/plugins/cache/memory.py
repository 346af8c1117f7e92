"""``adapter:cache`` ``memory``: a cache in this process; gone when it ends."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

import attrs
from attrs.validators import optional
from oneiric_hookspecs import Candidate, Health, Key, hookimpl

from oneiric.plugins._cache import a_count, check, some_seconds, weight


@attrs.frozen
class Settings:
    """How much is kept.

    Args:
        max_items: How many values; the one that was used longest ago makes room.
        max_bytes: How many bytes of names and values together; Python's own share comes on top.
        ttl: Seconds for which a value is kept that was set without a time to live; None for as long as there is room.
    """

    max_items: int = attrs.field(default=10_000, validator=a_count)
    max_bytes: int = attrs.field(default=64 * 1024 * 1024, validator=a_count)
    ttl: float | None = attrs.field(default=None, validator=optional(some_seconds))


class MemoryCache:
    """A ``Cache`` that keeps what was used last.  Every method takes the same time, however much is kept.

    What has expired is let go when it is asked for, or when it is its turn to make room.

    Args:
        settings: How much is kept.
        clock: Seconds that only grow.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._entries: OrderedDict[str, tuple[bytes, float | None]] = OrderedDict()  # used last stands last
        self._bytes = 0
        self._closed = False

    async def get(self, name: str) -> bytes | None:
        """The value under *name*; None where there is none, or it has expired."""
        self._check_open()
        check(name)
        if not self._has(name):
            return None
        self._entries.move_to_end(name)
        return self._entries[name][0]

    async def set(self, name: str, value: bytes, ttl: float | None = None) -> None:
        """Keep *value* under *name*; one that is larger than everything together may be is not kept."""
        self._check_open()
        check(name, value, ttl)
        self._drop(name)
        size = weight(name, value)
        if size > self._settings.max_bytes:
            return
        ttl = self._settings.ttl if ttl is None else ttl
        self._entries[name] = (value, None if ttl is None else self._clock() + ttl)
        self._bytes += size
        while self._bytes > self._settings.max_bytes or len(self._entries) > self._settings.max_items:
            self._drop(next(iter(self._entries)))

    async def delete(self, name: str) -> bool:
        """Forget *name*; whether it was there."""
        self._check_open()
        check(name)
        there = self._has(name)
        self._drop(name)
        return there

    async def clear(self) -> None:
        """Forget everything."""
        self._check_open()
        self._forget_everything()

    async def health(self) -> Health:
        """Ok while it is open; the details say how much is kept."""
        self._check_open()
        return Health("ok", details={"items": len(self._entries), "bytes": self._bytes})

    async def aclose(self) -> None:
        """Forget everything, for good; a second time does nothing."""
        self._closed = True
        self._forget_everything()

    def _has(self, name: str) -> bool:
        entry = self._entries.get(name)
        if entry is not None and entry[1] is not None and entry[1] <= self._clock():
            self._drop(name)
            return False
        return entry is not None

    def _drop(self, name: str) -> None:
        if (entry := self._entries.pop(name, None)) is not None:
            self._bytes -= weight(name, entry[0])

    def _forget_everything(self) -> None:
        self._entries.clear()
        self._bytes = 0

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the cache is closed")


async def create(settings: Settings) -> MemoryCache:
    """An empty cache; ``async``, so that it costs no thread."""
    return MemoryCache(settings)


@hookimpl
def oneiric_candidates() -> Iterable[Candidate]:
    """Declare ``memory``."""
    yield Candidate(
        Key.of("adapter", "cache"),
        "memory",
        create,
        priority=0,  # wins over disk, which is for those who ask for it
        capabilities=frozenset({"ttl"}),
        settings_class=Settings,
        summary="in this process; gone when it ends",
    )
