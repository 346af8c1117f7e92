"""The environment laid over the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import Problem

from .environment import Override, Variable
from .plain import Fault, Faults, freeze, thaw
from .sources import Origin


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
    changed, set_by = thaw(tables), dict(origin.variables)
    for each in meant:
        if each.path in set_by:
            faults.append(
                Fault((each.variable,), f"sets the same as {set_by[each.path]}", "keep one of them")
            )
        elif _put(changed, each.path, each.value):
            set_by[each.path] = each.variable
    return freeze(changed), attrs.evolve(origin, variables=set_by), faults


def _put(tables: dict[str, Any], path: tuple[str, ...], value: Any) -> bool:
    for part in path[:-1]:
        below: Any = tables.setdefault(part, {})
        if not isinstance(below, dict):
            return False  # what stands there is no table, and is said to be wrong for that
        tables = below
    tables[path[-1]] = value
    return True


def in_order(found: list[Problem]) -> list[Problem]:
    """As they stand in the file; the variables of the environment after them."""

    def place(problem: Problem) -> tuple[int, int]:
        _, colon, line = (problem.where or "").rpartition(":")
        return (0, int(line)) if colon and line.isdigit() else (1, 0)

    return sorted(found, key=place)
