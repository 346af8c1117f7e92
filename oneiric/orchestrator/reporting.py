"""All that is known of one process as plain data: for people, for scrapers, and for the processes that ask the store.

Reading it probes nothing, and waits for nobody.  ``summary_of`` has no ages in it, so that what has not changed is
equal; ``status_of`` has all of it, and every part.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import Health, HealthSummary, Key, SyncReport

from oneiric.hooks.faults import said

from .rows import Rows, wall_of

if TYPE_CHECKING:
    from oneiric.activation import Slot

    from .orchestrator import Orchestrator

SUMMARY, STATUS = "oneiric/node-summary/1", "oneiric/node-status/1"
#: How many outcomes and changes of health of one part are told to others, and how many faults.
TOLD, FAULTS = 30, 10
_GROUPS = ("live", "ready", "all")


def status_of(orchestrator: Orchestrator) -> dict[str, Any]:
    """All that is known of this process, part by part."""
    rows = Rows(orchestrator)
    return {
        **about(orchestrator),
        "slots": [rows.row(key) for key in rows.keys()],
    }


def about(orchestrator: Orchestrator) -> dict[str, Any]:
    """The same without the parts."""
    runtime, now = orchestrator.runtime, orchestrator.runtime.clock.time()
    found = {**summary_of(orchestrator), "schema": STATUS, "at": round(wall_of(orchestrator)(), 3)}
    del found["parts"]
    return found | {
        "health": {group: _health(orchestrator, group, each=True) for group in _groups(orchestrator)},
        "remote": [
            {**_stream(each), "synced": orchestrator.measuring.synced(each.stream)}
            for each in runtime.remote.status()
        ],
        "loops": [
            {**attrs.asdict(each), "last_ok": None if each.last_ok is None else round(now - each.last_ok, 3)}
            for each in orchestrator.loops
        ],
    }


def summary_of(orchestrator: Orchestrator) -> dict[str, Any]:
    """How this process is as a whole, without anything that grows by itself: what is told to others by the store."""
    return {name: value for piece in pieces(orchestrator) for name, value in piece.items()}


def pieces(orchestrator: Orchestrator) -> Iterator[dict[str, Any]]:
    """The same bit by bit, for a loop that has other things to do: of thousands of parts it takes a while."""
    runtime, masked = orchestrator.runtime, orchestrator.runtime.secrets.masked
    status, measuring = runtime.status(slots=False), orchestrator.measuring
    yield {
        "schema": SUMMARY,
        "node": orchestrator.node,
        "pid": os.getpid(),
        "application": runtime.settings.app.name,
        "started": round(orchestrator.started, 3),
        "state": status.state,
        "desired": orchestrator.reconciler.wanted.revision,
    }
    members = orchestrator.supervision.members()
    yield {}
    domains = dict(_domains(orchestrator, members))
    yield {"domains": domains, "total": _added(domains.values())}
    yield {"parts": {str(key): _short(each.plain()) for key, each in sorted(measuring.parts.items())}}
    health = {}
    for group in _groups(orchestrator):
        health[group] = _health(orchestrator, group, members)
        yield {}
    yield {
        "health": health,
        "remote": [_stream(each) for each in runtime.remote.status()],
        "settings": _settings(orchestrator),
        "plugins": _plugins(orchestrator),
        "loops": [
            {"name": each.name, "failures": each.failures, "error": masked(each.error)}
            for each in orchestrator.loops
        ],
        "operations": [masked(each) for each in status.operations],
        "tasks": list(status.tasks),
        "threads": list(status.threads),
        "attempts": [attrs.asdict(each) for each in status.attempts],
        "events_lost": orchestrator.recorder.dropped,
    }


# --- domains -------------------------------------------------------------------------------------------------------

#: What of a domain is counted.  ``noted``: it has a note, and nothing is imposed on it.
COUNTED = (
    "parts", "bound", "failed", "unwell", "pending", "held", "paused", "draining", "drained", "noted", "swaps",
    "rollbacks",
)  # fmt: skip
_IMPOSED = {"hold": "held", "pause": "paused", "drain": "draining"}


def _domains(
    orchestrator: Orchestrator, members: Mapping[Key, Health]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each domain with what is counted and measured of it, where *members* are so well."""
    rows = Rows(orchestrator)
    counts: dict[str, dict[str, int]] = {}
    for slot in rows.slots.values():
        of = counts.get(slot.key.domain)
        if of is None:
            of = counts[slot.key.domain] = dict.fromkeys(COUNTED, 0)
        _count_slot(of, slot, members.get(slot.key))
    for key in rows.activities.keys() - rows.slots.keys():
        counts.setdefault(key.domain, dict.fromkeys(COUNTED, 0))["parts"] += 1
    for key, activity in rows.activities.items():
        if activity.mode is not None:
            counts[key.domain]["drained" if activity.drained else _IMPOSED[activity.mode]] += 1
    for text, admin in orchestrator.reconciler.wanted.admins.items():
        if admin.note is not None and ":" in text:
            key = Key.parse(text)
            if key not in rows.activities:
                counts.setdefault(key.domain, dict.fromkeys(COUNTED, 0))["noted"] += 1
    measured = orchestrator.measuring.domains
    for domain in sorted({*counts, *measured}):
        plain = measured[domain].plain() if domain in measured else None
        block = None if plain is None else _short(plain)
        yield domain, {"counts": counts.get(domain, dict.fromkeys(COUNTED, 0)), "measured": block}


def _count_slot(of: dict[str, int], slot: Slot, health: Health | None) -> None:
    of["parts"] += 1
    if slot.bound is not None:
        of["bound"] += 1
        of["unwell"] += health is not None and not health.passes
    else:
        of["failed"] += slot.last_error is not None
    of["pending"] += bool(slot.pending)
    of["swaps"] += slot.swaps
    of["rollbacks"] += slot.rollbacks


def _added(domains: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    total = dict.fromkeys(COUNTED, 0)
    for block in domains:
        for name, number in block["counts"].items():
            total[name] += number
    return total


def _short(measured: Mapping[str, Any]) -> dict[str, Any]:
    """*measured* as it is told to others: of the last things, fewer, each as a list."""
    return {
        **measured,
        "recent": [[each["at"], each["outcome"], each["ms"]] for each in measured["recent"][-TOLD:]],
        "health_changes": [[each["at"], each["status"]] for each in measured["health_changes"][-TOLD:]],
    }


# --- the rest ------------------------------------------------------------------------------------------------------


def _groups(orchestrator: Orchestrator) -> list[str]:
    return [*_GROUPS, *orchestrator.runtime.settings.health.groups]


def _health(
    orchestrator: Orchestrator, group: str, members: Mapping[Key, Health] | None = None, *, each: bool = False
) -> dict[str, Any]:
    masked = orchestrator.runtime.secrets.masked
    summary: HealthSummary = orchestrator.supervision.summary(group, members)
    found: dict[str, Any] = {
        "status": summary.status,
        "reasons": [masked(reason) for reason in summary.reasons],
    }
    if each:
        found["members"] = {str(key): health.status for key, health in sorted(summary.members.items())}
    return found


def _stream(status: Any) -> dict[str, Any]:
    """What is told of a stream: of its last sync the numbers, and not what they counted."""
    from oneiric.remote.status import status_json

    found = status_json(attrs.evolve(status, last=None))
    last: SyncReport | None = status.last
    if last is not None:
        found["last"] = {
            "outcome": last.outcome,
            "code": last.code,
            "detail": last.detail,
            "epoch": last.epoch,
            "version": last.version,
            **{name: len(getattr(last, name)) for name in ("added", "changed", "removed", "skipped")},
            "digest_checks": last.digests,
            "bytes": last.sent,
            "duration_ms": round(last.duration_ms, 3),
        }
    return found


def _settings(orchestrator: Orchestrator) -> dict[str, Any] | None:
    watching = orchestrator.watching
    if watching is None:
        return None
    found = attrs.asdict(watching.status)
    return {
        **found,
        "files": list(found["files"]),
        "restart": list(found["restart"]),
        "error": orchestrator.runtime.secrets.masked(found["error"]),
    }


def _plugins(orchestrator: Orchestrator) -> dict[str, Any]:
    """The plugins that went wrong, or are not on by a fault of their own; and what they did last."""
    hooks, masked = orchestrator.runtime.hooks, orchestrator.runtime.secrets.masked
    ago = wall_of(orchestrator)() - orchestrator.runtime.clock.time()
    return {
        "faults": sum(record.faults for record in hooks.plugins),
        "by_plugin": {record.name: record.faults for record in hooks.plugins if record.faults},
        "failed": {
            record.name: masked(record.reason) for record in hooks.plugins if record.state == "failed"
        },
        "recent": [
            {
                "plugin": each.plugin,
                "hook": each.hook,
                "kind": each.kind,
                "error": masked(said(each.error)),
                "at": round(ago + each.at),
            }
            for each in hooks.faults[-FAULTS:]
        ],
    }
