"""``oneiric config check``."""

from __future__ import annotations

from typing import Any

import click

from oneiric.cli.context import Context

from .common import counts, problem

INVALID = 5


@click.command("check")
@click.argument("file", required=False, metavar="[FILE]")
@click.pass_context
def check(ctx: click.Context, file: str | None) -> None:
    """Say everything that is wrong with the settings.

    FILE is checked instead of those of --config.  Exits with 5 where something is wrong, with 0 where not.
    """
    from oneiric_hookspecs import SettingsError

    from oneiric.assembly import problems_of

    context: Context = ctx.obj
    if file is not None:
        context.options.config = [file]
    read: list[dict[str, Any]] = []
    profile = None
    try:
        settings = context.load(examine=True)
        read, profile = counts(settings), settings.profile
        with context.assembled() as runtime:
            found = problems_of(runtime.hooks.plugins)
    except SettingsError as error:
        found = list(error.problems)

    def human(_: Any) -> str:
        total = sum(each["settings"] for each in read)
        parts = ", ".join(f"{each['settings']} from {each['from']}" for each in read)
        settings = f"{total} setting{'s' if total != 1 else ''}" + (f": {parts}" if parts else "")
        if not found:
            return f"nothing is wrong with {settings}"
        head = f"{len(found)} problem{'s' if len(found) != 1 else ''}"
        return "\n".join([*map(str, found), f"{head} in {settings}" if read else head])

    value = {
        "valid": not found,
        "profile": profile,
        "problems": [problem(each) for each in found],
        "read": read,
    }
    context.show(value, "oneiric/config-check/1", human)
    if found:
        ctx.exit(INVALID)
