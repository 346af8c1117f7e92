"""Where executors are started for a test, and what makes a coroutine function one."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from oneiric_hookspecs import JSON, Body, Executing, Executor, Job, Run, RunError, Steps, specs

from oneiric.runtime import Runtime

#: Seconds within which anything has to come about.
PATIENCE = 20.0


def promise(*needs: str) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Callable[[Any], None]]:
    """A test that takes only ``self``, of a coroutine function that also takes an executor, and its folder.

    Args:
        needs: Capabilities without which there is nothing to test.
    """

    def decorate(body: Callable[..., Coroutine[Any, Any, None]]) -> Callable[[Any], None]:
        def test(self: Places) -> None:
            async def main() -> None:
                with tempfile.TemporaryDirectory() as folder:
                    async with self.started(Path(folder)) as executing:
                        if self.capabilities.issuperset(needs):
                            async with asyncio.timeout(PATIENCE):
                                await body(self, executing, Path(folder))

            self.run(main())

        # Not ``functools.wraps``: runners would look through it, and ask where the executor comes from.
        test.__name__, test.__qualname__, test.__doc__ = body.__name__, body.__qualname__, body.__doc__
        return test

    return decorate


async def refused(call: Awaitable[Any], what: str, kind: type[Exception] = RunError) -> Exception:
    """Hold a call against the error that it has to raise; the error."""
    try:
        found = await call
    except kind as error:
        return error
    raise AssertionError(f"{what} was taken, with {found!r}; expected a {kind.__name__}")


def gives(result: JSON = None, calls: list[str] | None = None) -> Body:
    """A body with that result; *calls* gets the id of each run that it is called for."""

    async def body(steps: Steps) -> JSON:
        if calls is not None:
            calls.append(steps.run)
        return result

    return body


class Held:
    """A body that goes on until it is let go.

    Attributes:
        begun: Set when it goes on.
        free: To be set, to let it end.
        ended: How it ended: ``cancelled`` or ``done``; empty as long as it goes on.
    """

    def __init__(self, result: JSON = None) -> None:
        self.result, self.ended = result, ""
        self.begun, self.free = asyncio.Event(), asyncio.Event()

    async def __call__(self, steps: Steps) -> JSON:
        self.begun.set()
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "done"
        return self.result


class Places:
    """What every part of the suite stands on.

    Attributes:
        name: The executor's.
        capabilities: What it can do, as it declares.
    """

    name = ""
    capabilities: frozenset[str] = frozenset()

    def application(self, folder: Path) -> Runtime:
        """Assemble an application that has the executor, and keeps its state in *folder*."""
        raise NotImplementedError("override application(folder)")

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run a test; override it to bring another loop."""
        asyncio.run(main)

    @contextlib.asynccontextmanager
    async def started(self, folder: Path) -> AsyncIterator[Executing]:
        """An executor in an application of its own, which is closed at the end."""
        async with self.application(folder) as runtime:
            declared: list[Executor] = [
                answer.value for answer in runtime.hooks[specs.oneiric_executors].answers()
            ]
            self.capabilities = next(each.capabilities for each in declared if each.name == self.name)
            yield await runtime.executor(self.name)


def job(name: str = "reindex", payload: JSON = None, **more: Any) -> Job:
    """A job of a task."""
    return Job("task", name, payload, **more)


def outcome(run: Run | None) -> tuple[Any, ...] | None:
    """What there is to compare of a run."""
    return None if run is None else (run.kind, run.name, run.state, run.payload, run.result, run.error)
