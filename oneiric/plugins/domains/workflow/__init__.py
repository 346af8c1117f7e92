"""The domain ``workflow``: tasks that wait for one another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import attrs
from attrs.validators import ge
from oneiric_hookspecs import (
    Candidate,
    Domain,
    Graph,
    Host,
    OneiricError,
    PluginContext,
    PluginError,
    WorkflowSpec,
    hookimpl,
)
from oneiric_hookspecs.candidates import Ready

from .face import WorkflowRun, Workflows, graph_of
from .planning import Plan
from .preparing import checked
from .running import Progress, Watch

__all__ = ["Plan", "Plugin", "Progress", "Settings", "Watch", "WorkflowRun", "Workflows", "graph"]


@attrs.frozen
class Settings:
    """``[plugins.settings."domains.workflow"]``.

    Args:
        executor: Who runs workflows: the name of one that a plugin declares.
        resume: Whether a process that starts goes on with the runs that were cut off (``auto``), or leaves them to
            ``oneiric workflow resume`` (``ask``).
        concurrency: How many nodes of one run go on at once, where the graph does not say.
    """

    executor: str = "local"
    resume: Literal["ask", "auto"] = "ask"
    concurrency: int = attrs.field(default=10, validator=ge(1))


class Plugin:
    """The domain, and what it goes on with when the runtime starts."""

    Settings = Settings

    def __init__(self, context: PluginContext) -> None:
        self._host: Host = context.host
        self._settings: Settings = context.settings
        self._log = context.log
        self._workflows = Workflows(
            context.host, executor=self._settings.executor, concurrency=self._settings.concurrency
        )

    @hookimpl
    def oneiric_domains(self) -> Iterable[Domain]:
        """Declare ``workflow``."""
        yield Domain(
            "workflow",
            "workflows",
            "tasks that wait for one another",
            call=self._call,
            face=self._face,
            entry=WorkflowSpec,
            check=self._check,
        )

    def _face(self, host: Host) -> Workflows:
        return self._workflows

    async def _call(self, host: Host, name: str, payload: Any) -> Any:
        return await self._workflows.run(name, payload)

    def _check(self, candidate: Candidate) -> None:
        """Its graph is well formed, where there is one before it is built."""
        spec: WorkflowSpec = candidate.data
        if spec.nodes:
            checked(spec.nodes)
        elif candidate.factory == "ep:graph":
            raise PluginError("its data has no nodes", hint="the factory ep:graph makes the graph of them")
        if isinstance(candidate.factory, Ready):
            made = graph_of(candidate.factory.value, candidate.key.name, self._host.structure)
            if made is not None:
                checked(made.nodes)

    @hookimpl
    def oneiric_started(self, host: Host) -> None:
        """Go on with what was cut off, where that is wanted."""
        if self._settings.resume == "auto":
            host.spawn(self._resume(), name="workflows: resume what was cut off")

    async def _resume(self) -> None:
        try:
            lost = await self._workflows.runs(states=("lost",), limit=1000)
        except OneiricError as error:
            self._log.error("the runs that were cut off cannot be read: %s", error)
            return
        for run in reversed(lost):  # the oldest first
            try:
                await self._workflows.resume(run.id)
            except OneiricError as error:  # another process was faster; or the workflow has changed
                self._log.warning("run %s was cut off, and is not gone on with: %s", run.id, error)
            else:
                self._log.info("run %s of workflow %s goes on", run.id, run.name)


def graph(data: WorkflowSpec) -> Graph:
    """The factory ``ep:graph``: the graph that a candidate's data tells.

    Args:
        data: Of the candidate.
    """
    said = {
        name: value
        for name in ("timeout", "concurrency", "on_failure")
        if (value := getattr(data, name)) is not None
    }
    return Graph(data.nodes, **said)
