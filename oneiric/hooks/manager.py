"""The plugin manager: declares hooks, takes plugins in, keeps faulty ones apart, and hands out hooks to call."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

import attrs
import pluggy
from oneiric_hookspecs import Clock, Deprecation, Form, PluginError, Spec, a_few, nearest

from . import lint
from .declaring import Declarations, Face
from .describing import describe
from .faults import FAULTY, Fault, Faults, said
from .loading import alike, installed, switches
from .making import Structure, culprit, instance, name_of, named, plain_structure
from .records import HookDescription, Impl, Origin, PluginRecord
from .relay import Hook

if TYPE_CHECKING:
    from importlib.metadata import Distribution

P = ParamSpec("P")
R = TypeVar("R")


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
        self._declared = Declarations(prefix)
        self._hooks: dict[Spec[Any, Any, Any], Any] = {}
        self._impls: dict[str, dict[pluggy.HookImpl, Impl]] = {}
        self._known = lint.Known(prefix, {}, {}, {})
        self._records: list[PluginRecord] = []
        self._faces: dict[str, Face] = {}
        self._blocked: dict[str, str] = {}
        self._sequence = 0
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<HookManager {self.prefix}: {len(self._hooks)} hooks, {len(self._faces)} plugins>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- hooks ---------------------------------------------------------------------------------------------------

    def add_specs(
        self,
        specs: ModuleType | Iterable[Spec[Any, Any, Any]],
        *,
        removed: Mapping[str, str] | None = None,
        deprecated_arguments: Mapping[str, Mapping[str, Deprecation]] | None = None,
    ) -> None:
        """Declare hooks; those that are declared already are left alone.

        Args:
            specs: A module, of which every specification with the manager's prefix counts; or specifications.
            removed: Names of hooks that are gone, each with what to use instead.
            deprecated_arguments: By the hook's name, then the argument's.
        Raises:
            PluginError: A name has another prefix, or belongs to another specification; or answers cannot be
                checked against its type.
        """
        start = f"{self.prefix}_"
        if inspect.ismodule(specs):
            there = [each for each in vars(specs).values() if isinstance(each, Spec)]
            given = [spec for spec in there if spec.name.startswith(start)]
            if not given:
                hint = f"its hooks: {a_few(spec.name for spec in there)}"
                raise PluginError(f"{specs.__name__} declares no hook that begins with {start}", hint=hint)
        else:
            given = list(specs)
        with self._lock:
            new: list[Spec[Any, Any, Any]] = []
            for spec in dict.fromkeys(given):
                if spec in self._hooks:
                    continue
                if not spec.name.startswith(start):
                    raise PluginError(
                        f"the hook {spec.name} does not begin with {start}", where=lint.where(spec.function)
                    )
                other = self._known.specs.get(spec.name) or next(
                    (s for s in new if s.name == spec.name), None
                )
                if other is not None:
                    hint = f"the other: {lint.where(other.function)}"
                    raise PluginError(
                        f"two hooks are named {spec.name}", where=lint.where(spec.function), hint=hint
                    )
                new.append(spec)
            hooks = {spec: Hook.make(spec, self._faults, self.clock.time, self.hook_timeout) for spec in new}
            self._known = attrs.evolve(
                self._known,
                specs={**self._known.specs, **{spec.name: spec for spec in new}},
                removed={**self._known.removed, **(removed or {})},
                deprecated_arguments={**self._known.deprecated_arguments, **(deprecated_arguments or {})},
            )
            self._check_waiting({spec.name for spec in new})
            self._declared.declare(new)
            self._hooks.update(hooks)
            for spec in new:
                self._plan(spec)

    def __getitem__(self, spec: Spec[P, R, Any]) -> Hook[P, R]:
        """The hook of *spec*, ready to be called.

        Raises:
            PluginError: It was never added to this manager.
        """
        try:
            hook: Hook[P, R] = self._hooks[spec]
            return hook
        except (KeyError, TypeError):
            raise self._no_hook(getattr(spec, "name", spec)) from None

    def named(self, name: str) -> Hook[..., Any]:
        """The hook of that name, for those who only have its name.

        Raises:
            PluginError: There is none.
        """
        try:
            spec = self._known.specs[name]
        except KeyError:
            raise self._no_hook(name) from None
        return self[spec]

    def describe(self, name: str | None = None) -> tuple[HookDescription, ...]:
        """The hooks, or the one of that name, with who implements them, in the order of asking, and why there.

        Raises:
            PluginError: There is none of that name.
        """
        hooks = list(self._hooks.values()) if name is None else [self.named(name)]
        return tuple(describe(hook, self.clock.time) for hook in hooks)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The latest faults of plugins, oldest first; a hundred at most."""
        return tuple(self._faults.recent)

    # --- plugins -------------------------------------------------------------------------------------------------

    @property
    def plugins(self) -> tuple[PluginRecord, ...]:
        """Every plugin this manager was told of, in that order; those that are off, blocked or failed too."""
        return tuple(self._records)

    def plugin(self, name: str) -> PluginRecord:
        """The plugin of that name; the one that is on, where several wanted it.

        Raises:
            PluginError: There is none.
        """
        found = [record for record in self._records if record.name == name]
        if not found:
            known = [record.name for record in self._records]
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else f"there are: {a_few(known)}"
            raise PluginError(f"there is no plugin {name}", hint=hint)
        return next((record for record in found if record.name in self._faces), found[0])

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

        A class is called once, with a ``PluginContext``, and its methods are asked.

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
            PluginError: The lint refuses it, its name is taken, or it takes no settings.  Nothing of it stays.
            Exception: Whatever its class raises.
        """
        record = PluginRecord(
            name or name_of(plugin), origin, distribution=distribution, version=version, protected=protected
        )
        with self._lock:
            self._take_in(record, plugin, settings)
            self._keep(record)
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
    ) -> tuple[PluginRecord, ...]:
        """Import and register what *targets* name: ``pkg.mod`` or ``pkg.mod:attr``, each inside its own guard.

        Args:
            targets: In the order of registration; the last is asked first.  One that is named twice counts once.
            origin: Where they come from.
            off: Names to leave alone; as a mapping, with who says so.
            settings: Tables of settings, by plugin name.
            protected: Whether they refuse to be blocked.
            strict: Whether the first that fails ends it.
        Returns:
            Their records; one that fails has the state ``failed``, and says why.
        Raises:
            PluginError: One fails, and *strict*.
        """
        not_these, records = switches(off, "off"), []
        for target in dict.fromkeys(targets):
            record = PluginRecord(target, origin, target, protected=protected)
            said_off = not_these.get(alike(target))
            if said_off is not None:
                records.append(self._left_alone(record, "it is switched off", said_off))
            else:
                records.append(self._guarded(record, settings, strict=strict))
        return tuple(records)

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
        Returns:
            Their records, those that are off or failed too.
        Raises:
            PluginError: One fails, and *strict*.
        """
        not_these, these = switches(off, "off"), None if only is None else switches(only, "only")
        records = []
        for each in installed(group, distributions):
            record = PluginRecord(
                each.name,
                origin,
                each.target,
                distribution=each.distribution or None,
                version=each.version or None,
            )
            names = (alike(each.distribution), alike(each.name))
            said_off = next((not_these[name] for name in names if name in not_these), None)
            chosen = these is not None and any(name in these for name in names)
            if said_off is not None:
                records.append(self._left_alone(record, "it is switched off", said_off))
            elif these is not None and not chosen:
                records.append(self._left_alone(record, "it is not among those that are on", "only"))
            elif not auto_load and not chosen:
                records.append(self._left_alone(record, "installed plugins are not loaded", "auto_load"))
            else:
                records.append(self._guarded(record, settings, strict=strict))
        return tuple(records)

    def unregister(self, plugin: Any) -> PluginRecord:
        """Ask a plugin no more, close it, and forget it.

        Args:
            plugin: Its name, or what was registered.
        Returns:
            Its record, as it was.
        Raises:
            PluginError: It is not registered.
        """
        with self._lock:
            record = self._find(plugin)
            self._records.remove(record)
            self._withdraw(record)
        return record

    def block(self, name: str, by: str = "the application") -> None:
        """Ask the plugin of that name no more, and refuse it from now on.

        Args:
            name: Of a plugin that may be registered, or come later.
            by: Who says so; kept in its record.
        Raises:
            PluginError: It is always on.
        """
        with self._lock:
            for record in [each for each in self._records if each.name == name]:
                if record.protected:
                    raise PluginError("it is always on, and cannot be blocked", plugin=name)
                self._withdraw(record)
                record.state, record.reason, record.by = "blocked", "it is blocked", by
                record.failing.clear()
            self._declared.set_blocked(name)
            self._blocked[name] = by

    def unblock(self, name: str) -> None:
        """Let a plugin of that name register again; what was blocked is forgotten, and may be registered anew."""
        with self._lock:
            if self._blocked.pop(name, None) is not None:
                self._declared.unblock(name)
                self._records[:] = [r for r in self._records if r.name != name or r.state != "blocked"]

    def fail(self, name: str, what: str, error: BaseException) -> None:
        """Mark a plugin as failed by something found out elsewhere, as when two declare the same.

        It declares nothing until ``recover``; what it judges and observes goes on.

        Args:
            name: The plugin.
            what: What it could not do.
            error: Why.
        """
        self.plugin(name).fail(
            what, said(error) if not isinstance(error, PluginError) else error.message, error
        )

    def recover(self, name: str, what: str) -> None:
        """Take back ``fail(name, what, ...)``."""
        self.plugin(name).recover(what)

    def unknown(self, names: Iterable[str]) -> dict[str, str | None]:
        """Those of *names* that are no plugin, entry point or distribution here, each with the nearest that is."""
        known = [name for record in self._records for name in (record.name, record.distribution) if name]
        there = {alike(name) for name in known}
        return {name: nearest(name, known) for name in names if alike(name) not in there}

    def close(self) -> None:
        """Unregister every plugin, newest first; each that has a ``close`` is closed, whatever another one raises."""
        with self._lock:
            for record in reversed(self._records):
                self._withdraw(record)
            self._records.clear()

    # --- how it is done ------------------------------------------------------------------------------------------

    def _take_in(self, record: PluginRecord, given: Any, settings: Any) -> None:
        """Register *given*, which is what *record* is about, or raise and leave nothing behind."""
        begun = time.perf_counter()
        if record.name in self._blocked:
            record.state, record.reason, record.by = "blocked", "it is blocked", self._blocked[record.name]
            return
        self._check_new(record, given)
        record.where = lint.where(given)
        found = list(lint.scan(given, self.prefix))
        self._check(record, found)
        plugin = instance(
            given,
            record.name,
            settings,
            self._structure,
            prefix=self.prefix,
            clock=self.clock,
            host=self.host,
        )
        record.plugin, record.given = plugin, given
        try:
            if plugin is not given:
                seen = {each.attribute for each in found}
                found = list(lint.scan(plugin, self.prefix))
                self._check(record, [each for each in found if each.attribute not in seen])
            face = Face(record, [each for each in found if each.options is not None])
            record.sequence = self._sequence + 1
            self._declared.admit(face, record.name)
        except BaseException as error:
            self._end(record)
            record.plugin = None
            if isinstance(error, pluggy.PluginValidationError):
                raise PluginError(str(error), plugin=record.name, distribution=record.distribution) from error
            raise
        self._sequence += 1
        if not face.found:
            what = f"it implements no hook that begins with {self.prefix}_"
            record.findings += (
                PluginError(
                    what,
                    code="W108",
                    plugin=record.name,
                    distribution=record.distribution,
                    where=record.where,
                ),
            )
        self._faces[record.name] = face
        self._replan(record)
        record.load_ms += (time.perf_counter() - begun) * 1000

    def _guarded(
        self, record: PluginRecord, settings: Mapping[str, Any] | None, *, strict: bool
    ) -> PluginRecord:
        """Import and register; whatever happens, except KeyboardInterrupt, is written into *record*."""
        with self._lock:
            begun = time.perf_counter()
            try:
                given = None if record.name in self._blocked else named(record.target)
                record.load_ms = (time.perf_counter() - begun) * 1000
                self._take_in(record, given, None if settings is None else settings.get(record.name))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                if isinstance(error, PluginError):
                    error.plugin = error.plugin or record.name
                    error.distribution = error.distribution or record.distribution
                    if strict:
                        raise
                elif strict:
                    raise PluginError(
                        said(error),
                        plugin=record.name,
                        distribution=record.distribution,
                        where=culprit(error),
                    ) from error
                record.load_ms = (time.perf_counter() - begun) * 1000
                record.state, record.error, record.where = "failed", error, culprit(error) or record.where
                record.reason = error.message if isinstance(error, PluginError) else said(error)
            self._keep(record)
        return record

    def _left_alone(self, record: PluginRecord, reason: str, by: str) -> PluginRecord:
        record.state, record.reason, record.by = "off", reason, by
        with self._lock:
            self._keep(record)
        return record

    def _keep(self, record: PluginRecord) -> None:
        # A name that was blocked before it came has one record, the latest.
        self._records[:] = [r for r in self._records if r.name != record.name or r.state != "blocked"]
        self._records.append(record)

    def _check_new(self, record: PluginRecord, given: Any) -> None:
        for name, face in self._faces.items():
            other = face.record
            if name == record.name:
                raise PluginError(
                    f"the name {name} is taken by {_owner(other)}",
                    plugin=name,
                    distribution=record.distribution,
                    hint="switch one of them off by its distribution, or register it under another name",
                )
            if other.given is given:
                raise PluginError(f"it is registered already, as {name}", plugin=record.name)

    def _check(self, record: PluginRecord, found: Iterable[lint.Found]) -> None:
        """Lint; what is found is kept in *record*."""
        for each in found:
            for finding in lint.lint(each, self._known, record.name, record.distribution):
                record.findings += (finding,)
                if finding.code == "D201":
                    lint.warn(finding, each.function)
        errors = [finding for finding in record.findings if str(finding.code).startswith("E")]
        if len(errors) == 1:
            raise errors[0]
        if errors:
            lines = "\n  ".join(f"{each.code} {each.message} ({each.where})" for each in errors)
            raise PluginError(f"{len(errors)} hooks are wrong", plugin=record.name, hint=lines)

    def _check_waiting(self, names: set[str]) -> None:
        """Lint what plugins optionally implement of the hooks *names*, which are declared only now."""
        for face in list(self._faces.values()):
            waiting = [each for each in face.found if each.hook in names]
            try:
                self._check(face.record, waiting)
            except PluginError as error:
                self._withdraw(face.record)
                face.record.state, face.record.reason, face.record.error = "failed", error.message, error

    def _replan(self, record: PluginRecord) -> None:
        touched = {each.hook for each in self._faces[record.name].found} & set(self._known.specs)
        record.hooks = tuple(sorted(touched))
        for name in touched:
            self._plan(self._known.specs[name])

    def _plan(self, spec: Spec[Any, Any, Any]) -> None:
        impls = self._declared.in_order(spec, self._impls.setdefault(spec.name, {}))
        if spec.form is Form.DECLARES:
            impls.sort(key=lambda impl: (_RANK[impl.mark], impl.record.sequence))
        self._hooks[spec].plan(impls)
        for impl in impls:
            if spec.name not in impl.record.hooks:
                impl.record.hooks = tuple(sorted((*impl.record.hooks, spec.name)))

    def _withdraw(self, record: PluginRecord) -> None:
        """Ask it no more, and close it."""
        face = self._faces.get(record.name)
        if face is None or face.record is not record:
            return  # it never was on
        del self._faces[record.name]
        self._declared.unregister(face, record.name)
        for name in record.hooks:
            self._plan(self._known.specs[name])
        self._end(record)

    def _end(self, record: PluginRecord) -> None:
        """Close what was made for a class; an object that was given is its giver's to close."""
        if not inspect.isclass(record.given) or not callable(getattr(record.plugin, "close", None)):
            return
        try:
            ended = record.plugin.close()
            if inspect.iscoroutine(ended):
                ended.close()
                raise TypeError("close() of a plugin is sync; write def")
        except FAULTY as error:
            record.faults += 1
            self._faults.add(Fault("close", record.name, error, "raised", self.clock.time()))

    def _find(self, plugin: Any) -> PluginRecord:
        if isinstance(plugin, str):
            return self.plugin(plugin)
        for record in self._records:
            if plugin is record or (
                plugin is not None and (plugin is record.plugin or plugin is record.given)
            ):
                return record
        raise PluginError(f"{name_of(plugin)} is not registered")

    def _no_hook(self, name: object) -> PluginError:
        spec = isinstance(name, str) and name in self._known.specs
        if spec:
            return PluginError(
                f"{name} is the name of a hook; the key is its specification", hint="or use named(...)"
            )
        near = nearest(str(name), self._known.specs)
        hint = f"did you mean {near}?" if near else f"there are: {a_few(self._known.specs)}"
        return PluginError(f"the manager of {self.prefix} has no hook {name}", hint=hint)


_RANK = {"tryfirst": 0, "-": 1, "trylast": 2}


def _owner(record: PluginRecord) -> str:
    if record.distribution:
        return f"{record.distribution} {record.version or ''}".strip()
    return f"a plugin of origin {record.origin}" + (f" ({record.where})" if record.where else "")
