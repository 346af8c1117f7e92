"""Who keeps what operators want: this process alone, or a store that every process reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs
from oneiric_hookspecs import Key, Mode

from oneiric.state import Admin, Mark, Note


class Control(Protocol):
    """Keeps what operators want, and has it in force here before it returns."""

    async def impose(
        self, target: Key | str, mode: Mode, *, actor: str, note: str, until: float | None
    ) -> None:
        """Hold, pause or drain a key, or all of a domain."""

    async def resume(self, target: Key | str, *, actor: str) -> None:
        """Take back all that is imposed on *target* itself."""

    async def note(self, target: Key | str, text: str, *, actor: str) -> None:
        """Note something; an empty text removes the note."""

    async def pinned(self, key: Key, provider: str, *, actor: str, until: float | None = None) -> None:
        """An operator's choice has come about."""

    async def unpinned(self, key: Key, *, actor: str) -> None:
        """There is no operator's choice any more."""


class OwnControl:
    """Keeps it in this process, and as long as that.

    Args:
        adopt: Has what is imposed in force; ``Administration.adopt``.
        wall: Gives seconds since 1970.
    """

    def __init__(self, adopt: Callable[..., None], wall: Callable[[], float] = time.time) -> None:
        self._adopt, self._wall = adopt, wall
        self._admins: dict[str, Admin] = {}

    async def impose(
        self, target: Key | str, mode: Mode, *, actor: str, note: str, until: float | None
    ) -> None:
        """As of ``Control``, like all below."""
        self._change(target, actor, {mode: Mark(actor, self._wall(), until, note)})

    async def resume(self, target: Key | str, *, actor: str) -> None:
        self._change(target, actor, {"hold": None, "pause": None, "drain": None})

    async def note(self, target: Key | str, text: str, *, actor: str) -> None:
        self._change(target, actor, {"note": Note(text, actor, self._wall()) if text else None})

    async def pinned(self, key: Key, provider: str, *, actor: str, until: float | None = None) -> None:
        return  # the registry has it

    async def unpinned(self, key: Key, *, actor: str) -> None:
        return

    def _change(self, target: Key | str, actor: str, fields: Mapping[str, Any]) -> None:
        self._admins[str(target)] = attrs.evolve(self._admins.get(str(target), Admin()), **fields)
        self._adopt(self._admins, actor=actor)
