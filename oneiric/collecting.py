"""What plugins declare becomes what is registered: a plugin at a time, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oneiric_hookspecs import PluginError, Source, specs

from .hooks import Answer, HookManager, PluginRecord
from .registry import Registry


def source_of(record: PluginRecord) -> Source:
    """The source of what a plugin declares."""
    plugin = record.plugin
    module = getattr(plugin, "__name__", None) or type(plugin).__module__
    package = str(module).partition(".")[0]
    return Source(record.name, record.origin, record.distribution, package)


def collect(hooks: HookManager, registry: Registry) -> None:
    """Register what all plugins declare, domains before candidates.

    A plugin whose declarations cannot be registered is failed, with the reason; the others count.
    """
    for name, domains in _by_plugin(hooks[specs.oneiric_domains].answers()):
        known = registry.snapshot.domains
        try:
            registry.add_domains(domain for domain in domains if known.get(domain.name) != domain)
        except PluginError as error:
            hooks.fail(name, "declare domains", error)
    by_plugin = dict(_by_plugin(hooks[specs.oneiric_candidates].answers()))
    for record in hooks.plugins:
        candidates = by_plugin.get(record.name, ())
        if record.state != "on" and not candidates:
            continue
        source = source_of(record)
        if not candidates and source not in registry.snapshot.sources:
            continue
        try:
            registry.replace(source, candidates)
        except PluginError as error:
            hooks.fail(record.name, "declare candidates", error)
        else:
            hooks.recover(record.name, "declare candidates")


def _by_plugin(answers: Iterable[Answer]) -> list[tuple[str, list[Any]]]:
    found: dict[str, list[Any]] = {}
    for answer in answers:
        found.setdefault(answer.plugin, []).append(answer.value)
    return list(found.items())
