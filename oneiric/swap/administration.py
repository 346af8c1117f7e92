"""What operators impose on parts: hold, pause, drain.

=====  ==================  ==============  ==========================  ==========================
mode   new users           those there     automatic changes           what is bound
=====  ==================  ==============  ==========================  ==========================
hold   come in             go on           wait until it is resumed    stays open
pause  are refused         go on           wait until it is resumed    stays open
drain  are refused         are waited for  wait until it is resumed    closed when they are gone
=====  ==================  ==============  ==========================  ==========================

It is in force when ``adopt`` returns, without an await: a lease that comes after it is refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from threading import get_ident
from typing import Any

import attrs
from oneiric_hookspecs import MODES, Activity, Draining, DrainReport, Held, Key, NotServing, Paused

from oneiric.activation import Operation, Slot, Want
from oneiric.state import Admin
from oneiric.tasks import Tasks

from .notices import Notices
from .operations import Operations
from .swapper import Swapper

#: The bar that stands for an operator's word.
_BAR = "admin"
#: Seconds between two looks at the wall clock, which may jump.
_CLOCK = 5.0
#: Seconds between two looks at what is drained, where nobody has gone meanwhile.
_LOOK = 1.0


class Administration:
    """What is imposed on the slots of one engine.

    Args:
        slots: Those there are; others are taken in by ``enter``.
        wall: Gives seconds since 1970; it may jump.

    Attributes:
        admins: What is imposed, by the text of a key or by domain.
        resumed: Called when automatic changes of a slot go on again, after the one that waited was started.
    """

    def __init__(
        self,
        slots: Mapping[tuple[str, str], Slot],
        tasks: Tasks,
        swapper: Swapper,
        operations: Operations,
        notices: Notices,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._slots, self._tasks, self._swapper = slots, tasks, swapper
        self._operations, self._notices, self.wall = operations, notices, wall
        self.admins: Mapping[str, Admin] = {}
        self.resumed: Callable[[Slot], None] = lambda slot: None
        self._in_force: dict[Key, Activity] = {}
        self._drains: dict[Key, asyncio.Task[DrainReport]] = {}
        self._timer: asyncio.TimerHandle | None = None
        swapper.refusal = self.refusal
        self._thread = get_ident()

    # --- what is imposed ---------------------------------------------------------------------------------------------

    def adopt(self, admins: Mapping[str, Admin], *, actor: str = "") -> None:
        """Have exactly *admins* in force from now on; *actor* is told as who wanted what changes by that.

        Args:
            admins: By the text of a key or by domain.
            actor: Where it is empty, who imposed something is; nobody is who took something back.
        """
        before, self.admins = self.admins, dict(admins)
        self._look(actor, {text for text in {*before, *admins} if before.get(text) != admins.get(text)})

    def tick(self) -> None:
        """Look at the wall clock: what has ended is not in force any more."""
        if self._in_force or self.admins:
            self._look("", self.admins)

    def enter(self, slot: Slot) -> None:
        """A slot was made, in whatever thread."""
        if get_ident() == self._thread:
            if self.admins:
                self._apply(slot, "")
            return
        # Nothing is bound to it before the loop has done something, so the loop comes in time.
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._tasks.loop.call_soon_threadsafe(self._apply, slot, "")

    def close(self) -> None:
        """Look at no clock any more, and leave the rest to whoever closes."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._drains.values():
            task.cancel()

    def activity(self, key: Key) -> Activity:
        """What is in force for *key*."""
        known = self._in_force.get(key)
        if known is None:
            return self._wanted(key)
        slot = self._slots.get(key)
        return attrs.evolve(known, drained=slot is not None and slot.drained)

    def activities(self) -> dict[Key, Activity]:
        """What is in force, where anything is: for every part that somebody has asked for, or named."""
        keys = {Key.parse(text) for text in self.admins if ":" in text} | self._in_force.keys()
        if any(":" not in text for text in self.admins):
            keys |= {Key.of(*key) for key in self._slots}
        found = {key: self.activity(key) for key in sorted(keys)}
        return {key: activity for key, activity in found.items() if activity.mode is not None}

    def refusal(self, slot: Slot) -> Held | None:
        """Why *slot* is not changed, by whoever has not said that he knows; None where it may be."""
        activity = self._in_force.get(slot.key)
        if activity is None or activity.mode is None:
            return None
        return Held(slot.key, mode=activity.mode, actor=activity.actor, note=activity.reason)

    async def drained(self, key: Key) -> DrainReport:
        """Wait until *key* is drained; what came of it.

        Raises:
            asyncio.CancelledError: The waiter was cancelled; draining goes on.
        """
        task = self._drains.get(key)
        if task is None:
            return DrainReport(key, True, 0.0)
        began = self._tasks.loop.time()
        await asyncio.wait({task})
        if task.cancelled():  # it was taken back
            return DrainReport(key, False, self._tasks.loop.time() - began)
        return task.result()

    # --- having it in force ------------------------------------------------------------------------------------------

    def _look(self, actor: str, texts: Iterable[str]) -> None:
        """Look at what *texts*, of keys and domains, are about; no others can have become different."""
        if self._operations.closing is not None:
            return
        for slot in self._about(texts):
            self._apply(slot, actor)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.wall()
        ends = [
            mark.until
            for admin in self.admins.values()
            for mode in MODES
            if (mark := getattr(admin, mode)) is not None and mark.until is not None
        ]
        if ends:
            # Never far ahead: the clock on the wall may be set, back too, and then what had ended counts again.
            wait = max(min([_CLOCK, *(end - now for end in ends if end > now)]), 0.001)
            self._timer = self._tasks.loop.call_later(wait, self.tick)

    def _about(self, texts: Iterable[str]) -> list[Slot]:
        texts = set(texts)
        domains = {text for text in texts if ":" not in text}
        if domains:
            return [
                slot
                for slot in tuple(self._slots.values())
                if slot.key.domain in domains or str(slot.key) in texts
            ]
        found = (self._slots.get(Key.parse(text)) for text in texts)
        return [slot for slot in found if slot is not None]

    def _wanted(self, key: Key) -> Activity:
        """The stronger of what is imposed on *key* and on its domain, now."""
        now = self.wall()
        admins = [admin for text in (str(key), key.domain) if (admin := self.admins.get(text)) is not None]
        for mode in reversed(MODES):
            for admin in admins:
                mark = admin.mark(mode, now)
                if mark is not None:
                    return Activity(mode, mark.actor, mark.note, mark.at, mark.until)
        return Activity()

    def _apply(self, slot: Slot, actor: str) -> None:
        key = slot.key
        before, after = self._in_force.get(key, Activity()), self._wanted(key)
        if before.mode == after.mode == "drain":
            after = attrs.evolve(after, drained=before.drained, left=before.left)
        if before == after or self._operations.closing is not None:
            return
        if after.mode is None:
            del self._in_force[key]
        else:
            self._in_force[key] = after
        if after.mode in ("pause", "drain"):
            slot.bar(_BAR, partial(self._refuse, key))
        else:
            slot.lift(_BAR)
        if before.mode == "drain" != after.mode:
            self._end_drain(slot)
        if after.mode == "drain" and (before.mode != "drain" or self._bound_since(slot)):
            self._begin_drain(slot, after)
        self._tell(slot, before, after, actor or after.actor)
        if after.mode is None:
            self._resume(slot)

    def _bound_since(self, slot: Slot) -> bool:
        """Whether something was bound after it had been drained: by somebody with override."""
        return slot.occupied() and self._drains[slot.key].done()

    def _refuse(self, key: Key) -> NotServing:
        activity = self._in_force.get(key, Activity())
        because = f"by {activity.actor}" if activity.actor else "by an operator"
        if activity.until is not None:
            because += time.strftime(", until %Y-%m-%dT%H:%M:%SZ", time.gmtime(activity.until))
        because += f": {activity.reason}" if activity.reason else ""
        if activity.mode == "drain":
            because = f"it was drained {because}" if activity.drained else f"it is being drained {because}"
        kind = Draining if activity.mode == "drain" else Paused
        return kind(key, because=because, hint=f"oneiric resume {key.domain} {key.name}")

    def _tell(self, slot: Slot, before: Activity, after: Activity, actor: str) -> None:
        self._notices.activity(slot, before, after, actor, after.reason)

    def _resume(self, slot: Slot) -> None:
        """What waited is started: one operation, to whatever is wanted now."""
        deferred, slot.deferred = slot.deferred, None
        if deferred is not None:
            slot.pending = ""
        if slot.occupied() or slot.flights:
            if deferred is not None:
                self._operations.automatic(slot, Want(reload=deferred[0].reload), deferred[1])
        elif any(each.dependents for each in slot.orphans):
            # What was built from it has to do without until it is there again.
            self._operations.automatic(slot, Want(), "dependency")
        self.resumed(slot)

    # --- draining ----------------------------------------------------------------------------------------------------

    def _begin_drain(self, slot: Slot, activity: Activity) -> None:
        task = self._tasks.start(self._drain(slot, activity), f"drain {slot.key}")
        self._drains[slot.key] = task

    def _end_drain(self, slot: Slot) -> None:
        slot.drained = False
        task = self._drains.pop(slot.key, None)
        if task is not None and not slot.unbinding:
            task.cancel()

    async def _drain(self, slot: Slot, activity: Activity) -> DrainReport:
        """Wait for its users, and close it; an operation that is under way is finished first."""
        key, began, loop = slot.key, self._tasks.loop.time(), self._tasks.loop
        bound = slot.bound
        provider = None if bound is None else bound.provider
        seconds = self._swapper.activator.settings.lifecycle_of(key).drain_timeout
        try:
            while (wait := began + seconds - loop.time()) > 0 and (stirs := self._ask_to_leave(slot)):
                # Not for long: another one may be bound meanwhile, by who has said that he knows.
                await asyncio.wait(stirs, timeout=min(wait, _LOOK), return_when=asyncio.FIRST_COMPLETED)
            async with slot.lock:
                # Without an await from here until nothing is bound: whoever takes it back comes before, or after.
                operation = Operation(key, "operator", Want(), loop.time, actor=activity.actor)
                operation.at("drain")
                took = loop.time() - began
                slot.unbinding = True
                self._swapper.promotion.close(slot, operation, began + seconds)
        finally:
            if not slot.unbinding:
                for each in slot.alive:
                    each.stay()
        try:
            ends = [each.gone for each in slot.alive if each.gone is not None]
            if ends:
                await asyncio.wait(ends)
            left = tuple(sorted(holder for end in ends for holder in end.result().holders))
        finally:
            slot.unbinding = False
        now = self._in_force.get(key)
        if now is not None and now.mode == "drain" and not slot.occupied():
            slot.drained = True
            after = self._in_force[key] = attrs.evolve(now, drained=True, left=left)
            self._tell(slot, now, after, after.actor)
        return DrainReport(key, not left, took, left, provider)

    def _ask_to_leave(self, slot: Slot) -> list[asyncio.Future[Any]]:
        """Tell who is there to finish; what is done when they may have gone, empty where nobody is there."""
        # What was replaced before has been told, and goes by itself; in its own time, if nobody hurries it.
        stirs: list[asyncio.Future[Any]] = [
            each.gone for each in slot.alive if each.gone is not None and not each.gone.done()
        ]
        for each in (slot.bound, slot.spare):
            if each is not None:
                each.say_goodbye()
                each.watched = True
                each.wakeup = self._tasks.loop.create_future()
                # Looked at after the future was made: one given back before that woke nobody.
                if each.leases or each.dependents:
                    stirs.append(each.wakeup)
        return stirs
