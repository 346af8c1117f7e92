"""``action:task.schedule``: say when a task would be run, and have it run then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import attrs
from attrs.validators import ge, le
from oneiric_hookspecs import Action, ActionError, Host, PluginContext, ResolutionError, hookimpl

from oneiric.plugins._requests import unfit
from oneiric.plugins._schedules import KEPT, Schedule, a_name, active, iso
from oneiric.plugins._timing import Plan, Timing, a_moment, moment, zone_of

KEY = "task.schedule"


def _a_zone(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    zone_of(value)


@attrs.frozen(eq=False, repr=False)
class Settings:
    """What schedules may be.

    Args:
        zone: The time zone of requests that say none.
        max_preview: How many times are told at most.
        min_interval: Seconds that lie between two times at least, of what is started.
    """

    zone: str = attrs.field(default="UTC", validator=_a_zone)
    max_preview: int = attrs.field(default=100, validator=[ge(1), le(1000)])
    min_interval: float = attrs.field(default=1.0, validator=[ge(0), le(86_400)])


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Request(Timing):
    """When a task is due, and what to do about it.

    Args:
        operation: ``preview`` tells when it would be due; ``start`` has the scheduler run it from now on, under its
            name, instead of what had that name; ``stop`` ends that.
        name: The schedule's, to start and to stop it.
        task: The task's, to start it.
        payload: What the task is run with, plain data.
        preview: How many times are told.
        after: A date, or a date and time, behind which they begin; None is now.
    """

    operation: Literal["preview", "start", "stop"] = "preview"
    name: str | None = attrs.field(default=None, validator=a_name)
    task: str | None = attrs.field(default=None, validator=a_name)
    payload: Any = None
    preview: int = attrs.field(default=5, validator=[ge(0), le(1000)])
    after: str | None = attrs.field(default=None, validator=a_moment)

    def __attrs_post_init__(self) -> None:
        if self.operation != "preview" and self.name is None:
            raise ValueError(f"operation {self.operation!r} wants a name")
        if self.operation == "start" and self.task is None:
            raise ValueError("operation 'start' wants a task")
        if self.operation != "stop":
            self.check()


@attrs.frozen(eq=False, repr=False)
class Time:
    """A time at which it is due.

    Args:
        local: In its time zone.
        utc: The same in UTC.
    """

    local: str
    utc: str


@attrs.frozen(eq=False, repr=False)
class Result:
    """What came of it.

    Args:
        operation: As of the request.
        name: The schedule's; None where the request has none.
        zone: The time zone.
        when: In a few words.
        times: The next times it is due, without jitter.
        ended: Whether there are none after those.
        changed: Whether something was started or stopped that was not so before.
    """

    operation: str
    name: str | None
    zone: str
    when: str
    times: tuple[Time, ...]
    ended: bool
    changed: bool


class Plugin:
    """The plugin.

    Args:
        context: What every plugin is given; its host has the state store, and the scheduler.
        now: Seconds since 1970 (UTC).
    """

    def __init__(self, context: PluginContext, now: Callable[[], float] = time.time) -> None:
        self._host: Host = context.host
        self._now = now

    @hookimpl
    def oneiric_actions(self) -> Iterable[Action]:
        yield Action(
            KEY,
            "Say when a task would be run, and have it run then",
            takes=Request,
            returns=Result,
            settings=Settings,
            run=self.run,
        )

    async def run(self, request: Request, settings: Settings) -> Result:
        """Tell, start or stop.

        Raises:
            ActionError: It would never be due, too often, or there is nobody to run it.
            StateError: It cannot be kept.
        """
        if request.operation == "stop":
            assert request.name is not None
            changed = await self._stop(request.name)
            return Result("stop", request.name, "", "", (), True, changed)
        if request.preview > settings.max_preview:
            message = f"is {request.preview}, and {settings.max_preview} are allowed"
            raise unfit(KEY, "preview", message, setting="max_preview")
        plan = Plan(request, settings.zone)
        times, ended = _times(request, plan, self._now())
        changed = request.operation == "start" and await self._start(request, settings, plan)
        told = tuple(Time(plan.local(at).isoformat(), iso(at)) for at in times)
        return Result(request.operation, request.name, plan.zone_name, request.when, told, ended, changed)

    async def _start(self, request: Request, settings: Settings, plan: Plan) -> bool:
        self._check(request, settings, plan)
        fields = [field.name for field in attrs.fields(Schedule)]
        said = {name: getattr(request, name) for name in fields} | {"zone": plan.zone_name}
        said = {name: value for name, value in said.items() if value is not None}
        key = f"{KEPT}{request.name}"
        before = await self._host.state.get(key)
        if before is not None and before.value == said:
            return False
        await self._host.state.put(key, said)
        return True

    async def _stop(self, name: str) -> bool:
        self._someone(name)
        key = f"{KEPT}{name}"
        if await self._host.state.get(key) is None:
            return False
        await self._host.state.delete(key)
        return True

    def _check(self, request: Request, settings: Settings, plan: Plan) -> None:
        """That it can be started.  Raises: ActionError."""
        assert request.name is not None
        assert request.task is not None
        self._someone(request.name)
        try:
            self._host.resolve("task", request.task)
        except ResolutionError as error:
            raise unfit(KEY, "task", f"nobody fills it: {error.message}") from None
        first = plan.after(self._now())
        if first is None:
            raise unfit(KEY, "until", "is over: there is no time after now at which it is due")
        second = plan.after(first)
        if second is not None and second - first < settings.min_interval:
            message = f"is due every {second - first:g} s, and {settings.min_interval:g} s are the least"
            raise unfit(KEY, "cron" if request.every is None else "every", message, setting="min_interval")

    def _someone(self, name: str) -> None:
        """That somebody runs what is kept, and the name is free.  Raises: ActionError."""
        scheduler = active(self._host)
        if scheduler is None or not scheduler.settings.kept:
            raise ActionError(
                f"{KEY}: nobody would run it",
                hint="set kept = true in [plugins.settings.scheduler]"
                if scheduler is not None
                else "the plugin scheduler is off",
            )
        if name in scheduler.settings.schedules:
            raise unfit(KEY, "name", f"{name!r} is declared in the settings", setting=None)


def _times(request: Request, plan: Plan, now: float) -> tuple[list[float], bool]:
    """The next times, and whether there are none after them."""
    at = now if request.after is None else moment(request.after, plan.zone)
    found: list[float] = []
    count = request.preview if request.max_runs is None else min(request.preview, request.max_runs)
    while len(found) < count:
        due = plan.after(at)
        if due is None:
            return found, True
        found.append(due)
        at = due
    return found, len(found) == request.max_runs or plan.after(at) is None
