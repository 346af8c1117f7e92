"""One part, as it is watched."""

from __future__ import annotations

import attrs
from oneiric_hookspecs import Health, Key

from oneiric.activation import Generation
from oneiric.settings.supervised import HealthSection

from .standing import WINDOW, Flapping, Threshold, Uses


class Part:
    """How one part stands.

    Attributes:
        generation: What is bound, as far as is known here; None where nothing is.
        ready, alive: How its readiness and its liveness stand; the latter is None where nobody declares one.
        trouble: What keeps it from coming up, or that it has ended; None for nothing.
        flapping: Whether it changes too often.
        told: What was told of it last.
    """

    def __init__(self, key: Key) -> None:
        self.key = key
        self.generation: Generation | None = None
        self.ready = Threshold()
        self.alive: Threshold | None = None
        self.trouble: Health | None = None
        self.flapping = Flapping()
        self.told: Health | None = None
        self._uses = Uses()

    def follow(self, bound: Generation | None, now: float) -> None:
        """Look at what is *bound*, *now*."""
        before = self.generation
        if bound is before:
            return
        self.generation = bound
        self.ready, self.alive = Threshold(None if bound is None else bound.health), None
        self._uses = Uses()
        if bound is not None:
            self.trouble = None
            if now - bound.since <= WINDOW:
                self._uses.look(bound.since, 0, 0)
            else:  # what it was used for before anybody looked is not of the last minute
                self._uses.look(now, bound.ended, bound.bad)
            if before is not None and before.fingerprint != bound.fingerprint:
                self.flapping = Flapping()

    def answered(self, ready: Health, alive: Health | None, section: HealthSection, now: float) -> bool:
        """Take the answers of one round in; whether its liveness has failed with them."""
        generation = self.generation
        assert generation is not None
        judged = self._uses.judge(ready, now, generation.ended, generation.bad)
        if self.ready.feed(judged, section.failure, section.success):
            self.flapping.changed(now, section)
        if alive is None:
            self.alive = None
            return False
        if self.alive is None:
            self.alive = Threshold(Health("ok", observed_at=now, kind="liveness"))
        was = self.alive.health
        changed = self.alive.feed(alive, section.failure, section.success)
        assert self.alive.health is not None
        return changed and not self.alive.health.passes and (was is None or was.passes)

    def own(self, section: HealthSection, now: float) -> Health | None:
        """How it is, without what it needs."""
        if self.trouble is not None:
            return self.trouble
        health = self.ready.health
        if health is None:
            return None
        if self.flapping.look(now, section):
            health = self.flapping.said(health, section)
        if self.alive is not None and self.alive.health is not None and not self.alive.health.passes:
            alive = self.alive.health
            health = health.worst(
                attrs.evolve(alive, reason=f"it does not live: {alive.reason or alive.status}")
            )
        return health

    def stale(self, now: float, seconds: float) -> bool:
        """Whether its last answer is older than *seconds*."""
        health = self.ready.health
        return self.trouble is None and health is not None and now - health.observed_at > seconds
