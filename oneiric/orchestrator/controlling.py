"""What is said in this process is written into the state store, so that every process of the application hears it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from oneiric_hookspecs import Key, Mode

from oneiric.state import Desired, Event, History

if TYPE_CHECKING:
    from .loops import Loop
    from .reconciling import Reconciler
    from .recording import Recorder

log = logging.getLogger("oneiric.orchestrator")


class StoreControl:
    """Keeps what operators want in the store; returns when it is in force here.

    Args:
        desired: Where it is kept.
        history: Where it is written down.
        reconciler: Who makes it so.
        loop: What wakes that.
        node: This one's name.
        recorder: Who writes down what comes about here.
    """

    def __init__(
        self,
        desired: Desired,
        history: History,
        reconciler: Reconciler,
        loop: Callable[[], Loop],
        node: str,
        recorder: Recorder,
    ) -> None:
        self._desired, self._history, self._reconciler = desired, history, reconciler
        self._loop, self._node, self._recorder = loop, node, recorder

    async def impose(
        self, target: Key | str, mode: Mode, *, actor: str, note: str, until: float | None
    ) -> None:
        """Hold, pause or drain."""
        revision = await self._desired.impose(target, mode, actor=actor, note=note, until=until)
        await self._so(revision, mode, target, actor, note)

    async def resume(self, target: Key | str, *, actor: str) -> None:
        """Take that back."""
        await self._so(await self._desired.resume(target), "resume", target, actor)

    async def note(self, target: Key | str, text: str, *, actor: str) -> None:
        """Note something."""
        await self._so(await self._desired.note(target, text, actor=actor), "note", target, actor, text)

    async def pinned(self, key: Key, provider: str, *, actor: str, until: float | None = None) -> None:
        """A choice has come about here; it is written down in the background, as an operation never waits for that."""

        async def write() -> int:
            return await self._desired.pin(key, provider, actor=actor, until=until)

        self._recorder.chosen(key, provider, write)
        self._recorder.tell(Event("pin", str(key), actor, "operator", "done", new=provider))

    async def unpinned(self, key: Key, *, actor: str) -> None:
        """There is no choice any more; nothing is written where there was none."""
        chosen = self._recorder.choosing(key)

        async def write() -> int:
            if not chosen and not (await self._desired.pinned_at(key))[1]:
                return 0
            revision = await self._desired.unpin(key)
            self._recorder.tell(Event("unpin", str(key), actor, "operator", "done"))
            return revision

        self._recorder.chosen(key, None, write)

    async def _so(
        self,
        revision: int,
        kind: str,
        target: Key | str,
        actor: str,
        reason: str = "",
        new: str | None = None,
    ) -> None:
        event = Event(kind, str(target), actor, "operator", "done", new=new, reason=reason, node=self._node)
        await self._history.append(event)
        self._loop().wake()
        await self._reconciler.until(revision)
