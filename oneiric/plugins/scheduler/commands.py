"""``oneiric schedules``."""

from __future__ import annotations

import asyncio
from typing import Any

import click
from oneiric_hookspecs import CommandContext, Host, PluginError, a_few, nearest

from oneiric.plugins._schedules import Schedule, active, iso
from oneiric.plugins.domains._words import with_host

from .following import Follower
from .running import Scheduler


class NoSchedule(PluginError):
    """There is no schedule of that name, or nobody who runs any."""


@click.group("schedules")
def command() -> None:
    """List schedules, see when they are due, and run what is due."""


@command.command("list")
@click.pass_obj
def list_(context: CommandContext) -> None:
    """List the schedules there are, when each is due next, and what came of its last run."""

    async def run(host: Host) -> None:
        scheduler = _scheduler(host)
        found = [
            await _line(host, scheduler, name, schedule)
            for name, schedule in sorted((await scheduler.schedules()).items())
        ]
        if context.json:
            context.show({"schedules": found}, "oneiric/schedules/1")
        elif found:
            context.show([_short(each) for each in found], "oneiric/schedules/1")
        else:
            click.echo("there are none")

    with_host(context, run)


@command.command("preview")
@click.argument("name")
@click.option(
    "--count", type=click.IntRange(1, 1000), default=5, show_default=True, help="So many times at most."
)
@click.pass_obj
def preview(context: CommandContext, name: str, count: int) -> None:
    """Show the next times at which the schedule NAME is due, in its time zone and in UTC."""

    async def run(host: Host) -> None:
        scheduler = _scheduler(host)
        schedules = await scheduler.schedules()
        if name not in schedules:
            near = nearest(name, schedules)
            hint = f"did you mean {near}?" if near else f"there are: {a_few(schedules)}"
            raise NoSchedule(f"there is no schedule {name}", hint=hint)
        plan, at = scheduler.follower(name, schedules[name]).plan, scheduler.wall()
        times: list[dict[str, str]] = []
        while len(times) < count and (due := plan.after(at)) is not None:
            times.append({"local": plan.local(due).isoformat(), "utc": iso(due)})
            at = due
        if context.json:
            context.show({"schedule": name, "times": times}, "oneiric/schedule/1")
        elif times:
            context.show(times, "oneiric/schedule/1")
        else:
            click.echo(f"{name} is never due again")

    with_host(context, run)


@command.command("run")
@click.pass_obj
def run_(context: CommandContext) -> None:
    """Run what is due, until interrupted."""

    async def within() -> None:
        async with context.host(brief=False) as host:
            scheduler = _scheduler(host)
            schedules = await scheduler.schedules()
            if not schedules and not scheduler.settings.kept:
                hint = "declare one in [plugins.settings.scheduler.schedules]"
                raise NoSchedule("there are no schedules to run", hint=hint)
            names = sorted(schedules)
            text = f"running {a_few(names) if names else 'what is started'}; Ctrl-C ends it"
            context.tell({"running": names}, "oneiric/schedules-running/1", text)
            await asyncio.Event().wait()

    asyncio.run(within())


def _scheduler(host: Host) -> Scheduler:
    found = active(host)
    if found is None:
        raise NoSchedule("nobody runs schedules", hint="the plugin scheduler is off")
    return found


async def _line(host: Host, scheduler: Scheduler, name: str, schedule: Schedule) -> dict[str, Any]:
    follower = scheduler.follower(name, schedule)
    known, _ = await follower.known()
    return {
        "schedule": name,
        "task": schedule.task,
        "when": schedule.when,
        "zone": follower.plan.zone_name,
        "next": _next(follower, scheduler.wall(), known.runs if known else 0),
        "last": None if known is None or known.run is None else follower.plan.local(known.due).isoformat(),
        "result": await _result(host, known.run if known else None),
        "run": known.run if known else None,
        "runs": known.runs if known else 0,
        "payload": schedule.payload,
    }


def _short(line: dict[str, Any]) -> dict[str, Any]:
    """For people, whose terminals are narrow."""
    said = {name: line[name] or "" for name in ("schedule", "task", "when", "zone", "next", "last", "result")}
    return said | {name: said[name][:19].replace("T", " ") for name in ("next", "last")}


def _next(follower: Follower, now: float, runs: int) -> str | None:
    most = follower.schedule.max_runs
    due = None if most is not None and runs >= most else follower.plan.after(now)
    return None if due is None else follower.plan.local(due).isoformat()


async def _result(host: Host, run: str | None) -> str | None:
    """What became of its last run, as far as is remembered."""
    found = None if run is None else await host.domain("task").get(run)
    return None if found is None else str(found.state)
