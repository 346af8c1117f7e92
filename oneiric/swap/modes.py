"""Swaps of what cannot overlap: a port, a lock on a file, a device.

``exclusive``: users wait at a gate, the old one is closed first, and if the new one fails the old candidate is built
again.  ``in_place``: the instance itself goes over to other settings.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from oneiric_hookspecs import (
    ActivationTimeout,
    Candidate,
    Draining,
    FactoryError,
    OneiricError,
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
from .swapper import Swapper


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
            work = self._swapper.tasks.start(
                self._in_place(slot, operation, old), f"{slot.key} is reconfigured"
            )
            await outlast(work)
            return work.result()
        # Whatever happens to this task from here on, the gate opens again.
        work = self._swapper.tasks.start(
            self._exclusive(slot, operation, candidate, source, met, old), f"exclusive swap of {slot.key}"
        )
        await outlast(work)
        return work.result()

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
        self,
        slot: Slot,
        operation: Operation,
        candidate: Candidate,
        source: Source,
        met: list[Met],
        old: Generation,
    ) -> SwapReport:
        swapper = self._swapper
        new = swapper.activator.new(slot, candidate, source, met)
        try:
            operation.at("load")
            factory = await swapper.activator.load(
                operation, new
            )  # what can be found out before anything is closed
        except BaseException:
            swapper.drop(slot, operation, new)
            raise
        spare = slot.spare
        if spare is not None:
            # Nothing may be beside the new one, so there is no way back to the spare: what is bound is promoted now.
            swapper.promotion.promote(slot, operation)
        # Probation may have gone back while the factory was loaded.
        old = slot.bound or old
        began = self._time()
        slot.gate = swapper.tasks.loop.create_future()
        slot.refusal = lambda: Draining(slot.key, because="it is being swapped, and the two cannot overlap")
        slot.current = None
        try:
            try:
                operation.at("drain")
                for each in (spare, old):
                    if each is not None:
                        await self._gone(slot, operation, each)
                await swapper.raise_up(operation, new, None, factory)
                swapper.before_commit(operation)
                swapper.commit([(slot, new, None)], operation)
                await swapper.confirm(operation, new, None)
                operation.at("finalize")
            except BaseException as error:
                slot.current = None
                await self._gone(slot, operation, new)
                back = await self._bring_back(slot, operation, old)
                raise self._told(slot, operation, new, error, back) from error
        finally:
            if swapper.closing is None:
                slot.refusal = None
            slot.gate.set_result(None)
            slot.gate = None
        report = swapper.finalize(slot, operation, new, old, outcome="swapped")
        object.__setattr__(report, "gap_ms", (self._time() - began) * 1000)
        return report

    async def _gone(self, slot: Slot, operation: Operation, generation: Generation) -> None:
        swapper = self._swapper
        told = lambda end: swapper.notices.retired(slot, operation, end)  # noqa: E731
        swapper.activator.retire(slot, generation, told, bounded=True)
        assert generation.gone is not None
        await outlast(generation.gone)

    async def _bring_back(
        self, slot: Slot, operation: Operation, old: Generation
    ) -> Generation | OneiricError:
        """Build the old candidate again, once; what serves again, or why it does not."""
        swapper = self._swapper
        if old.gone is None:
            slot.current = old  # it has not even begun to go
            return old
        again = None
        try:
            await self._gone(slot, operation, old)
            if swapper.closing is not None:
                raise RuntimeClosing(swapper.closing)
            met = await swapper.needs.meet(operation, old.candidate, {})
            again = swapper.activator.new(slot, old.candidate, old.source, met)
            await swapper.prepare(operation, again, None)
            swapper.before_commit(operation)
        except Exception as error:  # noqa: BLE001 - whatever it is, the slot stays empty, and this is why
            if again is not None:
                swapper.drop(slot, operation, again)
            return error if isinstance(error, OneiricError) else FactoryError(said(error))
        swapper.commit([(slot, again, None)], operation)
        swapper.promotion.follow(slot, operation, old)
        return again

    def _told(
        self,
        slot: Slot,
        operation: Operation,
        new: Generation,
        error: BaseException,
        back: Generation | OneiricError,
    ) -> BaseException:
        """What to raise: *error* made users lose what served, and *back* is what became of it."""
        reason = getattr(error, "reason", None) or said(error)
        if isinstance(back, Generation):
            slot.rollbacks += 1
            self._swapper.notices.rolled_back(slot, operation, new, back, reason)
        else:
            operation.serving = None
        if isinstance(error, RuntimeClosing) or not isinstance(error, Exception):
            return error
        if isinstance(back, Generation):
            return RolledBack(slot.key, new.provider, reason, serving=back.provider, operation=operation.id)
        second = getattr(back, "reason", str(back))
        return FactoryError(f"{reason}; and what served before did not come up again: {second}")

    # --- in place ----------------------------------------------------------------------------------------------

    async def _in_place(self, slot: Slot, operation: Operation, generation: Generation) -> SwapReport:
        swapper = self._swapper
        activator = swapper.activator
        operation.at("load")
        try:
            settings = activator.settings.of(generation.candidate)
        except OneiricError as error:
            raise FactoryError(str(error)) from error
        before = generation.settings
        operation.at("reconfigure")
        try:
            await self._reconfigure(operation, generation, settings)
        except OneiricError as error:
            try:
                await self._reconfigure(operation, generation, before)
            except OneiricError as second:
                raise FactoryError(
                    f"{error}; and going back to the settings before failed: {second}"
                ) from error
            reason = getattr(error, "reason", str(error))
            raise RolledBack(
                slot.key, generation.provider, reason, serving=generation.provider, operation=operation.id
            ) from error
        operation.at("finalize")
        generation.settings = settings
        generation.fingerprint = activator.fingerprint(generation.candidate, generation.source)
        swapper.choosing.settle(slot, operation)
        slot.last_error, slot.pending = None, ""
        slot.swaps += 1
        return swapper.report(slot, operation, "reconfigured", generation, generation)

    async def _reconfigure(self, operation: Operation, generation: Generation, settings: Any) -> None:
        call = method(generation.instance, ("reconfigure",))
        if call is None:
            raise FactoryError("it is swapped in place, and has no reconfigure(settings)")

        async def run() -> None:
            if is_async(call):
                await call(settings)
                return
            answer = await self._threads.run(lambda: call(settings), name=f"reconfigure-{generation.key}")
            if inspect.isawaitable(answer):
                await answer

        seconds = generation.limits.create_timeout
        task = self._swapper.tasks.start(run(), f"reconfigure {generation!r}")
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            await give_up(task, generation.limits.cancel_grace)
            raise ActivationTimeout(f"reconfigure took longer than {seconds:g} s")
        if task.cancelled():
            raise FactoryError("reconfigure cancelled itself")
        error = task.exception()
        if error is not None:
            raise FactoryError(f"reconfigure: {type(error).__name__}: {error}") from error
