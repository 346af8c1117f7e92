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


class Barred:
    """What stands in ``slot.current`` while nobody may come in; those that are there go on.

    It is no generation, so that a lease asks the slot, which refuses; leases that come in pay nothing for it.
    """

    __slots__ = ("_behind",)

    def __init__(self, behind: Generation | Switch) -> None:
        self._behind = behind

    @property
    def now(self) -> Generation | None:
        """The generation that is bound."""
        behind = self._behind
        return behind.now if isinstance(behind, Switch) else behind


class _Shut:
    """Makes the error for those who come too late."""

    __slots__ = ("_because", "_key")

    def __init__(self, key: Key, because: str) -> None:
        self._key, self._because = key, because

    def __call__(self) -> Closed:
        return Closed(self._key, because=self._because)


class Slot:
    """One key's place, and all that is known about it.

    Attributes:
        current: What is bound: a generation, None, for an instant a ``Switch``, or ``Barred``.  Set by ``put`` alone.
        bars: What keeps new users out, with what makes the error for them; replaced as a whole.
        stirred: Where it enters itself when what is pending becomes another; None where nobody looks.
        deferred: The automatic change that waits until nothing is imposed any more, and its cause.
        drained: Whether an operator had it closed, and nothing was bound since; ``unbinding``: whether that is being
            done.
        orphans: Generations that were closed by that, although others had been built from them.
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
        backoff: When what failed by itself is started again, on the runtime's clock; None where nothing waits for that.
    """

    def __init__(self, key: Key, ensure: Callable[[Slot], Awaitable[None]], thread: int) -> None:
        self.key = key
        self.thread = thread
        self.ensure = ensure
        self.current: Generation | Switch | Barred | None = None
        self._behind: Generation | Switch | None = None
        self.bars: tuple[tuple[str, Callable[[], NotServing]], ...] = ()
        self.deferred: tuple[Any, Any] | None = None
        self.orphans: list[Generation] = []
        self.drained = self.unbinding = False
        self.refusal: Callable[[], NotServing] | None = None
        self.gate: asyncio.Future[None] | None = None
        self.lock = asyncio.Lock()
        self.flights: list[Any] = []
        self.alive: list[Generation] = []
        self.numbers = itertools.count(1)
        self.spare: Generation | None = None
        self.probation: Any = None
        self.previous: str | None = None
        self._pending: str = ""
        self.stirred: dict[Slot, None] | None = None
        self.last_error: tuple[OneiricError, float] | None = None
        self.last_report: SwapReport | None = None
        self.swaps = self.rollbacks = 0
        self.automatic: list[float] = []
        self.waiting: tuple[asyncio.TimerHandle, Any] | None = None
        self.preempted = 0
        self.backoff: float | None = None

    def __repr__(self) -> str:
        return f"<slot {self.key} {self.phase}>"

    @property
    def bound(self) -> Generation | None:
        """The generation that is bound; from any thread."""
        found = self.current
        return found.now if isinstance(found, Switch | Barred) else found

    @property
    def pending(self) -> str:
        """What is wanted and not so yet, in a sentence; empty where everything is as wanted."""
        return self._pending

    @pending.setter
    def pending(self, text: str) -> None:
        if text != self._pending:
            self._pending = text
            if self.stirred is not None:
                self.stirred[self] = None

    def put(self, found: Generation | Switch | None) -> None:
        """Have *found* in it; by one assignment, behind the bars there are."""
        self._behind = found
        if found is not None:
            self.drained = False
        self.current = Barred(found) if self.bars and found is not None else found

    def bar(self, name: str, refuse: Callable[[], NotServing]) -> None:
        """Let no new users in; *refuse* makes their error.  Another bar of that *name* is replaced.  On the loop."""
        if isinstance(self.refusal, _Shut):
            return
        self.bars = (*(each for each in self.bars if each[0] != name), (name, refuse))
        self.put(self._behind)

    def lift(self, name: str) -> None:
        """Take that bar away, if it is there.  On the loop."""
        if self.bars:
            self.bars = tuple(each for each in self.bars if each[0] != name)
            self.put(self._behind)

    def refuse(self) -> None:
        """Raise what the first bar says, if there is one.  From any thread."""
        bars = self.bars
        if bars:
            _, refuse = bars[0]
            raise refuse()

    def occupied(self) -> bool:
        """Whether something is bound."""
        return self.bound is not None

    def shut(self, because: str) -> None:
        """Let nobody in any more, for good."""
        self.refusal = _Shut(self.key, because)
        self.bars = ()
        self.put(self._behind)

    def serving(self) -> Generation:
        """The generation to lease.

        Raises:
            NotServing: Nothing is bound, or nobody may come in.
        """
        self.refuse()
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
        """Where it is, in a word; ``Seen.phase`` lists them."""
        bound = self.bound
        under_way = next((each for each in self.flights if each.working), None)
        if under_way is not None:
            if bound is None:
                return "activating"
            return "confirming" if under_way.committed else "swapping"
        if self.backoff is not None:
            return "backoff"
        if bound is not None:
            return "probation" if self.spare is not None else "ready"
        if self.refusal is not None:
            return "closed"
        if self.unbinding:
            return "draining"
        if self.drained:
            return "drained"
        return "failed" if self.last_error is not None else "empty"
