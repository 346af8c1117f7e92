"""``oneiric secrets``."""

from __future__ import annotations

import asyncio
from typing import Any

import click
from oneiric_hookspecs import OneiricError

from .config.common import near
from .context import Context
from .group import Group

#: What ``--check`` exits with where one cannot be had: the settings are right, what they count on is not there.
MISSING = 6


@click.group("secrets", cls=Group)
def command() -> None:
    """List the secrets that the settings name, and whether they can be had."""


@command.command("list")
@click.option(
    "--check", is_flag=True, help="Fetch each, to see whether it can be had; exits with 6 if one cannot."
)
@click.pass_context
def listing(ctx: click.Context, check: bool) -> None:
    """List the secrets of [secrets]: where each comes from, where that is said, and what refers to it.

    None is shown, and none is fetched, but those that plugins are made with; --check fetches all.
    """
    context: Context = ctx.obj
    found = asyncio.run(_checked(context)) if check else _known(context)
    cannot = [each for each in found if each["state"] == "missing"]

    def human(_: Any) -> str:
        if not found:
            return "[secrets] names none"
        head = ["NAME", "SOURCE", "WHERE", "USED BY"]
        rows = [[e["name"], e["source"], near(e["where"]) or "", _first(e["used_by"])] for e in found]
        if check:
            head.insert(1, "STATE")
            rows = [[row[0], each["state"], *row[1:]] for row, each in zip(rows, found, strict=True)]
        said = "".join(f"\n{each['name']}: {each['reason']}" for each in cannot)
        return context.table(head, rows) + said

    context.show({"secrets": found}, "oneiric/secrets/1", human)
    if cannot:
        ctx.exit(MISSING)


def _first(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}" if paths else "(nobody)"


def _known(context: Context) -> list[dict[str, Any]]:
    with context.assembled() as runtime:
        return [_row(each) for each in runtime.secrets.known()]


async def _checked(context: Context) -> list[dict[str, Any]]:
    async with context.host() as host:
        secrets: Any = getattr(host, "secrets")  # noqa: B009 - of the runtime, not of what plugins may ask
        found = [_row(each) for each in secrets.known()]
        names = [each["name"] for each in found]
        fetched = await asyncio.gather(*map(secrets.get, names), return_exceptions=True)
    for each, had in zip(found, fetched, strict=True):
        if isinstance(had, BaseException) and not isinstance(had, OneiricError):
            raise had
        each["state"] = "missing" if isinstance(had, OneiricError) else "ok"
        each["reason"] = getattr(had, "reason", None) if isinstance(had, OneiricError) else None
    return found


def _row(known: Any) -> dict[str, Any]:
    return {
        "name": known.name,
        "source": known.source,
        "plugin": known.plugin,
        "where": known.where,
        "used_by": list(known.used_by),
        "state": None,
        "reason": None,
    }
