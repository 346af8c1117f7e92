"""A workflow that is code: its steps are those it asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from oneiric_hookspecs import JSON, Node, Retry, RunContext, Steps

from .running import Performs


class Context:
    """A ``WorkflowContext``.

    Args:
        name: The workflow's.
        payload: What the run was started with.
        steps: The journal.
        tasks: Who does tasks.

    Attributes:
        run: The run's id.
        name: The workflow's name.
    """

    def __init__(self, name: str, payload: JSON, steps: Steps, tasks: Performs) -> None:
        self.run, self.name = steps.run, name
        self._payload, self._steps, self._tasks = payload, steps, tasks

    async def step(self, name: str, call: Callable[[], Awaitable[JSON]]) -> JSON:
        """As of the contract."""
        Node(name, "step")  # it says what is wrong with the id
        return await self._steps.step(name, call)

    async def task(
        self,
        task: str,
        payload: JSON = None,
        *,
        step: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
    ) -> JSON:
        """As of the contract."""
        node = Node(task if step is None else step, task, retry=retry, timeout=timeout)
        told = RunContext(self.run, self.name, node.id, 1, self._payload)

        async def call() -> JSON:
            return await self._tasks.perform(task, payload, told, retry=retry, timeout=timeout)

        return await self._steps.step(node.id, call)
