"""Tells OpenTelemetry, and the log, what came of each sync.

Attributes are bounded: a stream's name, a code of ``oneiric_hookspecs.remote.Code``, a domain.  Addresses and texts of
errors are for people, and in no attribute.
"""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import StreamView, SyncReport, hookimpl

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram
    from opentelemetry.trace import Tracer

log = logging.getLogger("oneiric.remote")

#: The instruments of streams, and what each counts; generated into the reference.
METRICS = {
    "oneiric_remote_sync_total": "syncs, by stream, outcome and code",
    "oneiric_remote_sync_duration_ms": "how long they took, by stream and outcome",
    "oneiric_remote_bytes_total": "bytes that were fetched, by stream",
    "oneiric_remote_entries_total": "entries that were added, changed, removed or skipped, by stream and change",
    "oneiric_remote_digest_checks_total": "digests that were checked, by stream",
}
EVENT = "remote.telemetry"


class _Instruments:
    def __init__(self) -> None:
        from opentelemetry import metrics, trace

        meter = metrics.get_meter("oneiric")
        self.tracer: Tracer = trace.get_tracer("oneiric")
        self.counters: dict[str, Counter] = {
            name: meter.create_counter(name, description=about)
            for name, about in METRICS.items()
            if name.endswith("_total")
        }
        self.duration: Histogram = meter.create_histogram(
            "oneiric_remote_sync_duration_ms",
            unit="ms",
            description=METRICS["oneiric_remote_sync_duration_ms"],
        )


@functools.cache
def _instruments() -> _Instruments:
    return _Instruments()  # most processes have no stream, and do not pay for the import


@hookimpl
def oneiric_synced(stream: StreamView, report: SyncReport) -> None:
    """Count it, and say it once."""
    facts = _facts(report)
    log.log(
        _level(report),
        "%s: stream %s: %s",
        EVENT,
        stream.name,
        _sentence(report),
        extra={"event": EVENT, **facts},
    )
    tools = _instruments()
    of_stream = {"stream": report.stream}
    outcome = {**of_stream, "outcome": report.outcome}
    tools.counters["oneiric_remote_sync_total"].add(1, {**outcome, "code": report.code or ""})
    tools.duration.record(report.duration_ms, outcome)
    tools.counters["oneiric_remote_bytes_total"].add(report.sent, of_stream)
    tools.counters["oneiric_remote_digest_checks_total"].add(report.digests, of_stream)
    for change in ("added", "changed", "removed", "skipped"):
        if count := len(getattr(report, change)):
            tools.counters["oneiric_remote_entries_total"].add(count, {**of_stream, "change": change})
    # It has ended already: its time is told, as a span around it would have to be in the kernel.
    ended = time.time_ns()
    span = tools.tracer.start_span(
        "oneiric.remote.sync", start_time=ended - int(report.duration_ms * 1e6), attributes=_attributes(facts)
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
