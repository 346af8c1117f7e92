"""``oneiric resume``."""

from __future__ import annotations

import click
from oneiric_hookspecs import Key

from oneiric.cli.context import Context

from .desk import Desk, options
from .imposing import SECONDS, Said, run, waits


@click.command("resume")
@click.argument("domain")
@click.argument("key", required=False)
@options("note", "actor")
@waits(SECONDS)
@click.pass_obj
def command(
    context: Context, domain: str, key: str | None, note: str, actor: str | None, wait: bool, seconds: float
) -> None:
    """Let a part, or a domain, go on: take back what hold, pause and drain have imposed.

    What is imposed on its domain stays, and so does what is imposed on single parts of a domain; it says so.
    """

    async def write(desk: Desk, target: Key | str) -> Said:
        return Said(verb="resume", target=target, revision=await desk.desired.resume(target), note=note)

    run(context, domain, key, write, actor=actor, seconds=seconds if wait else None)
