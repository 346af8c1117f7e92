"""What becomes of the old generation: kept warm while the new one is on probation, and at last retired."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol

from oneiric_hookspecs import RolledBack, specs

from oneiric.activation import Activator, Generation, Operation, Slot, Threads
from oneiric.activation.holding import method
from oneiric.activation.products import is_async
from oneiric.health import Prober
from oneiric.hooks import HookManager
from oneiric.tasks import Tasks

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
        self._time = tasks.loop.time

    def settle(self, slot: Slot, operation: Operation, new: Generation, old: Generation | None) -> None:
        """The new one is bound for good: begin its probation, or promote it at once.  No await."""
        self._end_probation(slot)
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

    def roll_back(self, slot: Slot, operation: Operation, bad: Generation, reason: str) -> None:
        """Bind the spare again, and leave the bad one out for a while.  No await before the switch is made."""
        spare = slot.spare
        if spare is None or slot.bound is not bad:
            return
        bad.enter("standby")
        spare.enter("active")
        slot.current, slot.spare = spare, None
        self._end_probation(slot)
        slot.rollbacks += 1
        error = RolledBack(slot.key, bad.provider, reason, serving=spare.provider, operation=operation.id)
        slot.last_error = (error, self._time())
        slot.pending = f"{bad.provider} was rolled back: {reason}"
        self._quarantine.put(bad, reason)
        self._notices.rolled_back(slot, operation, bad, spare, reason)
        self._retire(slot, operation, bad)

    def _end_probation(self, slot: Slot) -> None:
        probation, slot.probation = slot.probation, None
        if probation is not None:
            probation.stop()

    def _retire(self, slot: Slot, operation: Operation, generation: Generation) -> None:
        self._activator.retire(slot, generation, lambda end: self._notices.retired(slot, operation, end))

    def _promoted_over(self, slot: Slot, operation: Operation, old: Generation) -> None:
        slot.previous = old.provider
        dependents = tuple(old.dependents)
        self._retire(slot, operation, old)
        for dependent in dependents:
            if self._slot_of(dependent.key).bound is dependent:
                self._follow(slot, dependent, old)

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
        told = method(dependent.instance, ("on_dependency_changed",))
        new = slot.bound
        if told is None or new is None:
            return
        new.dependents.add(dependent)
        try:
            if is_async(told):
                await told(slot.key, new.instance)
            else:
                instance = new.instance
                answer = await self._threads.run(
                    lambda: told(slot.key, instance), name=f"notify-{dependent.key}"
                )
                if inspect.isawaitable(answer):
                    await answer
        except Exception as error:  # noqa: BLE001 - the dependent's failure is the dependent's; it is shown there
            new.dependents.discard(dependent)
            new.wake()
            self._slot_of(
                dependent.key
            ).pending = f"it still uses the {slot.key} from before: on_dependency_changed raised {type(error).__name__}: {error}"
            return
        old, met.generation, met.value = met.generation, new, new.instance
        if old is not None and all(each.generation is not old for each in dependent.needs):
            old.dependents.discard(dependent)
            old.wake()
