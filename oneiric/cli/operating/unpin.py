"""``oneiric unpin``."""

from __future__ import annotations

import click

from oneiric.cli.context import Context

from .desk import Desk, at_desk, options, timeout
from .parts import part, split
from .swap import SECONDS


@click.command("unpin")
@click.argument("domain")
@click.argument("key", required=False)
@options("note", "actor")
@timeout(SECONDS)
@click.pass_obj
def command(
    context: Context, domain: str, key: str | None, note: str, actor: str | None, seconds: float
) -> None:
    """Leave a part to the settings again: whoever wins without the pin takes its place.

    Where that one does not come up, the pin is put back, and it exits with 4.
    """
    from .answering import answer
    from .choosing import Choice, choose

    domain, (name,) = split(domain, key)
    if name is None:
        raise click.UsageError("say KEY, as in: oneiric unpin adapter cache")

    async def run(desk: Desk) -> None:
        of = await part(desk, domain, name, await desk.living())
        answer(context, "unpin", await choose(desk, Choice(key=of, provider=None, note=note), seconds))

    at_desk(context, run, actor=actor)
