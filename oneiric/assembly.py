"""From settings to a runtime: the one place that knows the built-in plugins."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from importlib import import_module
from os import PathLike
from typing import Any

import attrs
from oneiric_hookspecs import PluginError, Problem, SettingsError, nearest, specs

from .clock import RuntimeClock
from .collecting import collect
from .hooks import HookManager, PluginRecord, Structure
from .registry import Registry
from .resolution import Resolver, Strategy, markers
from .runtime import Runtime
from .settings import Settings, load, structure

log = logging.getLogger("oneiric")

#: The built-in plugins by name, in the order of registration; True for those that cannot be switched off.
BUILTINS: Mapping[str, bool] = {
    "precedence": True,
    "eligibility": True,
    "factories": True,
    "probes": True,
    "probation": True,
    "domains.adapter": False,
    "domains.service": False,
    "domains.task": False,
    "domains.event": False,
    "domains.workflow": False,
    "domains.action": False,
    "cache.disk": False,
    "cache.memory": False,
}


def assemble(
    settings: Settings | Mapping[str, Any] | str | PathLike[str] | None = None,
    plugins: Iterable[Any] = (),
    *,
    off: Iterable[str] = (),
    load_plugins: Iterable[str] = (),
    environment: bool = True,
    strict: bool = False,
) -> Runtime:
    """Load settings and plugins, collect what they declare, and give a runtime that is ready to be entered.

    A plugin that fails is kept apart, with its reason (``runtime.hooks.plugins``); everything else works.

    Args:
        settings: A file, a mapping, or settings; None looks for ``ONEIRIC_CONFIG``, or ``oneiric.toml`` upward.
        plugins: The application's own: modules, classes or objects; the last is asked first.
        off: Names of plugins to leave out, as in ``[plugins] off``.
        load_plugins: Names of modules to load as plugins, after those of ``[app] plugins``.
        environment: Whether plugins of installed distributions are loaded.
        strict: Whether a plugin that fails is an error.
    Raises:
        SettingsError: Everything that is wrong with the settings.
        PluginError: One of *plugins* is not well formed; or any plugin fails, and *strict*.
    """
    if isinstance(plugins, str):
        raise PluginError(f"plugins is a collection, found {plugins!r}", hint=f"write [{plugins!r}]")
    configured = load(settings)
    clock = RuntimeClock()
    hooks = HookManager(
        "oneiric",
        clock=clock,
        hook_timeout=configured.lifecycle.hook_timeout,
        structure=_structure(configured),
    )
    hooks.add_specs(specs)
    registry = Registry(
        resolver=Resolver(Strategy.of(hooks)), markers=markers(), stack_order=configured.resolver.stack_order
    )
    runtime = Runtime(hooks, registry, configured, clock)
    hooks.host = runtime
    try:
        _plug_in(
            hooks,
            configured,
            plugins,
            tuple(off),
            tuple(load_plugins),
            environment=environment,
            strict=strict,
        )
        collect(hooks, registry)
        if strict:
            _refuse_failed(hooks.plugins)
        _warn_of_failed(hooks.plugins)
        _bind(runtime, hooks, registry)
    except BaseException:
        hooks.close()
        raise
    return runtime


def _structure(settings: Settings) -> Structure:
    """``structure`` for the tables of plugins: it says at which line of the user's a slip is."""

    def structured(cls: Any, data: Any, path: str) -> Any:
        name = path.removeprefix("plugins.settings.")
        written = settings.plugins.settings.get(name)
        if data is written or (written is None and not data):
            return settings.of_plugin(name, cls)
        return structure(cls, data, path)  # given in code, when it was plugged in

    return structured


def _plug_in(
    hooks: HookManager,
    settings: Settings,
    plugins: Iterable[Any],
    off: tuple[str, ...],
    load_plugins: tuple[str, ...],
    *,
    environment: bool,
    strict: bool,
) -> None:
    tables = settings.plugins.settings
    switched_off = dict.fromkeys(settings.plugins.off, "[plugins] off") | dict.fromkeys(off, "-p no:")
    for name, protected in BUILTINS.items():
        if name in switched_off:
            if protected:
                where = settings.where("plugins", "off")
                raise SettingsError(
                    [Problem("plugins.off", f"{name} is always on, and cannot be switched off", where)]
                )
            hooks.block(name, switched_off[name])
        hooks.register(import_module(f"oneiric.plugins.{name}"), name, origin="builtin", protected=protected)
    hooks.load_entry_points(
        off=switched_off,
        only=settings.plugins.only,
        auto_load=environment and settings.plugins.auto_load,
        settings=tables,
        strict=strict,
    )
    hooks.load((*settings.app.plugins, *load_plugins), off=switched_off, settings=tables, strict=strict)
    for plugin in plugins:
        if isinstance(plugin, str):
            hooks.load([plugin], off=switched_off, settings=tables, strict=strict)
        else:
            hooks.register(plugin, settings=tables.get(getattr(plugin, "__name__", ""), None))


def _unknown_plugins(hooks: HookManager, settings: Settings) -> list[Problem]:
    """Names in ``[plugins]`` that are no plugin here.  Warnings: a kit may be installed on one machine of several."""
    return [
        Problem(f"plugins.{field}", f"there is no plugin {name!r}", settings.where("plugins", field), hint)
        for field, names in (("off", settings.plugins.off), ("only", settings.plugins.only or ()))
        for name, near in hooks.unknown(names).items()
        for hint in [f"did you mean {near}?" if near else None]
    ]


def _unknown_keys(registry: Registry, settings: Settings) -> list[Problem]:
    """Keys in the settings that nobody fills.  Warnings: the application may register candidates later."""
    snapshot = registry.snapshot
    known = {str(key) for key in snapshot.keys()}
    plurals = {name: domain.plural for name, domain in snapshot.domains.items()}
    named = [(plurals[key.domain], "selections", key.name) for key in settings.selections()]
    texts = [str(key) for key in settings.selections()]
    named += [("lifecycle", "keys", text) for text in settings.lifecycle.keys]
    texts += list(settings.lifecycle.keys)
    return [
        Problem(
            f"{path[0]}.{path[1]}." + (f'"{path[2]}"' if ":" in path[2] else path[2]),
            f"nobody fills {text}",
            settings.where(*path),
            f"did you mean {near}?" if near else None,
        )
        for path, text in zip(named, texts, strict=True)
        if text not in known
        for near in [nearest(text.partition(":")[2], [each.partition(":")[2] for each in known])]
    ]


def _warn_of_failed(records: Iterable[PluginRecord]) -> None:
    for record in records:
        if record.state == "failed":
            log.warning("plugin %s failed: %s", record.name, record.reason)


def _refuse_failed(records: Iterable[PluginRecord]) -> None:
    for record in records:
        if record.state == "failed" and record.error is not None:
            raise record.error


def _bind(runtime: Runtime, hooks: HookManager, registry: Registry) -> None:
    """Hold the settings against what is plugged in, and make their selections."""
    bound = runtime.bind(runtime.settings)
    doubts = (*_unknown_plugins(hooks, bound), *_unknown_keys(registry, bound))
    runtime.adopt(attrs.evolve(bound, warnings=(*bound.warnings, *doubts)))
    registry.select(bound.selections(), bound.resolver.on_missing)
