"""One run of a graph: each node is started when what it comes after has succeeded, so many at once, none in vain."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

from oneiric_hookspecs import JSON, NodesFailed, OneiricError, Retry, RunContext, RunError, Steps

from .preparing import Prepared

log = logging.getLogger("oneiric.plugin.domains.workflow")

#: ``kept``: it had succeeded before the run was resumed.
NodeState = Literal["started", "kept", "succeeded", "failed", "cancelled", "skipped"]

_NOTHING: Mapping[str, JSON] = {}


class Progress(NamedTuple):
    """What has just become of a node.

    Args:
        run: The run's id.
        node: The node's.
        state: What.
        error: Why it failed.
        done: How many nodes have succeeded by now.
        total: How many there are.
    """

    run: str
    node: str
    state: NodeState
    error: str
    done: int
    total: int


#: Is told of every node as it starts and ends.
Watch = Callable[[Progress], object]


class Performs(Protocol):
    """Who does tasks as part of a run: the domain ``task``."""

    def perform(
        self,
        name: str,
        payload: JSON,
        context: RunContext,
        *,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> Coroutine[Any, Any, JSON]:
        """Do one."""


class GraphRun:
    """A run of a graph, to be run once.

    The loop does next to nothing for each node: a task, and a callback when it has ended.

    Args:
        name: The workflow's.
        prepared: The graph.
        payload: What the run is started with.
        tasks: Who does tasks.
        limit: How many nodes go on at once.
        watch: Who is told.

    Attributes:
        results: What nodes gave up to now.
    """

    def __init__(
        self,
        name: str,
        prepared: Prepared,
        payload: JSON,
        tasks: Performs,
        *,
        limit: int,
        watch: Watch | None = None,
    ) -> None:
        self.results: dict[str, JSON] = {}
        self._name, self._prepared, self._payload = name, prepared, payload
        self._perform, self._limit, self._watch = tasks.perform, limit, watch
        self._nodes = prepared.graph.nodes
        self._counts = list(prepared.counts)  # how many of those it comes after are missing
        self._ready = deque(place for place, count in enumerate(prepared.counts) if count == 0)
        self._active: dict[asyncio.Task[JSON], int] = {}
        self._failures: dict[str, BaseException] = {}
        self._cancelled: list[str] = []
        self._stopping = False

    async def run(self, steps: Steps) -> JSON:
        """Run it to its end; nothing of it goes on afterwards, however it ended.

        Returns:
            What the nodes gave that none comes after, by their ids.
        Raises:
            NodesFailed: Naming all that failed.
        """
        self._run, self._steps = steps.run, steps
        self._keeps, self._finished = steps.keeps, steps.finished
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        cancelled: asyncio.CancelledError | None = None
        self._go_on()
        while not self._over.done():
            try:
                await asyncio.wait((self._over,))
            except asyncio.CancelledError as error:
                cancelled = error
                self._stop()
        left = self._left()
        if cancelled is not None:
            raise cancelled
        if self._failures:
            raise self._failed(left) from _group(self._failures)
        return {identity: self.results[identity] for identity in self._prepared.last}

    def counts(self) -> dict[str, int]:
        """How many nodes succeeded here, failed, were cancelled, and were not begun."""
        begun = self._failures.keys() | set(self._cancelled) | self.results.keys()
        return {
            "succeeded": len(self.results.keys() - self._finished.keys()),
            "failed": len(self._failures),
            "cancelled": len(self._cancelled),
            "skipped": len(self._nodes) - len(begun),
        }

    # --- starting ------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Start what may start."""
        ready, active = self._ready, self._active
        while ready and len(active) < self._limit and not self._stopping:
            place = ready.popleft()
            identity = self._nodes[place].id
            if identity in self._finished:
                self._succeeded(place, self._finished[identity], "kept")
                continue
            task = self._loop.create_task(self._of(place))
            active[task] = place
            task.add_done_callback(self._ended)
            if self._watch is not None:
                self._tell(identity, "started")
        if not active and not self._over.done():
            self._over.set_result(None)

    def _of(self, place: int) -> Coroutine[Any, Any, JSON]:
        """What does a node."""
        node = self._nodes[place]
        before = self._before(node.after) if node.after else _NOTHING
        context = RunContext(self._run, self._name, node.id, 1, self._payload, before)
        if self._keeps:
            return self._steps.step(node.id, partial(self._filled, place, context))
        if self._prepared.fills[place] is None:
            return self._perform(node.task, node.args, context, retry=node.retry, timeout=node.timeout)
        return self._filled(place, context)

    def _before(self, after: Iterable[str]) -> Mapping[str, JSON]:
        return {other: self.results[other] for other in after}

    async def _filled(self, place: int, context: RunContext) -> JSON:
        node, fill = self._nodes[place], self._prepared.fills[place]
        args = node.args if fill is None else fill(self.results, self._payload)
        return await self._perform(node.task, args, context, retry=node.retry, timeout=node.timeout)

    # --- ending --------------------------------------------------------------------------------------------------

    def _ended(self, task: asyncio.Task[JSON]) -> None:
        place = self._active.pop(task)
        error: BaseException | None
        if task.cancelled():
            if self._stopping:
                identity = self._nodes[place].id
                self._cancelled.append(identity)
                self._tell(identity, "cancelled")
                self._go_on()
                return
            error = asyncio.CancelledError()
        else:
            error = task.exception()
        if error is None:
            self._succeeded(place, task.result(), "succeeded")
        else:
            self._failures[self._nodes[place].id] = error
            self._tell(self._nodes[place].id, "failed", described(error))
            if self._prepared.graph.on_failure == "cancel":
                self._stop()
        self._go_on()

    def _succeeded(self, place: int, result: JSON, how: NodeState) -> None:
        identity = self._nodes[place].id
        self.results[identity] = result
        counts = self._counts
        for follower in self._prepared.followers[place]:
            counts[follower] -= 1
            if counts[follower] == 0:
                self._ready.append(follower)
        if self._watch is not None:
            self._tell(identity, how)

    def _stop(self) -> None:
        """End what goes on, and start no more; a second time too, for those who did not mind the first."""
        self._stopping = True
        for task in list(self._active):
            task.cancel()
        if not self._active and not self._over.done():
            self._over.set_result(None)

    def _left(self) -> list[str]:
        """The nodes that were never begun."""
        known = self.results.keys() | self._failures.keys() | set(self._cancelled)
        left = [node.id for node in self._nodes if node.id not in known]
        for identity in left:
            self._tell(identity, "skipped")
        return left

    def _failed(self, left: list[str]) -> NodesFailed:
        failures, total = self._failures, len(self._nodes)
        each = [f"{identity} ({described(error)})" for identity, error in failures.items()]
        message = f"workflow {self._name}: {len(each)} of {total} nodes failed: {', '.join(each)}"
        if self._cancelled:
            message += f"; {_were(len(self._cancelled))} ended for it"
        if left:
            message += f"; {_were(len(left))} not begun"
        hint = f"to go on: oneiric workflow resume {self._run}" if self._keeps else None
        return NodesFailed(
            message, run=self._run, hint=hint, failures=dict(failures), skipped=[*self._cancelled, *left]
        )

    def _tell(self, identity: str, state: NodeState, error: str = "") -> None:
        if self._watch is None:
            return
        try:
            self._watch(
                Progress(self._run, identity, state, error, len(self.results), len(self._nodes)),
            )
        except Exception:
            log.exception("who watches run %s failed, and is told no more", self._run)
            self._watch = None


def described(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, RunError):
        text = error.message
    elif isinstance(error, asyncio.CancelledError):
        text = "it cancelled itself"
    elif isinstance(error, OneiricError):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "; ".join(line for line in lines if line)  # nothing is cut: what is half a secret is not found


def _were(count: int) -> str:
    return f"{count} {'was' if count == 1 else 'were'}"


def _group(failures: Mapping[str, BaseException]) -> BaseException:
    errors = list(failures.values())
    return errors[0] if len(errors) == 1 else BaseExceptionGroup("the nodes that failed", errors)
