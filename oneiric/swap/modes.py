"""Swaps of what cannot overlap: a port, a lock on a file, a device.

``exclusive``: users wait at a gate, the old one is closed first, and if the new one fails the old candidate is built
again.  ``in_place``: the instance itself goes over to other settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextvars import copy_context
from typing import Any, NoReturn, TypeVar

from oneiric_hookspecs import (
    ActivationTimeout,
    Candidate,
    Draining,
    FactoryError,
    OneiricError,
    Permanent,
    RolledBack,
    RuntimeClosing,
    Source,
    SwapReport,
)

from oneiric.activation import Generation, Operation, Slot, Threads
from oneiric.activation.holding import method
from oneiric.activation.products import is_async
from oneiric.hooks.faults import said
from oneiric.tasks import give_up, outlast

from .needs import Met
from .swapper import Swapper, unforeseen

T = TypeVar("T")


class Modes:
    """Chooses between the ways to swap, and knows the two that do not overlap."""

    def __init__(self, swapper: Swapper, threads: Threads) -> None:
        self._swapper, self._threads = swapper, threads
        self._time = swapper.tasks.loop.time

    async def change(
        self, slot: Slot, operation: Operation, candidate: Candidate, source: Source, met: list[Met]
    ) -> SwapReport:
        """Steps 5 to 12, in the mode of the key's settings, or of the candidates."""
        old = slot.bound
        mode = self.mode(candidate, old)
        if old is None or mode == "overlap":
            return await self._swapper.overlap(slot, operation, candidate, source, met)
        if mode == "in_place" and self._same(old, candidate, source) and not operation.want.reload:
            for each in met:
                each.give_back()
            return await self._in_place(slot, operation, old)
        return await self._exclusive(slot, operation, candidate, source, met)

    def mode(self, candidate: Candidate, old: Generation | None) -> str:
        """How *candidate* takes the place of *old*: the key's setting, else the stricter of what the two want."""
        setting = self._swapper.activator.settings.lifecycle_of(candidate.key).mode
        if setting is not None:
            return setting
        wanted = {candidate.policies.mode} | ({old.candidate.policies.mode} if old is not None else set())
        return next(mode for mode in ("exclusive", "in_place", "overlap") if mode in wanted)

    def _same(self, old: Generation, candidate: Candidate, source: Source) -> bool:
        return old.fingerprint[:3] == (source.name, candidate.provider, candidate.version)

    # --- exclusive ---------------------------------------------------------------------------------------------

    async def _exclusive(
        self, slot: Slot, operation: Operation, candidate: Candidate, source: Source, met: list[Met]
    ) -> SwapReport:
        swapper = self._swapper
        new = swapper.activator.new(slot, candidate, source, met)
        try:
            operation.at("load")
            # What can be found out before anything is closed.
            factory = await swapper.activator.load(operation, new)
        except BaseException:
            swapper.drop(slot, operation, new)
            raise
        began = self._time()
        with self._gate(slot):
            old = self._unbind(slot, operation)
            try:
                operation.at("drain")
                await self._all_gone(slot, operation, but=new)
                await swapper.raise_up(operation, new, None, factory)
                swapper.before_commit(operation)
                swapper.commit([(slot, new, None)], operation)
                await swapper.confirm(operation, new, None)
                operation.at("finalize")
            except BaseException as error:
                slot.put(None)
                # In a task that nobody cancels: whatever happens to this one, somebody serves again, or it is said why.
                undoing = self._start(self._build_again(slot, operation, old), f"undo {operation!r}")
                with contextlib.suppress(asyncio.CancelledError):
                    await outlast(undoing)
                operation.gap_ms = (self._time() - began) * 1000
                self._raise(slot, operation, new, error, undoing.result())
        gap = (self._time() - began) * 1000
        return swapper.finalize(slot, operation, new, old, outcome="swapped", gap_ms=gap)

    @contextlib.contextmanager
    def _gate(self, slot: Slot) -> Iterator[None]:
        """While it is shut users wait in front of it, and those who cannot wait are refused."""
        gate = slot.gate = self._swapper.tasks.loop.create_future()
        refusal = slot.refusal = lambda: Draining(
            slot.key, because="it is being swapped, and the two cannot overlap"
        )
        try:
            yield
        finally:
            if slot.refusal is refusal:  # else the runtime is closing, and has shut it for good
                slot.refusal = None
            slot.gate = None
            gate.set_result(None)

    def _unbind(self, slot: Slot, operation: Operation) -> Generation | None:
        """Let nobody have it any more.  A spare is not kept warm: it might hold what the new one wants."""
        self._swapper.promotion.promote(slot, operation)
        old = slot.bound
        slot.put(None)
        return old

    async def _all_gone(self, slot: Slot, operation: Operation, *, but: Generation | None = None) -> None:
        """End every generation of *slot*, and wait for that; users are waited for until the drain timeout."""
        going = [each for each in slot.alive if each is not but]
        for each in going:
            self._swapper.drop(slot, operation, each, bounded=True)
        ends = [each.gone for each in going if each.gone is not None and not each.gone.done()]
        if ends:
            await asyncio.wait(ends)

    async def _build_again(
        self, slot: Slot, operation: Operation, old: Generation | None
    ) -> Generation | OneiricError:
        """Build the candidate of *old* once more, with the settings it had; what serves again, or why it does not."""
        swapper = self._swapper
        await self._all_gone(slot, operation)
        if swapper.closing is not None or old is None:
            return RuntimeClosing(swapper.closing or "nothing was bound before")
        operation.deadline = None  # it is used up by what failed
        again = None
        try:
            met = await swapper.needs.meet(operation, old.candidate)
            again = swapper.activator.new(slot, old.candidate, old.source, met, like=old)
            factory = await swapper.activator.load(operation, again, like=old)
            # Nobody is asked whether it may: it had been let in, and the choice now is between it and nothing.
            await swapper.raise_up(operation, again, None, factory, judged=False)
            swapper.before_commit(operation)
        except Exception as error:
            if again is not None:
                swapper.drop(slot, operation, again)
            return unforeseen(error)
        swapper.commit([(slot, again, None)], operation)
        swapper.promotion.follow(slot, operation, old)
        return again

    def _raise(
        self,
        slot: Slot,
        operation: Operation,
        new: Generation,
        error: BaseException,
        back: Generation | OneiricError,
    ) -> NoReturn:
        """Raise what to tell: *error* made users lose what served, and *back* is what became of that."""
        why = _why(unforeseen(error)) if isinstance(error, Exception) else "the operation was cancelled"
        if isinstance(back, Generation):
            slot.rollbacks += 1
            self._swapper.notices.rolled_back(slot, operation, new, back, why)
            if not isinstance(error, Exception):
                raise error
            raise RolledBack(
                slot.key, new.provider, why, serving=back.provider, operation=operation.id
            ) from error
        operation.serving = None
        if self._swapper.closing is not None:
            raise error
        raise FactoryError(f"{why}; and what served before did not come up again: {_why(back)}") from error

    def _start(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        # In this operation's context, so that what is asked for from inside is known to be inside.
        return self._swapper.tasks.start(coroutine, name, context=copy_context())

    # --- in place ----------------------------------------------------------------------------------------------

    async def _in_place(self, slot: Slot, operation: Operation, generation: Generation) -> SwapReport:
        swapper = self._swapper
        activator = swapper.activator
        operation.at("load")
        seconds = generation.limits.create_timeout
        settings = await activator.settings_of(operation, generation.candidate, seconds)
        call = method(generation.instance, ("reconfigure",))
        if call is None:
            raise Permanent("it is swapped in place, and has no reconfigure(settings)")
        operation.at("reconfigure")
        going = self._reconfigure(generation, call, settings)
        try:
            await self._reconfigured(going, operation.limit(generation.limits.create_timeout))
            await swapper.confirm(operation, generation, generation)
            operation.at("finalize")
        except BaseException as error:
            undoing = self._start(
                self._go_back(slot, operation, generation, call, going), f"undo {operation!r}"
            )
            with contextlib.suppress(asyncio.CancelledError):
                await outlast(undoing)
            failed, back = undoing.result()
            if failed is not None:
                both = FactoryError(
                    f"{_why(error)}; and going back to the settings before failed: {_why(failed)}"
                )
                both.__cause__ = error
                self._raise(
                    slot, operation, generation, both if isinstance(error, OneiricError) else error, back
                )
            self._raise(slot, operation, generation, error, back)
        generation.settings = settings
        generation.fingerprint = activator.fingerprint(generation.candidate, generation.source)
        swapper.choosing.settle(slot, operation)
        slot.last_error, slot.pending = None, ""
        slot.swaps += 1
        return swapper.report(slot, operation, "reconfigured", generation, generation)

    async def _go_back(
        self,
        slot: Slot,
        operation: Operation,
        generation: Generation,
        call: Callable[[Any], Any],
        going: asyncio.Task[None],
    ) -> tuple[OneiricError | None, Generation | OneiricError]:
        """Give *generation* the settings it had.  If that fails too it is in no known state, and is built again.

        Returns:
            Why the settings from before could not be given; and what serves now, or why nothing does.
        """
        limits = generation.limits
        failed: OneiricError
        if not await give_up(going, limits.cancel_grace) or generation.threaded:
            failed = ActivationTimeout("reconfigure does not end")
        else:
            back = self._reconfigure(generation, call, generation.settings)
            try:
                await self._reconfigured(back, limits.create_timeout)
                return None, generation
            except OneiricError as error:
                failed = error
                await give_up(back, limits.cancel_grace)
        with self._gate(slot):
            self._unbind(slot, operation)
            return failed, await self._build_again(slot, operation, generation)

    def _reconfigure(
        self, generation: Generation, call: Callable[[Any], Any], settings: Any
    ) -> asyncio.Task[None]:
        def late(_: Any, error: BaseException | None) -> None:
            if generation.gone is not None:  # it was given up, and can be closed now
                self._swapper.activator.closing.late(generation, None, error)

        async def run() -> None:
            if is_async(call):
                await call(settings)
                return
            name = f"reconfigure-{generation.key}"
            answer = await self._threads.run(lambda: call(settings), name=name, counted=generation, late=late)
            if inspect.isawaitable(answer):
                await answer

        return self._swapper.tasks.start(run(), f"reconfigure {generation!r}")

    async def _reconfigured(self, task: asyncio.Task[None], seconds: float) -> None:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise ActivationTimeout(f"reconfigure took longer than {seconds:g} s")
        if task.cancelled():
            raise FactoryError("reconfigure cancelled itself")
        error = task.exception()
        if error is not None:
            raise FactoryError(f"reconfigure: {said(error)}") from error


def _why(error: BaseException) -> str:
    return getattr(error, "reason", None) or str(error).splitlines()[0]
