"""Single values, each of exactly its type; and what any type is called in a message."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime as dt
import enum
import math
import os
import types
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

import attrs
from oneiric_hookspecs import Key, OneiricError, Secret, nearest

from .plain import Faults, found, mismatch
from .references import secret

LISTS = {list, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Collection}
SETS = {set, frozenset, collections.abc.Set, collections.abc.MutableSet}
TABLES = {dict, collections.abc.Mapping, collections.abc.MutableMapping}
EXPECTED: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    dt.datetime: "a date and time",
    dt.date: "a date",
    dt.time: "a time",
    Path: "a path",
    PurePath: "a path",
    Key: "a key such as adapter:cache",
    Secret: "a secret",
    types.NoneType: "nothing",
}


def expected(kind: Any) -> str:
    """What a value of *kind* is, in the user's words."""
    if is_union(kind):
        return " or ".join(
            dict.fromkeys(expected(arm) for arm in get_args(kind) if arm is not types.NoneType)
        )
    origin = origin_of(kind)
    if origin is Literal:
        return "one of " + ", ".join(found(option) for option in get_args(kind))
    if origin in TABLES or attrs.has(origin):
        return "a table"
    if origin in LISTS or origin in SETS or origin is tuple:
        return "a list"
    if isinstance(origin, type) and issubclass(origin, enum.Enum):
        return "one of " + ", ".join(found(member.value) for member in origin)
    return EXPECTED.get(origin, "a value")


def origin_of(kind: Any) -> Any:
    """What *kind* is a kind of: ``list`` of ``list[int]``; itself where it is nothing more."""
    return get_origin(kind) or kind


def bare(kind: Any) -> Any:
    """*kind* without what is wrapped around it: ``Annotated``, ``NewType``, an alias."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif isinstance(kind, NewType):
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":  # there is none before 3.12
            kind = kind.__value__
        else:
            return kind


def is_union(kind: Any) -> bool:
    """Whether it is ``A | B``, however that is written."""
    return get_origin(kind) in (Union, types.UnionType)


def name_of(kind: Any) -> str:
    """What *kind* is called in code."""
    return kind.__qualname__ if isinstance(kind, type) else str(kind)


def scalar(value: Any, kind: type) -> Any:
    """A value of *kind*, a class that is no collection."""
    if issubclass(kind, enum.Enum):
        return _member(value, kind)
    check = _CHECKS.get(kind)
    if check is None:
        return foreign(value, kind)
    return check(value)


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise mismatch(expected(bool), value)


def _int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise mismatch(expected(int), value)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _float(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not _is_nan(value):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        # A whole number stands for a float only if it is not changed by becoming one.
        if number == value:
            return number
        raise mismatch("a number that a float can hold", value)
    raise mismatch(expected(float), value)


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise mismatch(expected(str), value)


def _path(value: Any) -> Path:
    # An empty text would be the working directory.
    if isinstance(value, (str, os.PathLike)) and value != "":
        return Path(value)
    raise mismatch(expected(Path), value)


def _key(value: Any) -> Key:
    if isinstance(value, Key):
        return value
    if not isinstance(value, str):
        raise mismatch(expected(Key), value)
    try:
        return Key.parse(value)
    except OneiricError as error:
        raise Faults.one(error.message, error.hint) from None


def _datetime(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    raise mismatch(expected(dt.datetime), value)


def _date(value: Any) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    raise mismatch(expected(dt.date), value)


def _time(value: Any) -> dt.time:
    if isinstance(value, dt.time):
        return value
    raise mismatch(expected(dt.time), value)


_CHECKS: dict[Any, Callable[[Any], Any]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    Path: _path,
    PurePath: _path,
    Key: _key,
    Secret: secret,
    dt.datetime: _datetime,
    dt.date: _date,
    dt.time: _time,
}


def _same(value: Any, option: Any) -> bool:
    """Whether it is this option and not just equal to it, as True is to 1."""
    return (
        isinstance(value, type(option))
        and isinstance(value, bool) == isinstance(option, bool)
        and value == option
    )


def _not_one_of(options: Iterable[Any], value: Any, kind: Any) -> Faults:
    texts = [option for option in options if isinstance(option, str)]
    near = nearest(value, texts) if isinstance(value, str) else None
    return mismatch(expected(kind), value, f"did you mean {near!r}?" if near else None)


def literal(value: Any, kind: Any) -> Any:
    """One of the options of a ``Literal``."""
    for option in get_args(kind):
        if _same(value, option):
            return option
    raise _not_one_of(get_args(kind), value, kind)


def _member(value: Any, kind: type[enum.Enum]) -> Any:
    for member in kind:
        if value is member or _same(value, member.value):
            return member
    raise _not_one_of([member.value for member in kind], value, kind)


def nothing(value: Any, _: Any) -> None:
    """None, and nothing that is merely false."""
    if value is not None:
        raise mismatch(expected(types.NoneType), value)


def foreign(_value: Any, kind: Any) -> Any:
    """Refuse a type that settings cannot have."""
    raise Faults.one(f"settings cannot fill a {name_of(kind)}", "annotate it with a type that TOML can write")


def is_foreign(kind: Any) -> bool:
    """Whether it is a class that cattrs would fill in its own lenient way."""
    origin = origin_of(kind)
    if not isinstance(origin, type) or attrs.has(origin) or origin in (LISTS | SETS | TABLES | {tuple}):
        return False
    # Tables and lists of other classes: deque, Counter, NamedTuple, TypedDict.
    return dataclasses.is_dataclass(origin) or issubclass(origin, collections.abc.Iterable)
