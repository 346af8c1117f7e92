"""A kit under test: the plugin, what it is tested with, and how a runtime is assembled from it."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
from oneiric_hookspecs import Action, Candidate, Domain, Form, Key, PluginError, Spec, specs

from .outcome import Skip
from .project import Project

if TYPE_CHECKING:
    from oneiric.runtime import Runtime

_BUILT_IN = "oneiric.plugins."


def _required_servers() -> frozenset[str]:
    named = os.environ.get("ONEIRIC_REQUIRE_SERVERS", "").split(",")
    return frozenset(name.strip() for name in named) - {""}


@attrs.define(eq=False, slots=False)
class Kit:
    """A plugin, and what it is tested with.

    Args:
        plugin: The module, class or object with the hook implementations.
        name: Its name: of its entry point, else of the module or class.
        settings: As in a settings file.
        others: Plugins that it needs beside it.
        environment: Variables that are set while it is tested.
        allow: Top-level modules that importing it may load.
        timeout: Seconds that each scenario may take.
        project: The distribution it comes from; None where it was not installed.
        required_servers: Names of kits or providers whose servers have to be there: ``ONEIRIC_REQUIRE_SERVERS``.
    """

    plugin: Any
    name: str
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    others: tuple[Any, ...] = ()
    environment: Mapping[str, str] = attrs.field(factory=dict)
    allow: frozenset[str] = frozenset()
    timeout: float = 30.0
    project: Project | None = None
    required_servers: frozenset[str] = attrs.field(factory=_required_servers)
    #: What is known of each candidate: why it does not come up; None where it does.
    troubles: dict[Candidate, Any] = attrs.field(factory=dict, init=False, repr=False)
    #: And what each leaves behind.
    left: dict[Candidate, list[str]] = attrs.field(factory=dict, init=False, repr=False)

    @classmethod
    def of(
        cls,
        given: Any,
        *,
        settings: Mapping[str, Any] | None = None,
        plugins: Iterable[Any] = (),
        environment: Mapping[str, str] | None = None,
        allow: Iterable[str] = (),
        timeout: float = 30.0,
    ) -> Self:
        """Of what an author gave: a module whose entry point names a class in it stands for that class.

        Raises:
            PluginError: The entry point names nothing.
        """
        module = _module_of(given)
        project = Project.bringing(module)
        plugin, name = given, getattr(given, "__name__", None) or type(given).__name__
        if module.startswith(_BUILT_IN):
            name = module.removeprefix(_BUILT_IN)
        entry = None if project is None else project.entry_for(module)
        if entry is not None:
            entry_name, target = entry
            attribute = target.partition(":")[2].strip()
            if inspect.ismodule(given) and attribute:
                plugin = _attribute(given, attribute, entry_name)
            named = plugin if inspect.ismodule(given) else _attribute(sys.modules.get(module), attribute, "")
            if plugin is named:
                name = entry_name
        return cls(
            plugin,
            name,
            dict(settings or {}),
            tuple(plugins),
            dict(environment or {}),
            frozenset(allow),
            timeout,
            project,
        )

    # --- where it is -------------------------------------------------------------------------------------------

    @property
    def module(self) -> str:
        """The module that it is in."""
        return _module_of(self.plugin)

    @property
    def top(self) -> str:
        """The top-level package, or module, that it is in."""
        return self.module.partition(".")[0]

    @cached_property
    def where(self) -> str | None:
        """``file:line`` of the plugin."""
        from .places import where

        return where(self.plugin)

    @cached_property
    def root(self) -> Path | None:
        """The folder of its package, or its file where it is a lone module; None where nobody knows."""
        found = sys.modules.get(self.top) or sys.modules.get(self.module)
        file = getattr(found, "__file__", None)
        if file is None:
            paths = list(getattr(found, "__path__", ()))
            return Path(paths[0]) if paths else None
        path = Path(file)
        return path.parent if path.stem == "__init__" else path

    def owns(self, filename: str) -> bool:
        """Whether *filename* is of the kit's own code."""
        root = self.root
        if root is None:
            return False
        return Path(filename) == root or root in Path(filename).parents

    # --- what it is in a runtime -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        """Its environment variables, and none of Oneiric's own."""
        before = dict(os.environ)
        for name in before:
            if name.startswith("ONEIRIC"):
                del os.environ[name]
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name in os.environ.keys() - before.keys():
                del os.environ[name]
            os.environ.update(before)

    @contextlib.contextmanager
    def assembled(
        self, *, settings: Mapping[str, Any] | None = None, others: Iterable[Any] = ()
    ) -> Iterator[Runtime]:
        """A runtime with the built-ins, *others*, and the kit under its own name; not started.

        Args:
            settings: Instead of the kit's own.
            others: Plugins besides those it needs.
        Raises:
            OneiricError: It does not register, or its settings do not fit.
        """
        from oneiric.assembly import BUILTINS, assemble
        from oneiric.settings.sections import FIXED

        written = dict(self.settings if settings is None else settings)
        with self.surroundings(), tempfile.TemporaryDirectory(prefix="oneiric-check-") as folder:
            written["app"] = {"state_dir": folder, **written.get("app", {})}
            written["lifecycle"] = self._limits() | dict(written.get("lifecycle", {}))
            own, general = self._parted(written)
            fixed = {name: table for name, table in general.items() if name in FIXED}
            runtime = assemble(fixed, plugins=[*self.others, *others], environment=False)
            try:
                if self.name not in BUILTINS:
                    runtime.plug(self.plugin, self.name, settings=own)
                bound = runtime.bind(written)
                runtime.adopt(bound)
                runtime.registry.select(bound.selections(), bound.resolver.on_missing)
                yield runtime
            finally:
                if not runtime.running:
                    runtime.hooks.close()

    def _limits(self) -> dict[str, float]:
        """Limits that hold where its settings do not say others: each step has an end before the scenario has."""
        return {
            "create_timeout": self.timeout / 2,
            "startup_timeout": self.timeout / 3,
            "drain_timeout": self.timeout / 6,
            "shutdown_timeout": self.timeout / 3,
            "cancel_grace": min(1.0, self.timeout / 6),
        }

    def _parted(self, written: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The plugin's own table, and everything else."""
        plugins = dict(written.get("plugins", {}))
        tables = dict(plugins.get("settings", {}))
        own = tables.pop(self.name, None)
        if "plugins" in written:
            plugins["settings"] = tables
        return own, {**written, **({"plugins": plugins} if plugins else {})}

    def check_registers(self) -> None:
        """Raises: Skip, where it does not register, which is another rule's matter."""
        if self.refusal is not None:
            raise Skip("it does not register; see the rule `registers`")

    @cached_property
    def _registered(self) -> Registered | Exception:
        try:
            with self.assembled() as runtime:
                return Registered.of(self.name, runtime)
        except Exception as error:
            return error

    @property
    def refusal(self) -> Exception | None:
        """Why it does not register; None where it does."""
        return self._registered if isinstance(self._registered, Exception) else None

    @property
    def registered(self) -> Registered:
        """What a runtime has of it.  Raises: Skip, where it does not register."""
        self.check_registers()
        assert isinstance(self._registered, Registered)
        return self._registered

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What it declares, actions too; sorted, and empty where it does not register."""
        return self._registered.candidates if isinstance(self._registered, Registered) else ()

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions it declares."""
        return tuple(self.registered.answers["oneiric_actions"])


@attrs.frozen
class Registered:
    """What a runtime has of a kit.

    Args:
        candidates: Sorted.
        answers: What it declares, by the name of the hook.
        domains: All there are, by name.
        tables: What is written about its candidates, by key and provider.
    """

    candidates: tuple[Candidate, ...]
    answers: Mapping[str, list[Any]]
    domains: Mapping[str, Domain]
    tables: Mapping[tuple[Key, str], Mapping[str, Any] | None]

    @classmethod
    def of(cls, name: str, runtime: Runtime) -> Self:
        """What *runtime* has of the plugin *name*."""
        snapshot = runtime.snapshot
        found = [
            record.candidate
            for key in tuple(snapshot.keys())
            for record in snapshot.records(key)
            if record.source.name == name
        ]
        return cls(
            tuple(sorted(found, key=lambda each: (each.key, each.provider, each.version or ""))),
            {spec.name: answers(runtime, spec, name) for spec in declaring_specs()},
            dict(snapshot.domains),
            {(each.key, each.provider): runtime.settings.table(each.key, each.provider) for each in found},
        )


def declaring_specs() -> list[Spec[Any, Any, Any]]:
    """The hooks by which plugins declare what they bring."""
    found = [each for each in vars(specs).values() if isinstance(each, Spec)]
    return [each for each in found if each.form is Form.DECLARES]


def answers(runtime: Runtime, spec: Spec[Any, Any, Any], name: str) -> list[Any]:
    """What the plugin *name* declares by *spec*, asked now."""
    given: Any = runtime.hooks[spec].answers()  # hooks that declare are sync
    return [answer.value for answer in given if answer.plugin == name]


def _module_of(given: Any) -> str:
    if inspect.ismodule(given):
        return given.__name__
    return str(given.__module__ if inspect.isclass(given) else type(given).__module__)


def _attribute(module: Any, path: str, entry: str) -> Any:
    found = module
    for part in path.split(".") if path else ():
        try:
            found = getattr(found, part)
        except AttributeError:
            if not entry:
                return None
            raise PluginError(
                f"the entry point {entry} names {module.__name__}:{path}, which is not there",
                where=getattr(module, "__file__", None),
            ) from None
    return found
