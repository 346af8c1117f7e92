"""What is true of a runtime at every moment, and what is true of it when it has been closed.

A ``Rules`` looks into the engine, on purpose: it is for the tests of the engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from oneiric_hookspecs import CloseReport, SwapReport, hookimpl

from .workshop import Product, Workshop

if TYPE_CHECKING:
    from oneiric.activation import Generation, Slot
    from oneiric.runtime import Runtime


class Listener:
    """A plugin that remembers what observers are told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any, int, str]] = []
        self.reports: list[SwapReport] = []
        self.reasons: list[str] = []
        self.errors: list[Exception] = []

    @hookimpl
    def oneiric_activated(self, operation: Any, new: Any) -> None:
        self.heard.append(("activated", new.key, new.number, operation.id))

    @hookimpl
    def oneiric_swapped(self, operation: Any, report: SwapReport, new: Any, old: Any) -> None:
        self.heard.append(("swapped", new.key, new.number, operation.id))
        self.reports.append(report)

    @hookimpl
    def oneiric_rolled_back(self, operation: Any, new: Any, reason: str) -> None:
        self.heard.append(("rolled back", new.key, new.number, operation.id))
        self.reasons.append(reason)

    @hookimpl
    def oneiric_failed(self, operation: Any, error: Exception) -> None:
        self.heard.append(("failed", operation.key, 0, operation.id))
        self.errors.append(error)

    @hookimpl
    def oneiric_retired(self, retirement: Any) -> None:
        self.heard.append(("retired", retirement.key, retirement.number, retirement.ending))

    def words(self) -> list[str]:
        """What was heard, without the details."""
        return [what for what, *_ in self.heard]


class _Complaints(logging.Handler):
    """Log lines of asyncio about what nobody looked at."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__()
        self._problems = problems

    def emit(self, record: logging.LogRecord) -> None:
        self._problems.append(f"asyncio logged: {record.getMessage()}")


class Rules:
    """Checks the invariants of a running runtime; what is wrong is in ``workshop.problems``.

    As a context manager it also listens for errors that nobody looks at.

    Args:
        accepted: Whether generations that did not pass their probe may be bound.
        forced: Whether the drain timeout may close something under its users.
    """

    def __init__(
        self, runtime: Runtime, workshop: Workshop, *, accepted: bool = False, forced: bool = False
    ) -> None:
        self.runtime, self.workshop = runtime, workshop
        self.accepted, self.forced = accepted, forced
        self._seen: set[str] = set()
        self._handler = _Complaints(workshop.problems)

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._before = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: self._say(f"nobody looked at: {context}"))
        logging.getLogger("asyncio").addHandler(self._handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().set_exception_handler(self._before)
        logging.getLogger("asyncio").removeHandler(self._handler)

    def _say(self, what: str) -> None:
        if what not in self._seen:
            self._seen.add(what)
            self.workshop.problems.append(what)

    # --- at every moment ---------------------------------------------------------------------------------------

    def check(self, _: object = None) -> None:
        """What holds between any two steps of the loop."""
        engine = self.runtime._engine  # noqa: SLF001 - see above
        if engine is None:
            return
        for slot in tuple(engine.slots.values()):
            self._check_bound(slot)
            self._check_spare(slot)
            self._check_alive(slot)
            self._check_operations(slot)

    def _check_bound(self, slot: Slot) -> None:
        bound = slot.bound
        if bound is None:
            return
        if bound.state != "active":
            self._say(f"I1: {bound} is bound, and not active")
        if bound.gone is not None:
            self._say(f"I1: {bound} is bound, and retires")
        if (
            isinstance(bound.instance, Product)
            and bound.instance.closed
            and bound.instance not in self.workshop.forced
        ):
            self._say(f"I1: {bound} is bound, and {bound.instance} is closed")
        if bound.instance is None:
            self._say(f"I1: {bound} is bound, and has no instance")
        if not self.accepted and (bound.health is None or not bound.health.passes) and slot.spare is None:
            operation = next((each for each in slot.flights if each.committed), None)
            if operation is None and bound.health is None:
                self._say(f"I1: {bound} is bound, and was never well: {bound.health}")

    def _check_spare(self, slot: Slot) -> None:
        spare = slot.spare
        if spare is None:
            return
        if spare.gone is not None or spare.state != "standby":
            self._say(f"I1: the spare {spare} of {slot.bound} is not kept open")
        if spare is slot.bound:
            self._say(f"I1: {spare} is bound, and its own spare")
        if isinstance(spare.instance, Product) and spare.instance.closed:
            self._say(f"I3: the spare {spare} is closed")

    def _check_alive(self, slot: Slot) -> None:
        for generation in slot.alive:
            used = generation.leases or generation.dependents
            if used and generation.state in ("closing", "closed") and not self.forced:
                self._say(f"I4: {generation} is {generation.state}, and in use by {self._users(generation)}")
            product = generation.instance
            if (
                isinstance(product, Product)
                and product.closed
                and generation.leases
                and not self.forced
                and product not in self.workshop.forced
            ):
                self._say(f"I4: {product} is closed, and leased")
        bound = slot.bound
        if bound is not None and bound not in slot.alive:
            self._say(f"I1: {bound} is bound, and counts as ended")
        if bound is not None:
            strays = [
                each
                for each in slot.alive
                if each.gone is None
                and each is not bound
                and each is not slot.spare
                and not slot.lock.locked()
            ]
            if strays:
                self._say(f"I2: {strays} are neither bound, nor spare, nor coming up, nor going")

    def _users(self, generation: Generation) -> str:
        return ", ".join([*(each.held_by for each in generation.leases), *map(repr, generation.dependents)])

    def _check_operations(self, slot: Slot) -> None:
        working = [each for each in slot.flights if each.working]
        if len(working) > 1:
            self._say(f"I7: {slot.key} is worked on by {working}")
        if slot.gate is not None and not working:
            self._say(f"I5: the gate of {slot.key} is closed, and nobody works on it")

    # --- at rest -----------------------------------------------------------------------------------------------

    def settled(self) -> None:
        """What holds when no operation is under way."""
        self.check()
        engine = self.runtime._engine  # noqa: SLF001
        assert engine is not None
        if engine.operations.under_way:
            self._say(f"I10: still under way: {engine.operations.under_way}")
        for slot in engine.slots.values():
            if slot.phase in ("activating", "swapping", "confirming"):
                self._say(f"I10: {slot} is left in phase {slot.phase}")
            if (
                slot.lock.locked()
                or [each for each in slot.flights if not each.done]
                or slot.gate is not None
            ):
                self._say(f"I7: {slot} is not free: {slot.flights}")
            strays = [
                each for each in slot.alive if each.gone is None and each not in (slot.bound, slot.spare)
            ]
            if strays:
                self._say(f"I2: {strays} are neither bound, nor spare, nor going")
            for generation in slot.alive:
                holders = [each for each in generation.leases if type(each).__name__ == "Met"]
                if holders:
                    self._say(f"I4: {generation} is held by needs of no operation: {holders}")
                for dependent in generation.dependents:
                    if dependent.gone is not None and dependent.gone.done():
                        self._say(f"I4: {generation} is held by {dependent}, which is gone")

    def closed(self, report: CloseReport, listener: Listener | None = None, *, hung: int = 0) -> None:
        """What holds when the runtime has been closed.

        Args:
            report: What closing gave.
            listener: What was heard, to be held against the report.
            hung: How many threads of the test's own are known not to come back.
        """
        engine = self.runtime._engine  # noqa: SLF001
        assert engine is not None
        for slot in engine.slots.values():
            if slot.bound is not None or slot.alive or slot.spare is not None:
                self._say(f"I10: {slot} still has {slot.bound} {slot.alive} {slot.spare}")
            if slot.phase != "closed":
                self._say(f"I10: {slot} is {slot.phase} after closing")
        for product in self.workshop.made:
            if product.closes != 1 and product.maker.shop is self.workshop:
                self._say(f"I2: {product} was made, and closed {product.closes} times")
        if len(engine.threads.outstanding) > hung:
            self._say(f"I10: threads left: {engine.threads.outstanding}")
        if engine.tasks.running:
            self._say(f"I10: tasks left: {engine.tasks.running}")
        if not hung and len(engine.activator.owners):
            self._say(f"I8: {len(engine.activator.owners)} objects still have owners")
        if listener is not None:
            self._heard(listener)

    def _heard(self, listener: Listener) -> None:
        retired = Counter((key, number) for what, key, number, _ in listener.heard if what == "retired")
        for one, times in retired.items():
            if times > 1:
                self._say(f"I9: observers heard {times} times that {one} retired")
        bound = Counter(
            (key, number) for what, key, number, _ in listener.heard if what in ("activated", "swapped")
        )
        for one, times in bound.items():
            if times > 1:
                self._say(f"I9: observers heard {times} times that {one} was bound")
            if one not in retired:
                self._say(f"I9: observers heard that {one} was bound, and never how it ended")
        last: dict[Any, int] = {}
        ended: set[tuple[Any, int]] = set()
        for what, key, number, _ in listener.heard:
            if what in ("activated", "swapped"):
                if number <= last.get(key, 0):
                    self._say(f"I9: observers heard of {key}#{number} after #{last[key]}")
                last[key] = number
                if (key, number) in ended:
                    self._say(f"I9: observers heard that {key}#{number} retired before it was bound")
            elif what == "retired":
                ended.add((key, number))
