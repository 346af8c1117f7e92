"""``oneiric event``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import click
from oneiric_hookspecs import CommandContext, Host, PluginError, StateError

from oneiric.plugins._plain import plain
from oneiric.plugins._topics import matches
from oneiric.plugins.domains._words import payload, takes_input, with_host

from .delivering import Events
from .keeping import LOG

#: Seconds between two looks at the log.
_LOOK = 0.5


class NoSuchLetter(PluginError):
    """There is no dead letter of that id."""


@click.group("event")
def command() -> None:
    """Emit events, listen to them, see who wants to know and what nobody could handle."""


@command.command("list")
@click.pass_obj
def list_(context: CommandContext) -> None:
    """List the handlers, in the order in which they are told."""

    async def run(host: Host) -> None:
        events: Events = host.domain("event")
        found = [{"handler": each.name, **plain(each.subscription)} for each in events.index.subscribers]
        if context.json:
            context.show({"handlers": found}, "oneiric/event-handlers/1")
        else:
            context.show([_line(each) for each in found], "oneiric/event-handlers/1")

    with_host(context, run)


@command.command("emit")
@click.argument("topic")
@takes_input
@click.option("--source", "tells", default="oneiric event emit", metavar="URI", help="Who tells.")
@click.option(
    "--header", "headers", multiple=True, metavar="NAME=TEXT", help="A further attribute; may be repeated."
)
@click.pass_obj
def emit(
    context: CommandContext,
    topic: str,
    source: str | None,
    params: Sequence[str],
    tells: str,
    headers: Sequence[str],
) -> None:
    """Tell that TOPIC has happened, to the handlers of this process, and show what came of it.

    Exits with 4 where a handler could not handle it.
    """
    data = payload(source, params) if source is not None or params else None
    more = dict(_header(each) for each in headers)

    async def run(host: Host) -> None:
        events: Events = host.domain("event")
        deliveries = await events.emit(topic, data, source=tells, headers=more)
        found = [plain(each) for each in deliveries]
        if context.json:
            context.show({"topic": topic, "deliveries": found}, "oneiric/event/1")
        elif found:
            context.show(
                [{"handler": e["handler"], "outcome": e["outcome"], "error": e["error"]} for e in found],
                "oneiric/event/1",
            )
        else:
            click.echo(f"nobody wants to know of {topic}")
        if any(each.outcome != "handled" for each in deliveries):
            raise click.exceptions.Exit(4)

    with_host(context, run)


@command.command("listen")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@click.option(
    "--after", type=click.IntRange(min=0), metavar="NUMBER", help="Begin behind this one; else with the next."
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many.")
@click.pass_obj
def listen(context: CommandContext, patterns: Sequence[str], after: int | None, count: int | None) -> None:
    """Show events of every process as they are emitted, until interrupted.

    They are read from the state store; processes write them there that have ``record = true`` in the section
    [plugins.settings."domains.event"].
    """

    async def run(host: Host) -> None:
        place = await _end(host) if after is None else after
        left = count
        while left is None or left > 0:
            records = await host.state.read(LOG, after=place)
            for record in records:
                place, event = record.number, record.value
                if patterns and not any(matches(each, str(event.get("type"))) for each in patterns):
                    continue
                _show(context, record.number, event)
                left = None if left is None else left - 1
                if left == 0:
                    return
            if not records:
                await asyncio.sleep(_LOOK)

    with_host(context, run)


@command.group("dead")
def dead() -> None:
    """See what handlers could not handle, send it again, or drop it."""


@dead.command("list")
@click.pass_obj
def dead_list(context: CommandContext) -> None:
    """List what handlers could not handle."""

    async def run(host: Host) -> None:
        events: Events = host.domain("event")
        letters = await events.dead_letters()
        found = [plain(each) for each in letters]
        if context.json:
            context.show({"letters": found}, "oneiric/dead-letters/1")
        elif not found:
            click.echo("there are none")
        else:
            rows = [
                {
                    "id": e["id"],
                    "topic": e["envelope"]["topic"],
                    "attempts": e["attempts"],
                    "error": e["error"],
                }
                for e in found
            ]
            context.show(rows, "oneiric/dead-letters/1")

    with_host(context, run)


@dead.command("redeliver")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option("--all", "every", is_flag=True, help="All there are, in the order of the list.")
@click.pass_obj
def redeliver(context: CommandContext, ids: Sequence[str], every: bool) -> None:
    """Tell the handler again; what it cannot handle again stays, and the exit code is 4."""
    if every == bool(ids):
        raise click.UsageError("give the ids of dead letters, or --all")

    async def run(host: Host) -> None:
        events: Events = host.domain("event")
        found = []
        for each in [letter.id for letter in await events.dead_letters()] if every else ids:
            try:
                delivery = await events.redeliver(each)
            except StateError as error:
                if not every:
                    raise
                # Its handler is gone: that keeps nobody else from being told.
                found.append({"id": each, "outcome": "failed", "error": error.message})
                continue
            if delivery is not None:
                found.append({"id": each, "outcome": delivery.outcome, "error": delivery.error})
            elif not every:  # with --all somebody else was faster
                raise await _no_such(events, each)
        if context.json or found:
            context.show({"letters": found} if context.json else found, "oneiric/redelivered/1")
        else:
            click.echo("there are none")
        if any(each["outcome"] != "handled" for each in found):
            raise click.exceptions.Exit(4)

    with_host(context, run)


@dead.command("drop")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def drop(context: CommandContext, ids: Sequence[str]) -> None:
    """Forget it."""

    async def run(host: Host) -> None:
        events: Events = host.domain("event")
        for each in ids:
            if not await events.drop(each):
                raise await _no_such(events, each)
        context.show({"dropped": list(ids)}, "oneiric/dropped/1")

    with_host(context, run)


async def _end(host: Host) -> int:
    """The number of the newest event there is."""
    place = 0
    while records := await host.state.read(LOG, after=place):
        place = records[-1].number
    return place


async def _no_such(events: Events, id_: str) -> NoSuchLetter:
    from oneiric_hookspecs import a_few, nearest

    known = [each.id for each in await events.dead_letters()]
    near = nearest(id_, known)
    return NoSuchLetter(
        f"there is no dead letter {id_}",
        hint=f"did you mean {near}?" if near else f"there are: {a_few(known)}",
    )


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--header is NAME=TEXT, found {text!r}")
    return name, value


def _line(each: dict[str, Any]) -> dict[str, Any]:
    return {
        "handler": each["handler"],
        "topics": ", ".join(each["topics"]),
        "filters": len(each["filters"]) or "",
        "priority": each["priority"],
        "fanout": each["fanout"],
        "at once": each["concurrency"],
    }


def _show(context: CommandContext, number: int, event: dict[str, Any]) -> None:
    text = f"{number}  {event.get('time')}  {event.get('type')}  {json.dumps(event.get('data'), ensure_ascii=False)}"
    context.tell({"number": number, "event": event}, "oneiric/event-heard/1", text)
