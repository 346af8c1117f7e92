"""``oneiric pin``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oneiric.cli.context import Context

from .desk import Desk, at_desk, options, timeout
from .parts import check_provider, part, seen_by, split
from .swap import SECONDS

if TYPE_CHECKING:
    from oneiric_hookspecs import Key

    from oneiric.state import Seen


@click.command("pin")
@click.argument("domain")
@click.argument("key", required=False)
@click.argument("provider", required=False)
@options("until", "note", "actor")
@timeout(SECONDS)
@click.pass_obj
def command(
    context: Context,
    domain: str,
    key: str | None,
    provider: str | None,
    until: float | None,
    note: str,
    actor: str | None,
    seconds: float,
) -> None:
    """Keep the provider that a part has, whatever settings and streams bring, over restarts, too.

    Without PROVIDER, the one that serves in the running processes, or that wins where none does.  With another one than
    that, it is the same as oneiric swap.
    """
    from .answering import answer
    from .choosing import Choice, choose

    domain, (name, provider) = split(domain, key, provider)
    if name is None:
        raise click.UsageError("say KEY, as in: oneiric pin adapter cache")

    async def run(desk: Desk) -> None:
        living = await desk.living()
        of = await part(desk, domain, name, living)
        seen = await seen_by(desk, living, of)
        if provider is not None:
            check_provider(desk, of, provider, seen)
        choice = Choice(key=of, provider=provider or _serving(desk, of, seen), note=note, until=until)
        answer(context, "pin", await choose(desk, choice, seconds))

    at_desk(context, run, actor=actor)


def _serving(desk: Desk, key: Key, seen: dict[str, Seen]) -> str:
    """Who serves, in all processes; who wins, where nobody does.  Raises: OneiricError."""
    from .rollback import Disagree

    serving = {name: each.provider for name, each in sorted(seen.items()) if each.provider is not None}
    if len(set(serving.values())) > 1:
        said = ", ".join(f"{provider} in {name}" for name, provider in serving.items())
        hint = f"name the one you mean: oneiric pin {key.domain} {key.name} PROVIDER"
        raise Disagree(f"not everybody has the same at {key}: {said}", hint=hint)
    found = next(iter(serving.values()), None)
    return desk.runtime.resolve(*key).provider if found is None else found
