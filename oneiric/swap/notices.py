"""Telling observers, in order, without ever making an operation wait or fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from oneiric_hookspecs import Activity, OneiricError, Retirement, SwapReport, specs

from oneiric.activation import Generation, Operation, Slot
from oneiric.hooks import Fault, HookManager
from oneiric.tasks import Tasks

_Call = Callable[[], Awaitable[Sequence[Fault]]]


class Notices:
    """Tells the observers of operations.

    The notices of one slot are told one after another, so nobody hears of the eighth change before the seventh.
    """

    def __init__(self, tasks: Tasks, hooks: HookManager) -> None:
        self._tasks = tasks
        self._last: dict[Slot, asyncio.Task[None]] = {}
        self._activated = hooks[specs.oneiric_activated]
        self._swapped = hooks[specs.oneiric_swapped]
        self._rolled_back = hooks[specs.oneiric_rolled_back]
        self._failed = hooks[specs.oneiric_failed]
        self._retired = hooks[specs.oneiric_retired]
        self._activity_changed = hooks[specs.oneiric_activity_changed]

    def bound(
        self, slot: Slot, operation: Operation, report: SwapReport, new: Generation, old: Generation | None
    ) -> None:
        """Something was bound."""
        if old is None:
            if self._activated.impls:
                arguments: tuple[Any, ...] = (operation.view(), new.view())
                self._tell(slot, lambda: self._activated.notify(*arguments), report)
        elif self._swapped.impls:
            views = operation.view(), report, new.view(), old.view()
            self._tell(slot, lambda: self._swapped.notify(*views), report)

    def rolled_back(
        self, slot: Slot, operation: Operation, new: Generation, old: Generation | None, reason: str
    ) -> None:
        """Something that was bound was taken back."""
        if self._rolled_back.impls:
            views = operation.view(), new.view(), None if old is None else old.view(), reason
            self._tell(slot, lambda: self._rolled_back.notify(*views))

    def failed(self, slot: Slot, operation: Operation, error: OneiricError) -> None:
        """An operation failed before it changed anything."""
        if self._failed.impls:
            view = operation.view()
            self._tell(slot, lambda: self._failed.notify(view, error))

    def retired(self, slot: Slot, operation: Operation, retirement: Retirement) -> None:
        """A generation ended."""
        if self._retired.impls:
            view = operation.view()
            self._tell(slot, lambda: self._retired.notify(view, retirement))

    def activity(self, slot: Slot, before: Activity, after: Activity, actor: str, reason: str) -> None:
        """An operator has imposed something, or taken it back; or it has ended."""
        if self._activity_changed.impls:
            arguments = slot.key, before, after, actor, reason
            self._tell(slot, lambda: self._activity_changed.notify(*arguments))

    async def told(self, slot: Slot, report: SwapReport) -> None:
        """Wait until all notices of *slot* so far have been told."""
        last = self._last.get(slot)
        if last is not None:
            await asyncio.wait({last})

    def _tell(self, slot: Slot, call: _Call, report: SwapReport | None = None) -> None:
        before = self._last.get(slot)

        async def tell() -> None:
            if before is not None:
                await asyncio.wait({before})
            for fault in await call():
                if report is not None:
                    report.warn(str(fault))

        task = self._last[slot] = self._tasks.start(tell(), f"tell of {slot.key}")
        task.add_done_callback(lambda done: self._last.pop(slot) if self._last.get(slot) is done else None)
