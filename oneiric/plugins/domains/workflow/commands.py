"""``oneiric workflow``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import click
from oneiric_hookspecs import Candidate, CommandContext, Graph, Host, NoSuchRun, OneiricError, RunError
from oneiric_hookspecs.candidates import Ready

from oneiric.plugins._plain import plain
from oneiric.plugins.domains._runs import STATES, line, told, told_step, took
from oneiric.plugins.domains._words import payload, takes_input, with_host

from .face import WorkflowRun, Workflows
from .planning import Plan
from .running import Watch
from .showing import shown

_SECONDS = click.FloatRange(min=0, min_open=True)


@click.group("workflow")
def command() -> None:
    """Plan workflows, run them, see how far they have come, end and resume them."""


@command.command("list")
@click.pass_obj
def list_(context: CommandContext) -> None:
    """List the workflows there are.

    How many nodes one has is shown where that is known without building it.
    """

    async def run(host: Host) -> None:
        found = []
        for name in host.keys("workflow"):
            winner = host.explain("workflow", name).winner
            nodes = None if winner is None else _nodes(winner)
            found.append(
                {
                    "workflow": name,
                    "provider": None if winner is None else winner.provider,
                    "nodes": nodes if context.json or nodes is not None else "",
                    "summary": "(nobody fills it)" if winner is None else winner.summary,
                }
            )
        if context.json:
            context.show({"workflows": found}, "oneiric/workflows/1")
        elif found:
            context.show(
                [each | {"provider": each["provider"] or ""} for each in found], "oneiric/workflows/1"
            )
        else:
            click.echo("there are none")

    with_host(context, run)


@command.command("plan")
@click.argument("name")
@click.option("--dot", "form", flag_value="dot", default=None, help="As a graph for Graphviz.")
@click.option("--mermaid", "form", flag_value="mermaid", help="As a diagram for Mermaid.")
@click.pass_obj
def plan(context: CommandContext, name: str, form: str | None) -> None:
    """Check the workflow NAME, and show how it will go.

    In which order its nodes come, and which path decides how long it takes; nothing is run.  Exits with 3 where it
    names tasks that nobody fills.
    """

    async def run(host: Host) -> None:
        workflows: Workflows = host.domain("workflow")
        found = await workflows.plan(name)
        if context.json:
            context.show(_told_plan(found), "oneiric/workflow-plan/1")
        elif form is not None:
            click.echo(context.masked(found.dot() if form == "dot" else found.mermaid()))
        else:
            _show_plan(context, found)

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
    """Run the workflow NAME here, and show what it gives.

    Ctrl-C ends the run; `oneiric workflow resume` goes on with it.  Exits with 4 where nodes failed, naming them all,
    and with 8 where it took too long.
    """
    data = payload(source, params) if source is not None or params else None

    async def run(host: Host) -> None:
        workflows: Workflows = host.domain("workflow")

        async def begin(watch: Watch | None) -> WorkflowRun:
            return await workflows.submit(name, data, key=key, timeout=timeout, watch=watch)

        await _finish(context, name, begin)

    with_host(context, run)


@command.command("resume")
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--all", "every", is_flag=True, help="All that were cut off, the oldest first.")
@click.option("--timeout", type=_SECONDS, metavar="SECONDS", help="How long it may take from now on.")
@click.pass_obj
def resume(context: CommandContext, run_id: str | None, every: bool, timeout: float | None) -> None:
    """Go on with a run here.

    It was cut off, has failed or was cancelled; nodes that had succeeded are not run again.  Without RUN it is the one
    that was cut off, if there is no other.
    """
    if every and run_id is not None:
        raise click.UsageError("give RUN or --all, not both")

    async def run(host: Host) -> None:
        workflows: Workflows = host.domain("workflow")
        if every:
            await _resume_all(context, workflows, timeout)
            return
        identity = run_id if run_id is not None else await _the_one(workflows)

        async def begin(watch: Watch | None) -> WorkflowRun:
            return await workflows.resume(identity, timeout=timeout, watch=watch)

        before = await workflows.get(identity)
        await _finish(context, "" if before is None else before.name, begin)

    with_host(context, run)


@command.command("cancel")
@click.argument("run_id", metavar="RUN")
@click.pass_obj
def cancel(context: CommandContext, run_id: str) -> None:
    """Ask a run to end, wherever it goes on.

    It does so within a second or two.
    """

    async def run(host: Host) -> None:
        workflows: Workflows = host.domain("workflow")
        asked = await workflows.cancel(run_id)
        found = await workflows.get(run_id)
        if found is None or not asked:
            ended = "" if found is None else f": it {_was(found.state)}"
            raise RunError(f"run {run_id} has ended{ended}", run=run_id)
        facts = {"id": run_id, "workflow": found.name, "state": found.state, "node": found.node}
        if context.json or found.over:
            context.show(facts, "oneiric/workflow-cancelled/1")
        else:
            click.echo(context.masked(f"run {run_id} is asked to end, in {found.node}"))

    with_host(context, run)


@command.command("runs")
@click.argument("name", required=False, default="")
@click.option(
    "--state", "states", type=click.Choice(STATES), multiple=True, help="In this one; may be repeated."
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.pass_obj
def runs(context: CommandContext, name: str, states: Sequence[Any], limit: int) -> None:
    """List the runs of the workflow NAME, or of all, newest first."""

    async def run(host: Host) -> None:
        workflows: Workflows = host.domain("workflow")
        found = await workflows.runs(name, states=states, limit=limit)
        if context.json:
            context.show({"runs": [told(each) for each in found]}, "oneiric/workflow-runs/1")
        elif found:
            lines = [line(each) | {"error": _first_line(context, each.error)} for each in found]
            context.show(lines, "oneiric/workflow-runs/1")
        else:
            click.echo("there are none")

    with_host(context, run)


@command.command("show")
@click.argument("run_id", metavar="RUN")
@click.pass_obj
def show(context: CommandContext, run_id: str) -> None:
    """Show what is known of a run, and of its nodes."""

    async def run(host: Host) -> None:
        workflows: Workflows = host.domain("workflow")
        steps = await workflows.steps(run_id)
        found = await workflows.get(run_id)
        assert found is not None  # else there would be no steps
        nodes = [told_step(step) for step in steps]
        ended = {step.name for step in steps}
        nodes += [
            {
                "step": identity,
                "state": "pending",
                "result": None,
                "error": None,
                "started": None,
                "ended": None,
            }
            for identity in await _all_nodes(workflows, found.name, found.version)
            if identity not in ended
        ]
        facts = told(found)
        if context.json:
            context.show(facts | {"nodes": nodes}, "oneiric/workflow-run/1")
            return
        context.show({each: _shown(value) for each, value in facts.items()}, "oneiric/workflow-run/1")
        if nodes:
            click.echo()
            seconds = {step.name: took(step.started, step.ended) for step in steps}
            rows = [
                {
                    "node": each["step"],
                    "state": each["state"],
                    "took": seconds.get(each["step"], ""),
                    "error": _first_line(context, each["error"]),
                }
                for each in nodes
            ]
            context.show(rows, "oneiric/workflow-run/1")

    with_host(context, run)


# --- what they share ----------------------------------------------------------------------------------------------


async def _finish(
    context: CommandContext, name: str, begin: Callable[[Watch | None], Awaitable[WorkflowRun]]
) -> None:
    """Begin a run, wait for it, and show what it gives."""
    progress = shown(quiet=context.json)
    submitted = await begin(progress)
    try:
        result = await submitted.wait()
    except asyncio.CancelledError:
        if progress is not None:
            progress.clear()
        await _end(context, submitted)
        raise
    finally:
        if progress is not None:
            progress.clear()
    if context.json:
        context.show({"workflow": name, "run": submitted.id, "result": result}, "oneiric/workflow-result/1")
    elif isinstance(result, dict):
        context.show({each: _text(value) for each, value in result.items()}, "oneiric/workflow-result/1")
    else:
        click.echo(context.masked(_text(result)))


async def _end(context: CommandContext, submitted: WorkflowRun) -> None:
    """End a run on Ctrl-C, unless it is another process's; and say how to go on."""
    if submitted.here:
        await submitted.cancel()
        said = f"run {submitted.id} was cancelled; to go on: oneiric workflow resume {submitted.id}"
    else:
        said = f"run {submitted.id} is left as it is; to see it: oneiric workflow show {submitted.id}"
    if not context.json:
        click.echo(said, err=True)


async def _resume_all(context: CommandContext, workflows: Workflows, timeout: float | None) -> None:
    """Go on with every run that was cut off, and show what came of each; exits with 4 where one failed."""
    submitted: list[tuple[str, str, WorkflowRun | OneiricError]] = []
    for each in reversed(await workflows.runs(states=("lost",), limit=1000)):
        try:
            submitted.append((each.id, each.name, await workflows.resume(each.id, timeout=timeout)))
        except OneiricError as error:
            submitted.append((each.id, each.name, error))
    rows = []
    for identity, name, run in submitted:
        try:
            if isinstance(run, OneiricError):
                raise run
            await run.wait()
        except OneiricError as error:
            rows.append({"id": identity, "workflow": name, "state": "failed", "error": str(error)})
        else:
            rows.append({"id": identity, "workflow": name, "state": "succeeded", "error": ""})
    if context.json:
        context.show({"runs": rows}, "oneiric/workflow-resumed/1")
    elif rows:
        short = [each | {"error": _first_line(context, each["error"])} for each in rows]
        context.show(short, "oneiric/workflow-resumed/1")
    else:
        click.echo("there are none")
    if any(each["state"] == "failed" for each in rows):
        raise click.exceptions.Exit(4)


async def _the_one(workflows: Workflows) -> str:
    lost = await workflows.runs(states=("lost",), limit=9)
    if len(lost) == 1:
        return lost[0].id
    if not lost:
        raise NoSuchRun(
            "no run was cut off",
            hint="name one that failed or was cancelled: oneiric workflow runs lists them",
        )
    raise click.UsageError(f"there are {len(lost)} that were cut off; name one, or give --all")


async def _all_nodes(workflows: Workflows, name: str, version: str) -> list[str]:
    """The nodes of the graph of a run; none where it is no longer there, or another one."""
    try:
        found = await workflows.nodes(name, version)
    except OneiricError:
        return []
    return list(found)


def _nodes(winner: Candidate) -> int | None:
    if winner.data.nodes:
        return len(winner.data.nodes)
    if isinstance(winner.factory, Ready):
        value = winner.factory.value
        if isinstance(value, Graph):
            return len(value.nodes)
        if isinstance(value, Mapping):
            return len(value["nodes"])
    return None


def _told_plan(plan: Plan) -> dict[str, Any]:
    return {
        "workflow": plan.workflow,
        "nodes": [plain(node) for node in plan.graph.nodes],
        "layers": [list(layer) for layer in plan.layers],
        "critical_path": {"nodes": list(plan.critical), "by": plan.by, "seconds": plan.seconds},
        "timeout": plan.graph.timeout,
        "concurrency": plan.graph.concurrency,
        "on_failure": plan.graph.on_failure,
    }


def _show_plan(context: CommandContext, plan: Plan) -> None:
    nodes = {node.id: node for node in plan.graph.nodes}
    critical = set(plan.critical)
    rows = [
        {
            "layer": number,
            "node": identity,
            "task": nodes[identity].task,
            "after": ", ".join(nodes[identity].after),
            "critical": "yes" if identity in critical else "",
        }
        for number, layer in enumerate(plan.layers, 1)
        for identity in layer
    ]
    context.show(rows, "oneiric/workflow-plan/1")
    count = len(plan.critical)
    length = f"{count} node{'s' if count != 1 else ''}"
    if plan.seconds is not None:
        length += f", {took(0.0, plan.seconds)} the last time"
    click.echo(f"critical path: {length}")


def _first_line(context: CommandContext, error: str | None) -> str:
    # Before anything is cut: what is half a secret is not found.
    return context.masked(error or "").partition("\n")[0]


def _was(state: str) -> str:
    return "was cancelled" if state == "cancelled" else state


def _shown(value: Any) -> str:
    return "" if value is None else _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
