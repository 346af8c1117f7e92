"""``oneiric status``."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import click
from oneiric_hookspecs import Key

from oneiric.cli.context import Context
from oneiric.cli.naming import NoSuch, domain_of

from .desk import at_desk
from .known import look
from .told import human

if TYPE_CHECKING:
    from .desk import Desk

SCHEMA = "oneiric/status/1"
#: Seconds between two looks of ``--watch``.
EVERY = 1.0


@click.command("status")
@click.option("--domain", metavar="DOMAIN", help="Only the parts of this domain.")
@click.option("--key", metavar="[DOMAIN:]KEY", help="Only this part.")
@click.option("--watch", is_flag=True, help="Go on, and show it again when it changes, until interrupted.")
@click.pass_obj
def command(context: Context, domain: str | None, key: str | None, watch: bool) -> None:
    """Say what runs, since when, and how well: of every process of the application that keeps going.

    Asks nobody: it reads what the processes have written into the state store, a few seconds ago at most.

    SWAPS are the last operations: bars say how long, x failed, < rolled back, - held.  WAS is the health before: . ok,
    ~ degraded, ? unknown, x failed.
    """
    # In the block below what goes to stdout is written past whatever plugins print, and nobody can ask any more.
    terminal = bool(getattr(sys.stdout, "isatty", lambda: False)())

    async def run(desk: Desk) -> None:
        only, part = _meant(desk, domain, key)
        found = await look(desk, only, part)
        _check(desk, part, found)
        if not watch:
            context.show(found, SCHEMA, lambda _: human(context, found, time.time()), page=True)
            return
        await _watched(context, desk, only, part, found, terminal=terminal)

    at_desk(context, run)


def _meant(desk: Desk, domain: str | None, key: str | None) -> tuple[str | None, Key | None]:
    """The domain and the part that are asked for."""
    if key is not None and ":" in key:
        before, _, key = key.partition(":")
        if domain is not None and domain_of(desk.runtime, domain) != domain_of(desk.runtime, before):
            raise click.UsageError(f"--domain {domain} and --key {before}:{key} are about two domains")
        domain = before
    only = None if domain is None else domain_of(desk.runtime, domain)
    if key is None:
        return only, None
    if only is None:
        named = sorted({each.domain for each in desk.runtime.snapshot.keys() if each.name == key})
        if len(named) > 1:
            raise click.UsageError(
                f"there is a {key} in {' and in '.join(named)}: say --key {named[0]}:{key}"
            )
        if not named:
            raise NoSuch("part", key, [each.name for each in desk.runtime.snapshot.keys()])
        only = named[0]
    return only, Key.of(only, key)


def _check(desk: Desk, key: Key | None, found: dict[str, Any]) -> None:
    """Refuse a part that neither this process nor a running one knows."""
    if key is not None and not found["parts"] and not desk.runtime.snapshot.records(key):
        raise NoSuch("part", str(key), [str(each) for each in desk.runtime.snapshot.keys()])


async def _watched(
    context: Context, desk: Desk, only: str | None, key: Key | None, found: dict[str, Any], *, terminal: bool
) -> None:
    """Show it again and again: in its place on a terminal, else below, when something has changed."""
    last: Any = None
    if terminal and not context.json:
        context.tell({}, SCHEMA, "\x1b[2J\x1b[H")
    while True:
        facts = _without_ages(found)
        if facts != last or (terminal and not context.json):
            text = human(context, found, time.time())
            context.tell(found, SCHEMA, _screen(text) if terminal else click.unstyle(text) + "\n")
            last = facts
        await asyncio.sleep(EVERY)
        found = await look(desk, only, key)


def _without_ages(found: dict[str, Any]) -> Any:
    nodes = [{name: each for name, each in node.items() if name != "age_seconds"} for node in found["nodes"]]
    return {**found, "nodes": nodes}


def _screen(text: str) -> str:
    """*text* over what stands on the screen, and no more of it than fits."""
    room = shutil.get_terminal_size((100, 24)).lines - 2
    lines = text.splitlines()
    if len(lines) > room:
        lines = [*lines[: room - 1], f"({len(lines) - room + 1} more lines)"]
    return "\x1b[H" + "\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J"
