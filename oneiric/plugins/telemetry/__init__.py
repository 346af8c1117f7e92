"""Tells OpenTelemetry what goes on, where somebody has set up an SDK of it; and the log, what came of each sync."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from sys import modules
from typing import Any

from oneiric_hookspecs import (
    Activity,
    Generation,
    Health,
    Host,
    Key,
    Operation,
    PluginContext,
    StreamView,
    SyncReport,
    hookimpl,
)

from oneiric.plugins._metrics import API, meters

from . import syncs
from .spans import API as _API
from .spans import Around, Spans, tracer

__all__ = ["Plugin"]

#: Those who configure OpenTelemetry by the environment want its providers loaded; until then nobody imports it.
_CONFIGURED = {
    "OTEL_PYTHON_METER_PROVIDER": API,
    "OTEL_PYTHON_TRACER_PROVIDER": _API,
}


class Plugin:
    """Spans and metrics of one runtime; ``[telemetry]`` says which."""

    def __init__(self, context: PluginContext) -> None:
        self._host: Host = context.host
        self._meters = meters(context.host)
        self._meters.on = True
        self._spans = Spans()

    def close(self) -> None:
        """Tell nothing more."""
        self._meters.on = False
        self._meters.healths.clear()

    @hookimpl
    def oneiric_started(self) -> None:
        """Import what the environment says somebody listens by."""
        from importlib import import_module

        for variable, module in _CONFIGURED.items():
            if os.environ.get(variable):
                import_module(module)

    @hookimpl
    def oneiric_around_operation(self, operation: Operation) -> AbstractContextManager[Any] | None:
        """The span of an operation, and how long its steps take."""
        if _API not in modules and API not in modules:
            return None  # nobody can be listening
        told, drawn = self._meters.listening(), tracer()
        if drawn is not None and not self._host.section("telemetry").spans:
            drawn = None
        return None if told is None and drawn is None else Around(operation, told, drawn, self._spans)

    @hookimpl
    def oneiric_rolled_back(self, operation: Operation, new: Generation) -> None:
        """What was taken back after its operation had ended; while it goes on, it says so itself."""
        course = operation.course()
        if course.outcome is None:
            return
        seconds = course.now - course.steps[-1][1]
        if (told := self._meters.listening()) is not None:
            told.measure(
                "oneiric_lifecycle_swap_duration_ms",
                seconds * 1000,
                domain=operation.key.domain,
                phase="probation",
                outcome="rolled_back",
            )
        if (drawn := tracer()) is not None and self._host.section("telemetry").spans:
            self._spans.taken_back(drawn, operation, new.candidate.provider, seconds)

    @hookimpl
    def oneiric_health_changed(self, key: Key, after: Health) -> None:
        """Keep it, for when somebody collects."""
        self._meters.healths[key] = after.status

    @hookimpl
    def oneiric_activity_changed(self, key: Key, before: Activity, after: Activity) -> None:
        """Count what operators impose."""
        if after.mode != before.mode and (told := self._meters.listening()) is not None:
            told.count(f"oneiric_activity_{after.mode or 'resume'}_total", domain=key.domain)

    @hookimpl
    def oneiric_synced(self, stream: StreamView, report: SyncReport) -> None:
        """Count it, and say it once."""
        syncs.say(report)
        if (told := self._meters.listening()) is not None:
            syncs.count(told, report)
        if (drawn := tracer()) is not None and self._host.section("telemetry").spans:
            syncs.draw(drawn, report)
