"""One part of a process as plain data: what serves, since when, how well, and what is wanted of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import Activity, Health, Key, Request

if TYPE_CHECKING:
    from oneiric.activation import Slot
    from oneiric.runtime.status import GenerationStatus, SlotStatus
    from oneiric.state import Admin, Pin
    from oneiric.supervision import Supervised

    from .orchestrator import Orchestrator

_FREE = Activity()


class Rows:
    """Makes the rows of one process, at one moment.

    Args:
        orchestrator: The process.
    """

    def __init__(self, orchestrator: Orchestrator) -> None:
        runtime = orchestrator.runtime
        self._runtime, self._measuring = runtime, orchestrator.measuring
        self._recorder, self._supervision = orchestrator.recorder, orchestrator.supervision
        self._wanted = orchestrator.reconciler.wanted
        self._wall, self._now = wall_of(orchestrator)(), runtime.clock.time()
        self._masked = runtime.secrets.masked
        self.activities: Mapping[Key, Activity] = runtime.activity()
        self.slots: Mapping[Any, Slot] = runtime.engine("status").slots

    def keys(self) -> list[Key]:
        """The parts there is something to say of, sorted: those in use, and those on which something is imposed."""
        return sorted({*(slot.key for slot in self.slots.values()), *self.activities})

    def row(self, key: Key) -> dict[str, Any]:
        """All about one part."""
        from oneiric.runtime.status import of_slot

        slot = self.slots.get(key)
        status = None if slot is None else of_slot(slot, self._now)
        measured = self._measuring.parts.get(key)
        return {
            "key": str(key),
            "domain": key.domain,
            "name": key.name,
            "phase": "empty" if status is None else status.phase,
            **self._imposed(key),
            "bound": None if status is None or status.bound is None else self._bound(status.bound),
            "others": [] if status is None else [self._other(each) for each in status.others],
            "pending": None if status is None else self._pending(key, status),
            **self._revisions(key),
            "last_error": self._error(status, None if measured is None else measured.error),
            "previous": None if status is None else status.previous,
            "swaps": 0 if status is None else status.swaps,
            "rollbacks": 0 if status is None else status.rollbacks,
            "supervised": None if slot is None else self._supervised(key),
            "measured": None if measured is None else measured.plain(),
        }

    def _imposed(self, key: Key) -> dict[str, Any]:
        activity = self.activities.get(key, _FREE)
        admin: Admin | None = self._wanted.admins.get(str(key))
        note = None if admin is None or admin.note is None else admin.note
        return {
            "mode": activity.mode,
            "activity": None
            if activity.mode is None
            else {**attrs.asdict(activity), "reason": self._masked(activity.reason)},
            "note": None if note is None else self._masked(note.text),
        }

    def _bound(self, bound: GenerationStatus) -> dict[str, Any]:
        return {
            "provider": bound.provider,
            "generation": bound.number,
            "since": self._epoch(bound.for_seconds),
            "for_seconds": round(bound.for_seconds, 3),
            "leases": bound.leases,
            "dependents": [str(each) for each in bound.dependents],
            "health": self._health(bound.health),
        }

    def _other(self, each: GenerationStatus) -> dict[str, Any]:
        return {
            "provider": each.provider,
            "generation": each.number,
            "state": each.state,
            "for_seconds": round(each.for_seconds, 3),
            "leases": each.leases,
        }

    def _health(self, health: Health | None) -> dict[str, Any] | None:
        if health is None:
            return None
        return {
            "status": health.status,
            "reason": self._masked(health.reason),
            "kind": health.kind,
            "age_seconds": round(max(0.0, self._now - health.observed_at), 3),
            "latency_ms": round(health.latency * 1000, 3),
        }

    def _supervised(self, key: Key) -> dict[str, Any]:
        told: Supervised = self._supervision.of(key)
        attempt = told.next_attempt
        return {
            "health": None if told.health is None else told.health.status,
            "effective": None if told.effective is None else told.effective.status,
            "reason": "" if told.effective is None else self._masked(told.effective.reason),
            "flapping": told.flapping,
            "stale": told.stale,
            "failures": told.failures,
            "next_attempt": None if attempt is None else self._epoch(self._now - attempt),
            "exhausted": told.exhausted,
            "given_up": self._masked(told.given_up),
        }

    def _pending(self, key: Key, status: SlotStatus) -> dict[str, Any] | None:
        """What is wanted and not so yet, and who would serve then."""
        if not status.pending:
            return None
        winner = self._runtime.snapshot.decide(Request(key)).winner
        return {
            "provider": None if winner is None else winner.provider,
            "sentence": self._masked(status.pending),
        }

    def _revisions(self, key: Key) -> dict[str, Any]:
        pin: Pin | None = self._wanted.pins.get(key)
        seen = self._recorder._acted.get(key, {})  # noqa: SLF001 - of this package
        return {
            "desired": {
                "revision": self._wanted.revision,
                "pin": pin.provider if pin is not None and pin.mark.holds(self._wall) else None,
            },
            "observed": {
                "revision": seen.get("desired"),
                "outcome": seen.get("outcome", ""),
                "told": self._masked(seen.get("told", "")),
            },
        }

    def _error(self, status: SlotStatus | None, measured: tuple[float, str] | None) -> dict[str, Any] | None:
        """The last failure; whether it is current: nothing has succeeded since."""
        if status is not None and status.last_error:
            return {
                "text": self._masked(status.last_error),
                "at": self._epoch(status.error_for or 0.0),
                "current": True,
            }
        if measured is None:
            return None
        return {"text": self._masked(measured[1]), "at": measured[0], "current": False}

    def _epoch(self, ago: float) -> float:
        return round(self._wall - ago, 3)


def wall_of(orchestrator: Orchestrator) -> Callable[[], float]:
    """What gives a process seconds since 1970."""
    return orchestrator._wall  # noqa: SLF001 - of this package
