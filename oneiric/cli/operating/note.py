"""``oneiric note``."""

from __future__ import annotations

import click
from oneiric_hookspecs import Key

from oneiric.cli.context import Context

from .desk import Desk, options
from .imposing import SECONDS, Said, run
from .parts import split


@click.command("note")
@click.argument("domain")
@click.argument("key", required=False)
@click.argument("text", required=False)
@options("actor")
@click.pass_obj
def command(context: Context, domain: str, key: str | None, text: str | None, actor: str | None) -> None:
    """Note something about a part for everybody who looks: oneiric note adapter cache 'moving on Friday'.

    It has no effect, and is shown by oneiric activity.  An empty text removes it.
    """
    domain, (name, text) = split(domain, key, text)
    if name is None or text is None:
        raise click.UsageError("say KEY and TEXT, as in: oneiric note adapter cache 'moving on Friday'")

    async def write(desk: Desk, target: Key | str) -> Said:
        revision = await desk.desired.note(target, text, actor=desk.actor)
        return Said(verb="note", target=target, revision=revision, note=text)

    run(context, domain, name, write, actor=actor, seconds=SECONDS)
