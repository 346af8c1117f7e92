"""What is laid over the tables of files: the variables of the environment, and the options of a command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from .environment import Override, Variable
from .layers import Layer, Origin
from .plain import Fault, Faults, Parts, freeze, thaw

ENVIRONMENT: Final = "environment"
COMMAND_LINE: Final = "command line"


class Flag(NamedTuple):
    """An option of a command that adds to a list of the settings.

    Args:
        text: As it is typed: ``-p no:cache.disk``.
        path: The list: ``("plugins", "off")``.
        value: What it adds.
    """

    text: str
    path: tuple[str, ...]
    value: str


def overridden(
    tables: Mapping[str, Any],
    origin: Origin,
    overrides: list[Override],
    variables: Iterable[Variable],
    means: Callable[[Variable], Override],
) -> tuple[Mapping[str, Any], Origin, list[Fault]]:
    """*tables* with what the environment sets, where that was set, and what is wrong with the variables."""
    faults: list[Fault] = []
    meant = list(overrides)
    for variable in variables:
        try:
            meant.append(means(variable))
        except Faults as error:
            faults += [fault.under(variable.name) for fault in error.faults]
    if not meant:
        return tables, origin, faults
    before = next((layer for layer in origin.layers if layer.kind == ENVIRONMENT), None)
    changed, set_by = thaw(tables), dict(before.named) if before else {}
    own = thaw(before.tables) if before else {}
    for each in meant:
        if each.path in set_by:
            faults.append(
                Fault((each.variable,), f"sets the same as {set_by[each.path]}", "keep one of them")
            )
        elif _put(changed, each.path, each.value):
            _put(own, each.path, each.value)
            set_by[each.path] = each.variable
    layer = Layer(ENVIRONMENT, ENVIRONMENT, freeze(own), named=MappingProxyType(set_by))
    others = [each for each in origin.layers if each.kind != ENVIRONMENT]
    # The command line stays the last.
    place = next((n for n, each in enumerate(others) if each.kind == COMMAND_LINE), len(others))
    return freeze(changed), Origin((*others[:place], layer, *others[place:])), faults


def flagged(
    tables: Mapping[str, Any], origin: Origin, flags: Iterable[Flag]
) -> tuple[Mapping[str, Any], Origin]:
    """*tables* with what the options of a command add."""
    changed = thaw(tables)
    own: dict[str, Any] = {}
    named: dict[Parts, str] = {}
    for flag in flags:
        values = _list_at(changed, flag.path)
        if values is None:
            continue  # what stands there is no list, and is said to be wrong for that
        named[*flag.path, len(values)] = flag.text
        values.append(flag.value)
        _put(own, flag.path, values)
    if not named:
        return tables, origin
    layer = Layer(COMMAND_LINE, COMMAND_LINE, freeze(own), named=MappingProxyType(named))
    return freeze(changed), Origin((*origin.layers, layer))


def _list_at(tables: dict[str, Any], path: tuple[str, ...]) -> list[Any] | None:
    for part in path[:-1]:
        below = tables.setdefault(part, {})
        if not isinstance(below, dict):
            return None
        tables = below
    values = tables.setdefault(path[-1], [])
    return values if isinstance(values, list) else None


def _put(tables: dict[str, Any], path: tuple[str, ...], value: Any) -> bool:
    for part in path[:-1]:
        below: Any = tables.setdefault(part, {})
        if not isinstance(below, dict):
            return False  # what stands there is no table, and is said to be wrong for that
        tables = below
    tables[path[-1]] = value
    return True
