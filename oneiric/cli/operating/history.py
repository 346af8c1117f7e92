"""``oneiric history``."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from oneiric.cli.context import Context
from oneiric.cli.naming import domain_of
from oneiric.cli.output import cells, plain, width

from .desk import Desk, at_desk
from .moments import When, stamp, today, took

if TYPE_CHECKING:
    from oneiric.state import Told

SCHEMA = "oneiric/history/1"
#: Outcomes that need no word.
_WORDS = {"rolled_back": "rolled back", "taken_back": "taken back"}
#: How many are read at once.
_MANY = 1000


@click.command("history")
@click.option(
    "-n",
    "number",
    type=click.IntRange(min=1),
    help="At most so many, the latest; 20 where --since is not given.",
)
@click.option("--key", metavar="DOMAIN:KEY", help="Only of this part; or of this DOMAIN.")
@click.option(
    "--since",
    metavar="WHEN",
    type=When(past=True),
    help="Only since then: 10m, 2h, 1d, or 2030-01-31T18:00:00Z.",
)
@click.option("--kind", "kinds", metavar="KIND", multiple=True, help="Only such: swap, fail, drained, ...")
@click.option("--follow", is_flag=True, help="Go on with what happens, oldest first, until interrupted.")
@click.pass_obj
def command(
    context: Context,
    number: int | None,
    key: str | None,
    since: float | None,
    kinds: tuple[str, ...],
    follow: bool,
) -> None:
    """Say what has happened: swaps, failures, other settings, what operators said; by whom, and why.

    The latest first; with --follow the latest last.
    """

    async def run(desk: Desk) -> None:
        fits = _fits(desk, key, since, kinds)
        limit = number if number is not None else (None if since is not None else 20)
        found = await _latest(desk, fits, limit)
        if not follow:
            shown = {"events": [_json(told) for told in reversed(found)]}
            context.show(shown, SCHEMA, lambda _: _human(list(reversed(found))), page=True)
            return
        after = await _end(desk, found)
        for told in found:
            context.tell({"events": [_json(told)]}, SCHEMA, _human([told]))
        async for told in desk.history.follow(after, 0.2):
            if fits(told):
                context.tell({"events": [_json(told)]}, SCHEMA, _human([told]))

    at_desk(context, run)


def _fits(desk: Desk, key: str | None, since: float | None, kinds: tuple[str, ...]) -> Callable[[Told], bool]:
    start, whole = None, ""
    if key is not None:
        domain, colon, name = key.partition(":")
        domain = domain_of(desk.runtime, domain)
        start, whole = (f"{domain}:{name}", f"{domain}:{name}") if colon else (f"{domain}:", domain)

    def fits(told: Told) -> bool:
        if (since is not None and told.at < since) or (kinds and told.event.kind not in kinds):
            return False
        if start is None:
            return True
        of = told.event.key or ""
        return of == whole or (start.endswith(":") and of.startswith(start))

    return fits


async def _latest(desk: Desk, fits: Callable[[Told], bool], limit: int | None) -> list[Told]:
    """The last *limit* events that fit, oldest first."""
    many = limit or _MANY
    while True:
        found = await desk.history.latest(many)
        those = [told for told in found if fits(told)]
        if len(found) < many or (limit is not None and len(those) >= limit):
            return those if limit is None else those[-limit:]
        if limit is None and those and len(those) < len(found):
            return those  # the oldest that was read is too old, or another part's
        many *= 4


async def _end(desk: Desk, found: Sequence[Told]) -> int:
    """The number of the last event there is."""
    last = await desk.history.latest(1)
    return max([told.number for told in (*last, *found)], default=0)


def _json(told: Told) -> dict[str, Any]:
    event = told.event
    domain, _, name = (event.key or "").partition(":")
    return {
        "number": told.number,
        "at": stamp(told.at),
        "kind": event.kind,
        "domain": domain or None,
        "key": name or None,
        "actor": event.actor,
        "cause": event.cause,
        "outcome": event.outcome,
        "old": event.old,
        "new": event.new,
        "reason": event.reason,
        "operation": event.operation,
        "node": event.node,
        "ms": event.ms,
    }


def _human(events: Sequence[Told]) -> str:
    if not events:
        return "nothing has happened"
    rows = [_row(told) for told in events]
    widths = [max(cells(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    room = width() if "COLUMNS" in os.environ or getattr(sys.__stdout__, "isatty", lambda: False)() else None
    return "\n".join(_line(row, widths, room) for row in rows)


def _row(told: Told) -> list[str]:
    event = told.event
    change = ""
    if event.old is not None and event.new is not None:
        change = f"{event.old} -> {event.new}"
    elif event.new is not None:
        change = f"-> {event.new}"
    elif event.old is not None:
        change = f"{event.old} ->"
    rest = [
        took(event.ms),
        event.reason,
        f"by {event.actor}" if event.actor else f"({event.cause})" if event.cause else "",
    ]
    return [
        plain(each)
        for each in (
            f"#{told.number}",
            today(stamp(told.at)),
            event.kind,
            (event.key or "").replace(":", " "),
            change,
            _WORDS.get(event.outcome, event.outcome),
            "  ".join(plain(each) for each in rest if each),
        )
    ]


def _line(row: Sequence[str], widths: Sequence[int], room: int | None) -> str:
    """One event; what is too long goes on below."""
    *columns, rest = row
    padded = [text + " " * (size - cells(text)) for text, size in zip(columns, widths, strict=True) if size]
    line = "  ".join([*padded, rest]).rstrip()
    if room is None or cells(line) <= room:
        return line
    first, *more = textwrap.wrap(
        line, room, subsequent_indent=" " * 6, break_on_hyphens=False, drop_whitespace=True
    )
    return "\n".join([first, *more])
