"""What the words of domains say of runs."""

from __future__ import annotations

import datetime as dt
from typing import Any

from oneiric_hookspecs import Run, StepRun

#: Those of ``Run``, for options.
STATES = ("queued", "running", "succeeded", "failed", "cancelled", "lost")


def told(run: Run) -> dict[str, Any]:
    """All that is known of a run, as plain data."""
    return {
        "id": run.id,
        run.kind: run.name,
        "state": run.state,
        "key": run.key,
        "payload": run.payload,
        "result": run.result,
        "error": run.error,
        "submitted": _iso(run.submitted),
        "started": _iso(run.started),
        "ended": _iso(run.ended),
        "node": run.node,
    }


def line(run: Run) -> dict[str, Any]:
    """A run in a table."""
    return {
        "id": run.id,
        run.kind: run.name,
        "state": run.state,
        "submitted": _local(run.submitted),
        "took": took(run.started, run.ended),
        "error": "" if run.error is None else run.error.splitlines()[0],
    }


def told_step(step: StepRun) -> dict[str, Any]:
    """All that is known of a step, as plain data."""
    return {
        "step": step.name,
        "state": step.state,
        "result": step.result,
        "error": step.error,
        "started": _iso(step.started),
        "ended": _iso(step.ended),
    }


def took(started: float | None, ended: float | None) -> str:
    """How long it went on, for people; empty as long as it does."""
    if started is None or ended is None:
        return ""
    seconds = max(0.0, ended - started)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _iso(at: float | None) -> str | None:
    return None if at is None else dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds")


def _local(at: float) -> str:
    return dt.datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
