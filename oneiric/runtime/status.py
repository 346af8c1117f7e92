"""What runs, as values; reading them probes nothing and waits for nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from oneiric_hookspecs import Health, Key, SwapReport

from oneiric.attempts import AttemptStatus

if TYPE_CHECKING:
    from oneiric.activation import Generation, Slot


@attrs.frozen
class GenerationStatus:
    """One generation that has not ended.

    Args:
        number: Its number in the slot.
        provider: Its candidate's provider.
        state: As in ``Generation.state`` of the contract.
        for_seconds: How long it has been in this state.
        leases: How many users it has.
        dependents: The keys that were built from it.
        health: The last answer; None before the first.
    """

    number: int
    provider: str
    state: str
    for_seconds: float
    leases: int
    dependents: tuple[Key, ...]
    health: Health | None


@attrs.frozen
class SlotStatus:
    """One slot.

    Args:
        key: Which.
        phase: ``empty activating ready swapping confirming probation failed closed``.
        bound: What serves; None where nothing does.
        others: Generations that have not ended and do not serve: spare, coming up, or on their way out.
        swaps: How many there were since the start.
        rollbacks: The same.
        pending: What is wanted and not so yet, in a sentence; empty where everything is as wanted.
        last_error: The last failure since the last success, in a sentence.
        last_report: What came of the last operation that succeeded.
        error_for: Seconds since the last error; None where there is none.
        previous: The provider to which a rollback goes; None where there is none.
    """

    key: Key
    phase: str
    bound: GenerationStatus | None
    others: tuple[GenerationStatus, ...]
    swaps: int
    rollbacks: int
    pending: str
    last_error: str
    last_report: SwapReport | None
    error_for: float | None = None
    previous: str | None = None


@attrs.frozen
class Status:
    """The whole runtime.

    Args:
        state: ``new``, ``running``, ``closing`` or ``closed``.
        slots: By key.
        operations: Those under way, in words.
        tasks: Names of the application's own tasks that have not ended.
        threads: Names of calls in threads that have not come back.
        attempts: What has come of calls that may be tried again, by name.
    """

    state: str
    slots: tuple[SlotStatus, ...] = ()
    operations: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()
    attempts: tuple[AttemptStatus, ...] = ()

    def of(self, domain: str, name: str) -> SlotStatus | None:
        """The slot of that key; None while nobody has asked for it."""
        return next((slot for slot in self.slots if slot.key == (domain, name)), None)


def of_slot(slot: Slot, now: float) -> SlotStatus:
    """The status of *slot*, *now* on the runtime's clock."""
    bound, last_error = slot.bound, slot.last_error
    return SlotStatus(
        slot.key,
        slot.phase,
        None if bound is None else _of_generation(bound, now),
        tuple(_of_generation(each, now) for each in tuple(slot.alive) if each is not bound),
        slot.swaps,
        slot.rollbacks,
        slot.pending,
        "" if last_error is None else str(last_error[0]).splitlines()[0],
        slot.last_report,
        None if last_error is None else now - last_error[1],
        slot.spare.provider if slot.spare is not None else slot.previous,
    )


def _of_generation(generation: Generation, now: float) -> GenerationStatus:
    return GenerationStatus(
        generation.number,
        generation.provider,
        generation.state,
        now - generation.since,
        len(generation.leases),
        tuple(sorted(each.key for each in tuple(generation.dependents))),
        generation.health,
    )
