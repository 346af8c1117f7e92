"""Phase one: a file and the environment become settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
from oneiric_hookspecs import Key, Problem, SettingsError

from . import environment
from .binding import section_of
from .model import Settings
from .overrides import in_order, overridden
from .plain import FREE, Fault, Faults, freeze, mismatch, sift
from .sections import FIXED, Lifecycle, LifecycleSection, Limits, Plugins, Resolver
from .sources import Origin, configured_file, read
from .stack_order import stack_order
from .strict import convert, problems

_ONCE = "it is set once for the whole runtime, in [lifecycle]"
_PER_KEY = 'it is set for one key, in [lifecycle.keys."DOMAIN:NAME"]'


def load(
    source: str | os.PathLike[str] | Mapping[str, Any] | Settings | None = None,
    *,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings, and check the sections that every application has.

    Args:
        source: A TOML file, its content as a mapping, or settings, which are returned as they are.  None takes the
            file that ``ONEIRIC_CONFIG`` names, else the nearest ``oneiric.toml`` from the working directory upward,
            else the defaults.
        environ: The environment, whose ``ONEIRIC__SECTION__KEY`` win over the file; None is the process's.
    Returns:
        The settings; ``Settings.bind`` checks the sections of domains.
    Raises:
        SettingsError: The file cannot be read, or everything that is wrong with what it says, at once.
    """
    if isinstance(source, Settings):
        return source
    environ = os.environ if environ is None else environ
    file: Path | None = None
    data: Mapping[str, Any] = {}
    origin = Origin()
    if isinstance(source, Mapping):
        data = source
    else:
        file = configured_file(environ) if source is None else Path(source)
        if file is not None:
            data, text = read(file)
            origin = Origin(str(file), text)
    try:
        tables, not_plain = sift(data)
    except RecursionError:
        raise SettingsError([Problem("", "is nested too deeply", origin.file)]) from None

    variables = environment.variables(environ)
    fixed = [variable for variable in variables if environment.concerns_fixed(variable)]
    tables, origin, faults = overridden(
        tables,
        origin,
        environment.special(environ),
        fixed,
        lambda variable: environment.override_fixed(variable, tables),
    )
    sections = {name: _section(name, cls, tables.get(name, {}), faults) for name, cls in FIXED.items()}
    others = {
        name: table for name, table in tables.items() if name not in FIXED and not name.startswith(FREE)
    }
    for name, table in others.items():
        if not isinstance(table, Mapping):
            faults += [fault.under(name) for fault in mismatch("a table", table).faults]
    if faults or not_plain:
        raise SettingsError(in_order(problems([*not_plain, *faults], where=origin.where)))
    return Settings(
        **sections,
        domains=MappingProxyType({name: section_of(table) for name, table in others.items()}),
        file=None if file is None else file.absolute(),
        tables=MappingProxyType(others),
        origin=origin,
        pending=tuple(variable for variable in variables if variable not in fixed),
    )


def _section(name: str, cls: type, table: Any, faults: list[Fault]) -> Any:
    """A section that every application has; None, and its faults are added, if it is not well formed."""
    found: list[Fault] = []
    order: dict[str, int] = {}
    if name == "resolver" and isinstance(table, Mapping) and "stack_order" in table:
        try:
            order = stack_order(table["stack_order"])
        except Faults as error:
            found += [fault.under("stack_order") for fault in error.faults]
        table = {**table, "stack_order": order}
    if name == "lifecycle" and isinstance(table, Mapping):
        found += _misnamed_keys(table.get("keys"))
    section = None
    try:
        # What is not written needs no converter, whose library is a tenth of the time that a command takes.
        section = (
            cls() if isinstance(table, Mapping) and not table else convert(_without_free(name, table), cls)
        )
    except Faults as error:
        found += [_better(name, fault) for fault in error.faults]
    faults += [fault.under(name) for fault in found]
    if found or section is None:
        return None
    return _frozen(section, table)


def _without_free(name: str, table: Any) -> Any:
    """*table* without the user's own keys where names of his stand beside them."""
    inner = {"lifecycle": "keys", "plugins": "settings"}.get(name)
    if not isinstance(table, Mapping) or not isinstance(table.get(inner), Mapping):
        return table
    return {**table, inner: {key: value for key, value in table[inner].items() if not key.startswith(FREE)}}


def _frozen(section: Any, table: Mapping[str, Any]) -> Any:
    """*section* with its mappings read-only, and each key's limits completed from those of all keys."""
    if isinstance(section, LifecycleSection):
        shared = {name: getattr(section, name) for name in attrs.fields_dict(Limits)}
        keys = {
            key: attrs.evolve(
                own, **{name: shared[name] for name in shared if name not in table["keys"][key]}
            )
            for key, own in section.keys.items()
        }
        return attrs.evolve(section, keys=MappingProxyType(keys))
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
