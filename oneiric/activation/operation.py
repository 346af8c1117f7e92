"""An operation: something the runtime does to a slot, in a task of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextvars import Context, ContextVar
from typing import Any

import attrs
from oneiric_hookspecs import ActivationError, Candidate, Course, Key, OneiricError, Source
from oneiric_hookspecs import Operation as OperationView
from oneiric_hookspecs.lifecycle import Cause, Outcome

#: The operation in which the code that reads this runs; None outside of one.
current: ContextVar[Operation | None] = ContextVar("oneiric_operation", default=None)

_numbers = itertools.count(1)
#: Steps in which an operation holds no slot, and those in which it does not even queue for one.
_BEFORE_THE_LOCK = ("", "decide", "needs", "lock")
_ASKING = ("", "decide", "needs")


@attrs.frozen
class Want:
    """What an operation is to bring about; equal wants on one slot are one operation.

    Args:
        provider: The provider to swap to; None for the winner.
        unpin: Whether the operator's pin is dropped with it.
        reload: Build anew although nothing has changed.
        accept_unhealthy: Bind it although its startup probe fails.
        override: Pass a hold or a pause, and a quarantine.
    """

    provider: str | None = None
    unpin: bool = False
    reload: bool = False
    accept_unhealthy: bool = False
    override: bool = False


class Operation:
    """One operation.

    Attributes:
        parent: The operation in whose factory or hook this one was asked for.
        slots: Those it is about.
        waits_for: Operations it has joined, which have to end before it can go on.
        waiters: How many callers wait for it; the last one to leave cancels what is not committed.
        committed: Whether the switch has been made.
        many: Whether it is about several slots, and its result several reports.
        detached: Whether it goes on without waiters: a change of the runtime's own.
        chosen: The candidate it is about with its source, after the snapshot on which that was decided.
        marks: When each step began, on the runtime's clock.
        outcome: What came of it, and ``gap_ms``, how long nobody could be served; None until something did.
    """

    __slots__ = (
        "_time",
        "actor",
        "cause",
        "chosen",
        "committed",
        "deadline",
        "detached",
        "gap_ms",
        "id",
        "key",
        "many",
        "marks",
        "outcome",
        "parent",
        "provider",
        "serving",
        "slots",
        "step",
        "superseded_by",
        "task",
        "waiters",
        "waits_for",
        "want",
    )

    def __init__(
        self,
        key: Key,
        cause: Cause,
        want: Want,
        time: Callable[[], float],
        *,
        actor: str = "",
        parent: Operation | None = None,
        deadline: float | None = None,
    ) -> None:
        self.id = f"op{next(_numbers)}"
        self.key, self.cause, self.want, self.actor, self.parent = key, cause, want, actor, parent
        self.deadline = deadline
        self.step = ""
        self.provider = ""
        self.serving: str | None = None
        self.chosen: tuple[object, tuple[Candidate, Source]] | None = None
        self.marks: list[tuple[str, float]] = []
        self.task: asyncio.Task[Any] | None = None
        self.waiters = 0
        self.committed = self.detached = self.many = False
        self.superseded_by = ""
        self.outcome: Outcome | None = None
        self.gap_ms = 0.0
        self.slots: tuple[Any, ...] = ()
        self.waits_for: set[Operation] = set()
        self._time = time

    def __repr__(self) -> str:
        return f"<{self.id} {self.cause} {self.key} {self.step}>"

    @property
    def working(self) -> bool:
        """Whether it holds the slot: it has got past the queue, and has not ended."""
        return self.step not in _BEFORE_THE_LOCK and not self.done

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.task is not None and self.task.done()

    @property
    def ending(self) -> bool:
        """Whether it has ended, or was told to end: nobody should join it any more."""
        return self.task is not None and (self.task.done() or self.task.cancelling() > 0)

    def at(self, step: str) -> None:
        """Begin *step*.  Every step of an operation passes through here, by its name."""
        self.step = step
        self.marks.append((step, self._time()))

    def view(self, caller: Context | None = None, part_of: Operation | None = None) -> OperationView:
        """What plugins may see of it.

        Args:
            caller: The context variables of who asked for it, for those who go around it.
            part_of: The operation that it is a part of.
        """
        parent = part_of or self.parent
        return OperationView(
            self.id,
            self.cause,
            self.actor,
            self.key,
            self.step,
            self.deadline,
            "" if parent is None else parent.id,
            caller,
            self.course,
        )

    def course(self) -> Course:
        """How far it has come."""
        return Course(tuple(self.marks), self._time(), self.provider, self.outcome, self.gap_ms)

    def steps(self) -> dict[str, float]:
        """Milliseconds by step, in order; of a step that was gone through twice, the sum."""
        spent: dict[str, float] = {}
        ended = self._time()
        for step, began in reversed(self.marks):
            spent[step] = spent.get(step, 0.0) + (ended - began) * 1000
            ended = began
        return dict(reversed(spent.items()))

    def limit(self, seconds: float) -> float:
        """*seconds*, or what is left until the deadline, whichever is less."""
        return seconds if self.deadline is None else max(0.0, min(seconds, self.deadline - self._time()))

    def place(self, error: OneiricError) -> OneiricError:
        """Write into an activation error where it happened, unless that is known."""
        if isinstance(error, ActivationError) and error.key is None:
            error.key, error.provider, error.step = self.key, self.provider, self.step
            error.operation, error.serving = self.id, self.serving
        return error

    def chain(self) -> list[Operation]:
        """This one and those inside which it was asked for, innermost first, as far as they have not ended."""
        found: list[Operation] = []
        each: Operation | None = self
        while each is not None:
            if not each.done:
                found.append(each)
            each = each.parent
        return found

    def in_the_way(self) -> Iterator[Operation]:
        """What has to end before this one can: what it joined; and until it holds its slots, who queues or has them.

        Who does not queue yet is not in the way: it holds nothing, and may well come second.
        """
        yield from self.waits_for
        if self.step in _BEFORE_THE_LOCK:
            for slot in self.slots:
                yield from (each for each in slot.flights if each is not self and each.step not in _ASKING)

    def reaches(self, other: Operation) -> list[Operation] | None:
        """The way from this operation to *other* along what they wait for; None if there is none."""
        ways: list[list[Operation]] = [[self]]
        seen = {self}
        while ways:
            way = ways.pop()
            if way[-1] is other:
                return way
            for after in way[-1].in_the_way():
                if after not in seen and not after.done:
                    seen.add(after)
                    ways.append([*way, after])
        return None
