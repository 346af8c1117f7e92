"""``oneiric rollback``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from oneiric_hookspecs import OneiricError

from oneiric.cli.context import Context

from .desk import NOBODY, Desk, at_desk, options, timeout
from .parts import part, seen_by, split
from .swap import SECONDS

if TYPE_CHECKING:
    from oneiric_hookspecs import Key

    from oneiric.state import Seen


class NothingKnown(OneiricError):
    """Nobody knows what served before."""

    exit_code = 3


class Disagree(OneiricError):
    """Processes had different ones before."""

    exit_code = 4


@click.command("rollback")
@click.argument("domain")
@click.argument("key", required=False)
@options("until", "note", "actor")
@timeout(SECONDS)
@click.pass_obj
def command(
    context: Context,
    domain: str,
    key: str | None,
    until: float | None,
    note: str,
    actor: str | None,
    seconds: float,
) -> None:
    """Go back to the provider before, in every running process.

    That one is pinned, as by oneiric swap.  Where processes had different ones before, name one: oneiric swap.
    """
    from .answering import answer
    from .choosing import Choice, choose

    domain, (name,) = split(domain, key)
    if name is None:
        raise click.UsageError("say KEY, as in: oneiric rollback adapter cache")

    async def run(desk: Desk) -> None:
        living = await desk.living()
        of = await part(desk, domain, name, living)
        provider = _before(of, await seen_by(desk, living, of), running=bool(living))
        choice = Choice(key=of, provider=provider, note=note or "rollback", until=until)
        answer(context, "rollback", await choose(desk, choice, seconds))

    at_desk(context, run, actor=actor)


def _before(key: Key, seen: dict[str, Seen], *, running: bool) -> str:
    """Who served before, in all that know it.  Raises: OneiricError."""
    known = {name: each.previous for name, each in sorted(seen.items()) if each.previous is not None}
    if len(set(known.values())) == 1:
        return next(iter(known.values()))
    hint = f"name the one you mean: oneiric swap {key.domain} {key.name} PROVIDER"
    if known:
        said = ", ".join(f"{provider} in {name}" for name, provider in known.items())
        raise Disagree(f"there is no one before at {key}: {said}", hint=hint)
    serving = ", ".join(sorted({each.provider for each in seen.values() if each.provider is not None}))
    what = f"; {serving} is the first there" if serving else "" if running else f": {NOBODY}"
    raise NothingKnown(f"nobody knows what was before at {key}{what}", hint=hint)
