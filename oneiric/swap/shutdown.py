"""The orderly end: operations first, then generation by generation, those that others need last.

One deadline is over all of it.  What is not gone by then is named, not forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from oneiric_hookspecs import CloseReport, Key, Need, Retirement

from oneiric.activation import Generation, Operation, Slot, Threads, Want
from oneiric.tasks import Tasks

from .administration import Administration
from .operations import Operations
from .promotion import Promotion
from .quarantine import Quarantine
from .swapper import Swapper


class Shutdown:
    """Ends everything a runtime has."""

    def __init__(
        self,
        tasks: Tasks,
        threads: Threads,
        operations: Operations,
        swapper: Swapper,
        promotion: Promotion,
        quarantine: Quarantine,
        administration: Administration,
    ) -> None:
        self._tasks, self._threads, self._operations = tasks, threads, operations
        self._swapper, self._promotion, self._quarantine = swapper, promotion, quarantine
        self._administration = administration
        self._time = tasks.loop.time

    async def run(self, slots: Iterable[Slot], seconds: float) -> CloseReport:
        """End all of *slots*, at most *seconds* long; how each generation ended, and what is left."""
        deadline = self._time() + seconds
        slots = tuple(slots)
        self._operations.close("the runtime is closing")
        self._administration.close()
        await self._stop_operations(deadline)
        operation = Operation(Key("runtime", "close"), "shutdown", Want(), self._time)
        for slot in slots:
            if slot.waiting is not None:
                slot.waiting[0].cancel()
            if slot.spare is not None:
                self._promotion.promote(slot, operation)
        ended: list[Retirement] = []
        for level in self._levels(slots):
            await self._retire(level, operation, deadline, ended)
        gone = [each.gone for slot in slots for each in slot.alive if each.gone is not None]
        if gone:
            await asyncio.wait(gone, timeout=max(0.0, deadline - self._time()))
        ended += [future.result() for future in gone if future.done()]
        self._quarantine.close()
        left = [f"{each!r}" for slot in slots for each in slot.alive]
        left += [
            f"thread {name}"
            for name in await self._threads.quiet(min(1.0, max(0.0, deadline - self._time())))
        ]
        left += await self._tasks_ended(deadline)
        return CloseReport(tuple({id(each): each for each in ended}.values()), tuple(left))

    async def _stop_operations(self, deadline: float) -> None:
        """No operation may bind something after everything has been closed."""
        while under_way := [each.task for each in self._operations.under_way if each.task is not None]:
            for task in under_way:
                task.cancel()
            left = deadline - self._time()
            if left <= 0:
                return
            await asyncio.wait(under_way, timeout=min(left, 2.0))

    def _levels(self, slots: tuple[Slot, ...]) -> list[list[Slot]]:
        """Dependents before what they depend on; a circle of optional needs goes together."""
        left = {slot.key: slot for slot in slots}
        levels: list[list[Slot]] = []
        needs = {slot.key: {need.key for need in _needs(slot)} for slot in slots}
        needed: dict[Key, int] = dict.fromkeys(left, 0)
        for key, those in needs.items():
            for other in those - {key}:
                if other in needed:
                    needed[other] += 1
        while left:
            level = [slot for key, slot in left.items() if not needed[key]] or list(left.values())
            for slot in level:
                del left[slot.key]
            for slot in level:
                for other in needs[slot.key] - {slot.key}:
                    if other in needed:
                        needed[other] -= 1
            levels.append(level)
        return levels

    async def _retire(
        self, level: list[Slot], operation: Operation, deadline: float, ended: list[Retirement]
    ) -> None:
        going: list[asyncio.Future[Retirement]] = []
        for slot in level:
            slot.shut("the runtime is closing")
            bound = slot.bound
            slot.put(None)
            for generation in tuple(slot.alive):
                generation.deadline = deadline
                generation.wake()
                if generation is bound or generation.gone is None:
                    self._end(slot, operation, generation)
                assert generation.gone is not None
                if generation.gone.done():
                    ended.append(generation.gone.result())
                else:
                    going.append(generation.gone)
        if going:
            await asyncio.wait(going, timeout=max(0.0, deadline - self._time()))
            ended += [future.result() for future in going if future.done()]

    def _end(self, slot: Slot, operation: Operation, generation: Generation) -> None:
        self._swapper.activator.retire(
            slot, generation, lambda end: self._swapper.notices.retired(slot, operation, end), bounded=True
        )

    async def _tasks_ended(self, deadline: float) -> list[str]:
        """Wait for the tasks that are about to end: observers that are told, probes that were cancelled."""
        running = [task for task in self._tasks.running if not task.get_name().startswith("spawned ")]
        if running:
            await asyncio.wait(running, timeout=max(0.0, deadline - self._time()))
        return [f"task {task.get_name()}" for task in running if not task.done()]


def _needs(slot: Slot) -> list[Need]:
    return [need for generation in slot.alive for need in generation.candidate.needs]
