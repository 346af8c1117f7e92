"""The domain ``task``: work that is run once, later, or on a schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
from oneiric_hookspecs import Domain, Host, PluginContext, TaskHandler, TaskSpec, a_few, hookimpl, nearest

from .running import Overrides, TaskRun, Tasks

__all__ = ["Overrides", "Plugin", "Settings", "TaskRun", "Tasks"]


@attrs.frozen
class Settings:
    """``[plugins.settings."domains.task"]``.

    Args:
        executor: Who runs tasks: the name of one that a plugin declares.
        runs: How tasks are run, by their names, where that is not as they say.
    """

    executor: str = "local"
    runs: dict[str, Overrides] = attrs.field(factory=dict)


class Plugin:
    """The domain, and how its tasks are run."""

    Settings = Settings

    def __init__(self, context: PluginContext) -> None:
        settings: Settings = context.settings
        self._named, self._log = tuple(settings.runs), context.log
        self._tasks = Tasks(context.host, executor=settings.executor, overrides=settings.runs)

    @hookimpl
    def oneiric_domains(self) -> Iterable[Domain]:
        """Declare ``task``."""
        yield Domain(
            "task",
            "tasks",
            "work that is run once, later, or on a schedule",
            contract=TaskHandler,
            call=self._call,
            face=self._face,
            entry=TaskSpec,
        )

    @hookimpl
    def oneiric_started(self, host: Host) -> None:
        """Say which names in the settings are no tasks."""
        known = host.keys("task")
        for name in self._named:
            if name not in known:
                near = nearest(name, known)
                hint = f"did you mean {near}?" if near else f"there are: {a_few(known)}"
                place = 'plugins.settings."domains.task".runs'
                self._log.warning("%s: there is no task %r (%s)", place, name, hint)

    def _face(self, host: Host) -> Tasks:
        return self._tasks

    async def _call(self, host: Host, name: str, payload: Any) -> Any:
        return await self._tasks.run(name, payload)
