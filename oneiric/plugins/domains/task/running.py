"""Running tasks: one attempt after the other as the task and the settings say, in a run of the executor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import (
    JSON,
    Body,
    Breaker,
    Executing,
    Host,
    Job,
    NoSuchRun,
    Retry,
    Run,
    RunContext,
    RunError,
    RunState,
    RunTimeout,
    Steps,
    TaskSpec,
)

from oneiric.plugins._lanes import Lane


@attrs.frozen
class Overrides:
    """How a task is to be run, where that is not as the task says.

    Args:
        timeout: Seconds for each attempt.
        retry: How often it is tried again.
        breaker: When it is left alone for a while.
        concurrency: How many runs of it go on at once in a process.
    """

    timeout: float | None = None
    retry: Retry | None = None
    breaker: Breaker | None = None
    concurrency: int | None = None

    def __attrs_post_init__(self) -> None:
        TaskSpec(self.timeout, self.retry, self.breaker, self.concurrency)  # it says what is wrong

    def over(self, spec: TaskSpec) -> TaskSpec:
        """*spec* with what is said here."""
        said = {name: value for name, value in attrs.asdict(self, recurse=False).items() if value is not None}
        return attrs.evolve(spec, **said)


class TaskRun:
    """A run of a task that was submitted.

    Attributes:
        id: The run's.
    """

    def __init__(self, id: str, executing: Executing) -> None:
        self.id, self._executing = id, executing

    def __repr__(self) -> str:
        return f"<TaskRun {self.id}>"

    async def wait(self) -> Any:
        """What it gives, when it has ended.  Who waits may be cancelled; the run goes on.

        Raises:
            RunError: It failed, was cancelled, or is lost; what a task raised is the cause.
        """
        return _outcome(await self._executing.wait(self.id))

    async def cancel(self) -> bool:
        """Ask it to end; False where it had ended."""
        return await self._executing.cancel(self.id)

    async def status(self) -> Run:
        """How it is.  Raises: NoSuchRun: it ended so long ago that it is forgotten."""
        found = await self._executing.get(self.id)
        if found is None:
            raise NoSuchRun(f"there is no run {self.id}", run=self.id)
        return found


class Tasks:
    """The face of the domain: ``runtime.domain("task")``.

    Args:
        host: The runtime.
        executor: Who runs them, by name.
        overrides: How they are run, by name, where that is not as they say.
    """

    def __init__(
        self, host: Host, *, executor: str = "local", overrides: Mapping[str, Overrides] | None = None
    ) -> None:
        self._host, self._executor, self._overrides = host, executor, overrides or {}
        self._specs: dict[str, TaskSpec] = {}
        self._revision = -1
        self._lanes: dict[str, Lane] = {}

    async def run(
        self, name: str, payload: Any = None, *, key: str | None = None, timeout: float | None = None
    ) -> Any:
        """Run a task, and wait for what it gives.  Whoever waits and is cancelled ends the run, unless it has a key.

        Args:
            name: The task's.
            payload: Plain data.
            key: Two runs of one task with one key are the same run; None for a run of its own.
            timeout: Seconds for the whole run; None for as long as its attempts take.
        Raises:
            ResolutionError: There is no such task.
            RunError: It failed, was cancelled, or is lost; what the task raised is the cause.
            StateError: The run cannot be written down.
        """
        submitted = await self.submit(name, payload, key=key, timeout=timeout)
        try:
            return await submitted.wait()
        except asyncio.CancelledError:
            if key is None:
                await submitted.cancel()
            raise

    async def submit(
        self, name: str, payload: Any = None, *, key: str | None = None, timeout: float | None = None
    ) -> TaskRun:
        """As ``run``, without waiting for it."""
        self._host.resolve("task", name)
        needs: frozenset[str] = frozenset() if key is None else frozenset({"keys"})
        job = Job("task", name, payload, key=key, timeout=timeout, needs=needs)
        executing = await self._executing()
        return TaskRun(await executing.submit(job, self._body(name, payload)), executing)

    async def runs(self, name: str = "", *, states: Iterable[RunState] = (), limit: int = 100) -> list[Run]:
        """Runs of a task, or of all, newest first."""
        return await (await self._executing()).runs(kind="task", name=name, states=states, limit=limit)

    async def get(self, run: str) -> Run | None:
        """A run of a task; None where there is none."""
        found = await (await self._executing()).get(run)
        return found if found is not None and found.kind == "task" else None

    async def cancel(self, run: str) -> bool:
        """Ask a run to end, wherever it goes on; False where it had ended.  Raises: NoSuchRun."""
        await self._known(run)
        return await (await self._executing()).cancel(run)

    async def resume(self, run: str, *, timeout: float | None = None) -> TaskRun:
        """Go on with a run that is lost, failed or was cancelled: the task is run anew, under the same id.

        Raises:
            NoSuchRun: There is none.
            RunError: It goes on elsewhere, or has succeeded.
        """
        found = await self._known(run)
        self._host.resolve("task", found.name)
        job = Job(
            "task", found.name, found.payload, key=found.key, timeout=timeout, needs=frozenset({"resume"})
        )
        executing = await self._executing()
        await executing.resume(run, job, self._body(found.name, found.payload))
        return TaskRun(run, executing)

    async def perform(
        self,
        name: str,
        payload: JSON,
        context: RunContext,
        *,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> JSON:
        """Do a task as part of a run that goes on already, such as a workflow's.

        Args:
            name: The task's.
            payload: Plain data.
            context: What it is told; its ``attempt`` is counted here.
            retry: Instead of the task's own.
            timeout: Instead of the task's own, in seconds for each attempt.
        Raises:
            RunTimeout: The last attempt took too long.
            BreakerOpen: It failed too often lately, and was not tried.
            OneiricError: Nobody fills the key, or who does is not serving.
            Exception: What the task raised, the last time.
        """
        spec = self.spec(name)
        limit = spec.timeout if timeout is None else timeout
        count = 0

        async def attempt() -> Any:
            nonlocal count
            count += 1
            told = context if count == context.attempt else attrs.evolve(context, attempt=count)
            async with self._host.use("task", name) as handler:
                if limit is None:
                    return await handler.run(payload, told)
                scope = asyncio.timeout(limit)
                try:
                    async with scope:
                        return await handler.run(payload, told)
                except TimeoutError as error:
                    if not scope.expired():
                        raise  # the task's own
                    raise _TookTooLong(f"task {name} took longer than {limit:g} s") from error

        lane = None if spec.concurrency is None else self._lane(name, spec.concurrency)
        if lane is not None and not lane.enter():
            await lane.wait()
        try:
            return await self._host.attempt(
                attempt, name=f"task {name}", retry=retry or spec.retry, breaker=spec.breaker
            )
        except _TookTooLong as error:
            raise RunTimeout(str(error), run=context.run) from error
        finally:
            if lane is not None:
                lane.leave()

    def spec(self, name: str) -> TaskSpec:
        """How a task is run: as it says, and the settings.  Raises: ResolutionError."""
        revision = self._host.revision
        if revision != self._revision:
            self._specs.clear()
            self._revision = revision
        spec = self._specs.get(name)
        if spec is None:
            spec = self._host.resolve("task", name).data
            if name in self._overrides:
                spec = self._overrides[name].over(spec)
            self._specs[name] = spec
        return spec

    def _lane(self, name: str, limit: int) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = Lane(limit)
        lane.limit = limit
        return lane

    async def _executing(self) -> Executing:
        return await self._host.executor(self._executor)

    def _body(self, name: str, payload: JSON) -> Body:
        async def body(steps: Steps) -> JSON:
            return await self.perform(name, payload, RunContext(steps.run, name, payload=payload))

        return body

    async def _known(self, run: str) -> Run:
        found = await self.get(run)
        if found is None:
            raise NoSuchRun(f"there is no run {run} of a task", run=run)
        return found


class _TookTooLong(TimeoutError):
    """An attempt did; so that what is tried again on a ``TimeoutError`` is tried again on this."""


def _outcome(run: Run) -> Any:
    """What a run gave.  Raises: RunError, it gave nothing."""
    if run.state == "succeeded":
        return run.result
    if run.state == "failed":
        if isinstance(run.cause, RunError):
            raise run.cause.twin()
        raise RunError(
            f"{run.kind} {run.name} failed: {run.error}", run=run.id, hint=f"that was run {run.id}"
        ) from run.cause
    if run.state == "cancelled":
        raise RunError(f"{run.kind} {run.name} was cancelled", run=run.id)
    raise RunError(
        f"{run.kind} {run.name} was cut off", run=run.id, hint=f"to go on: oneiric {run.kind} resume {run.id}"
    )
