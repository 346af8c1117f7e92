"""Swapping by itself what its policy wants swapped, when a better candidate is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from oneiric_hookspecs import Key, Request

from oneiric.activation import Slot, Want
from oneiric.registry import Registry
from oneiric.settings import Settings
from oneiric.swap import Engine


class Following:
    """Follows the registry, for keys whose ``auto_swap`` is not off.

    Args:
        settings: Gives the settings in force.
    """

    def __init__(self, engine: Engine, registry: Registry, settings: Callable[[], Settings]) -> None:
        self._engine, self._registry, self._settings = engine, registry, settings

    def changed(self, keys: Iterable[Key]) -> None:
        """The registry has changed at *keys*; in whatever thread."""
        engine = self._engine
        mine = [key for key in keys if self._may_follow(engine.slots.get(key))]
        if mine:
            try:
                engine.loop.call_soon_threadsafe(self._follow, mine)
            except RuntimeError:
                return  # the loop is closed, and nothing is bound any more

    def settled(self, slot: Slot) -> None:
        """An operation or a probation on *slot* is over; what was wanted meanwhile is looked at."""
        self._follow([slot.key])

    def _may_follow(self, slot: Slot | None) -> bool:
        """Whether anything that is, or comes to be, bound to *slot* may be swapped by itself.

        What is made later is looked at when its operation has come about.
        """
        if slot is None:
            return False
        setting = self._settings().lifecycle_of(slot.key).auto_swap
        if setting is not None:
            return setting != "off"
        return any(each.candidate.policies.auto_swap != "off" for each in tuple(slot.alive))

    def _follow(self, keys: list[Key]) -> None:
        """Swap what wants it."""
        engine = self._engine
        for key in keys:
            slot = engine.slots[key]
            bound = slot.bound
            if bound is None or slot.probation is not None:
                continue  # looked at again when that is settled
            policy = self._settings().lifecycle_of(key).auto_swap or bound.candidate.policies.auto_swap
            if policy == "off":
                continue
            snapshot = self._registry.snapshot
            winner = snapshot.decide(Request(key)).winner
            if (
                winner is None
                or engine.activator.fingerprint(winner, snapshot.source(winner)) == bound.fingerprint
            ):
                continue
            if policy == "on_idle" and bound.leases:
                slot.pending = f"{winner.provider} would win, and is bound when nobody uses {bound.provider}"
                bound.call_when_idle(partial(self._follow, [key]))
                continue
            engine.operations.automatic(slot, Want(), "resolution")
