"""Probation: the new one serves, the old one is still warm, and both its probes and its users are listened to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from oneiric_hookspecs import PROMOTE, ROLL_BACK, OneiricError, Signals, Verdict

from oneiric.activation import Generation, Operation, Slot
from oneiric.health import Prober
from oneiric.hooks import Hook
from oneiric.tasks import Tasks

if TYPE_CHECKING:
    from .promotion import Promotion

#: A probation is never shorter than so many times what lies between its probes: three of them are before its end, which
#: is how many in a row take it back.
_LEAST = 4


class Probation:
    """Watches one generation until its probation is settled.

    Attributes:
        generation: What is on probation.
        operation: The one that bound it.
        task: Ends when it is settled, one way or the other.
    """

    def __init__(
        self,
        promotion: Promotion,
        slot: Slot,
        operation: Operation,
        generation: Generation,
        tasks: Tasks,
        prober: Prober,
        judge: Hook[..., Verdict | None],
    ) -> None:
        self._promotion, self._slot, self.generation = promotion, slot, generation
        self.operation = operation
        self._prober, self._judge, self._time = prober, judge, tasks.loop.time
        self._began = self._time()
        self._seen = (generation.ended, generation.bad)
        self._failed_probes = 0
        self._stirred = asyncio.Event()
        generation.on_bad = self._stirred.set
        self.task = tasks.start(self._watch(), f"probation of {generation!r}")

    def stop(self) -> None:
        """Settled, or overtaken by another operation."""
        self.generation.on_bad = None
        if asyncio.current_task() is not self.task:
            self.task.cancel()

    @property
    def remaining(self) -> float:
        """Seconds left."""
        return max(0.0, self._began + self.generation.limits.probation - self._time())

    async def _watch(self) -> None:
        generation, every = self.generation, self.generation.limits.probe_interval
        next_probe = self._began + min(every, generation.limits.probation / _LEAST)
        while True:
            now = self._time()
            if now >= next_probe and self.remaining > 0:
                limit = generation.limits.confirm_timeout
                health = await self._prober.probe(generation, "readiness", limit)
                self._failed_probes = 0 if health.passes else self._failed_probes + 1
                next_probe = self._time() + min(every, generation.limits.probation / _LEAST)
            # While an operation that follows has switched but not confirmed, there is nothing to settle here.
            if self._slot.bound is generation and self._settle():
                return
            self._stirred.clear()
            wait = min(next_probe - self._time(), self.remaining) if self.remaining > 0 else 0.05
            try:
                # Never nothing: a timer may fire a little before its time.
                async with asyncio.timeout(max(wait, 0.001)):
                    await self._stirred.wait()
            except TimeoutError:
                continue

    def _settle(self) -> bool:
        signals = self._signals()
        try:
            answer, _ = self._judge.decide(self.operation.view(), self.generation.view(), signals)
            verdict = None if answer is None else answer.value
            by = "" if answer is None else answer.plugin
        except OneiricError as error:
            # A judge that refuses to decide has not decided; time will.
            verdict, by = None, str(error)
        if verdict is ROLL_BACK:
            self._promotion.roll_back(self._slot, self.operation, self.generation, _why(signals, by))
            return True
        if verdict is PROMOTE or signals.remaining <= 0:
            self._promotion.promote(self._slot, self.operation)
            return True
        return False

    def _signals(self) -> Signals:
        ended, bad = self._seen
        return Signals(
            elapsed=self._time() - self._began,
            remaining=self.remaining,
            failed_probes=self._failed_probes,
            leases=self.generation.ended - ended,
            bad_leases=self.generation.bad - bad,
            health=self.generation.health,
        )


def _why(signals: Signals, by: str) -> str:
    if signals.failed_probes:
        reason = signals.health.reason if signals.health is not None else ""
        return f"{signals.failed_probes} probes in a row failed" + (f": {reason}" if reason else "")
    if signals.bad_leases:
        return f"{signals.bad_leases} of {signals.leases} uses ended by an exception"
    return f"{by} says so"
