"""``oneiric task``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import click
from oneiric_hookspecs import CommandContext, Host, NoSuchRun, RunError, TaskSpec, a_few, nearest

from oneiric.plugins.domains._runs import STATES, line, told
from oneiric.plugins.domains._words import payload, takes_input, with_host

from .running import TaskRun, Tasks

_SECONDS = click.FloatRange(min=0, min_open=True)


@click.group("task")
def command() -> None:
    """List tasks, run them, see what came of that, end and resume it."""


@command.command("list")
@click.pass_obj
def list_(context: CommandContext) -> None:
    """List the tasks there are, and how they are run."""

    async def run(host: Host) -> None:
        tasks: Tasks = host.domain("task")
        found = []
        for name in host.keys("task"):
            winner = host.explain("task", name).winner
            facts: dict[str, Any] = {"task": name, "provider": winner and winner.provider}
            spec = None if winner is None else tasks.spec(name)
            facts |= _how(spec) if context.json else _how_short(spec)
            summary = "(nobody fills it)" if winner is None else winner.summary
            found.append(facts | {"summary": summary})
        context.show({"tasks": found} if context.json else found, "oneiric/tasks/1")

    with_host(context, run)


@command.command("run")
@click.argument("name")
@takes_input
@click.option("--key", metavar="KEY", help="Two runs with one key are the same run.")
@click.option("--timeout", type=_SECONDS, metavar="SECONDS", help="How long it may take in all.")
@click.pass_obj
def run_(
    context: CommandContext,
    name: str,
    source: str | None,
    params: Sequence[str],
    key: str | None,
    timeout: float | None,
) -> None:
    """Run the task NAME here, and show what it gives.

    Ctrl-C ends the run; `oneiric task resume` begins it anew, under the same id.  A run with a key may be waited for by
    others: it is only left, and goes on if it is another process's.
    """
    data = payload(source, params) if source is not None or params else None

    async def run(host: Host) -> None:
        tasks: Tasks = host.domain("task")
        await _finish(
            context, name, await tasks.submit(name, data, key=key, timeout=timeout), mine=key is None
        )

    with_host(context, run)


@command.command("resume")
@click.argument("run_id", metavar="RUN")
@click.option("--timeout", type=_SECONDS, metavar="SECONDS", help="How long it may take in all.")
@click.pass_obj
def resume(context: CommandContext, run_id: str, timeout: float | None) -> None:
    """Run a task here that was cut off, failed or was cancelled, under the same id, and show what it gives."""

    async def run(host: Host) -> None:
        tasks: Tasks = host.domain("task")
        name = (await _known(tasks, run_id)).name
        await _finish(context, name, await tasks.resume(run_id, timeout=timeout), mine=True)

    with_host(context, run)


@command.command("runs")
@click.argument("name", required=False, default="")
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="In this one; may be repeated."
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.pass_obj
def runs(context: CommandContext, name: str, states: Sequence[Any], limit: int) -> None:
    """List the runs of the task NAME, or of all, newest first."""

    async def run(host: Host) -> None:
        tasks: Tasks = host.domain("task")
        found = await tasks.runs(name, states=states, limit=limit)
        if context.json:
            context.show({"runs": [told(each) for each in found]}, "oneiric/task-runs/1")
        elif found:
            context.show([line(each) for each in found], "oneiric/task-runs/1")
        else:
            click.echo("there are none")

    with_host(context, run)


@command.command("show")
@click.argument("run_id", metavar="RUN")
@click.pass_obj
def show(context: CommandContext, run_id: str) -> None:
    """Show what is known of a run."""

    async def run(host: Host) -> None:
        found = told(await _known(host.domain("task"), run_id))
        if not context.json:
            found = {name: "" if value is None else _shown(value) for name, value in found.items()}
        context.show(found, "oneiric/task-run/1")

    with_host(context, run)


@command.command("cancel")
@click.argument("run_id", metavar="RUN")
@click.pass_obj
def cancel(context: CommandContext, run_id: str) -> None:
    """Ask a run to end, wherever it goes on; it does so within a second or two."""

    async def run(host: Host) -> None:
        tasks: Tasks = host.domain("task")
        before = await _known(tasks, run_id)
        if not await tasks.cancel(run_id):
            raise RunError(f"run {run_id} has ended already ({before.state})", run=run_id)
        after = await _known(tasks, run_id)
        facts = {"id": run_id, "task": after.name, "state": after.state, "node": after.node}
        if context.json or after.over:
            context.show(facts, "oneiric/task-cancelled/1")
        else:
            click.echo(context.masked(f"run {run_id} is asked to end, in {after.node}"))

    with_host(context, run)


async def _finish(context: CommandContext, name: str, submitted: TaskRun, *, mine: bool) -> None:
    """Wait for a run, and show what it gives."""
    try:
        result = await submitted.wait()
    except asyncio.CancelledError:
        if mine:
            await submitted.cancel()
        raise
    if context.json:
        context.show({"task": name, "run": submitted.id, "result": result}, "oneiric/task-result/1")
    elif isinstance(result, dict):
        context.show({each: _shown(value) for each, value in result.items()}, "oneiric/task-result/1")
    else:
        click.echo(context.masked(_shown(result)))


async def _known(tasks: Tasks, run: str) -> Any:
    found = await tasks.get(run)
    if found is not None:
        return found
    known = [each.id for each in await tasks.runs(limit=1000)]
    near = nearest(run, known)
    raise NoSuchRun(
        f"there is no run {run} of a task",
        run=run,
        hint=f"did you mean {near}?" if near else f"there are: {a_few(known)}",
    )


def _how(spec: TaskSpec | None) -> dict[str, Any]:
    if spec is None:
        return {"timeout": None, "attempts": None, "concurrency": None, "breaker": None}
    return {
        "timeout": spec.timeout,
        "attempts": 1 if spec.retry is None else spec.retry.attempts,
        "concurrency": spec.concurrency,
        "breaker": None if spec.breaker is None else spec.breaker.failures,
    }


def _how_short(spec: TaskSpec | None) -> dict[str, Any]:
    how = _how(spec)
    limit = how["timeout"]
    return {
        "timeout": "" if limit is None else f"{limit:g} s",
        "attempts": how["attempts"] or "",
        "at once": how["concurrency"] or "",
    }


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
