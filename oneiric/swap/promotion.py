"""What becomes of the old generation: kept warm while the new one is on probation, and at last retired."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Protocol

from oneiric_hookspecs import RolledBack, specs

from oneiric.activation import Activator, Generation, Operation, Slot, Threads
from oneiric.activation.holding import method
from oneiric.activation.products import is_async
from oneiric.health import Prober
from oneiric.hooks import HookManager
from oneiric.hooks.faults import said
from oneiric.tasks import Tasks, give_up

from .needs import Met
from .notices import Notices
from .probation import Probation
from .quarantine import Quarantine


class Rebuild(Protocol):
    """Starts an automatic operation that builds what is bound anew."""

    def __call__(self, generation: Generation) -> None:
        """Ask for it; returns at once."""


class Promotion:
    """Settles generations that were bound.

    Args:
        slot_of: The slot of a generation.
        rebuild: What to do with one that was built from something that is no longer bound.

    Attributes:
        settled: Called when a probation has ended; what was wanted meanwhile can be looked at.
    """

    def __init__(
        self,
        tasks: Tasks,
        threads: Threads,
        hooks: HookManager,
        activator: Activator,
        prober: Prober,
        notices: Notices,
        quarantine: Quarantine,
        slot_of: Callable[[Any], Slot],
        rebuild: Rebuild,
    ) -> None:
        self._tasks, self._threads, self._activator, self._prober = tasks, threads, activator, prober
        self._notices, self._quarantine = notices, quarantine
        self._slot_of, self._rebuild = slot_of, rebuild
        self._judge = hooks[specs.oneiric_rollback]
        self.settled: Callable[[Slot], None] = lambda slot: None
        self._time = tasks.loop.time

    def settle(self, slot: Slot, operation: Operation, new: Generation, old: Generation | None) -> None:
        """The new one is bound for good: begin its probation, or promote it at once.  No await."""
        self._end_probation(slot)
        self._catch_up(new)
        orphans, slot.orphans = slot.orphans, []
        for orphaned in orphans:
            self.follow(slot, operation, orphaned)
        spare, slot.spare = slot.spare, None
        if old is not None and new.limits.probation > 0 and not old.retiring:
            # The spare is always the last *promoted* one: from A by B, never promoted, to C, it is A.
            slot.spare = spare or old
            if spare is not None:
                self._retire(slot, operation, old)
            slot.probation = Probation(self, slot, operation, new, self._tasks, self._prober, self._judge)
            return
        for each in (spare, old):
            if each is not None:
                self._promoted_over(slot, operation, each)

    def promote(self, slot: Slot, operation: Operation) -> None:
        """Probation ended well.  No await."""
        self._end_probation(slot)
        spare, slot.spare = slot.spare, None
        if spare is not None:
            self._promoted_over(slot, operation, spare)
        self.settled(slot)

    def roll_back(self, slot: Slot, operation: Operation, bad: Generation, reason: str) -> None:
        """Bind the spare again, and leave the bad one out for a while.  No await before the switch is made."""
        spare = slot.spare
        if spare is None or slot.bound is not bad:
            return
        bad.enter("standby")
        spare.enter("active")
        slot.put(spare)
        slot.spare = None
        self._end_probation(slot)
        slot.rollbacks += 1
        error = RolledBack(slot.key, bad.provider, reason, serving=spare.provider, operation=operation.id)
        slot.last_error = (error, self._time())
        slot.pending = f"{bad.provider} was rolled back: {reason}"
        self._quarantine.put(bad, reason)
        self._notices.rolled_back(slot, operation, bad, spare, reason)
        self._retire(slot, operation, bad)
        self._catch_up(spare)
        self.settled(slot)

    def close(self, slot: Slot, operation: Operation, deadline: float) -> None:
        """Bind nothing, and close whatever was made for it.  No await.

        Who uses what was bound until now has had his time; who still has what was bound before has it until
        *deadline*, of the loop's clock.  What was built from it has to do without, until something is bound again.
        """
        self._end_probation(slot)
        bound, spare = slot.bound, slot.spare
        if spare is not None:
            slot.previous = spare.provider
        slot.spare = None
        slot.put(None)
        for generation in tuple(slot.alive):
            if generation not in (bound, spare) and generation.gone is None:
                continue
            generation.deadline = self._time() if generation.gone is None else deadline
            if generation.dependents and generation not in slot.orphans:
                slot.orphans.append(generation)
            self._activator.retire(
                slot, generation, lambda end: self._notices.retired(slot, operation, end), bounded=True
            )

    def _end_probation(self, slot: Slot) -> None:
        probation, slot.probation = slot.probation, None
        if probation is not None:
            probation.stop()

    def _retire(self, slot: Slot, operation: Operation, generation: Generation) -> None:
        self._activator.retire(slot, generation, lambda end: self._notices.retired(slot, operation, end))
        self.follow(slot, operation, generation)

    def _promoted_over(self, slot: Slot, operation: Operation, old: Generation) -> None:
        slot.previous = old.provider
        self._retire(slot, operation, old)

    # --- what was built from it ----------------------------------------------------------------------------------

    def follow(self, slot: Slot, operation: Operation, old: Generation) -> None:
        """Let what was built from *old*, which goes, be built from what is bound now, or be told of it."""
        if operation.cause == "shutdown":
            return
        for dependent in tuple(old.dependents):
            if self._slot_of(dependent.key).bound is dependent:
                self._follow(slot, dependent, old)

    def _catch_up(self, dependent: Generation) -> None:
        """*dependent* is bound now: what it was built from may have gone while it came up, or was a spare."""
        gone = {each.generation for each in dependent.needs if each.generation is not None}
        for old in gone:
            if old.gone is not None:
                self._follow(self._slot_of(old.key), dependent, old)

    def _follow(self, slot: Slot, dependent: Generation, old: Generation) -> None:
        """What *dependent* was built from is another one now."""
        met = [each for each in dependent.needs if each.generation is old]
        if any(each.need.on_change == "restart" for each in met):
            self._rebuild(dependent)
            return
        for each in met:
            self._tasks.start(self._notify(slot, dependent, each), f"tell {dependent!r} of {slot.key}")

    async def _notify(self, slot: Slot, dependent: Generation, met: Met) -> None:
        """Let *dependent* change over to what is bound now; if it cannot, it keeps the old one open."""
        # A change that comes while it is being told is told after that.
        while (new := slot.spare or slot.bound) is not None and new is not met.generation:
            new.dependents.add(dependent)
            refused = await self._tell(dependent, slot, new)
            if refused or (dependent.gone is not None and dependent.gone.done()):
                new.dependents.discard(dependent)
                new.wake()
                if refused:
                    self._slot_of(
                        dependent.key
                    ).pending = f"it still uses the {slot.key} from before: {refused}"
                return
            old, met.generation, met.value = met.generation, new, new.instance
            if old is not None and all(each.generation is not old for each in dependent.needs):
                old.dependents.discard(dependent)
                old.wake()

    async def _tell(self, dependent: Generation, slot: Slot, new: Generation) -> str:
        """Call ``on_dependency_changed`` of *dependent*; why it does not change over, empty if it does."""
        told = method(dependent.instance, ("on_dependency_changed",))
        if told is None:
            return "it has no on_dependency_changed"
        seconds = dependent.limits.create_timeout
        task = self._tasks.start(self._call(told, slot, new, dependent), f"tell {dependent!r}")
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            await give_up(task, dependent.limits.cancel_grace)
            return f"on_dependency_changed took longer than {seconds:g} s"
        if task.cancelled():
            return "on_dependency_changed cancelled itself"
        error = task.exception()
        return "" if error is None else f"on_dependency_changed raised {said(error)}"

    async def _call(
        self, told: Callable[..., Any], slot: Slot, new: Generation, dependent: Generation
    ) -> None:
        if is_async(told):
            await told(slot.key, new.instance)
            return
        instance = new.instance
        answer = await self._threads.run(lambda: told(slot.key, instance), name=f"notify-{dependent.key}")
        if inspect.isawaitable(answer):
            await answer
