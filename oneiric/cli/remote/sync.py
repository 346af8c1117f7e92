"""``oneiric remote-sync``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from oneiric.cli.context import Context
from oneiric.cli.naming import NoSuch

if TYPE_CHECKING:
    from oneiric_hookspecs import SyncReport

    from oneiric.runtime import Runtime

SCHEMA = "oneiric/remote-sync/1"
#: What the worst outcome exits with.
EXITS = {"rejected": 7, "unreachable": 8}


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
@click.pass_context
def command(
    ctx: click.Context, stream: str | None, watch: bool, refresh_interval: float | None, dry_run: bool
) -> None:
    """Fetch what the streams of [remote] offer, verify it, and keep it for this application.

    Without STREAM, all of them.  It syncs in this process: what it accepts is on this machine, and other processes of
    the application have it when they sync or start.

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
    reports = asyncio.run(_once(context, stream, dry_run=dry_run))
    told = {"dry_run": dry_run, "streams": [_plain(report) for report in reports]}
    context.show(told, SCHEMA, lambda _: _table(context, reports, dry_run=dry_run))
    ctx.exit(max((EXITS.get(report.outcome, 0) for report in reports), default=0))


async def _once(context: Context, stream: str | None, *, dry_run: bool) -> Sequence[SyncReport]:
    async with context.host() as host:
        remote = _remote(host, stream)
        reports: Sequence[SyncReport] = await remote.sync(stream, dry_run=dry_run)
        return reports


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
    head = ["STREAM", "OUTCOME", "VERSION", "ADDED", "CHANGED", "REMOVED", "SKIPPED", "MS"]
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
    return "\n".join([context.table(head, rows), *said])


def sentence(report: SyncReport) -> str:
    """*report* in a line."""
    at = "" if report.version is None else f" at {report.epoch}.{report.version}"
    if report.code:
        return f"{report.stream}: {report.outcome}{at}: {report.code}: {_where(report)}{report.detail}"
    changes = f": {len(report.added)} added, {len(report.changed)} changed, {len(report.removed)} removed"
    return f"{report.stream}: {report.outcome}{at}{changes if report.outcome == 'applied' else ''}"


def _where(report: SyncReport) -> str:
    return "" if report.line is None else f"line {report.line}: "
