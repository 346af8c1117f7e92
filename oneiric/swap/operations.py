"""Who may start an operation, who joins one, and who waits for whom.

Operations run in tasks of the runtime.  A caller only waits; when it is cancelled it leaves, and the last one to
leave cancels what is not committed.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop as _running_loop  # in asyncio.__all__; gives None where no loop runs
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from oneiric_hookspecs import (
    Busy,
    GateTimeout,
    Held,
    OneiricError,
    Reentrant,
    RuntimeClosing,
    Superseded,
    SwapReport,
    WrongThread,
)
from oneiric_hookspecs.lifecycle import Cause

from oneiric.activation import Generation, Operation, Slot, Want, current
from oneiric.settings import Settings
from oneiric.tasks import Tasks, ended

from .modes import Modes
from .swapper import Swapper, unforeseen

_USE = Want()
_WAITS = "an automatic change waits"


class Operations:
    """Starts operations, one at a time in a slot.

    Attributes:
        settled: Called when an operation on a slot has come about; what was wanted meanwhile can be looked at.
    """

    def __init__(
        self, tasks: Tasks, swapper: Swapper, modes: Modes, settings: Callable[[], Settings]
    ) -> None:
        self._tasks, self._swapper, self._modes, self._settings = tasks, swapper, modes, settings
        self._time = tasks.loop.time
        self._under_way: set[Operation] = set()
        self.settled: Callable[[Slot], None] = lambda slot: None

    def refusal(self, slot: Slot) -> Held | None:
        """Why *slot* is not to be changed now; None where it may be."""
        return self._swapper.refusal(slot)

    @property
    def closing(self) -> str | None:
        """Why there are no new operations any more; None while there are."""
        return self._swapper.closing

    def close(self, reason: str) -> None:
        """Take no new operations, and let those under way bind nothing."""
        self._swapper.closing = reason

    @property
    def under_way(self) -> tuple[Operation, ...]:
        """The operations that have not ended."""
        return tuple(each for each in tuple(self._under_way) if not each.done)  # from any thread

    # --- asking ------------------------------------------------------------------------------------------------

    async def request(
        self, slot: Slot, want: Want, cause: Cause, *, actor: str = "", timeout: float | None = None
    ) -> SwapReport:
        """Bring *want* about on *slot*, or join an operation that does, and wait for it.

        Raises:
            OneiricError: Why it did not come about; each caller gets an exception object of its own.
        """
        parent = self.parent()
        self.admit(slot, parent)
        self.refuse_held(slot, want)
        for operation in slot.flights:
            if self._same(operation, want):
                return await self.wait_for(operation, parent, timeout)
        operation = self._start(slot, want, cause, parent, actor=actor, timeout=timeout)
        return await self.wait_for(operation, parent)

    async def ensure(self, slot: Slot, by: Operation | None = None) -> None:
        """Make sure that something is bound to *slot*.

        Raises:
            OneiricError: Why nothing is.
        """
        if _running_loop() is not self._tasks.loop:
            raise WrongThread(
                "use belongs on the loop on which the runtime was entered",
                hint="from another thread: runtime.blocking.use",
            )
        parent = by or self.parent()
        while not slot.occupied():
            if slot.gate is not None:
                await self._pass_gate(slot, parent)
                continue
            if slot.refusal is not None:
                raise slot.refusal()
            slot.refuse()
            self.admit(slot, parent)
            operation = next((each for each in reversed(slot.flights) if not each.ending), None)
            # Said here and not below: another try would only find the same circle.
            self._refuse_circle(operation, parent)
            if operation is None:
                operation = self._start(slot, _USE, "use" if by is None else "need", parent)
            try:
                await self.wait_for(operation, parent)
            except OneiricError:
                # What was joined may have been about something else than the winner; then there is another try.
                if operation.want == _USE or self.closing is not None:
                    if slot.occupied():
                        return
                    raise

    def automatic(self, slot: Slot, want: Want, cause: Cause) -> None:
        """Bring *want* about without anybody waiting; a newer one takes the place of one that has not committed."""
        if self.closing is not None:
            return
        held = self.refusal(slot)
        if held is not None:
            self.defer(slot, want, cause, held)
            return
        now = self._time()
        slot.automatic[:] = [began for began in slot.automatic if began > now - 60]
        limit = self._settings().lifecycle_of(slot.key).auto_swaps_per_minute
        if slot.waiting is not None:
            want = _both(slot.waiting[1], want)
            slot.waiting[0].cancel()
            slot.waiting = None
        if len(slot.automatic) >= limit:
            slot.pending = f"{_WAITS}: there were {limit} in the last minute"
            wait = slot.automatic[0] + 60 - now
            later = self._tasks.loop.call_later(max(wait, 0.0) + 0.001, self._go_on, slot, cause)
            slot.waiting = (later, want)
            return
        for each in tuple(slot.flights):
            if self._may_supersede(slot, each):
                want = _both(each.want, want)
                each.superseded_by = cause
                assert each.task is not None
                each.task.cancel()
        slot.automatic.append(now)
        self._start(slot, want, cause, None, detached=True)

    def _go_on(self, slot: Slot, cause: Cause) -> None:
        assert slot.waiting is not None
        want, slot.waiting = slot.waiting[1], None
        if slot.pending.startswith(_WAITS):
            slot.pending = ""
        self.automatic(slot, want, cause)

    def defer(self, slot: Slot, want: Want, cause: Cause, held: Held) -> None:
        """Remember *want* until nothing is imposed on *slot* any more; with what is remembered already, it is one."""
        if slot.deferred is not None:
            want = _both(slot.deferred[0], want)
        slot.deferred = (want, cause)
        said = held.message.removeprefix(f"{slot.key} is ")
        slot.pending = f"{said}, and {self._swapper.choosing.wanted(slot, want)} is wanted"

    def refuse_held(self, slot: Slot, want: Want) -> None:
        """Raise what keeps *slot* from being changed, unless *want* passes it.

        Raises:
            Held: An operator imposed something.
        """
        held = None if want.override else self.refusal(slot)
        if held is not None:
            raise held

    def rebuild(self, slot: Slot, generation: Generation) -> None:
        """Build what is bound to *slot* anew, because something it was built from has changed."""
        self.automatic(slot, Want(provider=generation.provider, reload=True), "dependency")

    # --- admission ---------------------------------------------------------------------------------------------

    def parent(self) -> Operation | None:
        """The operation in whose factory or hook this is asked for; None outside of one."""
        operation = current.get()
        while operation is not None and operation.done:
            operation = operation.parent
        return operation

    def admit(self, slot: Slot, parent: Operation | None) -> None:
        """Step 0.

        Raises:
            RuntimeClosing: There are no new operations.
            Reentrant: It is asked for from inside an operation on the same slot.
        """
        if self.closing is not None:
            raise RuntimeClosing(self.closing)
        if parent is not None and slot.key in (keys := [each.key for each in parent.chain()]):
            keys.reverse()
            raise Reentrant(path=[*keys[keys.index(slot.key) :], slot.key])

    def _same(self, operation: Operation, want: Want) -> bool:
        if operation.many or operation.committed or operation.ending:
            return False
        if operation.cause in ("use", "need"):
            return False  # anything bound will do for those, be it built from other settings
        return operation.want == want and not want.reload

    def _may_supersede(self, slot: Slot, operation: Operation) -> bool:
        """Whether a newer automatic change cancels *operation*; a working one only three times in a row."""
        if operation.done or operation.committed or operation.waiters:
            return False
        if not operation.detached or operation.ending:
            return False
        if not operation.working:
            return True
        slot.preempted += 1
        return slot.preempted <= 3

    async def _pass_gate(self, slot: Slot, parent: Operation | None) -> None:
        gate = slot.gate
        assert gate is not None
        holder = next((each for each in slot.flights if each.working), None)
        self._refuse_circle(holder, parent)
        seconds = self._settings().lifecycle_of(slot.key).gate_timeout
        done, _ = await asyncio.wait({gate}, timeout=seconds)
        if not done:
            raise GateTimeout(slot.key, because=f"it was swapped for more than {seconds:g} s")

    # --- running -----------------------------------------------------------------------------------------------

    def _start(
        self,
        slot: Slot,
        want: Want,
        cause: Cause,
        parent: Operation | None,
        *,
        actor: str = "",
        timeout: float | None = None,
        detached: bool = False,
    ) -> Operation:
        deadline = None if timeout is None else self._time() + timeout
        operation = Operation(
            slot.key, cause, want, self._time, actor=actor, parent=parent, deadline=deadline
        )
        operation.detached = detached
        context = self._tasks.context.copy()
        context.run(current.set, operation)
        slot.flights.append(operation)
        # A look at who asks for it, where somebody may want to know; it costs nothing else.
        caller = copy_context() if self._swapper.around.impls else None
        return self.launch(operation, self._run(slot, operation, caller), [slot], context)

    def launch(self, operation: Operation, work: Any, slots: list[Slot], context: Any) -> Operation:
        """Run *work* as the task of *operation*, which stands in the flights of *slots*."""

        def land(task: asyncio.Task[Any]) -> None:
            self._under_way.discard(operation)
            for slot in slots:
                slot.flights.remove(operation)
                if operation.committed and not task.cancelled() and task.exception() is None:
                    self.settled(slot)

        operation.slots = tuple(slots)
        name = f"{operation.id} {operation.cause} {operation.key}"
        operation.task = self._tasks.start(work, name, context, land)
        self._under_way.add(operation)
        return operation

    async def _run(self, slot: Slot, operation: Operation, caller: Context | None) -> SwapReport:
        if caller is None:
            return await self._carried_out(slot, operation)
        with self._swapper.around(operation.view(caller)):
            return await self._carried_out(slot, operation)

    async def _carried_out(self, slot: Slot, operation: Operation) -> SwapReport:
        try:
            report = await self._swapper.run(slot, operation, self._modes.change)
        except Held as held:
            self.defer(slot, operation.want, operation.cause, held)
            raise
        except Exception as raised:
            error = unforeseen(raised)
            self._swapper.failed(slot, operation, error)
            if operation.detached:
                slot.pending = f"a change by itself ({operation.cause}) failed: {str(error).splitlines()[0]}"
            if error is raised:
                raise
            raise error from raised
        slot.preempted = 0
        if slot.deferred is not None and (still := self.refusal(slot)) is not None:
            # Finishing it has cleared what was said of the one that waits.
            self.defer(slot, Want(), slot.deferred[1], still)
        return report

    async def wait_for(
        self, operation: Operation, parent: Operation | None, timeout: float | None = None
    ) -> SwapReport:
        """Wait for *operation*, in the task of whoever wants it; when that is cancelled, it leaves.

        Raises:
            OneiricError: Why the operation failed, as an exception object of the caller's own.
        """
        task = operation.task
        assert task is not None
        operation.waiters += 1
        try:
            self._refuse_circle(operation, parent)
            if parent is not None:
                parent.waits_for.add(operation)
            if timeout is None:
                await ended(task)
            else:
                await asyncio.wait({task}, timeout=timeout)
                if not task.done():
                    raise Busy(operation.key, holder=repr(operation), seconds=timeout)
        finally:
            operation.waiters -= 1
            if parent is not None:
                parent.waits_for.discard(operation)
            if (
                not operation.waiters
                and not operation.detached
                and not operation.committed
                and not task.done()
            ):
                task.cancel()
        report: SwapReport = self.outcome(operation)
        return report

    def _refuse_circle(self, operation: Operation | None, parent: Operation | None) -> None:
        """Two factories that wait for each other's slots would do so until their deadlines."""
        if operation is None or parent is None:
            return
        for waiting in parent.chain():
            way = operation.reaches(waiting)
            if way is not None:
                raise Reentrant(path=[waiting.key, *(each.key for each in way)])

    def outcome(self, operation: Operation) -> Any:
        """The report of an ended operation; or its error, as a new exception object."""
        task = operation.task
        assert task is not None
        if task.cancelled():
            if operation.superseded_by:
                raise Superseded(operation.key, by=operation.superseded_by)
            raise RuntimeClosing(self.closing or f"{operation.key}: the operation was cancelled")
        error = task.exception()
        if isinstance(error, OneiricError):
            raise error.twin()
        if error is not None:
            raise error
        return task.result()


def _both(before: Want, after: Want) -> Want:
    """What takes the place of two wishes of the runtime's own; neither is lost."""
    provider = after.provider if after.provider == before.provider else None
    return Want(provider, reload=before.reload or after.reload)
