"""``oneiric orchestrate``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click
from oneiric_hookspecs import RunError

from .context import Context

if TYPE_CHECKING:
    from oneiric.orchestrator import Orchestrator
    from oneiric.runtime import Runtime

T = TypeVar("T")

#: Seconds in which what is cancelled at the very end is to end.
GRACE = 1.0
#: What it exits with where something did not end in time.
LEFT = 8
_LEVELS = {-1: "error", 1: "info", 2: "debug"}


@click.command("orchestrate")
@click.option("--http", metavar="HOST:PORT", help="Serve health and status there; port 0 takes a free one.")
@click.option(
    "--node", metavar="NAME", help="What this process is called; a name of host and process otherwise."
)
@click.pass_context
def command(ctx: click.Context, http: str | None, node: str | None) -> None:
    """Keep the application going, and do what operators say.

    Until SIGTERM or Ctrl-C.  Activates the services, and what [orchestrate] start names; watches the settings files and
    the streams; restarts what fails.  `oneiric status`, `swap`, `pause` and the others reach it from other processes.
    SIGHUP reads the settings again.
    """
    context: Context = ctx.obj
    address = None
    if http is not None:
        from oneiric.serving import address as parsed

        address = parsed(http)
    left = _through(_run(context, address, node))
    if left:
        ctx.exit(LEFT)


def _through(coroutine: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``; but a task that will not be cancelled does not keep the process from ending.

    What has not ended by then was given its time, and is named; waiting for it once more would be for ever.
    """
    main: list[asyncio.Task[Any] | None] = []

    async def whole() -> T:
        main.append(asyncio.current_task())
        return await coroutine

    runner = asyncio.Runner()
    try:
        return runner.run(whole())
    except asyncio.CancelledError as error:
        raise RunError(
            "it has ended: its task was cancelled, and nobody had asked for that",
            hint="a plugin, or a library, cancels tasks that are not its own",
        ) from error
    finally:
        if not _abandoned(runner.get_loop(), main[0] if main else None):
            runner.close()


def _abandoned(loop: asyncio.AbstractEventLoop, main: asyncio.Task[Any] | None) -> bool:
    """End the tasks of *loop*; whether some do not end, and it was closed around them."""
    if main is not None and not main.done():
        main.cancel()  # before the others, with which it closes what is open
        loop.run_until_complete(asyncio.wait({main}))
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    stuck = loop.run_until_complete(asyncio.wait(left, timeout=GRACE))[1] if left else ()
    for task in stuck:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - that it is left was said
    if stuck:
        asyncio.set_event_loop(None)
        loop.close()
    return bool(stuck)


async def _run(context: Context, http: tuple[str, int] | None, node: str | None) -> tuple[str, ...]:
    from oneiric.activation.facts import facts
    from oneiric.logs import configured
    from oneiric.orchestrator import orchestrate
    from oneiric.orchestrator.notifying import Notifier
    from oneiric.orchestrator.signals import Signals

    runtime = context.runtime()
    settings = runtime.settings
    context.end()  # what -v logs by itself: here it is the level of what [logging] says
    logged = configured(
        settings.logging,
        masked=context.masked,
        secrets=runtime.secrets,
        context=facts,
        folder=None if settings.file is None else settings.file.parent,
        level=_LEVELS.get(min(context.options.verbosity, 2)),
    )
    with logged as logs, Signals() as signals:
        async with (
            _closed(runtime),
            orchestrate(runtime, node=node, files=True) as orchestrator,
            _served(context, orchestrator, http),
            Notifier() as notifier,
        ):
            logs.node = orchestrator.node

            async def reload() -> None:
                await orchestrator.reload()
                logs.reconfigure(runtime.settings.logging)

            signals.on_reload(notifier.around(reload))
            notifier.ready(f"node {orchestrator.node}")
            context.tell_aside(_began(orchestrator))
            await signals.told()
            notifier.stopping()
            context.tell_aside("ending: what is in use is waited for")
    report = await runtime.close()
    if report.left:
        context.warn(f"did not end in time: {', '.join(report.left)}")
    return report.left


@contextlib.asynccontextmanager
async def _closed(runtime: Runtime) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await runtime.close()


@contextlib.asynccontextmanager
async def _served(
    context: Context, orchestrator: Orchestrator, address: tuple[str, int] | None
) -> AsyncIterator[None]:
    if address is None:
        yield
        return
    from oneiric_hookspecs import specs

    from oneiric.serving import listening

    routes = orchestrator.runtime.hooks[specs.oneiric_routes].answers()
    async with listening(*address, orchestrator, routes, masked=context.masked) as at:
        context.tell_aside(f"serving http://{at}")
        yield


def _began(orchestrator: Orchestrator) -> str:
    runtime = orchestrator.runtime
    parts = [f"node {orchestrator.node}"]
    if orchestrator.watching is not None:
        parts.append("watching " + ", ".join(str(file) for file in runtime.settings.files))
    if names := runtime.remote.names:
        parts.append("following " + ", ".join(names))
    return "running: " + "; ".join(parts)
