"""``oneiric service``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import attrs
import click
from oneiric_hookspecs import CommandContext, Host, OneiricError, ServiceStatus

from oneiric.plugins._plain import plain
from oneiric.plugins.domains._words import with_host

from .living import why_not
from .telling import Services

_NOT_HERE = "a command runs none of them by itself: this is who would; --start starts them for a moment"


@click.group("service")
def command() -> None:
    """List services, and tell how they are."""


@command.command("list")
@click.pass_obj
def list_(context: CommandContext) -> None:
    """List the services there are, and who fills them."""

    async def run(host: Host) -> None:
        found = []
        for name in host.keys("service"):
            decision = host.explain("service", name)
            winner = decision.winner
            summary = "(nobody fills it)" if winner is None else winner.summary
            found.append({"service": name, "provider": winner and winner.provider, "summary": summary})
        if context.json:
            context.show({"services": found}, "oneiric/service-list/1")
        else:
            shown = [{**each, "provider": each["provider"] or ""} for each in found]
            context.show(shown, "oneiric/service-list/1")

    with_host(context, run)


@command.command("status")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--start", is_flag=True, help="Start them in this process, look, and stop them again.")
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="With --start: how long they run before they are looked at.",
)
@click.pass_obj
def status(context: CommandContext, names: tuple[str, ...], start: bool, seconds: float) -> None:
    """Tell who would run, or with --start how the services NAME are, all of them without one.

    With --start the exit code is 6 where one has failed.
    """
    chosen = tuple(dict.fromkeys(names))

    async def run(host: Host) -> None:
        services: Services = host.domain("service")
        found = await services.status(*chosen)
        now = host.clock.time()
        if start:
            async with AsyncExitStack() as stack:
                failed: dict[str, str] = {}
                for name in found:
                    try:
                        await stack.enter_async_context(host.use("service", name))
                    except OneiricError as error:
                        failed[name] = why_not(error)
                await asyncio.sleep(seconds)
                found = await services.status(*chosen)
                now = host.clock.time()
            for name, why in failed.items():
                found[name] = attrs.evolve(found[name], state="failed", error=why)
        rows = [_row(each, now, context.masked) for each in found.values()]
        if context.json:
            context.show({"started": start, "services": rows}, "oneiric/service-status/1")
        else:
            context.show([_line(each) for each in rows], "oneiric/service-status/1")
            if rows and not start:
                click.echo(_NOT_HERE, err=True)
        if start and any(each.state == "failed" for each in found.values()):
            raise click.exceptions.Exit(6)

    with_host(context, run)


def _row(status: ServiceStatus, now: float, masked: Callable[[str], str]) -> dict[str, Any]:
    row: dict[str, Any] = plain(status)
    since, row["report"] = row.pop("since"), _names_masked(row["report"], masked)
    return {
        "service": row.pop("name"),
        "provider": row.pop("provider"),
        "state": row.pop("state"),
        "for_seconds": None if since is None else round(now - since, 3),
        **row,
    }


def _names_masked(value: Any, masked: Callable[[str], str]) -> Any:
    """*value* with the names in it masked, which are a service's own words; of texts the context sees to it."""
    if isinstance(value, dict):
        return {masked(name): _names_masked(item, masked) for name, item in value.items()}
    return [_names_masked(item, masked) for item in value] if isinstance(value, list) else value


def _line(row: dict[str, Any]) -> dict[str, Any]:
    report = row["report"]
    return {
        "service": row["service"],
        "provider": row["provider"] or "",
        "state": row["state"].replace("_", " "),
        "status": row["error"] or ("" if report is None else json.dumps(report, ensure_ascii=False)),
    }
