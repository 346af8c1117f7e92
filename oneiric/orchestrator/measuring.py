"""How long operations take, and what comes of them: per domain, and per part for the first hundred.

Everything is counted when it has happened, by observers, so that no operation waits for it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from oneiric_hookspecs import (
    Activity,
    Clock,
    Course,
    Health,
    Held,
    Key,
    OneiricError,
    Operation,
    Retirement,
    SwapReport,
    SyncReport,
    hookimpl,
)

from oneiric.measure import Counts, Histogram, Windowed

#: What is told apart in an operation, in the order in which it happens, and after it.
PHASES = (
    "queue", "needs", "load", "create", "warm", "check", "commit", "confirm", "total", "gap", "drain", "close"
)  # fmt: skip
_STEPS = {
    "lock": "queue",
    "recheck": "queue",
    **{
        phase: phase for phase in PHASES if phase not in ("queue", "total", "gap", "drain", "close")
    },  # what an exclusive swap drains is told by what was drained
}
_GOOD, _BAD = ("activated", "swapped", "reconfigured"), ("rolled_back", "failed")

#: How many parts have figures of their own; how many outcomes and changes of health of each are remembered.
PARTS, REMEMBERED = 100, 60


class Measured:
    """What was measured of a domain, or of a part.

    Args:
        time: Gives seconds that only grow.
        phase: Makes what counts the times of one phase; ``total`` and ``gap`` are told of lately, too.

    Attributes:
        outcomes: How often what came of an operation.  ``taken_back``: it was bound, and rolled back later, by its
            probation or on demand; ``refused``: it was held.
        recent: The last outcomes, oldest first: when (seconds since 1970), which, in how many milliseconds.
        healths: The last changes of health, the same: when, and what it is since then.
        imposed: How often it was held, paused, drained and resumed.
        error: The last failure, whatever came after it: when, and what, in a sentence; None where there was none.
    """

    def __init__(self, time: Callable[[], float], phase: Callable[[], Histogram | Windowed]) -> None:
        self._time, self._phase = time, phase
        self.times: dict[str, Histogram | Windowed] = {}
        self.outcomes = Counts(time)
        self.recent: deque[tuple[float, str, float | None]] = deque(maxlen=REMEMBERED)
        self.healths: deque[tuple[float, str]] = deque(maxlen=REMEMBERED)
        self.imposed: Counter[str] = Counter()
        self.error: tuple[float, str] | None = None
        self._told: Mapping[str, Any] | None = None

    def spent(self, phase: str, ms: float) -> None:
        """*phase* took so long."""
        times = self.times.get(phase)
        if times is None:
            make = self._windowed if phase in ("total", "gap") else self._phase
            times = self.times[phase] = make()
        times.record(ms)
        self._told = None

    def ended(self, at: float, outcome: str, ms: float | None) -> None:
        """An operation came to this."""
        self.outcomes.add(outcome)
        self.recent.append((round(at, 3), outcome, None if ms is None else round(ms, 3)))
        self._told = None

    def _windowed(self) -> Windowed:
        return Windowed(self._time)

    def plain(self) -> Mapping[str, Any]:
        """All of it as plain data: ``outcomes success_rate latency recent health_changes imposed``."""
        # What is of lately ages by itself; what is older does not, and is not worked out again.
        lately = +self.outcomes.recent()
        if self._told is None or lately or self._told["lately"]["outcomes"]:
            self._told = {
                "outcomes": dict(sorted(self.outcomes.ever.items())),
                "success_rate": success_rate(self.outcomes.ever),
                "lately": {"outcomes": dict(sorted(lately.items())), "success_rate": success_rate(lately)},
                "latency": {
                    phase: dict(self.times[phase].figures()) for phase in PHASES if phase in self.times
                },
            }
        return {
            **self._told,
            "recent": [{"at": at, "outcome": outcome, "ms": ms} for at, outcome, ms in self.recent],
            "health_changes": [{"at": at, "status": status} for at, status in self.healths],
            "imposed": dict(sorted(self.imposed.items())),
        }


def success_rate(outcomes: Mapping[str, int]) -> float | None:
    """Which share of the operations brought something about that stayed; None where there was none."""
    good = sum(outcomes.get(each, 0) for each in _GOOD)
    ended = good + sum(outcomes.get(each, 0) for each in _BAD)
    return round(max(0, good - outcomes.get("taken_back", 0)) / ended, 4) if ended else None


class Measuring:
    """Measures one runtime; a plugin of the application's own.

    Args:
        clock: The runtime's.
        wall: Gives seconds since 1970.

    Attributes:
        revision: Another one whenever something was measured.
        domains: By domain.
        parts: By key; of those that come after the first hundred only their domain knows.
    """

    def __init__(self, *, clock: Clock, wall: Callable[[], float] = time.time) -> None:
        self._clock, self._wall = clock, wall
        self.revision = 0
        self.domains: dict[str, Measured] = {}
        self.parts: dict[Key, Measured] = {}
        self._syncs: dict[str, Windowed] = {}
        self._syncing = threading.Lock()

    def _now(self) -> float:
        return self._clock.time()  # asked each time: the runtime's clock may begin to follow a loop

    def _of(self, key: Key) -> tuple[Measured, ...]:
        self.revision += 1
        domain = self.domains.get(key.domain)
        if domain is None:
            domain = self.domains[key.domain] = Measured(self._now, lambda: Windowed(self._now))
        part = self.parts.get(key)
        if part is None:
            if len(self.parts) >= PARTS:
                return (domain,)
            part = self.parts[key] = Measured(self._now, Histogram)
        return domain, part

    def _ended(self, key: Key, outcome: str, course: Course, *, until_now: bool = False) -> None:
        """An operation on *key* has ended; with the beginning of its last step, or only now."""
        marks = course.steps
        last = course.now if until_now else (marks[-1][1] if marks else 0.0)
        spent: dict[str, float] = {}
        following = [began for _, began in marks[1:]] + [last]
        for (step, began), ended in zip(marks, following, strict=True):
            phase = _STEPS.get(step)
            if phase is not None:
                spent[phase] = spent.get(phase, 0.0) + (ended - began) * 1000
        total = (last - marks[0][1]) * 1000 if marks else None
        at = self._wall()
        for each in self._of(key):
            each.ended(at, outcome, total)
            # What failed says how long one waits for a failure, and nothing about how long a swap takes.
            if outcome in _GOOD:
                for phase, ms in spent.items():
                    each.spent(phase, ms)
                each.spent("total", total or 0.0)
                if outcome != "activated":
                    each.spent("gap", course.gap_ms)

    def _erred(self, key: Key, sentence: str) -> None:
        at = self._wall()
        for each in self._of(key):
            each.error = round(at, 3), sentence

    # --- what has happened -------------------------------------------------------------------------------------------

    @hookimpl
    def oneiric_activated(self, operation: Operation) -> None:
        """Something was bound where nothing was."""
        self._ended(operation.key, "activated", operation.course())

    @hookimpl
    def oneiric_swapped(self, operation: Operation, report: SwapReport) -> None:
        """Something took another's place."""
        self._ended(report.key, report.outcome, operation.course())

    @hookimpl
    def oneiric_rolled_back(self, operation: Operation, reason: str) -> None:
        """Something was taken back: in its operation, or when that had succeeded already."""
        course = operation.course()
        if any(step == "finalize" for step, _ in course.steps):
            at = self._wall()
            for each in self._of(operation.key):
                each.ended(at, "taken_back", None)
        else:
            self._ended(operation.key, "rolled_back", course, until_now=True)
        self._erred(operation.key, reason)

    @hookimpl
    def oneiric_failed(self, operation: Operation, error: OneiricError) -> None:
        """An operation changed nothing."""
        outcome = "refused" if isinstance(error, Held) else "failed"
        self._ended(operation.key, outcome, operation.course(), until_now=True)
        if outcome == "failed":
            self._erred(operation.key, str(error).splitlines()[0])

    @hookimpl
    def oneiric_retired(self, retirement: Retirement) -> None:
        """Something has ended."""
        for each in self._of(retirement.key):
            each.spent("drain", retirement.drained_ms)
            each.spent("close", retirement.closed_ms)

    @hookimpl
    def oneiric_health_changed(self, key: Key, after: Health) -> None:
        """Something is well, or not any more."""
        at = self._wall()
        for each in self._of(key)[1:]:  # a domain has no health of its own
            each.healths.append((round(at, 3), after.status))

    @hookimpl
    def oneiric_activity_changed(self, key: Key, before: Activity, after: Activity) -> None:
        """Something is held, paused, drained, or goes on."""
        measured = self._of(key)
        if after.mode != before.mode:
            for each in measured:
                each.imposed[after.mode or "resume"] += 1

    @hookimpl
    def oneiric_synced(self, report: SyncReport) -> None:
        """A stream was asked; in the thread of the sync."""
        with self._syncing:
            self.revision += 1
            times = self._syncs.get(report.stream)
            if times is None:
                times = self._syncs[report.stream] = Windowed(self._now)
            times.record(report.duration_ms)

    def synced(self, stream: str) -> Mapping[str, Any] | None:
        """How long syncs of *stream* took; None where there was none."""
        with self._syncing:
            times = self._syncs.get(stream)
            return None if times is None else times.figures()
