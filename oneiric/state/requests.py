"""Requests: what every process that keeps going is asked to do once, and what came of it in each.

``requests/asked/ID`` is what is asked, ``requests/answered/ID/NODE`` what one node has made of it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import JSON, StateStore

from .values import Kept, plain, scanned, value_of

_ALL, _ASKED, _ANSWERED = "requests/", "requests/asked/", "requests/answered/"


@attrs.frozen
class Asked(Kept):
    """What is asked.

    Args:
        verb: ``remote-sync``, ``rotate``, ``reload``, ``probe``, ...
        key: About which part, as text; None for no single one.
        arguments: What the verb takes.
        actor: By whom.
        at: When, in seconds since 1970.
        until: When nobody waits for it any more; nodes leave it alone from then on.
    """

    verb: str
    key: str | None = None
    arguments: dict[str, Any] = attrs.field(factory=dict)
    actor: str = ""
    at: float = 0.0
    until: float = 0.0


@attrs.frozen
class Answered(Kept):
    """What one node has made of it.

    Args:
        ok: Whether it was done.
        exit: What a command that asked for it exits with.
        text: What went wrong, in a sentence.
        result: What came of it, plain data.
        at: When, in seconds since 1970.
    """

    ok: bool
    exit: int = 0
    text: str = ""
    result: Any = None
    at: float = 0.0


class Requests:
    """The view on requests.

    Args:
        store: Where they are kept.
        now: Gives seconds since 1970.
    """

    def __init__(self, store: StateStore, *, now: Callable[[], float] = time.time) -> None:
        self._store, self._now = store, now

    async def ask(
        self,
        verb: str,
        *,
        key: str | None = None,
        arguments: Mapping[str, JSON] = {},
        actor: str = "",
        seconds: float = 30.0,
    ) -> str:
        """Ask every node to do *verb*, for the next *seconds*; the id of that."""
        number, now = uuid.uuid4().hex, self._now()
        asked = Asked(verb, key, dict(arguments), actor, now, now + seconds)
        await self._store.put(f"{_ASKED}{number}", plain(asked))
        return number

    async def open(self) -> dict[str, Asked]:
        """What is asked and not too old, by id."""
        found = {
            name.removeprefix(_ASKED): value_of(Asked, stored.value, name)
            for name, stored in (await scanned(self._store, _ASKED))[0]
        }
        now = self._now()
        return {number: asked for number, asked in found.items() if now < asked.until}

    async def answer(self, number: str, node: str, answered: Answered) -> None:
        """Say what *node* has made of request *number*."""
        told = attrs.evolve(answered, at=self._now())
        await self._store.put(f"{_ANSWERED}{number}/{node}", plain(told))

    async def answers(self, number: str) -> dict[str, Answered]:
        """What the nodes have made of it so far, by node."""
        start = f"{_ANSWERED}{number}/"
        return {
            name.removeprefix(start): value_of(Answered, stored.value, name)
            for name, stored in (await scanned(self._store, start))[0]
        }

    async def drop(self, number: str) -> None:
        """Take a request back, with what was answered; what a node has begun goes on."""
        await self._store.delete(f"{_ASKED}{number}")
        entries, damaged = await scanned(self._store, f"{_ANSWERED}{number}/")
        for name in [*dict(entries), *damaged]:
            await self._store.delete(name)

    async def sweep(self, grace: float = 60.0) -> None:
        """Drop what nobody has waited for since *grace* seconds."""
        before, kept = self._now() - grace, set[str]()
        entries, damaged = await scanned(self._store, _ALL)
        for name in damaged:
            await self._store.delete(name)
        for name, stored in entries:
            if not name.startswith(_ASKED):
                continue
            if value_of(Asked, stored.value, name).until < before:
                await self.drop(name.removeprefix(_ASKED))
            else:
                kept.add(name.removeprefix(_ASKED))
        for name, stored in entries:
            if not name.startswith(_ANSWERED):
                continue
            number = name.removeprefix(_ANSWERED).partition("/")[0]
            if number not in kept and value_of(Answered, stored.value, name).at < before:
                await self._store.delete(name)

    async def revision(self) -> int:
        """Equal to that of another time only if nothing was asked or answered in between."""
        return await self._store.revision(_ALL)

    def changes(self) -> AsyncIterator[str]:
        """Hints that something may have been asked; see ``StateStore.changes``."""
        return self._store.changes(_ASKED)
