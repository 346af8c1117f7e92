"""What the built-in state stores agree on: which keys and values they take, what a folder is, how hints are given."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import math
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Self

import attrs
from oneiric_hookspecs import JSON, Conflict, Corrupt, StateError

log = logging.getLogger("oneiric.plugin.stores")

#: How many characters a key, a prefix, and the name of a log or a node may have.
MAX_KEY = 512
#: How many bytes of JSON a value may be; the store is for small ones.
MAX_VALUE = 16 * 1024 * 1024
#: How deep lists and dicts may lie in one another: every reader of JSON takes that, whatever stack it has left.
MAX_DEPTH = 64
#: How many folders have a revision of their own.  Beyond it those that have rested longest share one.
MAX_FOLDERS = 10_000
#: How many levels of folders have revisions: it bounds what a change of a very deep key costs.
MAX_LEVELS = 8
#: How many hints wait for somebody who does not come for them.
MAX_HINTS = 10_000


def check_key(key: object, what: str = "key", *, empty: bool = False) -> None:
    """Refuse what is no key.  Raises: StateError."""
    if not isinstance(key, str):
        raise StateError(f"a {what} is a text, found {type(key).__name__}")
    if len(key) > MAX_KEY or not (key or empty):
        raise StateError(f"a {what} has {0 if empty else 1} to {MAX_KEY} characters, found {len(key)}")
    # Databases of fleets keep neither, so that nobody's keys break when he moves there.
    if "\0" in key or not (key.isascii() or _is_utf8(key)):
        raise StateError(f"a {what} has no NUL and no lone surrogate, found {key!r}")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_count(number: object, what: str, least: int = 0) -> None:
    """Refuse what is no whole number, *least* or more.  Raises: StateError."""
    if number.__class__ is not int or number < least:
        raise StateError(f"{what} is a whole number, {least} or more, found {number!r}")


def check_expect(expect: object) -> None:
    """Refuse what is no revision to expect.  Raises: StateError."""
    if expect is not None:
        check_count(expect, "the revision to expect")


def check_ttl(ttl: object) -> None:
    """Refuse what is no time to live.  Raises: StateError."""
    if ttl.__class__ not in (int, float) or not math.isfinite(ttl) or ttl <= 0:
        raise StateError(f"a time to live is a number of seconds, more than 0, found {ttl!r}")


def encode(value: JSON, what: str) -> str:
    """*value* as JSON, which gives back the very same.

    Raises:
        StateError: It is not plain data; *what* says whose value it is.
    """
    if (fault := _not_plain(value, "", 0)) is not None:
        raise StateError(
            f"{what}: {fault}", hint="plain data: None, bool, int, float, str, lists, dicts by text"
        )
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"), check_circular=False)
    except ValueError as error:  # an integer of thousands of digits
        raise StateError(f"{what}: {error}") from None
    if len(text) > MAX_VALUE:
        raise StateError(f"{what}: a value has at most {MAX_VALUE} bytes of JSON, found {len(text)}")
    return text


def _not_plain(value: Any, path: str, depth: int) -> str | None:
    """What in *value* is not plain data, and where.

    By the very class: what a subclass adds would be lost, and what comes back would be something else.
    """
    kind = value.__class__
    if value is None or kind is str or kind is int or kind is bool:
        return None
    at = f" at {path}" if path else ""
    if kind is float:
        return None if math.isfinite(value) else f"expected a finite number{at}, found {value!r}"
    if kind is not list and kind is not dict:
        return f"expected plain data{at}, found {kind.__name__}"
    if depth >= MAX_DEPTH:
        return f"lists and dicts lie at most {MAX_DEPTH} deep in one another"
    if kind is dict:
        for key in value:
            if key.__class__ is not str:
                return f"expected texts as keys{at}, found {key!r}"
    items: Iterable[tuple[object, Any]] = value.items() if kind is dict else enumerate(value)
    for name, item in items:
        fault = _not_plain(item, f"{path}.{name}" if path else str(name), depth + 1)
        if fault is not None:
            return fault
    return None


def decode(text: str, what: str, where: str | None = None) -> JSON:
    """What JSON *text* says, strictly: no NaN, no key twice.

    Raises:
        Corrupt: It is not what ``encode`` gives.
    """
    try:
        return _DECODER.decode(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise Corrupt(f"{what} is damaged: {error}", where=where, hint="delete it, or put it anew") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse)


def conflict(key: str, expect: int, found: int) -> Conflict:
    """The error of who expected *expect* where *found* is."""
    there = f"revision {found}" if found else "no value"
    wanted = f"revision {expect}" if expect else "no value"
    return Conflict(f"{key} has {there}, and was expected to have {wanted}", revision=found)


def folders_of(key: str) -> list[str]:
    """The folders that *key* is in, the outermost, ``""``, first: ``desired/``, ``desired/pins/``."""
    found = [""]
    place = -1
    while len(found) <= MAX_LEVELS and (place := key.find("/", place + 1)) >= 0:
        found.append(key[: place + 1])
    return found


def folder_of(prefix: str) -> str:
    """The innermost folder that everything below *prefix* is in."""
    return folders_of(prefix)[-1]


def after(prefix: str) -> str | None:
    """The first text that is greater than every text that begins with *prefix*; None where there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            # Texts go by code points, and surrogates are none of theirs.
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return None


@functools.cache
def boot_id() -> str:
    """Which start of the machine this is; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


@attrs.frozen
class Clocks:
    """The times that a store needs.

    Args:
        wall: Seconds since 1970; they may jump.
        monotonic: Seconds that only grow, the same for all processes since the machine was started.
        boot: Which start that was; of two that are equal ``monotonic`` can be compared.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    boot: Callable[[], str] = boot_id

    def stamp(self) -> tuple[float, float, str]:
        """Now: to be stored."""
        return self.wall(), self.monotonic(), self.boot()

    def since(self, wall: float, monotonic: float, boot: str) -> float:
        """Seconds since a stamp.

        On one machine between two starts a clock that is set does not count.  Otherwise it is all there is: then what
        seems to lie ahead counts as if it lay as far behind, so that nobody lives on for years.
        """
        passed = self.monotonic() - monotonic
        if boot == self.boot() and passed >= 0:
            return passed
        return abs(self.wall() - wall)


#: Given a prefix, and the revision of what was seen there last: that of now, and all keys with theirs; None if equal.
Look = Callable[[str, int], Awaitable[tuple[int, dict[str, int]] | None]]


class Hints:
    """Keys below a prefix that may have changed, to be iterated over; one that waits is given once.

    What the store itself changes it tells at once.  What others change, it looks for while somebody waits.

    Args:
        prefix: Below which.
        look: Finds what is there; None where nobody else can change anything.
        every: Seconds between two looks.
    """

    def __init__(self, prefix: str, look: Look | None = None, every: float = 0.5) -> None:
        self.prefix = prefix
        self._look, self._every = look, every
        self._waiting: dict[str, None] = {}
        self._event = asyncio.Event()
        self._ended = self._failed = False
        self._revision = -1
        self._seen: dict[str, int] | None = None

    def tell(self, key: str, revision: int) -> None:
        """Say that *key* has changed, if that is of interest: its revision is now this, 0 where it is gone."""
        if not key.startswith(self.prefix):
            return
        if self._seen is not None:
            if revision:
                self._seen[key] = revision
            else:
                self._seen.pop(key, None)
        if len(self._waiting) < MAX_HINTS:
            self._waiting[key] = None
            self._event.set()

    def end(self) -> None:
        """There will be no more; on the loop."""
        self._ended = True
        self._event.set()

    async def aclose(self) -> None:
        """Stop; as for a generator."""
        self.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if self._seen is None:
            await self._see()
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            self._event.clear()
            try:
                async with asyncio.timeout(None if self._look is None else self._every):
                    await self._event.wait()
            except TimeoutError:
                await self._see()
        key = next(iter(self._waiting))
        del self._waiting[key]
        return key

    async def _see(self) -> None:
        if self._look is None or self._ended:
            return
        try:
            found = await self._look(self.prefix, self._revision)
        except StateError as error:
            # A hint may be missed, and who waits for hints looks by himself from time to time: he is told then.
            if not self._failed and not self._ended:
                log.warning("cannot see what others change: %s", error)
            self._failed = True
            return
        self._failed = False
        if found is None:
            return
        before, (self._revision, self._seen) = self._seen, found
        if before is not None:
            now = dict(self._seen)
            for key in before.keys() | now.keys():
                if before.get(key) != now.get(key):
                    self.tell(key, now.get(key, 0))


class Listeners:
    """Those who wait for hints of one store."""

    def __init__(self) -> None:
        self._hints: weakref.WeakSet[Hints] = weakref.WeakSet()

    def __bool__(self) -> bool:
        return bool(self._hints)

    def add(self, hints: Hints) -> Hints:
        """Keep *hints* as long as somebody else does."""
        self._hints.add(hints)
        return hints

    def tell(self, key: str, revision: int) -> None:
        """Say to all that *key* has changed; on the loop."""
        for each in list(self._hints):
            each.tell(key, revision)

    def end(self) -> None:
        """Nobody gets any more; on the loop."""
        for each in list(self._hints):
            each.end()
