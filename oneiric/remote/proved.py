"""Instances of frozen classes whose values were proved before: made without asking again, at a fraction of the price.

This is the one place where a class's own checks are passed by.  Whoever calls what is made here has proved all that
they ask; what comes of it is equal to what the class itself makes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import attrs
from oneiric_hookspecs import Candidate, Entry

_T = TypeVar("_T")
#: No slots of its own, so that instances may change their class.
_UNFROZEN = {
    "__slots__": (),
    "__init__": object.__init__,
    "__setattr__": object.__setattr__,
    "__delattr__": object.__delattr__,
}


def maker(cls: type[_T], *given: str) -> Callable[..., _T]:
    """A function that makes instances of *cls*.

    A frozen class sets each field by a call, which is most of what an instance costs.  Here the fields are set on an
    instance of a subclass that is not frozen, and that becomes one of the class itself when it is complete.

    Args:
        cls: A frozen attrs class with slots.
        given: The fields that the function takes, by position; all if none are named.  The others have the class's
            defaults, which are values and no factories.
    """
    fields = attrs.fields_dict(cls)  # type: ignore[arg-type]
    given = given or tuple(fields)
    names: dict[str, Any] = {"unfrozen": type(cls.__name__, (cls,), dict(_UNFROZEN)), "cls": cls}
    lines = [f"def make({', '.join(given)}):", "    made = unfrozen()"]
    for name, field in fields.items():
        value = name
        if name not in given:
            value = f"default_{name}"
            names[value] = field.default
        lines.append(f"    made.{name} = {value}")
    lines += ["    made.__class__ = cls", "    return made"]
    exec("\n".join(lines), names)  # noqa: S102  # all that stands in it are the names of fields
    make: Callable[..., _T] = names["make"]
    return make


@functools.cache
def entry_maker() -> Callable[..., Entry]:
    """Makes an entry of all its fields, in order."""
    return maker(Entry)


@functools.cache
def candidate_maker() -> Callable[..., Candidate]:
    """Makes a candidate of what an entry says that has no settings, needs nothing, and comes without a file."""
    return maker(
        Candidate,
        "key",
        "provider",
        "factory",
        "priority",
        "stack_level",
        "version",
        "capabilities",
        "distributions",
        "platforms",
        "metadata",
    )
