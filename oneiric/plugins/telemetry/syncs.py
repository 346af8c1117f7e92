"""What is told of a sync: to the log always, and to OpenTelemetry where somebody listens.

Attributes are bounded: a stream's name, a code of ``oneiric_hookspecs.remote.Code``, a domain.  Addresses and texts of
errors are for people, and in no attribute.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import SyncReport

from oneiric.plugins._metrics import Instruments

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logging.getLogger("oneiric.remote")

EVENT = "remote.telemetry"


def say(report: SyncReport) -> None:
    """Write it into the log, once."""
    log.log(
        _level(report),
        "%s: stream %s: %s",
        EVENT,
        report.stream,
        _sentence(report),
        extra={"event": EVENT, **_facts(report)},
    )


def count(told: Instruments, report: SyncReport) -> None:
    """Count it."""
    stream = report.stream
    told.count("oneiric_remote_sync_total", stream=stream, outcome=report.outcome, code=report.code or "")
    told.measure("oneiric_remote_sync_duration_ms", report.duration_ms, stream=stream, outcome=report.outcome)
    told.count("oneiric_remote_bytes_total", report.sent, stream=stream)
    told.count("oneiric_remote_digest_checks_total", report.digests, stream=stream)
    for change in ("added", "changed", "removed", "skipped"):
        if number := len(getattr(report, change)):
            told.count("oneiric_remote_entries_total", number, stream=stream, change=change)


def draw(tracer: Tracer, report: SyncReport) -> None:
    """Make a span of it."""
    # It has ended already: its time is told, as a span around it would have to be in the kernel.
    ended = time.time_ns()
    span = tracer.start_span(
        "oneiric.remote.sync",
        start_time=ended - int(report.duration_ms * 1e6),
        attributes=_attributes(_facts(report)),
    )
    if report.outcome in ("rejected", "unreachable"):
        from opentelemetry.trace import Status, StatusCode

        span.set_status(Status(StatusCode.ERROR, report.code))
    span.end(ended)


def _facts(report: SyncReport) -> dict[str, Any]:
    return {
        "stream": report.stream,
        "outcome": report.outcome,
        "code": report.code,
        "epoch": report.epoch,
        "version": report.version,
        "added": len(report.added),
        "changed": len(report.changed),
        "removed": len(report.removed),
        "skipped": len(report.skipped),
        "domains": dict(report.domains),
        "digests": report.digests,
        "bytes": report.sent,
        "duration_ms": report.duration_ms,
        "stale": report.stale,
    }


def _attributes(facts: dict[str, Any]) -> dict[str, Any]:
    flat = {
        f"oneiric.{name}": value for name, value in facts.items() if name != "domains" and value is not None
    }
    return flat | {f"oneiric.domains.{domain}": count for domain, count in facts["domains"].items()}


def _level(report: SyncReport) -> int:
    if report.outcome in ("rejected", "unreachable"):
        return logging.WARNING
    return logging.INFO if report.outcome == "applied" else logging.DEBUG


def _sentence(report: SyncReport) -> str:
    at = "" if report.version is None else f" at {report.epoch}.{report.version}"
    why = f" ({report.code})" if report.code else ""
    changes = f", {len(report.added)} added, {len(report.changed)} changed, {len(report.removed)} removed"
    return f"{report.outcome}{why}{at}{changes if report.outcome == 'applied' else ''} in {report.duration_ms:.0f} ms"
