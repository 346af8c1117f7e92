"""``oneiric activity``."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import click
from oneiric_hookspecs import Key

from oneiric.cli.context import Context
from oneiric.cli.naming import domain_of

from .desk import Desk, at_desk
from .imposing import drained
from .moments import stamp, today

if TYPE_CHECKING:
    from oneiric.state import Admin, Seen

SCHEMA = "oneiric/activity/1"
#: What a part is counted as.
STATES = ("paused", "draining", "drained", "held", "noted")
_OF_MODE = {"hold": "held", "pause": "paused", "drain": "draining"}
#: Seconds between two looks of ``--watch``.
EVERY = 0.5


@click.command("activity")
@click.option("--domain", metavar="DOMAIN", help="Only the parts of this domain.")
@click.option("--watch", is_flag=True, help="Go on, and show it again when it changes, until interrupted.")
@click.pass_obj
def command(context: Context, domain: str | None, watch: bool) -> None:
    """Say what is paused, draining, held, or has a note: by whom, since when, until when, and why."""
    terminal = sys.stdout.isatty()  # asked before stdout is kept free for the answer

    async def run(desk: Desk) -> None:
        only = None if domain is None else domain_of(desk.runtime, domain)
        found = await _found(desk, only)
        if not watch:
            context.show(found, SCHEMA, lambda _: _human(context, found))
            return
        last = None
        while True:
            if found != last:
                clear = "\x1b[2J\x1b[H" if terminal and not context.json else ""
                context.tell(found, SCHEMA, clear + _human(context, found))
                last = found
            await asyncio.sleep(EVERY)
            found = await _found(desk, only)

    at_desk(context, run)


async def _found(desk: Desk, only: str | None) -> dict[str, Any]:
    wanted, now = await desk.wanted(), time.time()
    living = await desk.living()
    seen = {name: await desk.observed.of(name) for name in living} if wanted.admins else {}
    parts = []
    for text, admin in sorted(wanted.admins.items()):
        domain, _, key = text.partition(":")
        row = _row(domain, key or None, admin, now, seen)
        if row is not None and only in (None, domain):
            parts.append(row)
    domains = {domain: _count(row for row in parts if row["domain"] == domain) for domain in _names(parts)}
    return {"parts": parts, "domains": domains, "total": _count(parts)}


def _names(parts: list[dict[str, Any]]) -> list[str]:
    return sorted({row["domain"] for row in parts})


def _count(rows: Any) -> dict[str, int]:
    states = Counter(row["state"] for row in rows)
    return {state: states[state] for state in STATES}


def _row(
    domain: str, key: str | None, admin: Admin, now: float, seen: dict[str, dict[Key, Seen]]
) -> dict[str, Any] | None:
    """What is imposed on a part, or a domain; None where all of it has ended."""
    mode = admin.mode(now)
    if mode is None and admin.note is None:
        return None
    mark = None if mode is None else admin.mark(mode, now)
    state = "noted" if mode is None else _OF_MODE[mode]
    if mode == "drain":
        mine = [
            each
            for parts in seen.values()
            for part, each in parts.items()
            if part.domain == domain and key in (None, part.name)
        ]
        state = "drained" if all(map(drained, mine)) else "draining"
    note, others = admin.note, [each for each in ("hold", "pause", "drain") if each != mode]
    return {
        "domain": domain,
        "key": key,
        "state": state,
        "mode": mode,
        "actor": mark.actor if mark is not None else note.actor if note is not None else "",
        "since": stamp(mark.at if mark is not None else note.at if note is not None else None),
        "until": None if mark is None else stamp(mark.until),
        "reason": "" if mark is None else mark.note,
        "note": None if note is None else {"text": note.text, "actor": note.actor, "at": stamp(note.at)},
        "below": {each: _mark(admin, each, now) for each in others if _mark(admin, each, now)},
        "nodes": len(seen),
    }


def _mark(admin: Admin, mode: Any, now: float) -> dict[str, Any] | None:
    """One more that is imposed, and counts once the stronger one has ended."""
    mark = admin.mark(mode, now)
    if mark is None:
        return None
    return {"actor": mark.actor, "since": stamp(mark.at), "until": stamp(mark.until), "reason": mark.note}


def _human(context: Context, found: dict[str, Any]) -> str:
    parts = found["parts"]
    if not parts:
        return "nothing is held, paused or drained, and nothing has a note"
    rows = [
        [
            each["domain"],
            each["key"] or "(all)",
            each["state"],
            each["actor"],
            today(each["since"]),
            today(each["until"]),
            _why(each),
        ]
        for each in parts
    ]
    table = context.table(["DOMAIN", "KEY", "STATE", "BY", "SINCE", "UNTIL", "WHY"], rows, whole=True)
    counts = [f"{domain}: {_sum(found['domains'][domain])}" for domain in found["domains"]]
    if len(counts) > 1:
        counts.append(f"in all: {_sum(found['total'])}")
    return "\n".join([table, "", *counts])


def _why(row: dict[str, Any]) -> str:
    note = row["note"]
    said = [row["reason"], note["text"] if note is not None else ""]
    said += [f"also {_OF_MODE[mode]} by {mark['actor']}" for mode, mark in row["below"].items()]
    return "; ".join(each for each in said if each)


def _sum(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in counts.items() if number)
