"""``oneiric demo``: the main job, on a real project in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import textwrap
from pathlib import Path
from typing import Any

import click

from oneiric.cli.context import Context, find_beside
from oneiric.cli.errors import Told
from oneiric.cli.output import width

BROKEN = 1

_ALL_KEPT = (
    "kept: no call failed because of a swap; what was no good was refused, or rolled back while the one before it "
    "served; work was done once, also over kill -9; nothing was believed but what was signed; and every instance was "
    "closed, once"
)


@click.command("demo")
@click.option(
    "--clients", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many work at once."
)
@click.option(
    "--swaps", default=20, show_default=True, type=click.IntRange(1, 10_000), help="How many under load."
)
@click.option(
    "--seconds",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help="What those are spread over.",
)
@click.option("--keep", metavar="DIR", help="Make the project in DIR, and leave it there.")
@click.pass_obj
def command(context: Context, clients: int, swaps: int, seconds: float, keep: str | None) -> None:
    """See it work: swaps under load, a refusal, a rollback.

    In a project of its own, with a settings file and two plugins: clients work on adapter:cache without pause while
    it is swapped, while candidates that are no good are refused, and while one that turns bad is rolled back; while a
    service, a task, an event, a workflow that is killed, and actions do their work; and while better candidates come
    by a signed stream, from a web server on this machine.  Exits with 0 if every promise was kept, with 1 and a
    sentence for each that was not.
    """
    figures = _played(context, clients, swaps, seconds, keep)
    context.show(figures, "oneiric/demo/1", lambda _: _ending(context, figures))
    if figures["broken"]:
        raise Told(BROKEN)


def _played(context: Context, clients: int, swaps: int, seconds: float, keep: str | None) -> dict[str, Any]:
    from oneiric.assembly import assemble
    from oneiric.settings import load

    from .narrator import Narrator
    from .project import PLUGIN, furnish, project
    from .publisher import Publisher
    from .serving import Server
    from .stage import Size
    from .story import Story

    if context.options.verbosity < 0:
        # The story's own lines are logged, too: it is not all of logging that is to be quiet.
        logging.getLogger("oneiric").addHandler(logging.NullHandler())
    else:
        context.log()
    narrator = Narrator(context)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(context.quiet_for_json())
            folder = stack.enter_context(project(keep))
            publisher = Publisher(folder / "publisher")
            stack.callback(publisher.close)
            server = stack.enter_context(Server(publisher.public))
            furnish(folder, server.url, publisher.keyring(1))
            # What the user's own environment says is not about this project.
            settings = load(folder / "oneiric.toml", environ={})
            if keep is None:
                narrator.begin(
                    "A runtime from a settings file and two plugins, in a temporary folder (--keep DIR keeps it)"
                )
            else:
                narrator.begin(f"A runtime from {folder / 'oneiric.toml'}, which stays there")
            options = context.options
            if options.plugins:
                find_beside(Path.cwd())
            with context.quiet():
                runtime = assemble(settings, off=options.off, load_plugins=options.plugins, strict=True)
            narrator.listen(PLUGIN)
            size = Size(clients, swaps, seconds)
            story = Story(runtime, narrator, size, folder=folder, publisher=publisher, server=server)
            figures = asyncio.run(story.play())
    finally:
        narrator.close()
    return {**figures, "project": None if keep is None else str(folder), "scenes": narrator.scenes}


def _ending(context: Context, figures: dict[str, Any]) -> str:
    made, closed = figures["instances_made"], figures["instances_closed"]
    latency = figures["latency"]
    calm, busy = latency["without_swaps"], latency["with_swaps"]
    rows: list[tuple[str, str, str]] = [
        ("calls", f"{figures['calls']:,}", f"by {figures['clients']} clients"),
        ("calls failed by a swap", f"{figures['failed_calls']:,}", _kept(figures["failed_calls"] == 0)),
        ("calls failed by the bad provider", f"{figures['bad_provider_calls']:,}", "before probation saw it"),
        ("swaps", f"{figures['swaps']:,}", ""),
        ("rollbacks", f"{figures['rollbacks']:,}", ""),
        ("refused", f"{figures['refused']:,}", ""),
        ("instances made, closed", f"{made:,}, {closed:,}", _kept(made == closed)),
        ("used after close", f"{figures['used_after_close']:,}", _kept(figures["used_after_close"] == 0)),
        *_work(figures["work"]),
        *_stream(figures["stream"]),
        ("p50 of a call", _ms(calm["p50_ms"]), f"{_ms(busy['p50_ms'])} while a swap was under way"),
        ("p99 of a call", _ms(calm["p99_ms"]), f"{_ms(busy['p99_ms'])} while a swap was under way"),
        ("took", f"{figures['seconds']:.1f} s", ""),
    ]
    names, values = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    lines = [
        f"{name:<{names}}  {value:>{values}}  {context.paint(note)}".rstrip() for name, value, note in rows
    ]
    said = [f"broken: {each}" for each in figures["broken"]] or [_ALL_KEPT]
    verdict = [context.paint(line.split(":")[0]) + line[line.index(":") :] for line in map(_wrapped, said)]
    folder = figures["project"]
    where = [] if folder is None else ["", f"look around: oneiric -c {folder}/oneiric.toml list"]
    return "\n".join(["", *lines, "", *verdict, *where])


def _work(work: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Of the second chapter; a scene that was cut short has no figures."""
    rows = []
    if "task" in work:
        task = work["task"]
        rows.append(("task asked for, done", f"{task['asked']}, {task['done']}", _kept(task["done"] == 1)))
    if "event" in work:
        outcomes = list(work["event"].values())
        handled, failed = outcomes.count("handled"), outcomes.count("failed")
        rows.append(("handlers well, failing", f"{handled}, {failed}", _kept((handled, failed) == (1, 1))))
    if "workflow" in work:
        again = [node for node, times in work["workflow"]["times_run"].items() if times > 1]
        note = f"{', '.join(again)}, cut short by kill -9" if again else ""
        rows.append(("nodes run twice", f"{len(again)}", note))
    return rows


def _stream(stream: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Of the third chapter."""
    rows = []
    if "upgrade_calls" in stream:
        calls, failed = stream["upgrade_calls"], stream["upgrade_failed_calls"]
        rows.append(("calls in the upgrade, failed", f"{calls:,}, {failed:,}", _kept(not failed)))
    if stream:
        rows.append(("syncs, requests", f"{stream['syncs']}, {stream['requests']}", ""))
        made, refused = len(stream["refused"]), sum(code is not None for code in stream["refused"].values())
        rows.append(("forged releases, refused", f"{made}, {refused}", _kept(made == refused)))
    return rows


def _wrapped(text: str) -> str:
    return textwrap.fill(text, width())


def _kept(yes: bool) -> str:
    return "kept" if yes else "broken"


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} ms" if value >= 0.1 else f"{value * 1000:.1f} us"
