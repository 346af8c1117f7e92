"""Filters: what has to hold of plain data for something to be done with it.

``{path = "order.total", op = "gte", value = 100}``.  Every kind of value is a kind of its own: true is not 1, and "5"
is not 5; whole and other numbers are compared as numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

import attrs
from oneiric_hookspecs import Filter, Op

from oneiric.plugins._paths import MISSING, find, parse
from oneiric.plugins._patterns import Pattern
from oneiric.plugins._walk import measure

OPS: tuple[str, ...] = get_args(Op)

#: How deep, and how large, the value of a filter may be.
_DEPTH, _VALUES = 32, 1000


@attrs.frozen
class Condition(Filter):
    __doc__ = Filter.__doc__  # what it means is said there; this one can be applied, or is not made

    def __attrs_post_init__(self) -> None:
        compiled(self)


def compiled(condition: Filter) -> Callable[[Any], bool]:
    """What tells whether *condition* holds of data; it never raises, and its time is bounded by how large the data are.

    Raises:
        ValueError: It is not well formed; a ``Condition`` is.
    """
    make = _TESTS.get(condition.op)
    if make is None:
        raise ValueError(f"there is no op {condition.op!r}; there are: {', '.join(OPS)}")
    path = parse(condition.path)
    measure(condition.value, depth=_DEPTH, values=_VALUES, at="value")
    test = make(condition.value)
    return lambda data: test(find(data, path))


def all_of(conditions: Iterable[Filter]) -> Callable[[Any], bool]:
    """What tells whether all of *conditions* hold of data; so they do where there are none."""
    tests = [compiled(each) for each in conditions]
    return lambda data: all(test(data) for test in tests)


def same(one: Any, other: Any) -> bool:
    """Whether two pieces of plain data are equal, and of one kind all the way down."""
    if isinstance(one, Mapping):
        return (
            isinstance(other, Mapping)
            and one.keys() == other.keys()
            and all(same(item, other[name]) for name, item in one.items())
        )
    if isinstance(one, (list, tuple)):
        return (
            isinstance(other, (list, tuple))
            and len(one) == len(other)
            and all(same(mine, theirs) for mine, theirs in zip(one, other, strict=True))
        )
    if _a_number(one):
        return _a_number(other) and one == other
    return type(one) is type(other) and one == other


def _a_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _equals(wanted: Any) -> Callable[[Any], bool]:
    return lambda found: same(wanted, found)


def _not_equals(wanted: Any) -> Callable[[Any], bool]:
    return lambda found: not same(wanted, found)


def _any_of(wanted: Any) -> Callable[[Any], bool]:
    if isinstance(wanted, (list, tuple)):
        return lambda found: any(same(each, found) for each in wanted)
    raise ValueError("op any_of compares to a list of values")


def _exists(wanted: Any) -> Callable[[Any], bool]:
    if wanted is not None and not isinstance(wanted, bool):
        raise ValueError("op exists takes true, false or no value")
    return lambda found: (found is not MISSING) is (wanted is not False)


def _ordered(op: str, compare: Callable[[Any, Any], bool]) -> Callable[[Any], Callable[[Any], bool]]:
    def make(wanted: Any) -> Callable[[Any], bool]:
        if _a_number(wanted):
            return lambda found: _a_number(found) and compare(found, wanted)
        if isinstance(wanted, str):
            return lambda found: isinstance(found, str) and compare(found, wanted)
        raise ValueError(f"op {op} compares to a number or a text")

    return make


def _matches(wanted: Any) -> Callable[[Any], bool]:
    if isinstance(wanted, str):
        pattern = Pattern(wanted)
        return lambda found: isinstance(found, str) and pattern.matches(found)
    raise ValueError("op matches compares to a regular expression, a text")


def _contains(wanted: Any) -> Callable[[Any], bool]:
    def test(found: Any) -> bool:
        if isinstance(found, (list, tuple)):
            return any(same(wanted, each) for each in found)
        return isinstance(found, (str, Mapping)) and isinstance(wanted, str) and wanted in found

    return test


_TESTS: Mapping[str, Callable[[Any], Callable[[Any], bool]]] = {
    "equals": _equals,
    "not_equals": _not_equals,
    "any_of": _any_of,
    "exists": _exists,
    "gt": _ordered("gt", lambda found, wanted: found > wanted),
    "gte": _ordered("gte", lambda found, wanted: found >= wanted),
    "lt": _ordered("lt", lambda found, wanted: found < wanted),
    "lte": _ordered("lte", lambda found, wanted: found <= wanted),
    "matches": _matches,
    "contains": _contains,
}
