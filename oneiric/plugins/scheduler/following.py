"""Following one schedule: what is due is run, whatever becomes of it, and whatever the clock does.

F1  A turn looks at the clock anew, and at least once a minute: it may have been set.
F2  Nothing but its end ends it: what fails is told, and the next due time comes.
F3  A due time is run under a key of its own, so that of several processes one runs it.
F4  What was run is in the state store, so that the next process knows what it has missed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from oneiric_hookspecs import Conflict, Host, OneiricError, StateError, TaskHandle

from oneiric.plugins._schedules import KNOWN, Schedule, iso
from oneiric.plugins._timing import Plan

if TYPE_CHECKING:
    from random import Random

    from . import Settings

#: Seconds after which the clock is looked at again, and between two looks at a run of another process.
LONGEST, LOOK = 60.0, 1.0


@attrs.frozen
class Known:
    """What is known of a schedule.

    Args:
        due: Which due time was run last; before the first, when it was first followed.
        runs: How many there were.
        run: The id of the last; None before the first.
        when: What the schedule said then.
    """

    due: float
    runs: int = 0
    run: str | None = None
    when: str = ""


class Follower:
    """One schedule, and what goes on of it.

    Args:
        host: The runtime.
        name: The schedule's.
        schedule: When to run what.
        settings: Of the scheduler.
        log: Where to say what goes wrong.
        wall: Seconds since 1970 (UTC); they may jump.
        chance: What jitter is drawn from; None is a new one.
    """

    def __init__(
        self,
        host: Host,
        name: str,
        schedule: Schedule,
        settings: Settings,
        log: logging.Logger,
        wall: Callable[[], float],
        chance: Random | None,
    ) -> None:
        self._host, self._log, self._wall, self._chance = host, log, wall, chance
        self.name, self.schedule, self._settings = name, schedule, settings
        self.plan = Plan(schedule, settings.zone)
        self._when = f"{schedule.when} {self.plan.zone_name}"
        self._cursor: float | None = None
        self._drawn: tuple[float, float] | None = None
        self._waiting: deque[float] = deque()
        self._turning: TaskHandle | None = None
        self._running: TaskHandle | None = None

    def begin(self) -> None:
        """Follow it from now on."""
        self._turning = self._host.spawn(self._follow(), name=f"schedule {self.name}")

    def end(self) -> None:
        """Begin nothing more."""
        self._waiting.clear()
        if self._turning is not None:
            self._turning.cancel()

    async def known(self) -> tuple[Known | None, int]:
        """What is known of it, and at which revision of the state store.  Raises: StateError."""
        stored = await self._host.state.get(KNOWN + self.name)
        if stored is None:
            return None, 0
        try:
            known = Known(**stored.value)
            numbers = known.due.__class__ in (int, float) and known.runs.__class__ is int
            well = numbers and (known.run is None or known.run.__class__ is str)
            return known if well else None, stored.revision
        except (TypeError, AttributeError):  # another version's, or somebody's by hand
            return None, stored.revision

    async def _follow(self) -> None:
        while True:
            try:
                pause = await self._turn()
            except Exception:  # F2
                self._log.exception("schedule %s: it goes on in a minute", self.name)
                pause = LONGEST
            if pause > 0:
                await asyncio.sleep(min(pause, LONGEST))  # F1

    async def _turn(self) -> float:
        """Do what is due; give the seconds until there may be something to do."""
        if self._cursor is None:
            self._cursor = await self._begun()
        now = self._wall()
        if self._cursor > now + 1:
            self._log.warning("schedule %s: the clock was set back", self.name)
            self._cursor = now
        due = self.plan.after(self._cursor)
        if due is None:
            return LONGEST
        at = due + self._late(due)
        if now < at:
            return at - now
        if now - at <= self._settings.grace:
            self._cursor = due
            self._take(due)
        elif self.schedule.missed == "once":
            self._log.warning("schedule %s: %s was missed, and is done now", self.name, iso(due))
            self._cursor = now
            self._take(due)
        else:
            self._log.warning("schedule %s: %s was missed", self.name, iso(due))
            self._cursor = max(due, now - self._settings.grace)
        return 0.0

    async def _begun(self) -> float:
        """From when on nothing was run."""
        now = self._wall()
        try:
            known, revision = await self.known()
            if known is not None and known.when == self._when:
                return min(known.due, now)
            runs = 0 if known is None else known.runs
            await self._write(Known(now, runs, when=self._when), revision)
        except Conflict:
            pass  # another process has begun just now
        except StateError as error:
            self._log.error("schedule %s: what was run cannot be read: %s", self.name, error)
        return now

    def _late(self, due: float) -> float:
        """By how many seconds it is to be late."""
        if not self.schedule.jitter:
            return 0.0
        if self._drawn is None or self._drawn[0] != due:
            if self._chance is None:
                from random import Random

                self._chance = Random()
            following = self.plan.after(due)
            most = self.schedule.jitter
            most = most if following is None else min(most, (following - due) * 0.9)
            self._drawn = due, self._chance.uniform(0, most)
        return self._drawn[1]

    def _take(self, due: float) -> None:
        """Run it, or have it wait, or leave it out."""
        if self._running is not None and not self._running.done():
            if self.schedule.overlap == "skip":
                self._left_out(due)
                return
            if len(self._waiting) >= self._settings.queue:
                self._left_out(self._waiting.popleft())
        self._waiting.append(due)
        if self._running is None or self._running.done():
            self._running = self._host.spawn(self._drain(), name=f"schedule {self.name}: running")

    def _left_out(self, due: float) -> None:
        self._log.warning("schedule %s: %s is left out, as the one before goes on", self.name, iso(due))

    async def _drain(self) -> None:
        while self._waiting:
            due = self._waiting.popleft()
            try:
                await self._run(due)
            except OneiricError as error:
                self._log.error("schedule %s: %s: %s", self.name, iso(due), error)
            except Exception:  # F2
                self._log.exception("schedule %s: %s", self.name, iso(due))

    async def _run(self, due: float) -> None:
        tasks = self._host.domain("task")
        known, revision = await self._last()
        while known is not None and known.run is not None:
            if due <= known.due <= self._wall() + 1:
                return  # another process did
            last = await tasks.get(known.run)
            if last is None or last.state not in ("queued", "running"):
                break
            if self.schedule.overlap == "skip":
                self._left_out(due)
                return
            await asyncio.sleep(LOOK)
            known, revision = await self._last()
        runs = 0 if known is None else known.runs
        if self.schedule.max_runs is not None and runs >= self.schedule.max_runs:
            return
        key = f"schedule/{self.name}/{iso(due)}" if self._settings.once else None  # F3
        run = await tasks.submit(self.schedule.task, self.schedule.payload, key=key)
        if await self._write(Known(due, runs + 1, run.id, self._when), revision):  # F4
            await run.wait()

    async def _last(self) -> tuple[Known | None, int | None]:
        try:
            return await self.known()
        except StateError as error:
            if self.schedule.max_runs is not None:
                raise
            self._log.error("schedule %s: what was run cannot be read: %s", self.name, error)
            return None, None

    async def _write(self, known: Known, revision: int | None) -> bool:
        """Keep it; whether this process was the one to do so."""
        try:
            await self._host.state.put(KNOWN + self.name, attrs.asdict(known), expect=revision)
        except Conflict:
            return False
        except StateError as error:
            self._log.error("schedule %s: what was run cannot be kept: %s", self.name, error)
        return True
