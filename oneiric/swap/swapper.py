"""The steps of an operation on one slot.

=====  =========  ====================================================================================
step   name       if it fails, takes too long or is cancelled
=====  =========  ====================================================================================
1      decide     nothing to undo
2      needs      what was leased is given back; no lock is held
3      lock       ``Busy``
4      recheck    another winner by now: back to 1, three times at most
5      load       nothing was built
6-7    create     what was built is disposed of, and what arrives late
8      warm       disposed of; ``HealthRejected``
9      check      disposed of; ``Vetoed``
10     commit     one block without an await: cannot fail
11     confirm    the old one is bound again, by one assignment; ``RolledBack``
12     finalize   one block without an await: from here it is a success
13     observers  in a task of their own; what goes wrong there is a warning
14     retire     in the background; what goes wrong there is in the status
15     probation  in the background; see ``probation``
=====  =========  ====================================================================================
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from oneiric_hookspecs import (
    ActivationError,
    ActivationTimeout,
    Busy,
    Candidate,
    HealthRejected,
    Held,
    Objection,
    OneiricError,
    RolledBack,
    RuntimeClosing,
    Source,
    SwapReport,
    Vetoed,
    specs,
)
from oneiric_hookspecs.lifecycle import Outcome

from oneiric.activation import Activator, Cell, Generation, Operation, Slot, Switch
from oneiric.health import Prober
from oneiric.hooks import HookManager
from oneiric.hooks.faults import said
from oneiric.tasks import Tasks

from .choosing import Choosing
from .needs import Met, Needs
from .notices import Notices
from .promotion import Promotion

#: Causes of changes that nobody asked for in so many words.
AUTOMATIC = ("settings", "stream", "resolution", "dependency", "restart")


class Swapper:
    """Carries operations out.

    Args:
        choosing: Which candidate an operation is about.
        promotion: What becomes of the old one.
        notices: Who is told.

    Attributes:
        closing: Why nothing is bound any more; None while the runtime runs.
        around: What plugins put around an operation.
        refusal: Says why a slot is not to be changed now; None where it may be.
    """

    def __init__(
        self,
        tasks: Tasks,
        hooks: HookManager,
        activator: Activator,
        prober: Prober,
        needs: Needs,
        choosing: Choosing,
        promotion: Promotion,
        notices: Notices,
    ) -> None:
        self.tasks, self.activator, self.prober, self.notices = tasks, activator, prober, notices
        self.needs, self.choosing, self.promotion = needs, choosing, promotion
        self._check_swap = hooks[specs.oneiric_check_swap]
        self._check_bound = hooks[specs.oneiric_check_bound]
        self.around = hooks[specs.oneiric_around_operation]
        self._time = tasks.loop.time
        self.closing: str | None = None
        self.refusal: Callable[[Slot], Held | None] = lambda slot: None

    async def run(
        self, slot: Slot, operation: Operation, change: Callable[..., Any], *, rounds: int = 3
    ) -> SwapReport:
        """Steps 1 to 4, and then *change* under the lock.

        Raises:
            OneiricError: Why it did not come about; what served before serves.
        """
        for _ in range(rounds):
            operation.at("decide")
            chosen = self.choosing.choose(slot, operation)
            operation.at("needs")
            met = await self._meet(operation, chosen[0])
            try:
                operation.at("lock")
                await self.lock(slot, operation)
                try:
                    operation.at("recheck")
                    again = self.choosing.choose(slot, operation)
                    if again[0] is not chosen[0]:
                        continue
                    self.check_held(slot, operation)
                    if self.unchanged(slot, operation, *chosen):
                        self.choosing.settle(slot, operation)
                        return self.report(slot, operation, "unchanged", slot.bound, slot.bound)
                    await self.make_room(slot, operation)
                    given, met = met, []
                    report: SwapReport = await change(slot, operation, *chosen, given)
                    return report
                finally:
                    slot.lock.release()
            finally:
                for each in met:
                    each.give_back()
        raise Busy(
            slot.key, holder="changes of the registry: its winner was another one three times in a row"
        )

    async def _meet(self, operation: Operation, candidate: Candidate) -> list[Met]:
        """Step 2.  What is needed has limits of its own; the deadline is the caller's."""
        if operation.deadline is None:
            return await self.needs.meet(operation, candidate)
        scope = asyncio.timeout(max(0.0, operation.deadline - self._time()))
        try:
            async with scope:
                return await self.needs.meet(operation, candidate)
        except TimeoutError:
            if not scope.expired():
                raise
            raise ActivationTimeout("what it needs did not come up before the deadline") from None

    def unchanged(self, slot: Slot, operation: Operation, candidate: Candidate, source: Source) -> bool:
        """Whether what is bound is what would be built, and nobody asked to build it anew.

        To somebody who only wants to use the key, whatever is bound by now will do.
        """
        bound = slot.bound
        if bound is None or operation.want.reload:
            return False
        if operation.cause in ("use", "need"):
            return True
        return bound.fingerprint == self.activator.fingerprint(candidate, source)

    async def lock(self, slot: Slot, operation: Operation) -> None:
        """Step 3: have the slot, first come, first served."""
        if len(slot.flights) == 1 and not slot.lock.locked():
            await slot.lock.acquire()  # nobody else is there, so there is nothing to wait for
            return
        seconds = operation.limit(self.activator.settings.lifecycle_of(slot.key).busy_timeout)
        try:
            async with asyncio.timeout(seconds):
                await slot.lock.acquire()
        except TimeoutError:
            holder = next((repr(each) for each in slot.flights if each.working), "")
            raise Busy(slot.key, holder=holder, seconds=seconds) from None

    async def make_room(self, slot: Slot, operation: Operation) -> None:
        """Wait until another generation may be opened beside those that have not ended."""
        limits = self.activator.settings.lifecycle_of(slot.key)
        if len(slot.alive) < limits.max_generations:
            return
        seconds = operation.limit(limits.busy_timeout)
        deadline = self._time() + seconds
        while len(slot.alive) >= limits.max_generations:
            going = {each.gone for each in slot.alive if each.gone is not None and not each.gone.done()}
            left = deadline - self._time()
            if not going or left <= 0:
                raise Busy(
                    slot.key, holder=f"{len(slot.alive)} generations that have not ended", seconds=seconds
                )
            await asyncio.wait(going, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    # --- steps 5 to 12 -----------------------------------------------------------------------------------------

    async def overlap(
        self, slot: Slot, operation: Operation, candidate: Candidate, source: Source, met: list[Met]
    ) -> SwapReport:
        """Build the new one beside the old one, switch, confirm, and let the old one go."""
        new = self.activator.new(slot, candidate, source, met)
        try:
            await self.prepare(operation, new, slot.bound)
            self.before_commit(operation)
            self.check_held(slot, operation)
        except BaseException:
            self.drop(slot, operation, new)
            raise
        old = slot.bound
        self.commit([(slot, new, old)], operation)
        try:
            await self.confirm(operation, new, old)
            operation.at("finalize")
        except BaseException as error:
            self.revert([(slot, new, old)], operation)
            raise self.rolled_back(slot, operation, new, old, error)  # noqa: B904 - it has its cause
        return self.finalize(slot, operation, new, old)

    async def prepare(self, operation: Operation, new: Generation, old: Generation | None) -> None:
        """Steps 5 to 9: everything that may fail unseen."""
        operation.at("load")
        await self.raise_up(operation, new, old, await self.activator.load(operation, new))

    async def raise_up(
        self,
        operation: Operation,
        new: Generation,
        old: Generation | None,
        factory: Callable[..., Any],
        *,
        judged: bool = True,
    ) -> None:
        """Steps 6 to 9; the last of them only if it is to be *judged*."""
        operation.at("create")
        await self.activator.start(operation, new, factory)
        operation.at("warm")
        new.enter("warming")
        limit = operation.limit(new.limits.startup_timeout)
        health = await self.prober.startup(new, limit, once=operation.want.accept_unhealthy)
        if not health.passes and not operation.want.accept_unhealthy:
            raise HealthRejected(health.reason or f"its health is {health.status}", health=health)
        operation.at("check")
        new.enter("standby")
        if judged and self._check_swap.impls:
            view = None if old is None else old.view()
            self._refuse(await self._check_swap(operation.view(), new.view(), view))

    def _refuse(self, objections: list[Objection]) -> None:
        if objections:
            raise Vetoed(objections[0].reason, plugin=objections[0].plugin, objections=objections)

    def before_commit(self, operation: Operation) -> None:
        """The last moment at which an operation may be refused: nothing is bound after the runtime was told to close.

        Raises:
            RuntimeClosing: It is closing.
        """
        operation.at("commit")
        if self.closing is not None:
            raise RuntimeClosing(self.closing)

    def check_held(self, slot: Slot, operation: Operation) -> None:
        """What began by itself before somebody said that nothing should, ends here.  What somebody asked for goes on.

        Raises:
            Held: An operator has imposed something meanwhile.
        """
        held = self.refusal(slot) if operation.cause in AUTOMATIC else None
        if held is not None:
            raise held

    def commit(self, changes: list[tuple[Slot, Generation, Generation | None]], operation: Operation) -> None:
        """Step 10.  Assignments to what has been prepared; readers see all of the old or all of the new."""
        self._switch([(slot, old, new) for slot, new, old in changes])
        operation.committed = True

    def revert(self, changes: list[tuple[Slot, Generation, Generation | None]], operation: Operation) -> None:
        """Take step 10 back: the old ones are bound again, and were never closed."""
        self._switch([(slot, new, old) for slot, new, old in changes])
        for slot, new, _ in changes:
            self.drop(slot, operation, new)

    def _switch(self, changes: list[tuple[Slot, Generation | None, Generation | None]]) -> None:
        for _, before, after in changes:
            if before is not None and not before.retiring:
                before.enter("standby")
            if after is not None:
                after.enter("active")
        if len(changes) == 1:
            changes[0][0].put(changes[0][2])
            return
        cell = Cell()
        for slot, before, after in changes:
            slot.put(Switch(before, after, cell))
        cell.thrown = True
        for slot, _, after in changes:
            slot.put(after)

    async def confirm(self, operation: Operation, new: Generation, old: Generation | None) -> None:
        """Step 11: one probe and the judges, now that users reach it."""
        operation.at("confirm")
        if not operation.want.accept_unhealthy:
            health = await self.prober.probe(new, "readiness", operation.limit(new.limits.confirm_timeout))
            if not health.passes:
                raise HealthRejected(health.reason or f"its health is {health.status}", health=health)
        if self._check_bound.impls:
            view = None if old is None else old.view()
            self._refuse(await self._check_bound(operation.view(), new.view(), view))

    def rolled_back(
        self, slot: Slot, operation: Operation, new: Generation, old: Generation | None, error: BaseException
    ) -> BaseException:
        """What to raise when the confirming step failed by *error*, and the old one serves again."""
        slot.rollbacks += 1
        reason = getattr(error, "reason", None) or said(error)
        told = reason if isinstance(error, Exception) else "the operation was cancelled"
        self.notices.rolled_back(slot, operation, new, old, told)
        if not isinstance(error, Exception):
            return error
        serving = None if old is None else old.provider
        answer = RolledBack(slot.key, new.provider, told, serving=serving, operation=operation.id)
        answer.__cause__ = error
        return answer

    def finalize(
        self,
        slot: Slot,
        operation: Operation,
        new: Generation,
        old: Generation | None,
        *,
        outcome: Outcome | None = None,
        gap_ms: float = 0.0,
    ) -> SwapReport:
        """Step 12: a success from here on.  No await; what follows happens in the background."""
        self.choosing.settle(slot, operation)
        slot.last_error, slot.pending = None, ""
        slot.swaps += old is not None
        outcome = outcome or ("activated" if old is None else "swapped")
        report = self.report(slot, operation, outcome, old, new, gap_ms=gap_ms)
        self.promotion.settle(slot, operation, new, old)
        self.notices.bound(slot, operation, report, new, old)
        return report

    def drop(self, slot: Slot, operation: Operation, new: Generation, *, bounded: bool = False) -> None:
        """Dispose of a generation that did not come to be bound, or does not stay so."""
        self.activator.retire(
            slot, new, lambda end: self.notices.retired(slot, operation, end), bounded=bounded
        )

    def report(
        self,
        slot: Slot,
        operation: Operation,
        outcome: Outcome,
        old: Generation | None,
        new: Generation | None,
        *,
        gap_ms: float = 0.0,
    ) -> SwapReport:
        """What came of *operation*."""

        async def retired() -> Any:
            if old is None or old is new:
                return None
            while slot.spare is old and (probation := slot.probation) is not None:
                await asyncio.wait({probation.task})
            if old.gone is None:
                return None
            await asyncio.wait({old.gone})
            return old.gone.result()

        operation.outcome, operation.gap_ms = outcome, gap_ms
        warnings: list[str] = []
        report = SwapReport(
            slot.key,
            outcome,
            operation.id,
            None if old is None else old.provider,
            None if new is None else new.provider,
            operation.steps(),
            gap_ms,
            warnings=warnings,
            observed=lambda: self.notices.told(slot, report),
            retired=retired,
        )
        slot.last_report = report
        return report

    def failed(self, slot: Slot, operation: Operation, error: OneiricError) -> None:
        """Keep *error* with the slot, and tell who wants to know; what is held has not failed."""
        operation.place(error)
        if not isinstance(error, Held):
            slot.last_error = (error, self._time())
        if not isinstance(error, RolledBack):
            self.notices.failed(slot, operation, error)


def unforeseen(error: Exception) -> OneiricError:
    """*error*, or where it is none of ours, what to say of it."""
    return error if isinstance(error, OneiricError) else ActivationError(said(error))
