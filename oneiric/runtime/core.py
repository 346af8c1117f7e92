"""The runtime: what is registered, what is decided, what runs; and how to use and change it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from oneiric_hookspecs import (
    Activity,
    Breaker,
    DrainReport,
    Empty,
    Generation,
    Health,
    Held,
    Key,
    Mode,
    NothingBefore,
    NothingToCall,
    OneiricError,
    Request,
    Retry,
    RuntimeClosing,
    SwapReport,
)

from oneiric.settings import SettingsSource

from .declared import WANTED, Declared, moves
from .work import Group, Task

if TYPE_CHECKING:
    from oneiric.activation import Handle, Lease, Slot, Use, Want
    from oneiric.remote import Remote
    from oneiric.swap import Engine

    from .blocking import Blocking
    from .changes import Changes
    from .status import Status

T = TypeVar("T")


class Runtime(Declared):
    """Parts of an application that can be explained, swapped and rolled back while it runs.

    Made by ``assemble``; used as an async context manager::

        async with assemble("oneiric.toml") as runtime:
            async with runtime.use("adapter", "cache") as cache:
                await cache.set("greeting", b"hello")

    ``register withdraw resolve explain what_if plan lease handle bound status`` may be called from any thread.  All
    else belongs on the loop on which the runtime was entered, or goes through ``runtime.blocking``.

    Args:
        hooks: The plugins, loaded.
        registry: The candidates, collected.
        settings: Validated, and bound to the domains.
        clock: The clock that plugins were given.
    """

    #: Whether it runs for one command only: what goes on by itself is not begun in it.
    brief: bool = False
    _blocking: Blocking | None = None

    # --- using -----------------------------------------------------------------------------------------------------

    def use(self, domain: str, name: str) -> Use:
        """Activate if nothing is bound, and lease: ``async with runtime.use("adapter", "cache") as cache``.

        Raises:
            OneiricError: When it is entered: why nothing is bound.
        """
        engine = self._engine
        if engine is None:
            engine = self.engine("use")
        slot = engine.slots.get((domain, name))
        if slot is None:
            slot = self._known(engine, domain, name)
        return engine.new_use(slot)

    def lease(self, domain: str, name: str) -> Lease:
        """Lease what is bound, from any thread: ``with runtime.lease("adapter", "cache") as cache``.

        Raises:
            NotServing: When it is entered: nothing is bound, or nobody may come in.
        """
        engine = self._engine
        if engine is None:
            engine = self.engine("lease")
        slot = engine.slots.get((domain, name))
        if slot is None:
            slot = self._known(engine, domain, name)
        return engine.new_lease(slot)

    def handle(self, domain: str, name: str) -> Handle:
        """Make a factory of leases, which tasks and threads keep and share.

        ``with handle() as cache`` leases what is bound then.
        """
        engine = self._engine
        if engine is None:
            engine = self.engine("handle")
        return engine.handle(Key.of(domain, name))

    def _known(self, engine: Engine, domain: str, name: str) -> Slot:
        """The slot of a key that somebody registered for; so misspelt keys leave nothing behind."""
        key = Key(domain, name)
        snapshot = self.registry.snapshot
        if not snapshot.records(key):
            decision = snapshot.decide(Request(key))
            raise decision.error.twin() if decision.error is not None else Empty(key)
        return engine.slot(key)

    # --- calling ---------------------------------------------------------------------------------------------------

    async def call(self, domain: str, name: str, payload: Any = None) -> Any:
        """Call a part, as its domain says: run the task, invoke the action.

        Args:
            domain: One that has something to call.
            name: The part's.
            payload: Plain data, as is what comes back.
        Raises:
            NothingToCall: The parts of the domain are used, not called.
            OneiricError: As the domain says.
        """
        self.on_loop(self.engine("call"), "call")
        found = self._domain(domain)
        if found.call is None:
            raise NothingToCall(
                f"there is nothing to call in {domain} {name}", hint="it is used: runtime.use(...)"
            )
        return await found.call(self, name, payload)

    def domain(self, name: str) -> Any:
        """The typed interface of a domain: ``runtime.domain("action").invoke(...)``.

        Raises:
            NothingToCall: The domain has none, or there is no such domain.
        """
        found = self._domain(name)
        if found.face is None:
            raise NothingToCall(f"the domain {name} has no interface of its own", hint="runtime.use(...)")
        face = self._faces.get(found.name)
        if face is None or face[0] is not found.face:
            face = self._faces[found.name] = (found.face, found.face(self))
        return face[1]

    async def attempt(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        name: str,
        retry: Retry | None = None,
        breaker: Breaker | None = None,
    ) -> T:
        """Await ``call()``, again where it fails and *retry* allows; see ``Host.attempt``."""
        self.on_loop(self.engine("attempt"), "attempt")
        return await self.attempts.attempt(call, name=name, retry=retry, breaker=breaker)

    @functools.cached_property
    def remote(self) -> Remote:
        """The streams of ``[remote]``: synced when somebody asks, or again and again from ``remote.start()`` on."""
        from oneiric.remote import Remote

        remote = Remote(lambda: self._settings, self.hooks, self.registry, self)
        self._last_things.append(remote.close)
        return remote

    async def in_thread(self, call: Callable[[], T], *, name: str) -> T:
        """Call *call* in a thread of the runtime, and wait for what it gives, or raises.

        A waiter that is cancelled goes on at once; the call ends by itself.

        Args:
            call: What is called.
            name: The thread's, as in status.
        Raises:
            TooManyHung: Too many earlier calls never came back.
        """
        self.on_loop(self.engine("in_thread"), "in_thread")
        assert self._works is not None
        result: T = await self._works.threads.run(call, name=name)
        return result

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

    # --- looking ---------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """What runs, since when, and what is wanted and not so yet; probes nothing."""
        from .status import Status, of_slot

        engine = self._engine
        if engine is None or self._works is None:
            return Status(self._state)
        now = self._clock.time()
        return Status(
            self._state,
            tuple(of_slot(engine.slots[key], now) for key in sorted(engine.slots)),
            tuple(repr(each) for each in engine.operations.under_way),
            self._works.names,
            (*engine.threads.outstanding, *self._works.threads.outstanding),
            self.attempts.status(),
        )

    def bound(self, domain: str, name: str) -> Generation | None:
        """What serves now; None where nothing does.  From any thread; nothing is activated, leased or asked."""
        slot = self.engine("bound").slots.get((domain, name))
        found = None if slot is None else slot.bound
        return None if found is None else found.view()

    async def health(self, domain: str, name: str) -> Health:
        """Ask what is bound for its readiness, now.

        Raises:
            NotServing: Nothing is bound.
        """
        engine = self.on_loop(self.engine("health"), "health")
        slot = self._known(engine, domain, name)
        generation = slot.bound or slot.serving()  # paused or not, it can be asked
        return await engine.prober.probe(generation, "readiness", generation.limits.confirm_timeout)

    # --- work of one's own -----------------------------------------------------------------------------------------

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> Task:
        """Start a task that the runtime owns: in status, reported if it fails, cancelled and awaited at close."""
        try:
            self.on_loop(self.engine("spawn"), "spawn")
            if self._state != "running" or self._works is None:
                raise RuntimeClosing("spawn: the runtime is closing")
        except OneiricError:
            coroutine.close()
            raise
        return self._works.spawn(coroutine, name)

    def tasks(self) -> Group:
        """Several tasks that end together: ``async with runtime.tasks() as group: group.spawn(..., name=...)``."""
        self.on_loop(self.engine("tasks"), "tasks")
        assert self._works is not None
        return Group(self._works, self._settings.lifecycle.cancel_grace)

    @property
    def blocking(self) -> Blocking:
        """The same for scripts and threads, which wait where a coroutine would await."""
        if self._blocking is None:
            from .blocking import Blocking

            self._blocking = Blocking(self)
        return self._blocking
