"""What is bound, and what has happened, is written into the state store: in the background, one change at a time.

Nobody waits for it, and nothing depends on it: where the store is away, what happened is kept until it is back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import (
    Activity,
    Corrupt,
    Generation,
    Health,
    Key,
    OneiricError,
    Operation,
    StateError,
    SwapReport,
    SyncReport,
    a_few,
    hookimpl,
)

from oneiric.state import Event, History, Observed, Pin, Seen

if TYPE_CHECKING:
    from oneiric.runtime import Runtime

    from .loops import Loop

log = logging.getLogger("oneiric.orchestrator")

#: How many events are kept while the store is away; and for how many seconds the same failure is said once.
KEPT, REPEATED = 10_000, 60.0


class Recorder:
    """Writes down what goes on in one runtime; a plugin of the application's own.

    Args:
        runtime: Which.
        observed: Where this node writes.
        history: The log.
        wall: Gives seconds since 1970.

    Attributes:
        loop: What writes; given by whoever runs it.
        dropped: How many events were lost because the store was away for too long.
    """

    def __init__(
        self,
        runtime: Runtime,
        observed: Observed,
        history: History,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._runtime, self._observed, self._history, self._wall = runtime, observed, history, wall
        self._node = observed.node or ""
        self._todo: deque[Event] = deque()
        self._choices: dict[Key, Callable[[], Coroutine[Any, Any, int]]] = {}
        self._chosen: dict[Key, int] = {}
        self._latest: dict[Key, str | None] = {}
        self._dirty: dict[Key, None] = {}
        self._acted: dict[Key, dict[str, Any]] = {}
        self._written: dict[Key, Seen] = {}
        self._said: dict[tuple[str, str, str], float] = {}
        self._bound_at: dict[Key, tuple[int, float]] = {}
        self.loop: Loop | None = None
        self.dropped = 0

    # --- what happens ------------------------------------------------------------------------------------------------

    def touch(self, key: Key) -> None:
        """Something about *key* is another; on the loop."""
        self._dirty[key] = None
        self._wake()

    def tell(self, event: Event) -> None:
        """Write *event* down; on the loop."""
        if len(self._todo) >= KEPT:
            self._todo.popleft()
            self.dropped += 1
        self._todo.append(attrs.evolve(event, node=event.node or self._node, at=round(self._wall(), 3)))
        self._wake()

    def chosen(self, key: Key, provider: str | None, write: Callable[[], Coroutine[Any, Any, int]]) -> None:
        """A choice has come about in this process: *write* it down, in the place of one that is not written yet.

        Args:
            key: Of which part.
            provider: Who was chosen; None where nobody is any more.
            write: Writes it; gives the revision of that.
        """
        self._choices[key] = write
        self._latest[key] = provider
        self._wake()

    def choosing(self, key: Key) -> bool:
        """Whether somebody was chosen for *key* here, and that is not written down yet."""
        return key in self._choices and self._latest.get(key) is not None

    def newer(self, key: Key, revision: int, before: str | None) -> bool:
        """Whether a choice for *key* has come about here that is not in what the store held at *revision*.

        Args:
            key: Which part.
            revision: Of what was read.
            before: Who was chosen by what was read before.
        """
        if key in self._choices or self._chosen.get(key, 0) > revision:
            return True
        now = self._runtime.snapshot.pins.get(key)
        # One that has come about just now, and has not been said here yet.
        return (None if now is None else now.provider) not in (before, self._latest.get(key, before))

    def acted(self, key: Key, revision: int, **facts: Any) -> None:
        """What came of what operators want of *key*, up to *revision*; its ``outcome told exit ms``."""
        known = self._acted.get(key, {})
        self._acted[key] = {**(facts or known), "desired": max(revision, known.get("desired", 0))}
        self.touch(key)

    def expired(self, key: Key, pin: Pin) -> None:
        """A pin has ended by itself."""
        self.tell(Event("unpin", str(key), pin.mark.actor, "expiry", "done", old=pin.provider))

    def _wake(self) -> None:
        if self.loop is not None:
            self.loop.wake()

    # --- hooks -------------------------------------------------------------------------------------------------------

    @hookimpl
    def oneiric_activated(self, operation: Operation, new: Generation) -> None:
        """Something was bound where nothing was."""
        self._happened("activate", operation, "activated", new=new.candidate.provider)

    @hookimpl
    def oneiric_swapped(self, operation: Operation, report: SwapReport) -> None:
        """Something took another's place."""
        self._happened(
            "swap",
            operation,
            report.outcome,
            old=report.old,
            new=report.new,
            ms=round(sum(report.steps.values()), 3),
        )

    @hookimpl
    def oneiric_rolled_back(
        self, operation: Operation, new: Generation, old: Generation | None, reason: str
    ) -> None:
        """Something was taken back."""
        serving = None if old is None else old.candidate.provider
        self._happened(
            "rollback", operation, "rolled_back", old=new.candidate.provider, new=serving, reason=reason
        )

    @hookimpl
    def oneiric_failed(self, operation: Operation, error: OneiricError) -> None:
        """An operation changed nothing; the same failure is written down once in a while."""
        reason = str(error).splitlines()[0]
        again, now = (str(operation.key), operation.cause, reason), self._runtime.clock.time()
        self._said = {each: at for each, at in self._said.items() if now - at < REPEATED}
        if again in self._said:
            self.touch(operation.key)
            return
        self._said[again] = now
        self._happened("fail", operation, "failed", reason=reason)

    @hookimpl
    def oneiric_retired(self, operation: Operation) -> None:
        """Something has ended."""
        self.touch(operation.key)

    @hookimpl
    def oneiric_health_changed(self, key: Key, before: Health | None, after: Health) -> None:
        """Something is well, or not any more."""
        was = None if before is None else before.status
        self.tell(
            Event("health", str(key), cause="probe", outcome=after.status, old=was, reason=after.reason)
        )
        self.touch(key)

    @hookimpl
    def oneiric_activity_changed(self, key: Key, before: Activity, after: Activity) -> None:
        """Something is held, paused, drained, or goes on.

        Who wanted that has written it down; what nobody says is that it is over, and how a drain went.
        """
        over = before.until is not None and before.until <= self._wall()
        if over and after.mode is None:
            self.tell(Event("expire", str(key), before.actor, "expiry", "resumed", old=before.mode))
        if after.drained and not before.drained:
            outcome = "forced" if after.left else "finished"
            reason = f"closed under {a_few(after.left)}" if after.left else ""
            self.tell(Event("drained", str(key), after.actor, "operator", outcome, reason=reason))
        self.touch(key)

    @hookimpl
    def oneiric_synced(self, report: SyncReport) -> None:
        """A stream was asked; in the thread of the sync."""
        if report.outcome in ("applied", "rejected"):
            event = Event(
                "manifest",
                None,
                report.stream,
                "stream",
                report.outcome,
                new=None if report.version is None else f"{report.epoch}.{report.version}",
                reason=report.detail or "",
                ms=report.duration_ms,
            )
            self._runtime.engine("orchestrate").loop.call_soon_threadsafe(self.tell, event)

    def _happened(self, kind: str, operation: Operation, outcome: str, **facts: Any) -> None:
        key = operation.key
        self.tell(
            Event(kind, str(key), operation.actor, operation.cause, outcome, operation=operation.id, **facts)
        )
        self.touch(key)

    # --- writing -----------------------------------------------------------------------------------------------------

    async def turn(self) -> None:
        """Write down what is to be.

        Raises:
            StateError: The store is away; what was not written is kept.
        """
        while self._choices:
            key, write = next(iter(self._choices.items()))
            self._chosen[key] = await write()
            if self._choices.get(key) is write:
                del self._choices[key]
        while self._todo:
            first = self._todo[0]
            await self._history.append(first)
            if self._todo and self._todo[0] is first:
                self._todo.popleft()
        if await self._lost():
            log.warning(
                "what this node had written is not there any more, and is written anew; "
                "what operators had said is not, if the store was lost"
            )
            self._dirty.update(dict.fromkeys(self._written))
            self._written.clear()
        while self._dirty:
            key = next(iter(self._dirty))
            del self._dirty[key]
            seen = self._seen(key)
            if seen == self._written.get(key):
                continue
            try:
                await self._observed.put(key, seen)
            except BaseException:
                self._dirty[key] = None
                raise
            self._written.pop(key, None)  # what was written longest ago stands first
            self._written[key] = seen

    async def _lost(self) -> bool:
        """Whether what was written is gone: the store was, or another node has taken this one for gone."""
        oldest = next(iter(self._written), None)
        try:
            return oldest is not None and await self._observed.seen(self._node, oldest) is None
        except Corrupt:
            return True

    async def last(self, event: Event, seconds: float = 2.0) -> None:
        """Write down what is left, and *event*; then forget what this node does, since it ends."""
        self.tell(event)
        try:
            async with asyncio.timeout(seconds):
                await self.turn()
                await self._observed.clear()
        except (TimeoutError, StateError):
            return  # whoever starts next sees that this node is gone, and tidies up

    def _seen(self, key: Key) -> Seen:
        """How *key* is here, now."""
        runtime = self._runtime
        engine = runtime.engine("orchestrate")
        acted = self._acted.get(key, {})
        slot = engine.slots.get(key)
        activity = engine.administration.activity(key)
        if slot is None:
            return Seen("empty", mode=activity.mode, **acted)
        bound = slot.bound
        supervised = None if runtime.supervision is None else runtime.supervision.of(key)
        health = None if supervised is None else supervised.effective
        if health is None and bound is not None:
            health = bound.health
        return Seen(
            slot.phase,
            None if bound is None else bound.provider,
            None if bound is None else bound.number,
            None if bound is None else self._since(key, bound.number, bound.since),
            "" if bound is None else _short(bound.fingerprint),
            None if bound is None or health is None else health.status,
            "" if bound is None or health is None else health.reason,
            slot.pending,
            "" if slot.last_error is None else str(slot.last_error[0]).splitlines()[0],
            activity.mode,
            left=activity.left,
            previous=slot.spare.provider if slot.spare is not None else slot.previous,
            **acted,
        )

    def _since(self, key: Key, number: int, since: float) -> float:
        """Since when generation *number* serves, in seconds since 1970; worked out once, as the clocks drift apart."""
        known = self._bound_at.get(key)
        if known is None or known[0] != number:
            at = round(self._wall() - (self._runtime.clock.time() - since), 3)
            known = self._bound_at[key] = (number, at)
        return known[1]


def _short(fingerprint: tuple[Any, ...]) -> str:
    import hashlib

    return hashlib.sha256(repr(fingerprint).encode()).hexdigest()[:16]
