"""The plugin manager: declares hooks, takes plugins in, keeps faulty ones apart, and hands out hooks to call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from oneiric_hookspecs import Clock, Deprecation, PluginError, Spec

from .catalogue import Catalogue, specifications
from .describing import describe
from .faults import Fault, Faults, said
from .guarding import Guard
from .making import Structure, instance, must_be_plugin, name_of, plain_structure
from .records import HookDescription, Origin, PluginRecord
from .relay import Hook
from .roster import Roster

if TYPE_CHECKING:
    from importlib.metadata import Distribution

P = ParamSpec("P")
R = TypeVar("R")

Watch = Callable[[PluginRecord], object]


class _SystemClock:
    @staticmethod
    def time() -> float:
        return time.monotonic()


class HookManager:
    """Hooks of one prefix, and the plugins that implement them.

    Usable by an application alone: declare hooks with the decorators of ``oneiric_hookspecs``, and::

        hooks = HookManager("shop")
        hooks.add_specs(shop.hookspecs)
        hooks.load_entry_points("shop")
        total = hooks[shop_price](basket)

    Plugins may be registered from any thread, and while hooks are called: a call goes on with the plugins it
    began with.

    Args:
        prefix: What the names of its hooks, and of its plugins' functions, begin with.
        clock: Gives the time of faults and timings; None for the machine's.
        hook_timeout: Seconds that each async observer and judge may take.
        host: Given to plugin classes in their context.
        on_fault: Called with each ``Fault``.
        structure: ``structure(cls, data, path)`` turns a plugin's table into its ``Settings``; None calls the
            class with the table's items.
    """

    def __init__(
        self,
        prefix: str = "oneiric",
        *,
        clock: Clock | None = None,
        hook_timeout: float = 5.0,
        host: Any = None,
        on_fault: Callable[[Fault], object] | None = None,
        structure: Structure | None = None,
    ) -> None:
        if not prefix.isidentifier():
            raise PluginError(f"a prefix is the beginning of a name, found {prefix!r}")
        self.prefix, self.hook_timeout, self.host = prefix, hook_timeout, host
        self.clock: Clock = _SystemClock() if clock is None else clock
        self._structure: Structure = structure or plain_structure
        self._faults = Faults(self.clock, on_fault)
        self._catalogue = Catalogue(prefix, self._faults)
        self._roster = Roster(self._catalogue, self._faults, self._made)

    def __repr__(self) -> str:
        return f"<HookManager {self.prefix}: {len(self._catalogue.hooks)} hooks, {len(self._roster)} plugins>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- hooks ---------------------------------------------------------------------------------------------------

    def add_specs(
        self,
        specs: ModuleType | Spec[Any, Any, Any] | Iterable[Spec[Any, Any, Any]],
        *,
        removed: Mapping[str, str] | None = None,
        deprecated_arguments: Mapping[str, Mapping[str, Deprecation]] | None = None,
    ) -> None:
        """Declare hooks; those that are declared already are left alone.

        Args:
            specs: A module, of which every specification with the manager's prefix counts; or one specification,
                or several.
            removed: Names of hooks that are gone, each with what to use instead.
            deprecated_arguments: By the hook's name, then the argument's.
        Raises:
            PluginError: One is no specification, has another prefix, or a name that belongs to another; or answers
                cannot be checked against its type.
        """
        given = specifications(specs, self.prefix)
        with self._roster.lock:
            new = self._catalogue.learn(
                given, removed or {}, deprecated_arguments or {}, self.clock.time, self.hook_timeout
            )
            self._roster.check_waiting(spec.name for spec in new)
            self._catalogue.declare(new)

    def __getitem__(self, spec: Spec[P, R, Any]) -> Hook[P, R]:
        """The hook of *spec*, ready to be called.

        Raises:
            PluginError: It was never added to this manager.
        """
        try:
            hook: Hook[P, R] = self._catalogue.hooks[spec]
            return hook
        except (KeyError, TypeError):
            raise self._catalogue.missing(getattr(spec, "name", spec)) from None

    def named(self, name: str) -> Hook[..., Any]:
        """The hook of that name, for those who only have its name.

        Raises:
            PluginError: There is none.
        """
        return self[self._catalogue.named(name)]

    def describe(self, name: str | None = None) -> tuple[HookDescription, ...]:
        """The hooks, or the one of that name, with who implements them, in the order of asking, and why there.

        Raises:
            PluginError: There is none of that name.
        """
        hooks = list(self._catalogue.hooks.values()) if name is None else [self.named(name)]
        return tuple(describe(hook, self.clock.time) for hook in hooks)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The latest faults of plugins, oldest first; a hundred at most."""
        return tuple(self._faults.recent)

    # --- plugins -------------------------------------------------------------------------------------------------

    @property
    def plugins(self) -> tuple[PluginRecord, ...]:
        """Every plugin this manager was told of, in that order; those that are off, blocked or failed too."""
        return tuple(self._roster.records)

    def plugin(self, name: str) -> PluginRecord:
        """The plugin of that name; the one that is on, where several wanted it.

        Raises:
            PluginError: There is none.
        """
        return self._roster.named(name)

    def register(
        self,
        plugin: Any,
        name: str | None = None,
        *,
        distribution: str | None = None,
        version: str | None = None,
        origin: Origin = "application",
        settings: Any = None,
        protected: bool = False,
    ) -> PluginRecord:
        """Take in *plugin*: a module, a class, or any object.

        A class is called once, and its methods are asked.  It is called with a ``PluginContext``; or with nothing,
        if its ``__init__`` takes nothing, or it has none.

        Args:
            plugin: What implements hooks.
            name: Its name; None takes the module's or the class's.
            distribution: What installed it.
            version: Of that distribution.
            origin: Where it comes from.
            settings: Its table of settings; only for a class with ``Settings``.
            protected: Whether it refuses to be blocked.
        Returns:
            Its record; ``blocked`` where its name is blocked, and then nothing was registered.
        Raises:
            PluginError: It cannot be a plugin, the lint refuses it, its name is taken, or it takes no settings.
                Nothing of it stays.
            Exception: Whatever its class raises.
        """
        must_be_plugin(plugin, name or "")
        record = PluginRecord(
            name or name_of(plugin), origin, distribution=distribution, version=version, protected=protected
        )
        with self._roster.lock:
            self._roster.take_in(record, plugin, settings)
            self._roster.keep(record)
        return record

    def load(
        self,
        targets: Iterable[str],
        *,
        origin: Origin = "application",
        off: Mapping[str, str] | Iterable[str] = (),
        settings: Mapping[str, Any] | None = None,
        protected: bool = False,
        strict: bool = False,
        watch: Watch | None = None,
    ) -> tuple[PluginRecord, ...]:
        """Import and register what *targets* name: ``pkg.mod`` or ``pkg.mod:attr``, each inside its own guard.

        Args:
            targets: In the order of registration; the last is asked first.  One that is named twice counts once.
            origin: Where they come from.
            off: Names to leave alone; as a mapping, with who says so.
            settings: Tables of settings, by plugin name.
            protected: Whether they refuse to be blocked.
            strict: Whether the first that fails ends it.
            watch: Called with each one's record before it is imported.
        Returns:
            Their records; one that fails has the state ``failed``, and says why.
        Raises:
            PluginError: One fails, and *strict*; or *targets* or *off* is no collection of names.
        """
        guard = Guard(self._roster, origin, settings, strict, protected, watch)
        return guard.by_name(targets, off)

    def load_entry_points(
        self,
        group: str = "oneiric",
        *,
        off: Mapping[str, str] | Iterable[str] = (),
        only: Mapping[str, str] | Iterable[str] | None = None,
        auto_load: bool = True,
        distributions: Iterable[Distribution] | None = None,
        origin: Origin = "installed",
        settings: Mapping[str, Any] | None = None,
        strict: bool = False,
        watch: Watch | None = None,
    ) -> tuple[PluginRecord, ...]:
        """Import and register the entry points of *group*, sorted by distribution and name, each guarded.

        Args:
            group: The group.
            off: Names of distributions or entry points to leave alone; as a mapping, with who says so.
            only: Where given, all others are left alone.
            auto_load: False leaves alone all that *only* does not name.
            distributions: Where to look; None for everything that is installed.
            origin: Where they come from.
            settings: Tables of settings, by plugin name.
            strict: Whether the first that fails ends it.
            watch: Called with each one's record before it is imported.
        Returns:
            Their records, those that are off or failed too.
        Raises:
            PluginError: One fails, and *strict*; or *off* or *only* is no collection of names.
        """
        guard = Guard(self._roster, origin, settings, strict, watch=watch)
        return guard.by_entry_point(group, distributions, off, only, auto_load=auto_load)

    def leave_out(self, name: str, by: str, *, origin: Origin = "application") -> PluginRecord:
        """List a plugin that is switched off and was not imported.

        Args:
            name: Its name.
            by: Who says so.
            origin: Where it would come from.
        """
        record = PluginRecord(name, origin)
        record.state, record.reason, record.by = "off", "it is switched off", by
        with self._roster.lock:
            self._roster.keep(record)
        return record

    def unregister(self, plugin: Any) -> PluginRecord:
        """Ask a plugin no more, close it, and forget it.

        Args:
            plugin: Its name, or what was registered.
        Returns:
            Its record, as it was.
        Raises:
            PluginError: It is not registered.
        """
        with self._roster.lock:
            record = self._roster.find(plugin)
            self._roster.remove(record)
        return record

    def block(self, name: str, by: str = "the application") -> None:
        """Ask the plugin of that name no more, and refuse it from now on.

        Args:
            name: Of a plugin that may be registered, or come later.
            by: Who says so; kept in its record.
        Raises:
            PluginError: It is always on.
        """
        with self._roster.lock:
            self._roster.block(name, by)

    def unblock(self, name: str) -> None:
        """Let a plugin of that name register again; what was blocked is forgotten, and may be registered anew."""
        with self._roster.lock:
            self._roster.unblock(name)

    def fail(self, name: str, what: str, error: BaseException) -> None:
        """Mark a plugin as failed by something found out elsewhere, as when two declare the same.

        It declares nothing until ``recover``; what it judges and observes goes on.

        Args:
            name: The plugin.
            what: What it could not do.
            error: Why.
        """
        reason = error.message if isinstance(error, PluginError) else said(error)
        self.plugin(name).fail(what, reason, error)

    def recover(self, name: str, what: str) -> None:
        """Take back ``fail(name, what, ...)``."""
        self.plugin(name).recover(what)

    def unknown(self, names: Iterable[str]) -> dict[str, str | None]:
        """Those of *names* that are no plugin, entry point or distribution here, each with the nearest that is."""
        return self._roster.unknown(names)

    def close(self) -> None:
        """Unregister every plugin, newest first; each that has a ``close`` is closed, whatever another one raises."""
        with self._roster.lock:
            self._roster.clear()

    def _made(self, given: Any, name: str, settings: Any) -> Any:
        return instance(
            given, name, settings, self._structure, prefix=self.prefix, clock=self.clock, host=self.host
        )
