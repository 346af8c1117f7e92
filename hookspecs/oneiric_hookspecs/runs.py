"""Runs: work that has a beginning, an end and a journal; the tasks and graphs that are run, and who runs them."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal, Protocol, TypeAlias, get_args, runtime_checkable

import attrs

from .attempts import Breaker, Retry
from .errors import PluginError
from .keys import NAME, check_name
from .state import JSON

#: ``queued``: taken, and not begun.  ``running``.  ``succeeded``, ``failed``, ``cancelled``: ended.  ``lost``: the
#: process that ran it is gone, and nobody has resumed it.
RunState = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]

#: What a request may ask of an executor.  ``durable``: what has ended is known to the next process.  ``resume``: a lost
#: run goes on where it was.  ``keys``: two submissions with one key are one run.  ``cancel``: a run ends on request.
#: ``distributed``: any process of several may run it.
Capability = Literal["durable", "resume", "keys", "cancel", "distributed"]


def _seconds(what: str, value: float | None) -> None:
    if value is not None and (value.__class__ not in (int, float) or not 0 < value < math.inf):
        raise PluginError(f"{what} is a number of seconds above 0, found {value!r}")


@attrs.frozen
class RunContext:
    """What a task is told about the run it is part of.

    Args:
        run: The run's id.
        name: The task's name, or the workflow's.
        node: The node of the workflow; None where the task is run by itself.
        attempt: 1 for the first, also after a run was resumed.
        payload: What the run was started with.
        results: Of a node, what the nodes gave that it comes after, by their ids.
    """

    run: str
    name: str
    node: str | None = None
    attempt: int = 1
    payload: JSON = None
    results: Mapping[str, JSON] = attrs.field(factory=dict)

    @property
    def effect_key(self) -> str:
        """Equal in every attempt at one step of one run: what an effect is done once under."""
        return f"{self.run}/{self.node or self.name}"


@runtime_checkable
class TaskHandler(Protocol):
    """What fills a key of the domain ``task``."""

    async def run(self, payload: Any, context: RunContext) -> Any:
        """Do it; what is returned is the result, plain data or nothing."""


@attrs.frozen
class TaskSpec:
    """How a task is to be run: the ``data`` of a candidate of the domain ``task``.

    Args:
        timeout: Seconds for each attempt; None for as long as it takes.
        retry: How often it is tried again; None tries once.
        breaker: When it is left alone for a while; None for never.
        concurrency: How many runs of it go on at once in a process, more wait; None for as many as there are.
    """

    timeout: float | None = None
    retry: Retry | None = None
    breaker: Breaker | None = None
    concurrency: int | None = None

    def __attrs_post_init__(self) -> None:
        _seconds("the timeout", self.timeout)
        if self.concurrency is not None and (self.concurrency.__class__ is not int or self.concurrency < 1):
            raise PluginError(f"the concurrency is a whole number, 1 or more, found {self.concurrency!r}")


# Graphs -----------------------------------------------------------------------------------------------------------

#: How many cycles of a graph are told at once; each costs a walk through all of it.
_CYCLES = 20
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def _ids(given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise PluginError(f"after is a list of ids, found {given!r}")
    return tuple(given)


@attrs.frozen
class Node:
    """One step of a graph.

    Args:
        id: Its name in the graph: 1 to 128 letters, digits, ``.``, ``_`` and ``-``.
        task: The task that is run, a name of the domain ``task``.
        after: The ids of the nodes that have to succeed first; their results are in the context.
        args: The task's payload.  Anywhere in it ``{"$result": "fetch"}`` stands for the result of an upstream node,
            and ``{"$result": "fetch.items.0"}`` for a part of it; ``{"$payload": "customer"}`` for a part of what the
            run was started with, ``{"$payload": ""}`` for all of it.
        retry: Instead of the task's own.
        timeout: Instead of the task's own, in seconds for each attempt.
    """

    id: str
    task: str
    after: tuple[str, ...] = attrs.field(default=(), converter=_ids)
    args: JSON = None
    retry: Retry | None = None
    timeout: float | None = None

    def __attrs_post_init__(self) -> None:
        identity: Any = self.id
        if not isinstance(identity, str) or _ID.fullmatch(identity) is None:
            raise PluginError(f"{identity!r} is no id of a node")
        task: Any = self.task
        if not isinstance(task, str) or NAME.fullmatch(task) is None:
            raise PluginError(f"node {self.id}: {task!r} is no name of a task")
        _seconds(f"node {self.id}: the timeout", self.timeout)


def _nodes(given: Iterable[Node]) -> tuple[Node, ...]:
    return tuple(given)


@attrs.frozen
class Graph:
    """Tasks, and which of them come after which: what a workflow is made of.

    Args:
        nodes: At least one.
        timeout: Seconds for a whole run, from when it starts or is resumed; None for as long as it takes.
        concurrency: How many nodes of one run go on at once; None for as many as the settings say.
        on_failure: Where a node fails in the end: ``continue`` runs what does not come after it, ``cancel`` ends the
            others too.
    Raises:
        PluginError: Naming all that is wrong: an id twice, an unknown one, a cycle.
    """

    nodes: tuple[Node, ...] = attrs.field(converter=_nodes)
    timeout: float | None = None
    concurrency: int | None = None
    on_failure: Literal["continue", "cancel"] = "continue"

    def __attrs_post_init__(self) -> None:
        _check_running(self.timeout, self.concurrency, self.on_failure, ("continue", "cancel"))
        if problems := problems_of(self.nodes):
            raise PluginError("the graph is not well formed: " + "; ".join(problems))


@attrs.frozen
class WorkflowSpec:
    """How a workflow is to be run: the ``data`` of a candidate of the domain ``workflow``.

    What is said here counts, whatever its graph says.

    Args:
        nodes: The graph, where it is data and not made by the factory; such a candidate's factory is ``ep:graph``.
        timeout: As of a ``Graph``; None for what that says.
        concurrency: The same.
        on_failure: The same.
    """

    nodes: tuple[Node, ...] = attrs.field(default=(), converter=_nodes)
    timeout: float | None = None
    concurrency: int | None = None
    on_failure: Literal["continue", "cancel"] | None = None

    def __attrs_post_init__(self) -> None:
        _check_running(self.timeout, self.concurrency, self.on_failure, ("continue", "cancel", None))


class WorkflowContext(Protocol):
    """What a workflow that is code is told, and does its steps with.

    A run that is resumed begins anew, and its steps that had succeeded give what they gave before without being done
    again.  So the code between them is to be the same each time: what is drawn, read or asked belongs into a step.
    """

    @property
    def run(self) -> str:
        """The run's id."""

    @property
    def name(self) -> str:
        """The workflow's name."""

    async def step(self, name: str, call: Callable[[], Awaitable[JSON]]) -> JSON:
        """What ``call()`` gives, or gave before the run was resumed.

        Args:
            name: Unique in the run; formed as the id of a node.
            call: Does the step; what it raises is raised.
        """

    async def task(
        self,
        task: str,
        payload: JSON = None,
        *,
        step: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> JSON:
        """A step that is a task.

        Args:
            task: Its name.
            payload: Plain data.
            step: The step's name; the task's where None.
            retry: Instead of the task's own.
            timeout: Instead of the task's own, in seconds for each attempt.
        """


@runtime_checkable
class Workflow(Protocol):
    """A workflow that is code.  What fills a key of the domain ``workflow`` is this, a ``Graph``, or a table of one."""

    async def run(self, payload: Any, context: WorkflowContext) -> Any:
        """Do it; what is returned is the result, plain data or nothing."""


def _check_running(
    timeout: float | None, concurrency: int | None, on_failure: str | None, choices: tuple[str | None, ...]
) -> None:
    _seconds("the timeout of a graph", timeout)
    if concurrency is not None and (concurrency.__class__ is not int or concurrency < 1):
        raise PluginError(f"the concurrency is a whole number, 1 or more, found {concurrency!r}")
    if on_failure not in choices:
        raise PluginError(f"on_failure is continue or cancel, found {on_failure!r}")


def problems_of(nodes: tuple[Node, ...]) -> list[str]:
    """What is wrong with these as a graph; each is one problem, in a few words."""
    if not nodes:
        return ["it has no nodes"]
    problems, seen = [], set()
    for node in nodes:
        if node.id in seen:
            problems.append(f"{node.id} stands twice")
        seen.add(node.id)
    for node in nodes:
        problems += [f"{node.id} comes after itself" for other in node.after if other == node.id]
        problems += [
            f"{node.id} comes after {other}, which is no node" for other in node.after if other not in seen
        ]
    edges = {node.id: [other for other in node.after if other in seen and other != node.id] for node in nodes}
    for _ in range(_CYCLES):  # not the first one only
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            cycle = error.args[1][::-1]  # graphlib tells it from the last to the first
            problems.append("a cycle: " + " -> ".join(cycle))
            for identity in cycle:
                edges[identity] = [other for other in edges[identity] if other not in cycle]
        else:
            break
    return problems


# Runs -------------------------------------------------------------------------------------------------------------


@attrs.frozen
class Job:
    """What an executor is asked to run.

    Args:
        kind: The domain: ``task`` or ``workflow``.
        name: Which of it.
        payload: Plain data.
        key: Two jobs of one kind and name with one key are the same run; None for a run of its own.
        version: What it consists of, in short: a run is resumed only by a job of the same.
        timeout: Seconds for the whole of it; None for as long as it takes.
        needs: What the executor has to be capable of.
    """

    kind: str
    name: str
    payload: JSON = None
    key: str | None = None
    version: str = ""
    timeout: float | None = None
    needs: frozenset[str] = frozenset()

    def __attrs_post_init__(self) -> None:
        key: Any = self.key
        if key is not None and (not isinstance(key, str) or not 0 < len(key) <= 255):
            raise PluginError(f"a key of a run is a text of 1 to 255 characters, found {key!r}")
        _seconds("the timeout of a run", self.timeout)
        if unknown := sorted(self.needs - set(get_args(Capability))):
            raise PluginError(
                f"there is no capability {unknown[0]!r}", hint=f"there are: {', '.join(get_args(Capability))}"
            )


@attrs.frozen
class Run:
    """What is known of one run.

    Args:
        id: Unique in its application.
        kind: The domain: ``task`` or ``workflow``.
        name: Which of it.
        state: How it is.
        key: The key it was submitted with.
        payload: What it was started with.
        version: Of the job it was started by.
        result: What it gave; None unless it succeeded.
        error: Why it failed, in sentences; None unless it did.
        submitted: When, in seconds since 1970 (UTC).
        started: When it was begun; None before.
        ended: When it ended; None before.
        node: The process that runs it, or ran it last.
        cause: What was raised; None unless it failed in this process.
    """

    id: str
    kind: str
    name: str
    state: RunState
    key: str | None = None
    payload: JSON = None
    version: str = ""
    result: JSON = None
    error: str | None = None
    submitted: float = 0.0
    started: float | None = None
    ended: float | None = None
    node: str = ""
    cause: BaseException | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def over(self) -> bool:
        """Whether it has ended: nothing of it goes on, and nothing will unless it is resumed."""
        return self.state in ("succeeded", "failed", "cancelled")


@attrs.frozen
class StepRun:
    """What is known of one step of a run.

    Args:
        name: Unique in its run: the node's id.
        state: ``succeeded`` or ``failed``.
        result: What it gave.
        error: Why it failed; None unless it did.
        started: When, in seconds since 1970 (UTC).
        ended: When.
    """

    name: str
    state: Literal["succeeded", "failed"]
    result: JSON = None
    error: str | None = None
    started: float = 0.0
    ended: float = 0.0


class Steps(Protocol):
    """What the body of a run is given: its id, and its journal."""

    @property
    def run(self) -> str:
        """The run's id."""

    @property
    def keeps(self) -> bool:
        """Whether anything is written down; where not, a body may as well do its steps without asking."""

    @property
    def finished(self) -> Mapping[str, JSON]:
        """The results of the steps that had succeeded before this process began or resumed the run."""

    async def step(self, name: str, call: Callable[[], Awaitable[JSON]]) -> JSON:
        """The result of a step: as it is written down where it had succeeded; else what ``call()`` gives, once that is
        written down.

        Args:
            name: Unique in the run.
            call: Does it; what it raises is written down too, and raised.
        Raises:
            StateError: It was done, and cannot be written down.
        """


#: Does what a run consists of; its result is the run's.
Body: TypeAlias = Callable[[Steps], Awaitable[JSON]]


@runtime_checkable
class Executing(Protocol):
    """An executor that was started: it runs jobs, and knows what came of them.

    Raises:
        StateError: From every method: its journal cannot be read or written.
    """

    async def submit(self, job: Job, body: Body) -> str:
        """Take a job, and begin it as soon as there is room.

        Returns:
            The run's id.  Where there is a run of the same kind, name and key, it is that one's, and *body* is not
            called; a lost one goes on with *body*.
        Raises:
            RunError: It is not capable of what the job needs; or the key was used with another payload.
        """

    async def wait(self, run: str) -> Run:
        """The run when it has ended, or is lost.  Who waits may be cancelled; the run goes on.  Raises: RunError."""

    async def get(self, run: str) -> Run | None:
        """The run as it is; None where there is none."""

    async def runs(
        self, *, kind: str = "", name: str = "", states: Iterable[RunState] = (), limit: int = 100
    ) -> list[Run]:
        """Runs of a kind, a name, in one of some states; all where nothing is said; newest first."""

    async def steps(self, run: str) -> list[StepRun]:
        """What is written down of a run's steps, in the order they ended."""

    async def cancel(self, run: str) -> bool:
        """Ask a run to end, wherever it goes on; False where it had ended, or there is none."""

    async def resume(self, run: str, job: Job, body: Body) -> None:
        """Go on with a run that is lost, failed or was cancelled; what had succeeded is not done again.

        Raises:
            RunError: There is none; it goes on elsewhere, or has succeeded; *job* is of another version.
        """

    async def close(self) -> None:
        """Cancel what goes on here, which can be resumed, and let go of everything; a second time does nothing."""


def _texts(given: Iterable[str]) -> frozenset[str]:
    return frozenset(given)


@attrs.frozen
class Executor:
    """Who runs tasks and workflows, declared by ``oneiric_executors``; chosen by name.

    Args:
        name: What settings choose it by: ``local``.
        capabilities: What it can do; what a job needs beyond that is refused when it is submitted.
        start: ``start(host, folder)`` gives it started, or an awaitable of it; *folder* is the application's state
            directory, which need not exist.  Called when the first job, or the first question, comes.
        summary: One line for people.
    """

    name: str
    capabilities: frozenset[str] = attrs.field(converter=_texts)
    start: Callable[..., Executing | Awaitable[Executing]] = attrs.field(eq=False, repr=False)
    summary: str = ""

    def __attrs_post_init__(self) -> None:
        check_name(self.name, "executor")
        if not callable(self.start):
            raise PluginError(f"executor {self.name}: start is called, found {self.start!r}")
        if unknown := sorted(self.capabilities - set(get_args(Capability))):
            raise PluginError(
                f"executor {self.name}: there is no capability {unknown[0]!r}",
                hint=f"there are: {', '.join(get_args(Capability))}",
            )
