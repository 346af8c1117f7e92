"""Runs tasks when they are due, as the settings say, and as the action ``task.schedule`` was asked to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs
from attrs.validators import ge, le
from oneiric_hookspecs import Host, PluginContext, hookimpl

from oneiric.plugins._schedules import Schedule, make_active, names
from oneiric.plugins._timing import zone_of

from .running import Scheduler

if TYPE_CHECKING:
    from random import Random


def _a_zone(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    zone_of(value)


@attrs.frozen
class Settings:
    """``[plugins.settings.scheduler]``.

    Args:
        schedules: Tasks that are run when they are due, by the name of the schedule.
        kept: Whether schedules that ``task.schedule`` has started are run too; they are in the state store, so every
            process that has it in common runs them.
        once: Whether each due time is run once among the processes whose executor keeps runs in common; that wants an
            executor which is capable of ``keys``.
        zone: The time zone of schedules that say none.
        grace: Seconds after which what was due counts as missed.
        queue: How many due times of a schedule wait for the one before to end; beyond it the oldest is left out.
    """

    schedules: Mapping[str, Schedule] = attrs.field(factory=dict, validator=names)
    kept: bool = False
    once: bool = True
    zone: str = attrs.field(default="UTC", validator=_a_zone)
    grace: float = attrs.field(default=60.0, validator=[ge(1), le(86_400)])
    queue: int = attrs.field(default=10, validator=[ge(1), le(1000)])


class Plugin:
    """The plugin.

    Args:
        context: What every plugin is given.
        wall: Seconds since 1970 (UTC); they may jump.
        chance: What jitter is drawn from; None is a new one.
    """

    Settings = Settings

    def __init__(
        self, context: PluginContext, wall: Callable[[], float] = time.time, chance: Random | None = None
    ) -> None:
        self._scheduler = Scheduler(context.host, context.settings, context.log, wall, chance)
        if context.host is not None:
            make_active(context.host, self._scheduler)

    @hookimpl
    def oneiric_started(self, host: Host) -> None:
        """Begin; not where the runtime ends with a command."""
        if not host.brief:
            self._scheduler.begin()

    @hookimpl
    def oneiric_stopping(self, host: Host) -> None:
        """Begin nothing more."""
        self._scheduler.end()
