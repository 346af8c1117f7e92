"""The sections that every application has, checked; of one that is wrong, what is right in it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs
from oneiric_hookspecs import Key, OneiricError, check_name

from .layers import PROFILE
from .logged import LoggingSection, undefined_headers
from .plain import FREE, Fault, Faults, freeze, mismatch
from .references import sources_of
from .sections import FIXED, Lifecycle, LifecycleSection, Limits, Plugins, Resolver
from .stack_order import stack_order
from .streams import Stream, undefined_secrets
from .strict import convert
from .supervised import HealthSection, Restarting, RestartSection

_ONCE = "it is set once for the whole runtime, in [lifecycle]"
_PER_KEY = 'it is set for one key, in [lifecycle.keys."DOMAIN:NAME"]'


def sections(tables: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Every section that all applications have, by name; and what is wrong with them, or is no table."""
    made, faults = {}, []
    for name, cls in FIXED.items():
        made[name], found = _section(name, cls, tables.get(name, {}))
        faults += [fault.under(name) for fault in found]
    faults += undefined_secrets(made["remote"], made["secrets"])
    faults += undefined_headers(made["logging"], made["secrets"])
    for name, table in others(tables).items():
        if not isinstance(table, Mapping):
            faults += [fault.under(name) for fault in mismatch("a table", table).faults]
    return made, faults


def others(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables that are no section of ours, but may be a domain's."""
    return {
        name: table
        for name, table in tables.items()
        if name not in FIXED and name != PROFILE and not name.startswith(FREE)
    }


def concerns_plugins(faults: list[Fault]) -> bool:
    """Whether it is not certain which plugins are to be loaded, given what is wrong."""
    return any(
        (fault.path[:1] == ("plugins",) and fault.path[:2] != ("plugins", "settings"))
        or fault.path == ("app",)
        or fault.path[:2] == ("app", "plugins")
        for fault in faults
    )


def _section(name: str, cls: type, table: Any) -> tuple[Any, list[Fault]]:
    found: list[Fault] = []
    if name == "secrets":
        return sources_of(table, found), found
    if name == "remote":
        return _streams(table, found), found
    order: dict[str, int] = {}
    if name == "resolver" and isinstance(table, Mapping) and "stack_order" in table:
        try:
            order = stack_order(table["stack_order"])
        except Faults as error:
            found += [fault.under("stack_order") for fault in error.faults]
        table = {**table, "stack_order": order}
    if name in ("lifecycle", "restart") and isinstance(table, Mapping):
        found += _misnamed_keys(table.get("keys"))
    section = None
    try:
        # What is not written needs no converter, whose library is a tenth of the time that a command takes.
        section = (
            cls() if isinstance(table, Mapping) and not table else convert(_without_free(name, table), cls)
        )
    except Faults as error:
        found += [_better(name, fault) for fault in error.faults]
    if section is None or found:
        table = _without(table, found)
        section = _kept(name, cls, table)
    return _frozen(section, table), found


def _streams(table: Any, faults: list[Fault]) -> Mapping[str, Stream]:
    """``[remote]``: the streams that are well formed."""
    if not isinstance(table, Mapping):
        faults += mismatch("a table", table).faults
        return MappingProxyType({})
    streams = {}
    for name, written in table.items():
        if name.startswith(FREE):
            continue
        try:
            check_name(name, "name of a stream")
            streams[name] = convert(written, Stream)
        except OneiricError as error:
            faults.append(Fault((name,), error.message, error.hint))
        except Faults as error:
            faults += [fault.under(name) for fault in error.faults]
    return MappingProxyType(streams)


def _without(table: Any, faults: list[Fault]) -> Mapping[str, Any]:
    """*table* without the keys that are wrong, or below which something is."""
    if not isinstance(table, Mapping):
        return {}
    wrong = {fault.path[0] for fault in faults if fault.path}
    return {key: value for key, value in table.items() if key not in wrong}


def _kept(name: str, cls: type, table: Mapping[str, Any]) -> Any:
    try:
        return convert(_without_free(name, table), cls)
    except Faults:
        return cls()  # what is wrong is wrong with the whole of it


def _without_free(name: str, table: Any) -> Any:
    """*table* without the user's own keys where names of his stand beside them."""
    named = {
        "lifecycle": ("keys",),
        "restart": ("keys",),
        "health": ("groups",),
        "logging": ("levels", "sinks"),
        "plugins": ("settings",),
    }.get(name, ())
    if not isinstance(table, Mapping):
        return table
    kept = dict(table)
    for inner in named:
        if isinstance(table.get(inner), Mapping):
            kept[inner] = {key: value for key, value in table[inner].items() if not key.startswith(FREE)}
    return kept


def _frozen(section: Any, table: Mapping[str, Any]) -> Any:
    """*section* with its mappings read-only, and each key's limits completed from those of all keys."""
    if isinstance(section, LifecycleSection | RestartSection):
        usual = Limits if isinstance(section, LifecycleSection) else Restarting
        shared = {name: getattr(section, name) for name in attrs.fields_dict(usual)}
        keys = {
            key: attrs.evolve(
                own, **{name: shared[name] for name in shared if name not in table["keys"][key]}
            )
            for key, own in section.keys.items()
        }
        changed: Any = attrs.evolve(section, keys=MappingProxyType(dict[str, Any](keys)))  # type: ignore[arg-type]
        return changed
    if isinstance(section, HealthSection):
        return attrs.evolve(section, groups=MappingProxyType(dict(section.groups)))
    if isinstance(section, LoggingSection):
        sinks = {
            name: attrs.evolve(sink, headers=MappingProxyType(dict(sink.headers)))
            for name, sink in section.sinks.items()
        }
        return attrs.evolve(
            section, levels=MappingProxyType(dict(section.levels)), sinks=MappingProxyType(sinks)
        )
    if isinstance(section, Plugins):
        return attrs.evolve(section, settings=freeze(section.settings))
    if isinstance(section, Resolver):
        return attrs.evolve(section, stack_order=MappingProxyType(dict(section.stack_order)))
    return section


def _misnamed_keys(keys: Any) -> list[Fault]:
    faults = []
    for text in keys if isinstance(keys, Mapping) else ():
        if text.startswith(FREE):
            continue
        try:
            convert(text, Key)
        except Faults as error:
            faults += [fault.under("keys", text) for fault in error.faults]
    return faults


def _better(name: str, fault: Fault) -> Fault:
    """*fault* with the hint that the two kinds of limits are set in two places."""
    if name != "lifecycle" or fault.message != "unknown key":
        return fault
    key, whole = fault.path[-1], attrs.fields_dict(LifecycleSection)
    if len(fault.path) > 1:
        return attrs.evolve(fault, hint=_ONCE) if key in whole else fault
    return attrs.evolve(fault, hint=_PER_KEY) if key in attrs.fields_dict(Lifecycle) else fault
