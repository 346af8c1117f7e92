"""What operators want, and what settings and streams bring, becomes what is bound.

Level-triggered: each turn compares what is wanted with what is, so that a hint that was missed is only late, and what
could not be done is tried again until it can be, or is not wanted any more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import Health, Held, Key, OneiricError, Request, RolledBack, RuntimeClosing, Superseded

from oneiric.activation import Slot, Want
from oneiric.runtime.declared import WANTED
from oneiric.state import Desired, Pin, Wanted
from oneiric.state.desired import mended_by

from .restoring import in_force

if TYPE_CHECKING:
    from oneiric_hookspecs.lifecycle import Cause

    from oneiric.runtime import Runtime
    from oneiric.swap import Engine

    from .nodes import Membership
    from .recording import Recorder

log = logging.getLogger("oneiric.orchestrator")

#: Seconds between two tries of a change that failed, at least and at most.
SOON, SELDOM = 1.0, 60.0
#: How it is said that what operators want did not come about: at first, and when it is tried again.
_FAILED = ("what is pinned did not come about", "a change by itself (operator) failed")


@attrs.define
class Owed:
    """A change that has not come about yet.

    Attributes:
        cause: What brought it.
        tries: How often it was tried.
        due: When it is tried again, on the runtime's clock.
        against: The revision of the registry when it was tried last; another one may make it work.
    """

    cause: Cause
    tries: int = 0
    due: float = 0.0
    against: int = -1


class Reconciler:
    """Makes what is wanted so, in one runtime.

    Args:
        runtime: Which; it runs.
        desired: What operators want.
        member: This process as a node, which says how far it has come.
        recorder: Who writes down what came of it.
        wall: Gives seconds since 1970; it may jump.

    Attributes:
        wanted: What operators want, as it is in force.
    """

    def __init__(
        self,
        runtime: Runtime,
        desired: Desired,
        member: Membership,
        recorder: Recorder,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._runtime, self._desired, self._member = runtime, desired, member
        self._recorder, self._wall = recorder, wall
        self._engine: Engine = runtime.engine("orchestrate")
        self.wanted = Wanted(-1, {}, {})
        self._pins: dict[Key, str] = {}
        self._owed: dict[Key, Owed] = {}
        self._acting: dict[Key, Any] = {}
        self._outrun: set[Key] = set()
        self._engine.stirred.update(dict.fromkeys(self._engine.slots.values()))
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def restore(self) -> None:
        """Have what is wanted in force, and swap nothing for it: nothing is bound yet, or what is was chosen here."""
        wanted = await self._desired.wanted()
        self._not_understood(wanted)
        self._pins = in_force(self._runtime, wanted, {}, self._wall())
        self.wanted = wanted
        self._member.node = attrs.evolve(self._member.node, desired=wanted.revision)

    async def turn(self) -> None:
        """Look once, and begin what is to be done; operations go on by themselves."""
        if self._outrun or await self._desired.revision() != self.wanted.revision:
            await self._take(await self._desired.wanted())
        else:
            self._in_force()
        self._look()

    def _in_force(self) -> None:
        """Have in force what is wanted now: what has ended is wanted no more."""
        before = self._pins
        self._pins = in_force(self._runtime, self.wanted, before, self._wall())
        self._engine.administration.tick()
        ended = {key for key in before if key not in self._pins and key in self.wanted.pins}
        for key in ended:
            self._recorder.expired(key, self.wanted.pins[key])
            self._act(key, None)
        for key in sorted(self._pins.keys() - before.keys()):  # the clock on the wall was set back
            self._act(key, self.wanted.pins[key])

    async def _take(self, wanted: Wanted) -> None:
        before = self.wanted
        # One that is damaged says nothing: what was said before it stands, and all the others count.
        self._not_understood(wanted)
        wanted = wanted.after(before)
        # What was chosen here and is not written down yet is newer than what the store says.
        self._outrun = {
            key
            for key in {*before.pins, *wanted.pins}
            if before.pins.get(key) != wanted.pins.get(key)
            and self._recorder.newer(key, wanted.revision, self._pins.get(key))
        }
        if self._outrun:
            pins = {key: pin for key, pin in wanted.pins.items() if key not in self._outrun}
            pins |= {key: before.pins[key] for key in self._outrun if key in before.pins}
            wanted = attrs.evolve(wanted, pins=pins)
        self.wanted = wanted
        moved = {key for key in {*before.pins, *wanted.pins} if before.pins.get(key) != wanted.pins.get(key)}
        imposed = {
            text
            for text in {*before.admins, *wanted.admins}
            if before.admins.get(text) != wanted.admins.get(text)
        }
        self._pins = in_force(self._runtime, wanted, self._pins, self._wall())
        for key in sorted(moved):
            pin = wanted.pins.get(key)
            self._act(key, pin if pin is not None and pin.mark.holds(self._wall()) else None)
        for text in sorted(imposed):
            if ":" in text and Key.parse(text) not in moved:
                self._recorder.acted(Key.parse(text), wanted.revision)
        for number, waiter in self._waiting:
            if number <= wanted.revision and not waiter.done():
                waiter.set_result(None)
        self._waiting = [each for each in self._waiting if not each[1].done()]
        # Last: where the store is away now, the next heartbeat says it, and nobody here waits for that.
        await self._member.taken(wanted.revision)

    def _not_understood(self, wanted: Wanted) -> None:
        for name, why in wanted.damaged.items() - self.wanted.damaged.items():
            log.warning("%s; what was wanted before stands; to take it back: %s", why, mended_by(name))

    def health(self) -> Health:
        """Whether all of what operators want is understood."""
        damaged = self.wanted.damaged
        if not damaged:
            return Health("ok")
        first, why = min(damaged.items())
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        return Health("degraded", f"{why}{more}; to take it back: {mended_by(first)}")

    async def until(self, revision: int) -> None:
        """Wait until what operators want is in force up to *revision*; whoever asks wakes the loop, too."""
        if self.wanted.revision < revision:
            waiter: asyncio.Future[None] = self._engine.loop.create_future()
            self._waiting.append((revision, waiter))
            await waiter

    # --- acting on a pin ---------------------------------------------------------------------------------------------

    def _act(self, key: Key, pin: Pin | None) -> None:
        """Swap *key* to what is pinned, or to whoever wins now that nothing is; one after another for each key."""
        self._owed.pop(key, None)
        before = self._acting.get(key)
        revision = self.wanted.revision

        async def act() -> None:
            if before is not None:
                await asyncio.wait({before})
            try:
                await self._bring(key, pin, revision)
            finally:
                if self._acting.get(key) is task.task:
                    del self._acting[key]

        task = self._runtime.spawn(act(), name=f"orchestrate: {key}")
        self._acting[key] = task.task

    async def _bring(self, key: Key, pin: Pin | None, revision: int) -> None:
        slot = self._engine.slot(key) if self._runtime.snapshot.records(key) else None
        if pin is None and (slot is None or not (slot.occupied() or slot.flights)):
            self._recorder.acted(key, revision, outcome="unchanged")
            return
        now = self._runtime.snapshot.pins.get(key)
        outdated = (None if now is None else now.provider) != (None if pin is None else pin.provider)
        if outdated or (pin is not None and slot is not None and self._serves(slot)):
            # Somebody has chosen anew meanwhile; or it was chosen here, and has come about.
            if slot is not None and not outdated:
                self._settled(slot)
            self._recorder.acted(key, revision, outcome="unchanged")
            return
        actor = "" if pin is None else pin.mark.actor
        want = (
            Want()
            if pin is None
            else Want(
                pin.provider if pin.override else None,  # which lets it out of quarantine
                accept_unhealthy=pin.accept_unhealthy,
                override=pin.override,
            )
        )
        try:
            if slot is None:
                self._runtime.resolve(key.domain, key.name)  # says that there is no such part
                return
            report = await self._engine.operations.request(slot, want, "operator", actor=actor)
        except OneiricError as error:
            outcome = {RolledBack: "rolled_back", Held: "held"}.get(type(error), "failed")
            told = str(error).splitlines()[0]
            owed = not isinstance(error, (Superseded, RuntimeClosing))
            if isinstance(error, Held) and slot is not None:
                owed = self._held(slot, error)
            elif owed and slot is not None and not slot.pending:
                slot.pending = f"{_FAILED[0]}: {told}"
            self._recorder.acted(
                key,
                revision,
                outcome=outcome,
                told=told,
                exit=getattr(error, "exit_code", 1),
            )
            if owed:
                self._owe(key, "operator")
            return
        except Exception as error:
            # A bug: whoever waits hears of it, and so does the log.
            told = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self._recorder.acted(key, revision, outcome="failed", told=told, exit=1)
            raise
        self._settled(slot)
        took = sum(report.steps.values())
        self._recorder.acted(key, revision, outcome=report.outcome, ms=round(took, 3))

    def _held(self, slot: Slot, error: Held) -> bool:
        """What is pinned waits until it is resumed, if that is another one; whether it does."""
        if self._as_wanted(slot):
            if slot.deferred is not None and slot.deferred[1] == "operator":
                slot.deferred, slot.pending = None, ""
            return False
        self._engine.operations.defer(slot, Want(), "operator", error)
        return True

    def _settled(self, slot: Slot) -> None:
        """What operators want has come about, or has been taken back: it is not pending any more."""
        if slot.pending.startswith(_FAILED):
            slot.pending = ""

    # --- what settings and streams bring -----------------------------------------------------------------------------

    def concern(self, keys: Iterable[Key], cause: Cause) -> None:
        """Something has changed at *keys*: what is bound there is swapped, if somebody else wins now."""
        for key in keys:
            if key in self._engine.slots:
                self._owe(key, cause, at_once=True)
        self._look()

    def _owe(self, key: Key, cause: Cause, *, at_once: bool = False) -> None:
        owed = self._owed.setdefault(key, Owed(cause))
        if at_once:
            owed.cause, owed.due, owed.tries = cause, 0.0, 0
        else:
            self._later(owed)

    def _later(self, owed: Owed) -> None:
        owed.due = self._engine.loop.time() + min(SELDOM, SOON * 2.0 ** min(owed.tries, 10))
        owed.tries += 1
        owed.against = self._runtime.revision

    def _look(self) -> None:
        """Try what is owed and due, and forget what has come about."""
        now = self._engine.loop.time()
        stirred = self._engine.stirred
        while stirred:
            slot = stirred.popitem()[0]
            if slot.pending.startswith(WANTED) and slot.key not in self._owed:
                self._owe(slot.key, "settings")
            self._recorder.touch(slot.key)
        for key, owed in tuple(self._owed.items()):
            if key not in self._engine.slots and not self._runtime.snapshot.records(key):
                continue  # nobody has registered for it yet
            slot = self._engine.slot(key)
            if slot.flights or slot.waiting is not None or key in self._acting:
                continue
            if self._as_wanted(slot):
                del self._owed[key]
                if owed.cause == "operator":
                    self._recorder.acted(key, self.wanted.revision, outcome="swapped")
                if slot.pending.startswith(WANTED):
                    slot.pending = ""
            elif now >= owed.due or owed.against != self._runtime.revision:
                self._later(owed)
                self._engine.operations.automatic(slot, Want(), owed.cause)

    def _serves(self, slot: Slot) -> bool:
        """Whether what wins is bound, and nobody is about to change that."""
        return slot.occupied() and not slot.flights and self._as_wanted(slot)

    def _as_wanted(self, slot: Slot) -> bool:
        """Whether what is bound is what wins; where nothing is bound, nothing is owed but to who is pinned there."""
        bound, snapshot = slot.bound, self._runtime.snapshot
        if bound is None:
            return slot.key not in self._pins
        winner = snapshot.decide(Request(slot.key)).winner
        if winner is None:
            return False
        return bool(self._engine.activator.fingerprint(winner, snapshot.source(winner)) == bound.fingerprint)
