"""``oneiric hello``: imported when the word is typed."""

from __future__ import annotations

import asyncio

import click
from oneiric_hookspecs import CommandContext

from .parts import GREETER


@click.command("hello")
@click.argument("names", nargs=-1)
@click.pass_obj
def command(context: CommandContext, names: tuple[str, ...]) -> None:
    """Greet NAMES, or the world, by whatever fills adapter:greeter."""

    async def greetings() -> list[dict[str, str]]:
        async with context.host() as host, host.use(*GREETER) as greeter:
            return [{"name": name, "greeting": await greeter.greet(name)} for name in names or ["world"]]

    context.show(asyncio.run(greetings()), "hello/greetings/1")
