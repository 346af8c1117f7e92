"""The runtime: what is registered, what is decided, what runs; and how to use and change it."""

from __future__ import annotations

import asyncio
import inspect
from asyncio import _get_running_loop as _running_loop  # in asyncio.__all__; gives None where no loop runs
from collections.abc import Coroutine, Iterable, Mapping
from functools import partial
from os import PathLike
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from oneiric_hookspecs import (
    Candidate,
    Clock,
    CloseReport,
    Decision,
    Empty,
    Health,
    Key,
    NothingBefore,
    OneiricError,
    PluginError,
    Request,
    RuntimeClosing,
    Source,
    SwapReport,
    WrongThread,
    specs,
)

from oneiric.activation import Handle, Lease, Slot, TracedLease, TracedUse, Use, Want, fingerprint_of
from oneiric.clock import RuntimeClock
from oneiric.collecting import collect
from oneiric.hooks import HookManager, PluginRecord
from oneiric.registry import Change, Registry, Snapshot
from oneiric.settings import Settings, structure
from oneiric.swap import Engine

from .plan import Planned
from .status import Status, of_slot
from .work import Group, Task, Works

if TYPE_CHECKING:
    from .blocking import Blocking

_APPLICATION = Source("application", "application", package="app")
#: How what is pending begins when it is other settings that are not in force yet.
_WANTED = "the settings want another one"


class Runtime:
    """Parts of an application that can be explained, swapped and rolled back while it runs.

    Made by ``assemble``; used as an async context manager::

        async with assemble("oneiric.toml") as runtime:
            async with runtime.use("adapter", "cache") as cache:
                await cache.set("greeting", b"hello")

    ``register withdraw resolve explain what_if plan lease handle status`` may be called from any thread.  All else
    belongs on the loop on which the runtime was entered, or goes through ``runtime.blocking``.

    Attributes:
        closing: The task that closes it; None before.

    Args:
        hooks: The plugins, loaded.
        registry: The candidates, collected.
        settings: Validated, and bound to the domains.
        clock: The clock that plugins were given.
    """

    def __init__(
        self, hooks: HookManager, registry: Registry, settings: Settings, clock: RuntimeClock
    ) -> None:
        self.hooks = hooks
        self.registry = registry
        self._settings = settings
        self._clock = clock
        self._engine: Engine | None = None
        self._works: Works | None = None
        self._state = "new"
        self.closing: asyncio.Task[CloseReport] | None = None
        self._blocking: Blocking | None = None
        registry.on_change(self._changed)

    # --- life --------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    def adopt(self, settings: Settings) -> None:
        """Take *settings*, bound to what is plugged in; before it is started."""
        self._settings = settings

    @property
    def running(self) -> bool:
        """Whether it has been entered, and has not been told to close."""
        return self._state == "running"

    @property
    def clock(self) -> Clock:
        """Seconds that only grow."""
        return self._clock

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Take operations from now on, on the loop that is running.

        Raises:
            RuntimeClosing: It was started before; a runtime lives once.
        """
        if self._state != "new":
            raise RuntimeClosing(
                f"the runtime is {self._state}", hint="a runtime lives once; assemble another"
            )
        self._clock.follow(asyncio.get_running_loop())
        domains = self.registry.snapshot.domains

        def contract_of(domain: str, name: str) -> type | None:
            found = domains.get(domain)
            return None if found is None else found.contract_of(name)

        engine = self._engine = Engine(self.hooks, self.registry, self._settings, contract_of)
        engine.operations.settled = engine.promotion.settled = lambda slot: self._follow(engine, [slot.key])
        self._works = Works(self._engine.tasks)
        self._state = "running"
        try:
            await self.hooks[specs.oneiric_started](self)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> CloseReport:
        """End everything, in order; what was registered stays to be looked at.

        May be called more than once, and by several tasks; all get the same report.  Cancelling a caller does not
        stop it.

        Returns:
            How every generation ended, and what did not end in time.
        """
        if self._engine is None:
            self._state = "closed"
            self._let_plugins_go()
            return CloseReport()
        if self.closing is not None and self.closing.done():
            return self.closing.result()
        self._on_loop(self._engine, "close")
        if self.closing is None:
            self._state = "closing"
            self.closing = self._engine.loop.create_task(self._close(self._engine), name="close the runtime")
        await asyncio.wait({self.closing})
        return self.closing.result()

    async def _close(self, engine: Engine) -> CloseReport:
        began = self._clock.time()
        seconds = self._settings.lifecycle.shutdown_timeout
        await self.hooks[specs.oneiric_stopping](self)
        assert self._works is not None
        engine.operations.close("the runtime is closing")
        stuck = await self._works.stop(min(seconds / 4, self._settings.lifecycle.cancel_grace))
        left = max(0.0, began + seconds - self._clock.time())
        report = await engine.shutdown.run(engine.slots.values(), left)
        self._let_plugins_go()
        self._state = "closed"
        return CloseReport(report.retirements, report.left + tuple(f"task {name}" for name in stuck))

    def _let_plugins_go(self) -> None:
        """Close those that were made for this runtime.  The others have nothing to close, and go on explaining."""
        for record in reversed(self.hooks.plugins):
            if inspect.isclass(record.given):
                self.hooks.unregister(record)

    def engine(self, what: str) -> Engine:
        """The engine, for *what*; for those who add to the runtime.

        Raises:
            RuntimeClosing: It does not run.
        """
        engine = self._engine
        if engine is None or self._state == "closed":
            hint = "async with runtime: ..." if self._state == "new" else None
            raise RuntimeClosing(f"{what}: the runtime is {self._state}, not running", hint=hint)
        return engine

    def _on_loop(self, engine: Engine, what: str) -> Engine:
        if get_ident() != engine.thread or _running_loop() is not engine.loop:
            raise WrongThread(
                f"runtime.{what} belongs on the loop on which the runtime was entered",
                hint=f"from another thread: runtime.blocking.{what}",
            )
        return engine

    def _not_elsewhere(self, what: str) -> Engine | None:
        """While it runs, only on its loop; before that and after it, wherever the application is."""
        engine = self._engine
        return engine if engine is None or self._state == "closed" else self._on_loop(engine, what)

    # --- what is registered, and who wins ------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """What is registered and decided at this instant; it never changes."""
        return self.registry.snapshot

    def register(
        self, *candidates: Candidate, source: Source | str = _APPLICATION, replace: bool = False
    ) -> Change:
        """Add candidates of the application's own; one that is known by its identity is replaced, in its place.

        Args:
            candidates: What to add.
            source: Whose they are; a name makes a source of the application's.
            replace: Whether all other candidates of the source are withdrawn in the same step.
        Raises:
            PluginError: One is not well formed; nothing is registered.
        """
        owner = Source(source, "application", package=source) if isinstance(source, str) else source
        if replace:
            return self.registry.replace(owner, candidates)
        return self.registry.register(owner, *candidates)

    def withdraw(
        self, source: str = "application", *, key: Key | None = None, provider: str | None = None
    ) -> Change:
        """Withdraw what *source* registered: all of it, or of one key, or one provider.

        What is bound goes on serving; it is swapped when somebody says so.
        """
        return self.registry.withdraw(source, key=key, provider=provider)

    def resolve(self, domain: str, name: str, *, provider: str | None = None) -> Candidate:
        """The candidate that fills the key now.

        Raises:
            ResolutionError: None does; ``error.decision`` says of each why not.
        """
        if provider is None:
            return self.registry.snapshot.resolve(domain, name)
        return self.registry.snapshot.choose(Request(Key(domain, name), provider))

    def explain(
        self, domain: str, name: str, *, provider: str | None = None, capabilities: Iterable[str] = ()
    ) -> Decision:
        """The decision about the key: who wins and why, and of every other one why not, and what would make it win."""
        return self.registry.snapshot.decide(Request(Key(domain, name), provider, capabilities))

    def what_if(self, **changes: Any) -> Snapshot:
        """The snapshot as it would be after *changes*; see ``Snapshot.what_if``.  Nothing is changed."""
        return self.registry.snapshot.what_if(**changes)

    def plan(
        self, settings: Settings | Mapping[str, Any] | str | PathLike[str] | None = None
    ) -> list[Planned]:
        """What would be different with other settings, or with nothing but the next swap of every bound key.

        Args:
            settings: Those to compare with; None compares what is bound with what wins.
        Returns:
            One for each key that would change, by key.
        Raises:
            SettingsError: They are not valid.
        """
        before = after = self.registry.snapshot
        new = old = self._settings
        if settings is not None:
            new = self.bind(settings)
            after = after.what_if(
                selections=new.selections(),
                stack_order=new.resolver.stack_order,
                on_missing=new.resolver.on_missing,
            )
        engine = self._engine
        planned = []
        for key in sorted(after.keys()):
            slot = None if engine is None else engine.slots.get(key)
            bound = None if slot is None else slot.bound
            moves = _moves(key, before, old, after, new)
            decision = after.decide(Request(key))
            winner = decision.winner
            if bound is None or slot is None:
                earlier = before.decide(Request(key)).winner
                serving, different = None if earlier is None else earlier.provider, moves
            else:
                # Other settings move what they concern; what wins and is not bound for other reasons stays as it is.
                concerned = settings is None or moves or slot.pending.startswith(_WANTED)
                serving = bound.provider
                different = concerned and (
                    winner is None
                    or fingerprint_of(winner, after.source(winner), new.written(key, winner.provider))
                    != bound.fingerprint
                )
            if not different:
                continue
            wins = None if winner is None else winner.provider
            if wins == serving:
                planned.append(Planned(key, serving, wins, "its settings are others", "settings", decision))
            else:
                because = str(decision.because) or str(decision.error or "")
                planned.append(Planned(key, serving, wins, because, "winner", decision))
        return planned

    def pin(self, domain: str, name: str, provider: str | None = None) -> None:
        """Choose *provider* for the key, above the settings; None takes what is bound, or wins.  Swaps nothing.

        Raises:
            ResolutionError: It could not fill the key.
        """
        engine = self._not_elsewhere("pin")
        if provider is None:
            slot = engine.slots.get((domain, name)) if engine is not None else None
            bound = slot.bound if slot is not None else None
            provider = bound.provider if bound is not None else self.resolve(domain, name).provider
        else:
            self.resolve(domain, name, provider=provider)
        self.registry.pin(Key.of(domain, name), provider)

    def unpin(self, domain: str, name: str) -> None:
        """Drop the pin of the key.  Swaps nothing."""
        self._not_elsewhere("unpin")
        self.registry.unpin(Key.of(domain, name))

    def plug(
        self, plugin: Any, name: str | None = None, *, settings: Mapping[str, Any] | None = None
    ) -> PluginRecord:
        """Take in a plugin of the application's own, and register what it declares.

        Raises:
            PluginError: It is not well formed; nothing of it stays.
        """
        self._not_elsewhere("plug")
        record = self.hooks.register(plugin, name, settings=settings)
        collect(self.hooks, self.registry)
        self.registry.decide_anew()
        if record.state == "failed" and record.error is not None:
            self.hooks.unregister(record.name)
            raise record.error
        return record

    def unplug(self, name: str) -> PluginRecord:
        """Let go of a plugin: it is asked no more, and what it declared is withdrawn; what is bound goes on serving."""
        self._not_elsewhere("unplug")
        if self.hooks.plugin(name).protected:
            raise PluginError("it is always on, and cannot be unplugged", plugin=name)
        record = self.hooks.unregister(name)
        self.registry.withdraw(name)
        self.registry.decide_anew()
        return record

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
        return (TracedUse if engine.traced else Use)(slot, engine.thread)

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
        return (TracedLease if engine.traced else Lease)(slot, engine.thread)

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
            timeout: Seconds for all of it; each step keeps its own limit.
        Raises:
            ResolutionError: Nobody fills it.
            ActivationError: The new one did not come up; the old one serves.
            RolledBack: It was bound and found wanting; the old one serves again.
        """
        engine = self._on_loop(self.engine("swap"), "swap")
        want = Want(provider, provider is None, reload, accept_unhealthy, override)
        slot = engine.slots.get((domain, name))
        if slot is None:
            slot = self._known(engine, domain, name)
        return await engine.operations.request(slot, want, "operator", actor=actor, timeout=timeout)

    async def rollback(self, domain: str, name: str, *, actor: str = "") -> SwapReport:
        """Go back to the provider before: at once while it is still warm, else by a swap to it.

        Raises:
            Empty: There was none before.
            OneiricError: As ``swap``.
        """
        engine = self._on_loop(self.engine("rollback"), "rollback")
        slot = self._known(engine, domain, name)
        provider = slot.spare.provider if slot.spare is not None else slot.previous
        if provider is None:
            raise NothingBefore(slot.key)
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
            return engine.swapper.report(slot, operation, "rolled_back", bad, spare)
        return await self.swap(domain, name, provider, actor=actor)

    def transaction(self, *, actor: str = "") -> Changes:
        """Change several keys together, or none: ``async with runtime.transaction() as tx: tx.swap(...)``."""
        return Changes(self._on_loop(self.engine("transaction"), "transaction"), self._known, actor)

    async def apply(
        self, settings: Settings | Mapping[str, Any] | str | PathLike[str]
    ) -> list[SwapReport | OneiricError]:
        """Take other settings: validated as a whole, and then every bound key that they change is swapped.

        Returns:
            What came of each key that is bound and changed, by key; an error where it serves what it served before.
        Raises:
            SettingsError: They are not valid; nothing is changed.
        """
        engine = self._on_loop(self.engine("apply"), "apply")
        new, old, before = self.bind(settings), self._settings, self.registry.snapshot
        self._settings = new
        engine.change_settings(new)
        self.registry.set_stack_order(new.resolver.stack_order)
        self.registry.select(new.selections(), new.resolver.on_missing)
        after = self.registry.snapshot
        slots = [
            slot
            for _, slot in sorted(engine.slots.items())
            if (slot.occupied() or slot.flights)
            and (slot.pending.startswith(_WANTED) or _moves(slot.key, before, old, after, new))
        ]
        for slot in slots:  # all of them at once: whoever waits for this may go away in the middle
            slot.pending = _WANTED
        reports: list[SwapReport | OneiricError] = []
        for slot in slots:
            try:
                report = await engine.operations.request(slot, Want(), "settings")
            except OneiricError as error:
                slot.pending = f"{_WANTED}: {str(error).splitlines()[0]}"
                reports.append(error)
                continue
            if slot.pending.startswith(_WANTED):
                slot.pending = ""
            if report.outcome != "unchanged":
                reports.append(report)
        return reports

    def bind(self, settings: Settings | Mapping[str, Any] | str | PathLike[str]) -> Settings:
        """*settings*, loaded and held against what is plugged in now.  Nothing is changed.

        Raises:
            SettingsError: Everything that is wrong with them.
        """
        from oneiric.settings import load

        snapshot, plugins = self.registry.snapshot, self.hooks.plugins
        absent = {
            record.name: f"{record.state}: {record.reason}" if record.state == "failed" else record.state
            for record in plugins
            if record.state != "on"
        }
        return load(settings).bind(
            snapshot.domains.values(),
            [record.candidate for key in snapshot.keys() for record in snapshot.records(key)],
            plugins=[record.name for record in plugins if record.may_take_settings],
            tolerate=absent,
        )

    def _changed(self, change: Change) -> None:
        """The registry has changed, in whatever thread."""
        resolved = self.hooks[specs.oneiric_resolved]
        if resolved.impls:
            for won in change.won:
                if won.after is not None:
                    resolved(won.after, won.before)
        engine = self._engine
        if engine is not None and self._state == "running":
            keys = [key for key in change.keys if self._may_follow(engine.slots.get(key))]
            if keys:
                try:
                    engine.loop.call_soon_threadsafe(partial(self._follow, engine, keys))
                except RuntimeError:
                    return  # the loop is closed, and nothing is bound any more

    def _may_follow(self, slot: Slot | None) -> bool:
        """Whether anything that is, or comes to be, bound to *slot* may be swapped by itself.

        What is made later is looked at when its operation has come about.
        """
        if slot is None:
            return False
        setting = self._settings.lifecycle_of(slot.key).auto_swap
        if setting is not None:
            return setting != "off"
        return any(each.candidate.policies.auto_swap != "off" for each in tuple(slot.alive))

    def _follow(self, engine: Engine, keys: list[Key]) -> None:
        """Swap by itself what its policy wants swapped when a better candidate is there."""
        for key in keys:
            slot = engine.slots[key]
            bound = slot.bound
            if bound is None or slot.probation is not None:
                continue  # looked at again when that is settled
            policy = self._settings.lifecycle_of(key).auto_swap or bound.candidate.policies.auto_swap
            if policy == "off":
                continue
            snapshot = self.registry.snapshot
            winner = snapshot.decide(Request(key)).winner
            if (
                winner is None
                or engine.activator.fingerprint(winner, snapshot.source(winner)) == bound.fingerprint
            ):
                continue
            if policy == "on_idle" and bound.leases:
                slot.pending = f"{winner.provider} would win, and is bound when nobody uses {bound.provider}"
                bound.call_when_idle(partial(self._follow, engine, [key]))
                continue
            engine.operations.automatic(slot, Want(), "resolution")

    # --- looking ---------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """What runs, since when, and what is wanted and not so yet; probes nothing."""
        engine = self._engine
        if engine is None or self._works is None:
            return Status(self._state)
        now = self._clock.time()
        return Status(
            self._state,
            tuple(of_slot(engine.slots[key], now) for key in sorted(engine.slots)),
            tuple(repr(each) for each in engine.operations.under_way),
            self._works.names,
            engine.threads.outstanding,
        )

    async def health(self, domain: str, name: str) -> Health:
        """Ask what is bound for its readiness, now.

        Raises:
            NotServing: Nothing is bound.
        """
        engine = self._on_loop(self.engine("health"), "health")
        generation = self._known(engine, domain, name).serving()
        return await engine.prober.probe(generation, "readiness", generation.limits.confirm_timeout)

    # --- work of one's own -----------------------------------------------------------------------------------------

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> Task:
        """Start a task that the runtime owns: in status, reported if it fails, cancelled and awaited at close."""
        try:
            self._on_loop(self.engine("spawn"), "spawn")
            if self._state != "running" or self._works is None:
                raise RuntimeClosing("spawn: the runtime is closing")
        except OneiricError:
            coroutine.close()
            raise
        return self._works.spawn(coroutine, name)

    def tasks(self) -> Group:
        """Several tasks that end together: ``async with runtime.tasks() as group: group.spawn(..., name=...)``."""
        self._on_loop(self.engine("tasks"), "tasks")
        assert self._works is not None
        return Group(self._works, self._settings.lifecycle.cancel_grace)

    def structure(self, cls: Any, data: Any, path: str) -> Any:
        """Turn plain data into *cls*, strictly.  Raises: SettingsError, its problems under *path*."""
        return structure(cls, data, path)

    @property
    def blocking(self) -> Blocking:
        """The same for scripts and threads, which wait where a coroutine would await."""
        if self._blocking is None:
            from .blocking import Blocking

            self._blocking = Blocking(self)
        return self._blocking


def _moves(key: Key, before: Snapshot, old: Settings, after: Snapshot, new: Settings) -> bool:
    """Whether going over from *old* to *new* settings changes who wins *key*, or what it is built from."""
    earlier, later = before.decide(Request(key)).winner, after.decide(Request(key)).winner
    if later is None or earlier is not later:
        return later is not earlier
    return new.written(key, later.provider) != old.written(key, later.provider)


class Changes:
    """A change of several keys, collected in a block and made at its end.

    Attributes:
        reports: What came of each, in the order they were asked for; empty before the end of the block.
    """

    def __init__(self, engine: Engine, known: Any, actor: str) -> None:
        self._engine, self._known, self._actor = engine, known, actor
        self._wants: dict[Slot, Want] = {}
        self.reports: list[SwapReport] = []

    def swap(self, domain: str, name: str, provider: str | None = None, *, reload: bool = False) -> None:
        """One more; as ``runtime.swap``.  The last word about a key counts."""
        self._wants[self._known(self._engine, domain, name)] = Want(provider, provider is None, reload)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.reports = await self._engine.transaction.run(self._wants, actor=self._actor)
