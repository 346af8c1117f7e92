"""The schedules of a runtime, and who follows each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from oneiric_hookspecs import Host, SettingsError, StateError, TaskHandle

from oneiric.plugins._schedules import KEPT, Schedule

from .following import Follower

if TYPE_CHECKING:
    from random import Random

    from . import Settings

#: Seconds after which the state store is looked at, whatever it hints at.
LOOK = 30.0


class Scheduler:
    """Follows every schedule, from ``begin`` on.

    Args:
        host: The runtime.
        settings: What was declared.
        log: Where to say what goes wrong.
        wall: Seconds since 1970 (UTC); they may jump.
        chance: What jitter is drawn from; None is a new one.
    """

    def __init__(
        self,
        host: Host,
        settings: Settings,
        log: logging.Logger,
        wall: Callable[[], float],
        chance: Random | None,
    ) -> None:
        self._host, self._log, self._chance = host, log, chance
        self.settings, self.wall = settings, wall
        self._following: dict[str, Follower] = {}
        self._tasks: list[TaskHandle] = []
        self._bad: dict[str, int] = {}  # by key, at which revision it was told

    def begin(self) -> None:
        """Follow what is declared, and what is kept."""
        for name, schedule in self.settings.schedules.items():
            self._follow(name, schedule)
        if self.settings.kept:
            self._tasks.append(self._host.spawn(self._watch(), name="scheduler: what is kept"))

    def end(self) -> None:
        """Begin nothing more; what goes on is not touched."""
        for task in self._tasks:
            task.cancel()
        for follower in self._following.values():
            follower.end()

    async def schedules(self) -> dict[str, Schedule]:
        """All that there are now, by name.  Raises: StateError."""
        found = dict(self.settings.schedules)
        return found | await self._kept() if self.settings.kept else found

    def follower(self, name: str, schedule: Schedule) -> Follower:
        """Who follows *schedule*, or would."""
        return self._following.get(name) or Follower(
            self._host, name, schedule, self.settings, self._log, self.wall, self._chance
        )

    def _follow(self, name: str, schedule: Schedule) -> None:
        follower = self._following[name] = self.follower(name, schedule)
        follower.begin()

    async def _watch(self) -> None:
        """Follow what is kept, as it changes."""
        failed = False
        while True:
            try:
                kept = await self._kept()
            except StateError as error:
                if not failed:
                    self._log.error("the schedules that are kept cannot be read: %s", error)
                failed = True
            else:
                failed = False
                self._adopt(kept)
            await self._hint()

    async def _hint(self) -> None:
        """Wait until something may have changed."""
        hints = self._host.state.changes(KEPT)
        try:
            async with asyncio.timeout(LOOK):
                await anext(hints, None)
        except (TimeoutError, StateError):
            pass

    def _adopt(self, kept: dict[str, Schedule]) -> None:
        for name, follower in list(self._following.items()):
            if name not in self.settings.schedules and kept.get(name) != follower.schedule:
                follower.end()
                del self._following[name]
        for name, schedule in kept.items():
            if name not in self._following:
                self._follow(name, schedule)

    async def _kept(self) -> dict[str, Schedule]:
        found = {}
        for key, stored in await self._host.state.scan(KEPT):
            name = key.removeprefix(KEPT)
            if name in self.settings.schedules:
                continue  # what is declared is what counts
            try:
                found[name] = self._host.structure(Schedule, stored.value, name)
            except SettingsError as error:
                if self._bad.get(key) != stored.revision:
                    self._log.error("the schedule %s, in the state store, cannot be run: %s", name, error)
                self._bad[key] = stored.revision
        return found
