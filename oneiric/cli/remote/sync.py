"""``oneiric remote-sync``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import click

from oneiric.cli.context import Context
from oneiric.cli.naming import NoSuch
from oneiric.cli.operating.asking import answers_json, asked, not_in_time, worst
from oneiric.cli.operating.desk import NOBODY, Desk, actor_of, has_desk, options, timeout

if TYPE_CHECKING:
    from oneiric_hookspecs import SyncReport

    from oneiric.cli.operating.waiting import Waited
    from oneiric.runtime import Runtime
    from oneiric.state import Answered, Living

SCHEMA = "oneiric/remote-sync/1"
#: What the worst outcome exits with.
EXITS = {"rejected": 7, "unreachable": 8}
_HEAD = ["STREAM", "OUTCOME", "VERSION", "ADDED", "CHANGED", "REMOVED", "SKIPPED", "MS"]


@click.command("remote-sync")
@click.argument("stream", required=False)
@click.option("--watch", is_flag=True, help="Go on, each stream at its interval, until interrupted.")
@click.option(
    "--refresh-interval",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Instead of the interval of the settings; with --watch.",
)
@click.option("--dry-run", is_flag=True, help="Fetch, verify and check; register and keep nothing.")
@click.option("--here", is_flag=True, help="Sync in this process, although others run.")
@options("actor")
@timeout(120.0)
@click.pass_context
def command(
    ctx: click.Context,
    stream: str | None,
    watch: bool,
    refresh_interval: float | None,
    dry_run: bool,
    here: bool,
    actor: str | None,
    seconds: float,
) -> None:
    """Fetch what the streams of [remote] offer, verify it, and keep it for this application.

    Without STREAM, all of them.  Processes of the application that run are asked to do it, and what they accept is in
    force there at once.  Where none runs, and with --here or --watch, this process does it: what it accepts is on this
    machine, and other processes have it when they sync or start.

    Exits with 7 where something was rejected, with 8 where a source could not be reached or took too long.
    """
    context: Context = ctx.obj
    if watch and dry_run:
        raise click.UsageError("--watch keeps what it accepts: leave out --dry-run")
    if refresh_interval is not None and not watch:
        raise click.UsageError("--refresh-interval is how often it is asked: add --watch")
    if watch:
        asyncio.run(_watched(context, stream, refresh_interval))
        return
    found = asyncio.run(_once(context, stream, None if here else actor_of(actor), seconds, dry_run=dry_run))
    if isinstance(found, Elsewhere):
        found.show(context, dry_run=dry_run)
        ctx.exit(worst(found.waited))
    reports = found
    told = {"dry_run": dry_run, "streams": [_plain(report) for report in reports]}
    context.show(told, SCHEMA, lambda _: _table(context, reports, dry_run=dry_run))
    ctx.exit(max((EXITS.get(report.outcome, 0) for report in reports), default=0))


@attrs.frozen
class Elsewhere:
    """What the processes that run have made of it."""

    waited: Waited[Answered]

    def show(self, context: Context, *, dry_run: bool) -> None:
        """Show it."""
        nodes = answers_json(self.waited)
        reports = [
            (each["node"], report)
            for each in nodes
            for report in (each["result"] if isinstance(each["result"], list) else [])
        ]
        said = [f"{each['node']}: {each['told']}" for each in nodes if each["told"]]
        said += not_in_time(self.waited)
        said += [
            f"{node}: {report['stream']}: {report['code']}: {report['detail']}"
            for node, report in reports
            if report["code"]
        ]
        if dry_run:
            said.append("nothing was registered or kept: --dry-run")
        table = context.table(["PROCESS", *_HEAD], [[node, *_row(report)] for node, report in reports])
        told = {"dry_run": dry_run, "streams": [], "nodes": nodes}
        text = "\n".join([table, *said] if reports else said or ["[remote] names no stream"])
        context.show(told, SCHEMA, lambda _: text)


def _row(report: dict[str, Any]) -> list[Any]:
    version = report.get("version")
    return [
        report["stream"],
        report["outcome"],
        "" if version is None else f"{report.get('epoch')}.{version}",
        *(len(report.get(name) or ()) for name in ("added", "changed", "removed", "skipped")),
        f"{report.get('duration_ms') or 0:.0f}",
    ]


async def _once(
    context: Context, stream: str | None, actor: str | None, seconds: float, *, dry_run: bool
) -> Sequence[SyncReport] | Elsewhere:
    """Have it done by the processes that run, if there are any and *actor* is somebody; else by this one."""
    async with context.host() as host:
        remote = _remote(host, stream)
        runtime: Any = host
        if actor is not None and has_desk(runtime):
            desk = Desk(context, runtime, runtime.state, actor)
            if living := await desk.living():
                return await _elsewhere(desk, living, stream, seconds, dry_run=dry_run)
            context.tell_aside(f"{NOBODY}: this one syncs")
        reports: Sequence[SyncReport] = await remote.sync(stream, dry_run=dry_run)
        return reports


async def _elsewhere(
    desk: Desk, living: dict[str, Living], stream: str | None, seconds: float, *, dry_run: bool
) -> Elsewhere:
    from oneiric.state import Event

    arguments = {"stream": stream, "dry_run": dry_run}
    waited = await asked(desk, "remote-sync", living, seconds, arguments=arguments)
    if not dry_run:
        outcome = "failed" if worst(waited) else "done"
        await desk.tell(Event("sync", None, desk.actor, "operator", outcome, reason=stream or "all streams"))
    return Elsewhere(waited)


async def _watched(context: Context, stream: str | None, interval: float | None) -> None:
    async with context.host() as host:
        remote = _remote(host, stream)
        async for report in remote.watch(stream, interval=interval):
            context.tell(
                {"streams": [_plain(report)]}, SCHEMA, f"{time.strftime('%H:%M:%S')} {sentence(report)}"
            )


def _remote(host: Any, stream: str | None) -> Any:
    runtime: Runtime = host
    if stream is not None and stream not in runtime.remote.names:
        raise NoSuch("stream", stream, runtime.remote.names)
    return runtime.remote


def _plain(report: SyncReport) -> dict[str, Any]:
    from oneiric.remote.status import report_json

    return report_json(report)


def _table(context: Context, reports: Sequence[SyncReport], *, dry_run: bool) -> str:
    if not reports:
        return "[remote] names no stream"
    rows = [
        [
            each.stream,
            context.paint(each.outcome),
            "" if each.version is None else f"{each.epoch}.{each.version}",
            *map(len, (each.added, each.changed, each.removed, each.skipped)),
            f"{each.duration_ms:.0f}",
        ]
        for each in reports
    ]
    said = [f"{each.stream}: {each.code}: {_where(each)}{each.detail}" for each in reports if each.code]
    said += [f"{each.stream}: what is in force has expired" for each in reports if each.stale]
    said += [
        f"{each.stream}: passed over {':'.join(identity[:2])} {identity[2]}: {why}"
        for each in reports
        for identity, why in each.skipped[:5]
    ]
    if dry_run:
        said.append("nothing was registered or kept: --dry-run")
    return "\n".join([context.table(_HEAD, rows), *said])


def sentence(report: SyncReport) -> str:
    """*report* in a line."""
    at = "" if report.version is None else f" at {report.epoch}.{report.version}"
    if report.code:
        return f"{report.stream}: {report.outcome}{at}: {report.code}: {_where(report)}{report.detail}"
    changes = f": {len(report.added)} added, {len(report.changed)} changed, {len(report.removed)} removed"
    return f"{report.stream}: {report.outcome}{at}{changes if report.outcome == 'applied' else ''}"


def _where(report: SyncReport) -> str:
    return "" if report.line is None else f"line {report.line}: "
