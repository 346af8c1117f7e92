"""Which candidate an operation is about; and what a finished one means for the operator's pin."""

from __future__ import annotations

from oneiric_hookspecs import Candidate, Request, Source

from oneiric.activation import Operation, Slot, Want
from oneiric.registry import Registry


class Choosing:
    """Decides on the registry's snapshot, without an await."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def choose(self, slot: Slot, operation: Operation) -> tuple[Candidate, Source]:
        """The candidate that *operation* is to bring up, as the snapshot stands now.

        Raises:
            ResolutionError: There is none.
        """
        snapshot = self._registry.snapshot
        want = operation.want
        bound = slot.bound
        operation.serving = None if bound is None else bound.provider
        if operation.chosen is not None and operation.chosen[0] is snapshot:
            return operation.chosen[1]
        if want.unpin and want.provider is None:
            snapshot = snapshot.what_if(pins={slot.key: None})
        if want.override and want.provider is not None:
            for identity in tuple(snapshot.quarantine(slot.key)):
                if identity[1] == want.provider:
                    self._registry.release(slot.key, identity)
            snapshot = self._registry.snapshot
        if want.provider is None:
            candidate = snapshot.resolve(*slot.key)
        else:
            candidate = snapshot.choose(Request(slot.key, want.provider))
        operation.provider = candidate.provider
        choice = candidate, snapshot.source(candidate)
        operation.chosen = (self._registry.snapshot, choice)
        return choice

    def wanted(self, slot: Slot, want: Want) -> str:
        """Whom *want* would bind to *slot* as things stand, for a sentence."""
        winner = self._registry.snapshot.decide(Request(slot.key, want.provider)).winner
        provider = want.provider if winner is None else winner.provider
        if provider is None:
            return "another one"
        bound = slot.bound
        return f"{provider} anew" if bound is not None and bound.provider == provider else provider

    def settle(self, slot: Slot, operation: Operation) -> None:
        """An operator's choice that came about is a pin; one to follow the order again drops it."""
        if operation.cause != "operator":
            return
        provider = operation.want.provider
        if provider is not None:
            self._registry.pin(slot.key, provider)
        elif operation.want.unpin:
            self._registry.unpin(slot.key)
