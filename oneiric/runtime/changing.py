"""Changing what is bound, and imposing on it: the verbs of operators."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from oneiric_hookspecs import (
    Activity,
    DrainReport,
    Empty,
    Held,
    Key,
    Mode,
    NothingBefore,
    OneiricError,
    Request,
    SwapReport,
)

from oneiric.settings import SettingsSource

from .declared import WANTED, Declared, moves

if TYPE_CHECKING:
    from oneiric.activation import Slot, Want
    from oneiric.swap import Engine

    from .changes import Changes


class Changing(Declared):
    """What may be done to the parts of a runtime while it runs."""

    def _known(self, engine: Engine, domain: str, name: str) -> Slot:
        """The slot of a key that somebody registered for; so misspelt keys leave nothing behind."""
        key = Key(domain, name)
        snapshot = self.registry.snapshot
        if not snapshot.records(key):
            decision = snapshot.decide(Request(key))
            raise decision.error.twin() if decision.error is not None else Empty(key)
        return engine.slot(key)

    # --- changing --------------------------------------------------------------------------------------------------

    async def swap(
        self,
        domain: str,
        name: str,
        provider: str | None = None,
        *,
        reload: bool = False,
        accept_unhealthy: bool = False,
        override: bool = False,
        actor: str = "",
        until: float | None = None,
        timeout: float | None = None,
    ) -> SwapReport:
        """Bind another candidate while users go on; returns when it is bound and confirmed.

        With a provider, that one, and it stays chosen (pinned); without, whoever wins, and a pin is dropped.

        Args:
            domain: The key's domain.
            name: Its name in the domain.
            provider: Whom to bind; None for the winner.
            reload: Build it anew although nothing has changed.
            accept_unhealthy: Bind it although its probes fail.
            override: Pass a hold, a pause or a quarantine.
            actor: Who wants it, for the history.
            until: When the choice of a provider ends, in seconds since 1970, where the process is kept going; None for
                never.
            timeout: Seconds for all of it; each step keeps its own limit.
        Raises:
            Held: An operator holds, pauses or drains it.
            ResolutionError: Nobody fills it.
            ActivationError: The new one did not come up; the old one serves.
            RolledBack: It was bound and found wanting; the old one serves again.
        """
        engine = self.on_loop(self.engine("swap"), "swap")
        from oneiric.activation import Want

        want = Want(provider, provider is None, reload, accept_unhealthy, override)
        slot = engine.slots.get((domain, name))
        if slot is None:
            slot = self._known(engine, domain, name)
        report = await engine.operations.request(slot, want, "operator", actor=actor, timeout=timeout)
        await self._tell_chosen(slot.key, provider, actor, until)
        return report

    async def rollback(
        self, domain: str, name: str, *, override: bool = False, actor: str = ""
    ) -> SwapReport:
        """Go back to the provider before: at once while it is still warm, else by a swap to it.

        Args:
            domain: The key's domain.
            name: Its name in the domain.
            override: Pass a hold, a pause or a drain.
            actor: Who wants it, for the history.
        Raises:
            Held: An operator holds, pauses or drains it.
            NothingBefore: There was none before.
            OneiricError: As ``swap``.
        """
        engine = self.on_loop(self.engine("rollback"), "rollback")
        from oneiric.activation import Want

        slot = self._known(engine, domain, name)
        provider = slot.spare.provider if slot.spare is not None else slot.previous
        if provider is None:
            raise NothingBefore(slot.key)
        engine.operations.refuse_held(slot, Want(override=override))
        bad, spare = slot.bound, slot.spare
        if (
            bad is not None
            and spare is not None
            and slot.probation is not None
            and slot.probation.generation is bad
        ):
            operation = slot.probation.operation
            engine.promotion.roll_back(slot, operation, bad, f"{actor or 'somebody'} asked for it")
            self.registry.pin(slot.key, provider)
            await self.control.pinned(slot.key, provider, actor=actor)
            return engine.swapper.report(slot, operation, "rolled_back", bad, spare)
        return await self.swap(domain, name, provider, override=override, actor=actor)

    def transaction(self, *, actor: str = "") -> Changes:
        """Change several keys together, or none: ``async with runtime.transaction() as tx: tx.swap(...)``."""
        from .changes import Changes

        engine = self.on_loop(self.engine("transaction"), "transaction")
        return Changes(engine, self._known, actor, self._tell_chosen)

    async def _tell_chosen(
        self, key: Key, provider: str | None, actor: str, until: float | None = None
    ) -> None:
        if provider is None:
            await self.control.unpinned(key, actor=actor)
        else:
            await self.control.pinned(key, provider, actor=actor, until=until)

    async def apply(self, settings: SettingsSource) -> list[SwapReport | OneiricError]:
        """Take other settings: validated as a whole, and then every bound key that they change is swapped.

        Returns:
            What came of each key that is bound and changed, by key; an error where it serves what it served before.
            ``Held`` where an operator imposed something: it is pending, and brought about when that is taken back.
        Raises:
            SettingsError: They are not valid; nothing is changed.
        """
        engine = self.on_loop(self.engine("apply"), "apply")
        from oneiric.activation import Want

        new, old, before = self.bind(settings), self._settings, self.registry.snapshot
        self._settings = new
        self.secrets.adopt(new)
        engine.change_settings(new)
        self.registry.set_stack_order(new.resolver.stack_order)
        self.registry.select(new.selections(), new.resolver.on_missing)
        after = self.registry.snapshot
        slots = [
            slot
            for _, slot in sorted(engine.slots.items())
            if (slot.occupied() or slot.flights)
            and (
                slot.pending.startswith(WANTED)
                or slot.deferred is not None
                or moves(slot.key, before, old, after, new)
            )
        ]
        for slot in slots:  # all of them at once: whoever waits for this may go away in the middle
            slot.pending = WANTED
        # Side by side: one that takes long keeps none of the others waiting.
        changed = await asyncio.gather(*(self._settled(engine, slot, Want()) for slot in slots))
        return [each for each in changed if isinstance(each, OneiricError) or each.outcome != "unchanged"]

    async def _settled(self, engine: Engine, slot: Slot, want: Want) -> SwapReport | OneiricError:
        """Bring about what other settings want of *slot*; or say why it is as it was, and leave it pending."""
        held = engine.operations.refusal(slot)
        if held is not None:
            engine.operations.defer(slot, want, "settings", held)
            return held
        try:
            report = await engine.operations.request(slot, want, "settings")
        except Held as error:
            return error  # said while it was under way, and remembered
        except OneiricError as error:
            slot.pending = f"{WANTED}: {str(error).splitlines()[0]}"
            return error
        if slot.pending.startswith(WANTED):
            slot.pending = ""
        return report

    # --- imposing --------------------------------------------------------------------------------------------------

    async def hold(
        self,
        domain: str,
        name: str | None = None,
        *,
        actor: str = "",
        note: str = "",
        until: float | None = None,
    ) -> None:
        """Let nothing change by itself: what settings, streams and better candidates want waits for ``resume``.

        Args:
            domain: The key's domain.
            name: Its name in the domain; None for all of the domain, those that come later too.
            actor: Who wants it.
            note: Why.
            until: When it ends by itself, in seconds since 1970; None for never.
        Raises:
            NothingToCall: There is no such domain.
        """
        await self._impose(domain, name, "hold", actor, note, until)

    async def pause(
        self,
        domain: str,
        name: str | None = None,
        *,
        actor: str = "",
        note: str = "",
        until: float | None = None,
    ) -> None:
        """Refuse new users, and let those that are there go on; and all that ``hold`` does.  Arguments as there."""
        await self._impose(domain, name, "pause", actor, note, until)

    async def drain(
        self,
        domain: str,
        name: str | None = None,
        *,
        actor: str = "",
        note: str = "",
        until: float | None = None,
    ) -> list[DrainReport]:
        """Refuse new users, wait for those that are there, and close it; and all that ``hold`` does.

        Arguments as of ``hold``.  Cancelling the caller does not stop it; ``resume`` does, until it is closed.

        Returns:
            What came of each part, by key; of one that nobody has used, nothing was to be done.
        """
        engine = self.on_loop(self.engine("drain"), "drain")
        await self._impose(domain, name, "drain", actor, note, until)
        keys = (
            [Key.of(domain, name)]
            if name is not None
            else sorted(slot.key for slot in engine.slots.values() if slot.key.domain == domain)
        )
        return list(await asyncio.gather(*(engine.administration.drained(key) for key in keys)))

    async def resume(self, domain: str, name: str | None = None, *, actor: str = "") -> None:
        """Take back what is imposed on the key, or on the domain; what waited is brought about, once, as it is now."""
        self.on_loop(self.engine("resume"), "resume")
        await self.control.resume(self._target(domain, name), actor=actor)

    async def note(self, domain: str, name: str | None, text: str, *, actor: str = "") -> None:
        """Note something about a key, or a domain, for those who look; an empty text removes it."""
        self.on_loop(self.engine("note"), "note")
        await self.control.note(self._target(domain, name), text, actor=actor)

    def activity(self) -> dict[Key, Activity]:
        """What is imposed, on each part where anything is."""
        return self.engine("activity").administration.activities()

    async def _impose(
        self, domain: str, name: str | None, mode: Mode, actor: str, note: str, until: float | None
    ) -> None:
        self.on_loop(self.engine(mode), mode)
        target = self._target(domain, name)
        await self.control.impose(target, mode, actor=actor, note=note, until=until)

    def _target(self, domain: str, name: str | None) -> Key | str:
        found = self._domain(domain)
        return found.name if name is None else Key.of(found.name, name)
