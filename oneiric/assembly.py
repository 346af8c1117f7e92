"""From settings to a runtime: the one place that knows the built-in plugins."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

import attrs
from oneiric_hookspecs import PluginError, Problem, SettingsError, a_few, nearest, specs

from .clock import RuntimeClock
from .collecting import collect
from .hooks import HookManager, PluginRecord, Structure
from .hooks.loading import collection, switches
from .hooks.switching import all_switches, strict_by_environment, who
from .installed import alike
from .registry import Registry
from .resolution import Resolver, Strategy, markers
from .runtime import Runtime
from .settings import Settings, SettingsSource, examine, structure
from .settings.layers import in_order
from .settings.plain import path_text
from .settings.references import Reading, Unshown

log = logging.getLogger("oneiric")

#: The built-in action kits: plugins that are called as their actions are.
ACTIONS = (
    "automation.trigger",
    "compression.encode",
    "compression.hash",
    "data.sanitize",
    "data.transform",
    "debug.console",
    "event.dispatch",
    "http.fetch",
    "security.secure",
    "security.signature",
    "serialization.encode",
    "task.schedule",
    "validation.schema",
    "workflow.audit",
    "workflow.notify",
    "workflow.orchestrate",
    "workflow.retry",
)
#: The built-in plugins by name, in the order of registration; True for those that cannot be switched off.
BUILTINS: Mapping[str, bool] = {
    "precedence": True,
    "eligibility": True,
    "factories": True,
    "probes": True,
    "probation": True,
    "guards.scope": True,
    "guards.factories": True,
    "guards.prune": True,
    "pinned": True,
    "restart": False,
    "telemetry": False,
    "domains.adapter": False,
    "domains.service": False,
    "domains.task": False,
    "domains.event": False,
    "domains.workflow": False,
    "domains.action": False,
    "cache.disk": False,
    "cache.memory": False,
    "queue.sqlite": False,
    "queue.memory": False,
    "storage.local": False,
    "database.sqlite": False,
    "http.httpx": False,
    "stores.sqlite": False,
    "stores.memory": False,
    "executors.local": False,
    "scheduler": False,
    "fetchers.file": False,
    "fetchers.http": False,
    "secrets.env": False,
    "secrets.file": False,
    "secrets.adapter": False,
    **dict.fromkeys(ACTIONS, False),
}
#: The group of entry points that is always read.
GROUP = "oneiric"


def assemble(
    settings: SettingsSource = None,
    plugins: Iterable[Any] = (),
    *,
    profile: str | None = None,
    off: Mapping[str, str] | Iterable[str] = (),
    load_plugins: Iterable[str] = (),
    environment: bool = True,
    strict: bool | None = None,
    watch: Callable[[PluginRecord], object] | None = None,
    began: Callable[[Runtime], object] | None = None,
) -> Runtime:
    """Load settings and plugins, collect what they declare, and give a runtime that is ready to be entered.

    A plugin that fails is kept apart, with its reason (``runtime.hooks.plugins``); everything else works.

    Args:
        settings: A file or several, a mapping, or settings; None looks for ``ONEIRIC_CONFIG``, or ``oneiric.toml``.
        profile: The profile of the settings; None asks ``ONEIRIC_PROFILE``.
        plugins: The application's own: modules, classes or objects; the last is asked first.
        off: Names of plugins to leave out, as in ``[plugins] off``; as a mapping, with who says so.
        load_plugins: Names of modules to load as plugins, after those of ``[app] plugins``.
        environment: Whether plugins of installed distributions are loaded.
        strict: Whether a plugin that fails is an error; None asks ``ONEIRIC_STRICT``.
        watch: Called with the record of each plugin that is not built in, before it is imported.
        began: Called with the runtime before the first plugin is; what it knows of secrets can be masked from then on.
    Raises:
        SettingsError: Everything that is wrong with the settings, and with the ``plugins.toml`` of operators.
        AlwaysOn: One of *off* cannot be switched off.
        PluginError: One of *plugins* is not well formed; or any plugin fails, and *strict*.
    """
    if isinstance(plugins, str):
        raise PluginError(f"plugins is a collection, found {plugins!r}", hint=f"write [{plugins!r}]")
    targets = collection(load_plugins, "load_plugins")
    switched = switches(off, "assemble(off=...)")
    strict = strict_by_environment() if strict is None else strict
    configured = examine(settings, profile=profile)
    clock = RuntimeClock()
    hooks = HookManager(
        "oneiric",
        clock=clock,
        hook_timeout=configured.lifecycle.hook_timeout,
        structure=_structure(configured, lambda how: runtime.secrets.fill(how)),  # noqa: PLW0108 - it is made below
    )
    hooks.add_specs(specs)
    registry = Registry(
        resolver=Resolver(Strategy.of(hooks)), markers=markers(), stack_order=configured.resolver.stack_order
    )
    runtime = Runtime(hooks, registry, configured, clock)
    hooks.host = runtime
    if began is not None:
        began(runtime)
    try:
        _plug_in(
            hooks,
            configured,
            plugins,
            all_switches(configured, switched, [name for name, always in BUILTINS.items() if always]),
            targets,
            environment=environment,
            strict=strict,
            watch=watch,
        )
        collect(hooks, registry)
        if strict:
            _refuse_failed(hooks.plugins)
        _warn_of_failed(hooks.plugins)
        runtime.secrets.learn()
        _bind(runtime, hooks, registry)
        if runtime.settings.remote:
            runtime.remote.start_offline()
    except Exception as error:
        found = list(error.problems if isinstance(error, SettingsError) else ())
        # What came of binding has all of them, in their order.
        found += [
            problem for problem in (*configured.problems, *problems_of(hooks.plugins)) if problem not in found
        ]
        hooks.close()
        if not configured.problems and not isinstance(error, SettingsError):
            raise
        # Everything at once, whatever it was that could not go on.
        raise SettingsError(in_order(found, configured.origin)) from error
    except BaseException:
        hooks.close()
        raise
    return runtime


def problems_of(records: Iterable[PluginRecord]) -> list[Problem]:
    """What is wrong with the settings of plugins, each of which is failed for that."""
    causes = [
        record.error.__cause__ for record in records if record.state == "failed" and record.error is not None
    ]
    return [problem for each in causes if isinstance(each, SettingsError) for problem in each.problems]


def builtin(name: str) -> Any:
    """The built-in plugin of that name: a module, or a class where it needs the runtime."""
    place = f"actions.{name.replace('.', '_')}" if name in ACTIONS else name
    module = import_module(f"oneiric.plugins.{place}")
    return getattr(module, "Plugin", module)


def _structure(settings: Settings, fill: Callable[[Reading], object]) -> Structure:
    """``structure`` for the tables of plugins: it says at which line of the user's a slip is, and brings secrets."""

    def structured(cls: Any, data: Any, path: str) -> Any:
        name = path.removeprefix("plugins.settings.")
        if not data and name not in settings.plugins.settings:
            # What is not written needs no converter, whose library is a twentieth of the time that a command takes.
            with contextlib.suppress(Exception):  # it wants something: that is said below
                return cls()
        if isinstance(data, Unshown) or (name not in settings.plugins.settings and not data):
            return settings.of_plugin(name, cls, fill)
        return structure(cls, data, path)  # given in code, when it was plugged in

    return structured


def _plug_in(
    hooks: HookManager,
    settings: Settings,
    plugins: Iterable[Any],
    off: Mapping[str, str],
    load_plugins: Iterable[str],
    *,
    environment: bool,
    strict: bool,
    watch: Callable[[PluginRecord], object] | None,
) -> None:
    chosen = settings.plugins
    tables = {name: Unshown(table) for name, table in chosen.settings.items()}
    for name, protected in BUILTINS.items():
        if alike(name) in off:
            hooks.leave_out(name, off[alike(name)], origin="builtin")
        else:
            plugin = builtin(name)
            table = tables.get(name) if hasattr(plugin, "Settings") else None
            hooks.register(plugin, name, origin="builtin", settings=table, protected=protected)
    only = None
    if chosen.only is not None:
        only = dict.fromkeys(chosen.only, who("[plugins] only", settings.where("plugins", "only")))
    for group in dict.fromkeys((GROUP, *chosen.entry_points)):
        hooks.load_entry_points(
            group,
            off=off,
            only=only,
            auto_load=environment and chosen.auto_load,
            settings=tables,
            strict=strict,
            watch=watch,
        )
    named = (*settings.app.plugins, *load_plugins)
    hooks.load(named, off=off, settings=tables, strict=strict, watch=watch)
    for plugin in plugins:
        if isinstance(plugin, str):
            hooks.load([plugin], off=off, settings=tables, strict=strict, watch=watch)
        else:
            hooks.register(plugin, settings=tables.get(getattr(plugin, "__name__", "")))


def _unknown_plugins(hooks: HookManager, settings: Settings) -> list[Problem]:
    """Names in ``[plugins]`` that are no plugin here.  Warnings: a kit may be installed on one machine of several."""
    return [
        Problem(f"plugins.{field}", f"there is no plugin {name!r}", settings.where("plugins", field), hint)
        for field, names in (("off", settings.plugins.off), ("only", settings.plugins.only or ()))
        for name, near in hooks.unknown(names).items()
        for hint in [f"did you mean {near}?" if near else None]
    ] + [
        Problem(
            "plugins.entry_points",
            f"nothing installed brings the group {group}",
            settings.where("plugins", "entry_points", number),
        )
        for number, group in enumerate(settings.plugins.entry_points)
        if not any(group in record.groups for record in hooks.plugins)
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


def _unknown_providers(registry: Registry, settings: Settings) -> list[Problem]:
    """Providers that are selected for a key, and are none of its.  Warnings, for the same reason."""
    snapshot = registry.snapshot
    found = []
    for key, provider in settings.selections().items():
        known = dict.fromkeys(record.candidate.provider for record in snapshot.records(key))
        if not known or provider in known:
            continue
        near = nearest(provider, known)
        path = (snapshot.domains[key.domain].plural, "selections", key.name)
        found.append(
            Problem(
                path_text(path),
                f"no candidate of {key.name!r} has the provider {provider!r}",
                settings.where(*path),
                f"did you mean {near}?" if near else f"there are: {a_few(known)}",
            )
        )
    return found


def _unknown_store(hooks: HookManager, settings: Settings) -> tuple[Problem, ...]:
    """A state store that no plugin brings.  A warning: it is opened when it is first asked, and many never ask."""
    if settings.state.url == type(settings.state)().url:
        return ()
    from .state import choose

    try:
        choose(settings, hooks[specs.oneiric_stores].answers())
    except SettingsError as error:
        return error.problems
    return ()


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
    doubts = (
        *_unknown_plugins(hooks, bound),
        *_unknown_keys(registry, bound),
        *_unknown_providers(registry, bound),
        *_unknown_store(hooks, bound),
    )
    runtime.adopt(attrs.evolve(bound, warnings=(*bound.warnings, *doubts)))
    registry.select(bound.selections(), bound.resolver.on_missing)
