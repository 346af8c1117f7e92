"""Values of operations: what is going on, what to build, and what came of it."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import Context
from typing import Any, Literal

import attrs

from .candidates import Candidate
from .health import Health
from .keys import Key

Cause = Literal[
    "operator",
    "use",
    "need",
    "probation",
    "dependency",
    "settings",
    "stream",
    "resolution",
    "restart",
    "shutdown",
]
Outcome = Literal["activated", "swapped", "reconfigured", "unchanged", "rolled_back", "failed"]
Ending = Literal["closed", "close_failed", "abandoned", "kept"]
BuildMode = Literal["auto", "async", "thread", "inline"]


@attrs.frozen
class Course:
    """How far an operation has come.

    Args:
        steps: The steps that were begun, in order, each with when: seconds on the runtime's clock.
        now: The time on that clock when this was asked for.
        provider: What it is to bind; empty before that is decided.
        outcome: What came of it; None as long as nothing did, and where it failed.
        gap_ms: How long nobody could be served, in milliseconds, up to now.
    """

    steps: tuple[tuple[str, float], ...] = ()
    now: float = 0.0
    provider: str = ""
    outcome: Outcome | None = None
    gap_ms: float = 0.0


@attrs.frozen
class Operation:
    """A read-only view of an operation, as it stands when a hook is called.

    Args:
        id: Unique in the process; it is in logs, reports and errors.
        cause: What set it off.
        actor: Who: a person, a program; empty where nobody in particular.
        key: The slot.
        step: Where it is, as in ``SwapReport.steps``.
        deadline: On the runtime's clock, in seconds; None for none.
        parent: The id of the operation inside which it was asked for, or of which it is a part; empty for none.
        caller: The context variables of whoever asked for it; only where it is gone around, as operations run in a
            context of their own.
        course: Says how far it has come by then; it may be asked again, as long as it goes on and after.
    """

    id: str
    cause: Cause
    actor: str
    key: Key
    step: str
    deadline: float | None = None
    parent: str = ""
    caller: Context | None = attrs.field(default=None, eq=False, repr=False)
    course: Callable[[], Course] = attrs.field(default=Course, eq=False, repr=False)


@attrs.frozen
class Generation:
    """A read-only view of one instance of one candidate in a slot.

    Args:
        key: The slot.
        number: Counts up in the slot, from 1.
        candidate: What it is an instance of.
        instance: What users lease; not to be closed or kept by a plugin.
        state: ``creating starting warming standby active retiring closing`` and, at the end, ``closed``,
            ``close_failed`` or ``abandoned``.
        since: When it entered the state, on the runtime's clock.
        leases: How many users it has now.
    """

    key: Key
    number: int
    candidate: Candidate
    instance: Any
    state: str
    since: float
    leases: int = 0


@attrs.frozen
class Build:
    """What to call for a new instance; the kernel calls it, under its deadline, where the mode says.

    Args:
        call: Called without arguments; its result is the product, or an awaitable of it.
        mode: ``async`` on the loop; ``thread`` in a daemon thread of the kernel's; ``inline`` on the loop, for
            constructors that want a running loop and do not block; ``auto`` is ``async`` for coroutine
            functions, else ``thread``.
        enter: Whether a product that is a context manager is entered, and users get what entering gives.
        around: ``around(instance, entered)`` gives an async context manager in which the instance lives: it is entered
            last and left first, both in the task that hosts the product, and what entering it gives is not looked at.
            *entered* is whether the instance came out of a context manager; else its own ``start()`` is called, where
            it has one, before it is entered, and leaving it is what closes the instance, unless the candidate has a
            ``close`` of its own, which is called after that.  None for nothing; nothing without ``enter``.
    """

    call: Callable[[], Any]
    mode: BuildMode = "auto"
    enter: bool = True
    around: Callable[[Any, bool], AbstractAsyncContextManager[Any]] | None = None


@attrs.frozen
class Signals:
    """What probation has seen of a generation so far.

    Args:
        elapsed: Seconds since it was bound.
        remaining: Seconds of probation left; 0 at its end.
        failed_probes: Readiness probes that failed, in a row, up to now.
        leases: How many ended.
        bad_leases: How many of them ended by an exception.
        health: The last answer; None before the first.
    """

    elapsed: float
    remaining: float
    failed_probes: int = 0
    leases: int = 0
    bad_leases: int = 0
    health: Health | None = None


class Verdict(enum.Enum):
    """How probation is settled."""

    ROLL_BACK = "roll back"
    PROMOTE = "promote"


ROLL_BACK = Verdict.ROLL_BACK
PROMOTE = Verdict.PROMOTE


@attrs.frozen
class Retirement:
    """How a generation ended.

    Args:
        key: Its slot.
        provider: Its candidate's provider.
        number: Its number in the slot.
        ending: ``closed``, ``close_failed``, ``abandoned``, or ``kept`` (not the runtime's to close).
        forced: How many users still held it when the drain timeout ran out.
        holders: Names of these, where they are known.
        drained_ms: How long its users took to finish, in milliseconds.
        error: Why closing failed.
        closed_ms: How long closing it took after that, in milliseconds.
    """

    key: Key
    provider: str
    number: int
    ending: Ending
    forced: int = 0
    holders: tuple[str, ...] = ()
    drained_ms: float = 0.0
    error: str = ""
    closed_ms: float = 0.0


async def _nothing_to_wait_for() -> None:
    return None


@attrs.frozen
class SwapReport:
    """What came of an operation on one slot.

    Args:
        key: The slot.
        outcome: ``activated`` (there was none before), ``swapped``, ``reconfigured``, ``unchanged``.
        operation: The operation's id.
        old: The provider before; None where there was none.
        new: The provider bound now.
        steps: Milliseconds by step, in order.
        gap_ms: How long nobody could be served, in milliseconds; 0 in overlap mode.
    """

    key: Key
    outcome: Outcome
    operation: str
    old: str | None
    new: str | None
    steps: Mapping[str, float] = attrs.field(factory=dict)
    gap_ms: float = 0.0
    _warnings: list[str] = attrs.field(factory=list, eq=False, repr=False, alias="warnings")
    _observed: Callable[[], Awaitable[None]] = attrs.field(
        default=_nothing_to_wait_for, eq=False, repr=False, alias="observed"
    )
    _retired: Callable[[], Awaitable[Retirement | None]] = attrs.field(
        default=_nothing_to_wait_for, eq=False, repr=False, alias="retired"
    )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong after it could no longer change the outcome, one sentence each.

        Observers run after the report is handed out; wait for ``observed()`` to have all of theirs.
        """
        return tuple(self._warnings)

    def warn(self, sentence: str) -> None:
        """Add a warning; for those who carry the operation out."""
        self._warnings.append(sentence)

    async def observed(self) -> None:
        """Wait until every observer has been told."""
        await self._observed()

    async def retired(self) -> Retirement | None:
        """Wait until the old generation is gone.

        Returns:
            How it ended; None where there was none, or where it was brought back.
        """
        return await self._retired()


@attrs.frozen
class CloseReport:
    """What came of closing a runtime: how every generation ended, and what did not end in time."""

    retirements: tuple[Retirement, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether everything was closed, and nothing is left."""
        return not self.left and all(each.ending in ("closed", "kept") for each in self.retirements)
