"""The typed interface of the domain: workflows are run, resumed, ended and looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import (
    JSON,
    Body,
    Executing,
    Graph,
    Host,
    Job,
    NoSuchRun,
    PluginError,
    ResolutionError,
    Run,
    RunError,
    RunState,
    SettingsError,
    StepRun,
    Steps,
    UnknownTasks,
    Workflow,
    WorkflowSpec,
    a_few,
    nearest,
)

from .coding import Context
from .measuring import measured
from .planning import Plan, planned
from .preparing import Prepared, prepared
from .running import GraphRun, Performs, Watch


class WorkflowRun:
    """A run of a workflow that was submitted.

    Attributes:
        id: The run's.
    """

    def __init__(self, id: str, executing: Executing, begun: _Begun) -> None:
        self.id, self._executing, self._begun = id, executing, begun

    def __repr__(self) -> str:
        return f"<WorkflowRun {self.id}>"

    @property
    def here(self) -> bool:
        """Whether it was begun by this very submission; else there was one of its key."""
        return self._begun.here

    async def wait(self) -> Any:
        """What it gives, when it has ended.  Who waits may be cancelled; the run goes on.

        Returns:
            Of a graph, what the nodes gave that none comes after, by their ids; else what the code returned.
        Raises:
            NodesFailed: Some failed; it has what each of them raised.
            RunTimeout: It took longer than it may.
            RunError: It failed otherwise, was cancelled, or is lost.
        """
        return outcome(await self._executing.wait(self.id), resumable=self._begun.kept)

    async def cancel(self) -> bool:
        """Ask it to end; False where it had ended."""
        return await self._executing.cancel(self.id)

    async def status(self) -> Run:
        """How it is.  Raises: NoSuchRun: it ended so long ago that it is forgotten."""
        found = await self._executing.get(self.id)
        if found is None:
            raise NoSuchRun(f"there is no run {self.id}", run=self.id)
        return found

    async def results(self) -> dict[str, JSON]:
        """What its nodes, or steps, gave up to now, by their ids; of a run elsewhere, as far as it is written down."""
        if self._begun.graph is not None:
            return dict(self._begun.graph.results)
        steps = await self._executing.steps(self.id)
        return {step.name: step.result for step in steps if step.state == "succeeded"}


@attrs.define
class _Begun:
    """Filled in where the body of a submission is begun."""

    here: bool = False
    kept: bool = True
    graph: GraphRun | None = None


@attrs.frozen(eq=False)
class _Found:
    """What fills a key of the domain.

    Args:
        instance: It.
        spec: How it is to be run.
        graph: It as a graph; None where it is code.
        version: What a run that is resumed has to agree in.
    """

    instance: Any
    spec: WorkflowSpec
    graph: Prepared | None
    version: str

    @property
    def timeout(self) -> float | None:
        """Seconds for a run."""
        return self.spec.timeout if self.graph is None else self.graph.graph.timeout


class Workflows:
    """The face of the domain: ``runtime.domain("workflow")``.

    Args:
        host: The runtime.
        executor: Who runs them, by name.
        concurrency: How many nodes of a run go on at once, where the graph does not say.
    """

    def __init__(self, host: Host, *, executor: str = "local", concurrency: int = 10) -> None:
        self._host, self._executor, self._concurrency = host, executor, concurrency
        self._found: dict[str, _Found] = {}
        self._sound: dict[str, tuple[_Found, int]] = {}  # whose tasks there are, at which revision

    # --- running -------------------------------------------------------------------------------------------------

    async def run(
        self,
        name: str,
        payload: Any = None,
        *,
        key: str | None = None,
        timeout: float | None = None,
        watch: Watch | None = None,
    ) -> Any:
        """Run a workflow, and wait for what it gives.

        Whoever waits and is cancelled ends the run, unless it has a key.

        Args:
            name: The workflow's.
            payload: Plain data.
            key: Two runs of one workflow with one key are the same run; None for a run of its own.
            timeout: Seconds for the whole run, instead of the workflow's own.
            watch: Is told of every node as it starts and ends, if the run is begun here.
        Returns:
            Of a graph, what the nodes gave that none comes after, by their ids; else what the code returned.
        Raises:
            ResolutionError: There is no such workflow.
            UnknownTasks: It names tasks that nobody fills; nothing was run.
            NodesFailed: Some failed; it has what each of them raised.
            RunTimeout: It took longer than it may.
            RunError: It failed otherwise, was cancelled, or is lost.
            StateError: The run cannot be written down.
        """
        submitted = await self.submit(name, payload, key=key, timeout=timeout, watch=watch)
        try:
            return await submitted.wait()
        except asyncio.CancelledError:
            if key is None:
                await submitted.cancel()
            raise

    async def submit(
        self,
        name: str,
        payload: Any = None,
        *,
        key: str | None = None,
        timeout: float | None = None,
        watch: Watch | None = None,
    ) -> WorkflowRun:
        """As ``run``, without waiting for it."""
        found = await self._sound_one(name)
        needs: frozenset[str] = frozenset() if key is None else frozenset({"keys"})
        job = Job(
            "workflow",
            name,
            payload,
            key=key,
            version=found.version,
            timeout=found.timeout if timeout is None else timeout,
            needs=needs,
        )
        executing, begun = await self._executing(), _Begun()
        identity = await executing.submit(job, self._body(name, found, payload, watch, begun))
        return WorkflowRun(identity, executing, begun)

    async def resume(
        self, run: str, *, timeout: float | None = None, watch: Watch | None = None
    ) -> WorkflowRun:
        """Go on with a run that is lost, failed or was cancelled; nodes that had succeeded are not run again.

        Args:
            run: Its id.
            timeout: Seconds from now on, instead of the workflow's own.
            watch: Is told of every node as it starts and ends.
        Raises:
            NoSuchRun: There is none.
            RunError: It goes on elsewhere, or has succeeded; or the workflow has changed since it was begun.
        """
        before = await self._known(run)
        found = await self._sound_one(before.name)
        job = Job(
            "workflow",
            before.name,
            before.payload,
            key=before.key,
            version=found.version,
            timeout=found.timeout if timeout is None else timeout,
            needs=frozenset({"resume"}),
        )
        executing, begun = await self._executing(), _Begun()
        await executing.resume(run, job, self._body(before.name, found, before.payload, watch, begun))
        return WorkflowRun(run, executing, begun)

    async def cancel(self, run: str) -> bool:
        """Ask a run to end, wherever it goes on; False where it had ended.  Raises: NoSuchRun."""
        await self._known(run)
        return await (await self._executing()).cancel(run)

    # --- looking -------------------------------------------------------------------------------------------------

    async def runs(self, name: str = "", *, states: Iterable[RunState] = (), limit: int = 100) -> list[Run]:
        """Runs of a workflow, or of all, newest first."""
        return await (await self._executing()).runs(kind="workflow", name=name, states=states, limit=limit)

    async def get(self, run: str) -> Run | None:
        """A run of a workflow; None where there is none."""
        found = await (await self._executing()).get(run)
        return found if found is not None and found.kind == "workflow" else None

    async def steps(self, run: str) -> list[StepRun]:
        """What is written down of a run's nodes, in the order they ended.  Raises: NoSuchRun."""
        await self._known(run)
        return await (await self._executing()).steps(run)

    async def graph(self, name: str) -> Graph | None:
        """The graph of a workflow, as it is run; None where it is code.

        Raises:
            ResolutionError: There is no such workflow.
            PluginError: What fills it is none, or its graph is not well formed.
        """
        found = await self._one(name)
        return None if found.graph is None else found.graph.graph

    async def nodes(self, name: str, version: str) -> tuple[str, ...]:
        """The ids of a workflow's nodes, if a run of that version had the same; else none.

        Raises:
            OneiricError: As of ``graph``.
        """
        found = await self._one(name)
        if found.graph is None or found.version != version:
            return ()
        return tuple(node.id for node in found.graph.graph.nodes)

    async def plan(self, name: str) -> Plan:
        """How a workflow will go.

        Raises:
            RunError: It is code, and nobody knows.
            UnknownTasks: It names tasks that nobody fills.
            OneiricError: As of ``graph``.
        """
        found = await self._sound_one(name)
        if found.graph is None:
            raise RunError(f"workflow {name} is code, and has no plan", hint="only a graph has one")
        return planned(name, found.graph.graph, await self._seconds(name, found))

    async def _seconds(self, name: str, found: _Found) -> dict[str, float] | None:
        """How long each node took in the last run that succeeded; None where there is none of the same graph."""
        executing = await self._executing()
        for run in await executing.runs(kind="workflow", name=name, states=("succeeded",), limit=1):
            if run.version == found.version and found.graph is not None:
                took = {
                    step.name: max(0.0, step.ended - step.started) for step in await executing.steps(run.id)
                }
                if all(node.id in took for node in found.graph.graph.nodes):
                    return took
        return None

    # --- what there is -------------------------------------------------------------------------------------------

    async def _one(self, name: str) -> _Found:
        async with self._host.use("workflow", name) as instance:
            bound = self._host.bound("workflow", name)
            candidate = self._host.resolve("workflow", name) if bound is None else bound.candidate
            found = self._found.get(name)
            if found is None or found.instance is not instance or found.spec is not candidate.data:
                graph = graph_of(instance, name, self._host.structure)
                spec: WorkflowSpec = candidate.data
                if graph is None:
                    found = _Found(
                        instance, spec, None, f"code-{candidate.provider}-{candidate.version or ''}"
                    )
                else:
                    ready = prepared(graph, spec)
                    found = _Found(instance, spec, ready, ready.version)
                self._found[name] = found
            return found

    async def _sound_one(self, name: str) -> _Found:
        """As ``_one``, whose tasks there are.  Raises: UnknownTasks."""
        found = await self._one(name)
        if found.graph is None or self._sound.get(name) == (found, self._host.revision):
            return found
        wrong = {}
        for task in sorted(found.graph.tasks):
            try:
                self._host.resolve("task", task)
            except ResolutionError as error:
                wrong[task] = error
        if wrong:
            known = self._host.keys("task")
            told = [_unknown(task, error, known) for task, error in wrong.items()]
            raise UnknownTasks(
                f"workflow {name} names tasks that nobody fills: {', '.join(told)}",
                hint=f"there are: {a_few(known)}" if known else "no plugin declares a task",
                tasks=wrong,
            )
        self._sound[name] = found, self._host.revision
        return found

    def _body(self, name: str, found: _Found, payload: JSON, watch: Watch | None, begun: _Begun) -> Body:
        tasks: Performs = self._host.domain("task")

        async def graph(steps: Steps) -> JSON:
            assert found.graph is not None
            limit = found.graph.graph.concurrency or self._concurrency
            run = GraphRun(name, found.graph, payload, tasks, limit=limit, watch=watch)
            begun.here, begun.kept, begun.graph = True, steps.keeps, run
            return await measured(self._host, name, run.run(steps), run.counts)

        async def code(steps: Steps) -> JSON:
            begun.here, begun.kept = True, steps.keeps

            async def run() -> JSON:
                async with self._host.use("workflow", name) as workflow:
                    result: JSON = await workflow.run(payload, Context(name, payload, steps, tasks))
                    return result

            return await measured(self._host, name, run(), dict)

        return code if found.graph is None else graph

    async def _executing(self) -> Executing:
        return await self._host.executor(self._executor)

    async def _known(self, run: str) -> Run:
        found = await self.get(run)
        if found is None:
            near = nearest(run, [each.id for each in await self.runs(limit=1000)])
            raise NoSuchRun(
                f"there is no run {run} of a workflow",
                run=run,
                hint=f"did you mean {near}?" if near else "oneiric workflow runs lists them",
            )
        return found


def graph_of(instance: Any, name: str, structure: Callable[[Any, Any, str], Any]) -> Graph | None:
    """What fills a key of the domain, as a graph; None where it is code.

    Raises:
        PluginError: It is neither.
    """
    if isinstance(instance, Graph):
        return instance
    if isinstance(instance, Mapping):
        try:
            made: Graph = structure(Graph, instance, "graph")
        except SettingsError as error:
            said = "; ".join(str(each) for each in error.problems)
            raise PluginError(f"workflow {name}: its table is no graph: {said}") from None
        return made
    if isinstance(instance, Workflow):
        return None
    raise PluginError(
        f"workflow {name} is a {type(instance).__name__}",
        hint="a workflow is a Graph, a table of one, or has an async run(payload, context)",
    )


def outcome(run: Run, *, resumable: bool) -> Any:
    """What a run gave; *resumable* is whether it can be gone on with.  Raises: RunError, it gave nothing."""
    if run.state == "succeeded":
        return run.result
    again = f"to go on: oneiric workflow resume {run.id}" if resumable else None
    if run.state == "failed":
        if isinstance(run.cause, RunError):
            error = run.cause.twin()
            error.hint = error.hint or again
            raise error
        first, *more = (run.error or "").splitlines() or [""]
        text = first if first.startswith(f"workflow {run.name}") else f"workflow {run.name} failed: {first}"
        raise RunError(text, run=run.id, hint=more[-1].strip() if more else again) from run.cause
    how = "was cancelled" if run.state == "cancelled" else "was cut off"
    raise RunError(f"workflow {run.name} {how}", run=run.id, hint=again)


def _unknown(task: str, error: ResolutionError, known: Iterable[str]) -> str:
    known = list(known)
    if task in known:
        return f"{task} ({error.message})"
    near = nearest(task, known)
    return f"{task} (did you mean {near}?)" if near else task
