"""The policies of async hooks: one implementation after another, awaited in the caller's task."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from oneiric_hookspecs import Objection

from .dispatch import closed, heard, outcome
from .faults import Fault, Faults, Misbehaved, mistyped
from .records import Answer, Impl

SLOW = 0.1  # seconds for which a sync implementation may hold the loop


@attrs.frozen
class Waiting:
    """What the async policies need.

    Args:
        faults: Where faults are noted.
        now: Gives the time, in seconds.
        limit: Seconds an observer or a judge may take.
        fits: Whether an answer is of the hook's type.
        wanted: That type, in words.
    """

    faults: Faults
    now: Callable[[], float]
    limit: float
    fits: Callable[[Any], bool]
    wanted: str

    async def observe(self, impls: Sequence[Impl], arguments: tuple[Any, ...]) -> list[Fault]:
        """Tell every one, in order; give what went wrong."""
        faults = []
        for impl in impls:
            if impl.until and self.now() < impl.until:
                continue
            try:
                answer, slow = await self._ask(impl, arguments, self.limit)
                if answer is not None:
                    raise mistyped(answer, self.wanted)
                if slow is not None:
                    raise slow
            except Exception as error:
                faults.append(self.faults.strike(impl, error))
            else:
                impl.strikes, impl.until = 0, 0.0
        return faults

    async def judge(self, impls: Sequence[Impl], arguments: tuple[Any, ...]) -> list[Objection]:
        """Ask every one, in order; one that fails objects."""
        objections: list[Objection] = []
        for impl in impls:
            try:
                said, slow = await self._ask(impl, arguments, self.limit, drain=True)
                if slow is not None:  # its verdict counts all the same
                    self.faults.note(impl, slow)
                if said is not None:
                    objections += heard(impl, said)
            except Exception as error:
                objections.append(closed(self.faults.note(impl, error)))
        return objections

    async def perform(
        self, impls: Sequence[Impl], arguments: tuple[Any, ...]
    ) -> tuple[Answer | None, list[Fault]]:
        """Ask one after another until one takes it.  Whatever it raises is raised."""
        faults = []
        for impl in impls:
            try:
                answer, slow = await self._ask(impl, arguments, None)
            except Misbehaved as error:
                raise outcome(impl, self.faults.note(impl, error)) from error.error
            if slow is not None:
                faults.append(self.faults.note(impl, slow))
            if answer is not None:
                if not self.fits(answer):
                    raise outcome(impl, self.faults.note(impl, mistyped(answer, self.wanted)))
                return Answer(impl.plugin, answer), faults
        return None, faults

    async def tell(self, impls: Sequence[Impl], arguments: tuple[Any, ...]) -> None:
        """``observe``, for those who do not ask what went wrong."""
        await self.observe(impls, arguments)

    async def result(self, impls: Sequence[Impl], arguments: tuple[Any, ...]) -> Any:
        """``perform``, for those who do not ask who."""
        answer, _ = await self.perform(impls, arguments)
        return None if answer is None else answer.value

    async def _ask(
        self, impl: Impl, arguments: tuple[Any, ...], limit: float | None, *, drain: bool = False
    ) -> tuple[Any, Misbehaved | None]:
        """What *impl* answers, awaited and drained, within *limit* seconds; and whether it held the loop.

        Raises:
            Misbehaved: It took too long, or raised CancelledError though nobody had cancelled.
            Exception: Whatever it raised.
        """
        task = asyncio.current_task()
        assert task is not None
        cancels, begun = task.cancelling(), self.now()
        scope: asyncio.Timeout | None = None
        try:
            answer = impl.ask(*arguments)
            if drain and inspect.isgenerator(answer):
                answer = list(answer)
            elif inspect.isasyncgen(answer) or inspect.isawaitable(answer):
                async with asyncio.timeout(limit) as scope:
                    answer = [each async for each in answer] if inspect.isasyncgen(answer) else await answer
                    if drain and inspect.isgenerator(answer):
                        answer = list(answer)
                if scope.expired():  # it caught the cancellation, and went on
                    raise TimeoutError
        except asyncio.CancelledError as error:
            if task.cancelling():
                raise
            raise Misbehaved("cancelled", error) from error
        except TimeoutError as error:
            # A TimeoutError of its own is an error like any other.
            if scope is None or not scope.expired():
                raise
            raise Misbehaved("timeout", TimeoutError(f"took longer than {limit:g} s")) from error
        finally:
            took = self.now() - begun
            impl.record.spent(impl.hook, took)
        if task.cancelling() > cancels:
            raise asyncio.CancelledError  # it swallowed ours
        if scope is None and took > SLOW:
            return answer, Misbehaved("slow", TimeoutError(f"held the event loop for {took * 1000:.0f} ms"))
        return answer, None
