"""What a candidate is built from: found, activated and leased before any lock is held.

With the lock first and the dependencies after it, two operations could each hold what the other waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from typing import Any

import attrs
from oneiric_hookspecs import (
    Candidate,
    DependencyCycle,
    DependencyFailed,
    Key,
    Need,
    OneiricError,
    Reentrant,
    ResolutionError,
)

from oneiric.activation import Generation, Handle, Operation, Slot
from oneiric.tasks import Tasks

_NOTHING: Mapping[Key, Candidate] = {}


@attrs.define(eq=False)
class Met:
    """One need, met: what goes to the factory, and what is held open for it.

    Args:
        need: What was needed.
        value: What the factory gets.
        generation: What is leased; None for a handle, and for an optional need that nobody meets.
        slot: Where it came from.
        owner: The generation built from it; it stands in ``generation.dependents``.
    """

    need: Need
    value: Any
    generation: Generation | None = None
    slot: Slot | None = None
    owner: object | None = None

    @property
    def keyword(self) -> str:
        """The factory's keyword."""
        return self.need.keyword

    def belong_to(self, owner: Generation) -> None:
        """Hold it open for *owner* from now on."""
        if self.generation is not None:
            self.generation.dependents.add(owner)
            self.generation.leases.discard(self)
        self.owner = owner

    def give_back(self, owner: Generation | None = None) -> None:
        """Hold it open no more."""
        if self.generation is not None:
            self.generation.leases.discard(self)
            if owner is not None:
                self.generation.dependents.discard(owner)
            self.generation.wake()

    @property
    def held_by(self) -> str:
        """Who holds it, for the report."""
        return f"an operation that needs {self.need.key}"


class Needs:
    """Meets the needs of candidates.

    Args:
        tasks: Where several are met at once.
        slot_of: The slot of a key.
        ensure: Makes sure that a slot has something bound.
        resolve: The candidate that would fill a key.
        handle: Makes a handle on a key.
    """

    def __init__(
        self,
        tasks: Tasks,
        slot_of: Callable[[Key], Slot],
        ensure: Callable[[Slot, Operation], Awaitable[None]],
        resolve: Callable[[Key], Candidate],
        handle: Callable[[Key], Handle],
    ) -> None:
        self._tasks = tasks
        self._slot_of, self._ensure, self._resolve, self._handle = slot_of, ensure, resolve, handle

    async def meet(
        self, operation: Operation, candidate: Candidate, chosen: Mapping[Key, Candidate] = _NOTHING
    ) -> list[Met]:
        """Activate and lease what *candidate* needs; each is given back by whoever gets the list.

        Args:
            operation: For which.
            candidate: Whose needs.
            chosen: As for ``refuse_circles``.
        Raises:
            DependencyFailed: A required one did not come up; nothing is held.
            DependencyCycle: It needs itself.
        """
        if not candidate.needs:
            return []
        self.refuse_circles(candidate, chosen)
        if len(candidate.needs) == 1:
            return [await self._meet(operation, candidate, candidate.needs[0])]
        tasks = [
            self._tasks.start(
                self._meet(operation, candidate, need), f"{candidate.key} needs {need.key}", copy_context()
            )
            for need in candidate.needs
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            failed = next((task for task in tasks if task.done() and task.exception() is not None), None)
            if failed is None:
                return [task.result() for task in tasks]
            raise failed.exception() or AssertionError
        except BaseException:
            for task in tasks:
                task.cancel()
                # One that was met already, or is met in this very step, is given back all the same.
                task.add_done_callback(_give_back)
            raise

    def inside(self, need: Need, generation: Generation | None) -> Met:
        """Meet *need* by *generation* of the same transaction; None where an optional one goes without."""
        if need.on_change == "handle":
            return Met(need, self._handle(need.key))
        if generation is None:
            return Met(need, None)
        met = Met(need, generation.instance, generation)
        generation.leases.add(met)
        return met

    async def _meet(self, operation: Operation, candidate: Candidate, need: Need) -> Met:
        try:
            slot = self._slot_of(need.key)
            if need.optional and not slot.occupied() and self._leads_to(need.key, candidate.key, set()):
                # It waits for this one, so this one, which can do without it, goes first.
                return Met(need, None)
            while True:
                await self._ensure(slot, operation)
                if need.on_change == "handle":
                    return Met(need, self._handle(need.key))
                slot.refuse()
                met = Met(need, None, slot=slot)
                generation = slot.bound
                if generation is None:
                    continue
                # As a lease does it: enter, then look again.
                generation.leases.add(met)
                if slot.bound is generation:
                    met.generation, met.value = generation, generation.instance
                    return met
                generation.leases.discard(met)
                generation.wake()
        except OneiricError as error:
            if need.optional:
                return Met(need, None)
            if isinstance(error, Reentrant | DependencyCycle):
                raise
            path = (candidate.key, *(error.path if isinstance(error, DependencyFailed) else (need.key,)))
            reason = error.reason if isinstance(error, DependencyFailed) else str(error).splitlines()[0]
            bare = reason.removeprefix(f"{' -> '.join(map(str, path[1:]))}: ")
            raise DependencyFailed(bare, path=path, hint=error.hint) from error

    def refuse_circles(self, candidate: Candidate, chosen: Mapping[Key, Candidate] = _NOTHING) -> None:
        """Raise ``DependencyCycle`` if *candidate* needs itself, by way of what fills what it needs.

        Args:
            candidate: Where the way begins.
            chosen: What fills keys by the same transaction; of others it is the winner.
        """
        self._refuse_circles(candidate, chosen, [candidate.key], set())

    def _refuse_circles(
        self, candidate: Candidate, chosen: Mapping[Key, Candidate], path: list[Key], safe: set[Key]
    ) -> None:
        for need in candidate.needs:
            if need.optional or need.key in safe:
                continue
            if need.key in path:
                raise DependencyCycle(path=[*path[path.index(need.key) :], need.key])
            try:
                inner = chosen.get(need.key) or self._resolve(need.key)
            except ResolutionError:
                continue  # said by whoever meets it
            self._refuse_circles(inner, chosen, [*path, need.key], safe)
            safe.add(need.key)

    def _leads_to(self, key: Key, target: Key, seen: set[Key]) -> bool:
        """Whether what fills *key* cannot come up without *target*."""
        seen.add(key)
        try:
            required = [need.key for need in self._resolve(key).needs if not need.optional]
        except ResolutionError:
            return False  # said by whoever meets it
        return target in required or any(
            each not in seen and self._leads_to(each, target, seen) for each in required
        )


def _give_back(task: asyncio.Task[Met]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().give_back()
