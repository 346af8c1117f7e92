"""Watching what is bound: what others call."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Literal

import attrs
from oneiric_hookspecs import Failure, Health, HealthSummary, Key, NotServing

from oneiric.activation import Generation, Slot
from oneiric.hooks import PluginRecord
from oneiric.registry import Change
from oneiric.runtime import Runtime

from .grouping import Effective, group_of, matches, summed_up
from .looking import Looking
from .observing import Observing
from .part import Part
from .probing import Schedule
from .process import DOMAIN, Members
from .restarting import Restarting
from .telling import Telling
from .values import Supervised

log = logging.getLogger("oneiric.supervision")

#: What it is called among the plugins, and what bars a slot.
PLUGIN, BAR = "orchestrate.supervision", "unready"


class Supervision:
    """Watches what is bound in one runtime, and starts again what fails.

    Args:
        runtime: Which; it runs.
        draw: Gives numbers from 0 to 1, by which probes are spread and waits are drawn.

    Attributes:
        changed: Called on the loop with a key when what ``of`` says of it has changed.
    """

    def __init__(self, runtime: Runtime, *, draw: Callable[[], float] = random.random) -> None:
        self._runtime = runtime
        engine = self._engine = runtime.engine("supervision")
        self._time = engine.loop.time
        self._settings = runtime.settings
        self._parts: dict[Key, Part] = {}
        self._barred: dict[Key, Generation] = {}
        self._looking = Looking(runtime)
        self._members = Members(runtime)
        self._telling = Telling(engine.tasks, runtime.hooks)
        self._restarting = Restarting(runtime, draw, self._down, self._touched)
        self._schedule = Schedule(
            engine.tasks, self._every, self._round, self._look, self._members.lateness.late, draw
        )
        self._state: Literal["new", "running", "stopped"] = "new"
        self._plugin: PluginRecord | None = None
        self.changed: Callable[[Key], None] = lambda key: None

    # --- its life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Activate what is to be up, and begin to ask what is bound."""
        if self._state != "new":
            return
        self._state = "running"
        self._plugin = self._runtime.plug(Observing(self.bound, self.stop), PLUGIN)
        self._runtime.registry.on_change(self._registered)
        self._want()
        for key, slot in tuple(self._engine.slots.items()):
            if slot.occupied():
                self._schedule.add(Key.of(*key))
                self._touched(Key.of(*key))
        self._restarting.look()
        self._schedule.start()

    async def stop(self) -> None:
        """End: no probe, no timer and no restart goes on; what is bound does."""
        if self._state != "running":
            self._state = "stopped"
            return
        self._state = "stopped"
        grace = self._runtime.settings.lifecycle.cancel_grace
        asking = {
            slot.bound.probing
            for slot in self._engine.slots.values()
            if slot.bound is not None and slot.bound.probing is not None
        }
        await self._schedule.stop(grace)
        await self._restarting.stop(grace)
        if asking:  # they were cancelled with who waited for them
            await asyncio.wait(asking, timeout=grace)
        await self._telling.quiet(min(grace, self._runtime.settings.lifecycle.hook_timeout))
        for key in tuple(self._barred):
            self._lift(key)

    # --- what is said of it ------------------------------------------------------------------------------------------

    def of(self, key: Key) -> Supervised:
        """How *key* is; probes nothing."""
        part, trouble = self._parts.get(key), self._restarting.of(key)
        now = self._time()
        return Supervised(
            key,
            self._own(key),
            self._effective().of(key),
            part is not None and part.flapping.look(now, self._runtime.settings.health),
            part is not None and self._is_stale(part, now),
            0 if trouble is None else self._restarting.failures(trouble),
            None if trouble is None else trouble.at,
            trouble is not None and trouble.exhausted,
            "" if trouble is None else trouble.given_up,
        )

    def members(self) -> dict[Key, Health]:
        """How each part is, and the process, with what they need; probes nothing."""
        return dict(self._all())

    def summary(self, group: str = "ready", members: Mapping[Key, Health] | None = None) -> HealthSummary:
        """How a group of parts is; probes nothing.

        Args:
            group: ``ready``: all parts and the process; ``live``: the process, and critical parts that were given up
                after restarts; ``all``: as ``ready``; or a name of ``[health.groups]``.
            members: What ``members`` gave, for who wants more than one group; None is now.
        Raises:
            ResolutionError: There is no such group.
        """
        section = self._runtime.settings.health
        found = group_of(group, section)
        known = self._all() if members is None else members.items()
        return summed_up(
            self._live() if group == "live" else known, found, self._critical, section.informational
        )

    def add_member(self, name: str, call: Callable[[], Health]) -> None:
        """Count something that is no part, by what *call* gives; it is shown as ``runtime:NAME``, and not critical."""
        self._members.add(name, call)

    async def probe(self, *keys: Key) -> dict[Key, Health]:
        """Ask what is bound for its readiness, now; the answers count like any other.

        Args:
            keys: Which; none for all that is bound.
        Raises:
            ResolutionError: Nobody fills one of them.
        """
        slots = self._engine.slots
        for key in keys:
            if key not in slots:
                self._runtime.resolve(*key)  # says so
        chosen = [
            Key.of(*key) for key in keys or sorted(key for key, slot in slots.items() if slot.occupied())
        ]
        asked = {key: self._schedule.begin(key) for key in chosen if key in slots and slots[key].occupied()}
        if asked:
            await asyncio.wait(asked.values())
        answers = {}
        for key in chosen:
            bound = slots[key].bound if key in slots else None
            health = None if bound is None else bound.health
            answers[key] = health or Health("unknown", "nothing is bound", observed_at=self._time())
        return answers

    # --- what is said to it ------------------------------------------------------------------------------------------

    def failed(
        self,
        key: Key,
        instance: object,
        kind: Literal["ended", "finished"],
        reason: str,
        *,
        permanent: bool = False,
    ) -> None:
        """What hosts *instance* says that it has come to an end by itself."""
        slot = self._engine.slots.get(key)
        bound = None if slot is None else slot.bound
        if self._state != "running" or bound is None or bound.instance is not instance:
            return
        self._down(key, reason)
        self._restarting.failed(bound, Failure(kind, reason, self._time(), bound.provider, permanent))

    def bound(self, key: Key, cause: str) -> None:
        """An operation on *key* has come about."""
        if self._state != "running":
            return
        key = Key.of(*key)
        self._part(key)
        self._restarting.bound(key, operator=cause == "operator")
        self._schedule.add(key)
        self._touched(key)

    def _registered(self, change: Change) -> None:
        """The registry has changed, in whatever thread."""
        if self._state == "running":
            keys = tuple(change.keys)
            try:
                self._engine.loop.call_soon_threadsafe(self._taken, keys)
            except RuntimeError:
                return  # the loop is closed, and nothing is bound any more

    def _taken(self, keys: tuple[Key, ...]) -> None:
        if self._state != "running":
            return
        self._restarting.registered(keys)
        for key in keys:
            if self._eager(key):
                self._restarting.wanted.add(key)
                self._restarting.ensure(key)
            else:
                self._restarting.wanted.discard(key)

    # --- asking ------------------------------------------------------------------------------------------------------

    def _every(self, key: Key) -> float | None:
        slot = self._engine.slots.get(key)
        if self._state != "running" or slot is None or not slot.occupied():
            return None
        return self._runtime.settings.lifecycle_of(key).probe_interval

    async def _round(self, key: Key) -> None:
        slot, section = self._engine.slots[key], self._runtime.settings.health
        bound = slot.bound
        if bound is None:
            return
        prober = self._engine.prober
        alive = None
        if prober.declared(bound, "liveness"):
            alive = await prober.probe(bound, "liveness", section.timeout)
        ready = await prober.probe(bound, "readiness", section.timeout)
        part = self._part(key)
        if part.generation is not bound or self._state != "running":
            return  # it is another one by now
        if part.answered(ready, alive, section, self._time()) and slot.bound is bound:
            assert alive is not None
            reason = f"its liveness failed: {alive.reason or alive.status}"
            self._restarting.failed(bound, Failure("liveness", reason, self._time(), bound.provider))
        self._touched(key)

    def _part(self, key: Key) -> Part:
        """What is known of *key*, as it is bound now."""
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = Part(key)
        slot = self._engine.slots.get(key)
        # While two that cannot overlap are exchanged, what is known is of the one that served.
        if slot is None or slot.gate is None:
            part.follow(None if slot is None else slot.bound, self._time())
        return part

    def _look(self) -> None:
        """What no timer and no event tells of."""
        settings = self._runtime.settings
        if settings is not self._settings:
            self._settings = settings
            self._want()
            self._restarting.settings_changed()
        self._restarting.look()

    def _want(self) -> None:
        """Work out which parts are to be up."""
        self._restarting.wanted = {key for key in self._runtime.snapshot.keys() if self._eager(key)}

    def _eager(self, key: Key) -> bool:
        settings, snapshot = self._runtime.settings, self._runtime.snapshot
        if not snapshot.records(key):
            return False
        said = settings.lifecycle_of(key).eager
        if said is not None:
            return said
        domain = snapshot.domains.get(key.domain)
        return (domain is not None and domain.eager) or matches(key, settings.orchestrate.start)

    # --- what comes of it --------------------------------------------------------------------------------------------

    def _down(self, key: Key, reason: str) -> None:
        part = self._part(key)
        part.trouble = Health("failed", reason, observed_at=self._time())
        self._touched(key)

    def _touched(self, key: Key) -> None:
        """Something about *key* is another one, perhaps: tell who is to know."""
        part = self._part(key)
        own = part.own(self._runtime.settings.health, self._time())
        self._admit(part, own)
        before = part.told
        if own is not None and (before is None or before.status != own.status):
            part.told = own
            self._telling.changed(key, before, own)
        self._say(key, set())

    def _say(self, key: Key, said: set[Key]) -> None:
        """Tell that *key* has changed, and so have those that were built from it."""
        if key in said:
            return
        said.add(key)
        try:
            self.changed(key)
        except Exception:
            log.exception("whoever follows what is supervised failed at %s", key)
        slot = self._engine.slots.get(key)
        bound = None if slot is None else slot.bound
        for dependent in () if bound is None else tuple(bound.dependents):
            self._say(dependent.key, said)

    def _admit(self, part: Part, own: Health | None) -> None:
        """Keep new users out of what is not ready, where that is wanted; and let them in again."""
        bound, key = part.generation, part.key
        if bound is None or own is None:
            self._lift(key)
            return
        wanted = self._runtime.settings.lifecycle_of(key).on_unready or bound.candidate.policies.on_unready
        if own.passes or wanted != "reject" or self._state != "running":
            self._lift(key)
        elif key not in self._barred:
            self._barred[key] = bound
            self._engine.slot(key).bar(BAR, partial(self._refusal, part))

    def _refusal(self, part: Part) -> NotServing:
        health = part.own(self._runtime.settings.health, self._time())
        why = (
            "it is not ready" if health is None or not health.reason else f"it is not ready: {health.reason}"
        )
        return NotServing(part.key, because=why)

    def _lift(self, key: Key) -> None:
        if self._barred.pop(key, None) is not None:
            self._engine.slot(key).lift(BAR)

    # --- how it is ---------------------------------------------------------------------------------------------------

    def _slot(self, key: Key) -> Slot | None:
        return self._engine.slots.get(key)

    def _effective(self) -> Effective:
        return Effective(self._slot, self._own)

    def _is_stale(self, part: Part, now: float) -> bool:
        settings = self._runtime.settings
        interval = max(settings.lifecycle_of(part.key).probe_interval, settings.health.timeout)
        return part.stale(now, 3 * interval)

    def _own(self, key: Key) -> Health | None:
        """How *key* is by itself; None where it is neither bound nor to be up."""
        slot, now = self._engine.slots.get(key), self._time()
        bound = None if slot is None else slot.bound
        if bound is None and key not in self._parts and key not in self._restarting.wanted:
            return None
        part = self._part(key)
        health = part.own(self._runtime.settings.health, now)
        if bound is None and slot is not None and slot.gate is not None:
            return part.told
        if bound is None:
            if self._looking.mode(key) in ("pause", "drain"):
                return Health("degraded", "an operator has it drained or paused", observed_at=now)
            if health is not None:
                return health
            if key in self._restarting.wanted:
                return Health("unknown", "it is not up yet", observed_at=now)
            return None
        if health is not None and self._is_stale(part, now):
            ago = now - health.observed_at
            return attrs.evolve(health, status="unknown", reason=f"stale: its last answer is {ago:.0f} s old")
        return health

    def _all(self) -> Iterator[tuple[Key, Health]]:
        effective = self._effective()
        keys = {Key.of(*key) for key in self._engine.slots} | self._restarting.wanted
        for key in sorted(keys):
            health = effective.of(key)
            if health is not None:
                yield key, health
        yield from self._members.all(self._time())

    def _live(self) -> Iterator[tuple[Key, Health]]:
        # What starting this process anew would mend; never what it depends on.
        for key in sorted(self._parts):
            trouble = self._restarting.of(key)
            if trouble is not None and trouble.given_up and trouble.worn_out and self._critical(key):
                yield key, Health("failed", f"given up: {trouble.given_up}", observed_at=self._time())
        yield from self._members.live(self._time())

    def _critical(self, key: Key) -> bool:
        if key.domain == DOMAIN:
            return False
        said = self._runtime.settings.lifecycle_of(key).critical
        if said is not None:
            return said
        slot = self._engine.slots.get(key)
        bound = None if slot is None else slot.bound
        candidate = self._looking.winner(key) if bound is None else bound.candidate
        return True if candidate is None else candidate.policies.critical
