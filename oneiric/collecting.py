"""What plugins declare becomes what is registered: a plugin at a time, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oneiric_hookspecs import Domain, PluginError, Source, specs

from .hooks import Answer, HookManager, PluginRecord
from .registry import Registry

_CANDIDATES = "declare candidates"


def source_of(record: PluginRecord) -> Source:
    """The source of what a plugin declares."""
    plugin = record.plugin
    module = getattr(plugin, "__name__", None) or type(plugin).__module__
    package = str(module).partition(".")[0]
    return Source(record.name, record.origin, record.distribution, package)


def collect(hooks: HookManager, registry: Registry) -> None:
    """Register what all plugins declare, domains before candidates; what a domain collects by a hook of its own, too.

    A plugin whose declarations cannot be registered is failed, with the reason; the others count.
    """
    for name, domains in _by_plugin(hooks[specs.oneiric_domains].answers()):
        known = registry.snapshot.domains
        try:
            registry.add_domains(domain for domain in domains if known.get(domain.name) != domain)
        except PluginError as error:
            hooks.fail(name, "declare domains", error)
    by_plugin = dict(_by_plugin(hooks[specs.oneiric_candidates].answers()))
    for domain in registry.snapshot.domains.values():
        for name, values in _declared(hooks, domain):
            try:
                made = [domain.to_candidate(value, name) for value in values] if domain.to_candidate else []
            except Exception as error:
                hooks.fail(name, f"declare {domain.plural}", error)
            else:
                hooks.recover(name, f"declare {domain.plural}")
                by_plugin[name] = [*by_plugin.get(name, ()), *made]
    for record in hooks.plugins:
        if record.plugin is None:
            continue  # it is not there, and what has its name may be another's
        # A plugin whose other declarations failed declares nothing at all.
        candidates = by_plugin.get(record.name, ()) if record.failing.keys() <= {_CANDIDATES} else ()
        if record.state != "on" and not candidates:
            continue
        source = source_of(record)
        if not candidates and source not in registry.snapshot.sources:
            continue
        try:
            registry.replace(source, candidates)
        except PluginError as error:
            hooks.fail(record.name, _CANDIDATES, error)
        else:
            hooks.recover(record.name, _CANDIDATES)


def _declared(hooks: HookManager, domain: Domain) -> list[tuple[str, list[Any]]]:
    """What plugins declare by the hook of *domain*, if it has one."""
    if domain.declared_by is None:
        return []
    # It is sync, as the domain has made sure.
    answers: Any = hooks[domain.declared_by].answers()
    return _by_plugin(answers)


def _by_plugin(answers: Iterable[Answer]) -> list[tuple[str, list[Any]]]:
    found: dict[str, list[Any]] = {}
    for answer in answers:
        found.setdefault(answer.plugin, []).append(answer.value)
    return list(found.items())
