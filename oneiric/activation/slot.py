"""A slot: where the generations of one key take each other's place."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import Closed, Empty, Key, NotServing, OneiricError

from .generation import Generation

if TYPE_CHECKING:
    from oneiric_hookspecs import SwapReport


class Cell:
    """One bit that several switches share, so that they are thrown in one instant."""

    __slots__ = ("thrown",)

    def __init__(self) -> None:
        self.thrown = False


class Switch:
    """What stands in ``slot.current`` while several slots change together.

    A reader in another thread may come between two assignments; it never comes between the two values of one cell.
    """

    __slots__ = ("_cell", "_new", "_old")

    def __init__(self, old: Generation | None, new: Generation | None, cell: Cell) -> None:
        self._old, self._new, self._cell = old, new, cell

    @property
    def now(self) -> Generation | None:
        """The generation that is bound."""
        return self._new if self._cell.thrown else self._old


class Slot:
    """One key's place, and all that is known about it.

    Attributes:
        current: What is bound: a generation, None, or for an instant a ``Switch``.
        thread: Of the loop it belongs to.
        ensure: Makes sure that something is bound, or raises; given by whoever runs operations.
        refusal: Makes the error for those who may not come in; None where nothing is bound yet.
        gate: Done when a swap that cannot overlap is over; None while there is none.
        lock: Held by an operation from before it builds until its outcome is final.
        flights: Operations that have not ended, oldest first.
        alive: Generations that have not ended, oldest first.
        spare: The last promoted generation, kept open while ``current`` is on probation.
        waiting: The automatic change that the rate limit holds back, and what will start it.
        previous: The provider promoted before the one that is bound.
    """

    def __init__(self, key: Key, ensure: Callable[[Slot], Awaitable[None]], thread: int) -> None:
        self.key = key
        self.thread = thread
        self.ensure = ensure
        self.current: Generation | Switch | None = None
        self.refusal: Callable[[], NotServing] | None = None
        self.gate: asyncio.Future[None] | None = None
        self.lock = asyncio.Lock()
        self.flights: list[Any] = []
        self.alive: list[Generation] = []
        self.numbers = itertools.count(1)
        self.spare: Generation | None = None
        self.probation: Any = None
        self.previous: str | None = None
        self.pending: str = ""
        self.last_error: tuple[OneiricError, float] | None = None
        self.last_report: SwapReport | None = None
        self.swaps = self.rollbacks = 0
        self.automatic: list[float] = []
        self.waiting: tuple[asyncio.TimerHandle, Any] | None = None
        self.preempted = 0

    def __repr__(self) -> str:
        return f"<slot {self.key} {self.phase}>"

    @property
    def bound(self) -> Generation | None:
        """The generation that is bound; from any thread."""
        found = self.current
        return found.now if isinstance(found, Switch) else found

    def occupied(self) -> bool:
        """Whether something is bound."""
        return self.bound is not None

    def shut(self, because: str) -> None:
        """Let nobody in any more."""
        self.refusal = lambda: Closed(self.key, because=because)

    def serving(self) -> Generation:
        """The generation to lease.

        Raises:
            NotServing: Nothing is bound, or nobody may come in.
        """
        found = self.bound
        if found is None:
            if self.refusal is not None:
                raise self.refusal()
            raise Empty(
                self.key,
                hint=f'async with runtime.use("{self.key.domain}", "{self.key.name}") activates it',
            )
        return found

    @property
    def phase(self) -> str:
        """Where the slot is: ``empty activating ready swapping confirming probation failed``, or shut."""
        bound = self.bound
        under_way = next((each for each in self.flights if each.working), None)
        if under_way is not None:
            if bound is None:
                return "activating"
            return "confirming" if under_way.committed else "swapping"
        if bound is not None:
            return "probation" if self.spare is not None else "ready"
        if self.refusal is not None:
            return "closed"
        return "failed" if self.last_error is not None else "empty"
