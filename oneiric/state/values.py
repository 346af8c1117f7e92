"""Between the classes of the views and the plain data in the store.

What is stored may come from a later version: fields that are not known are no error, and go back as they came.  What
is known has the type it is annotated with, or what is stored is damaged.
"""

from __future__ import annotations

import functools
import random
from asyncio import sleep
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

import attrs
from oneiric_hookspecs import JSON, Conflict, Corrupt, Key, SettingsError, StateStore, Stored

from oneiric.settings import structure

#: How often a change is tried while others change the same key.
_TRIES = 1000


@attrs.frozen
class Kept:
    """What is kept in a store.

    Args:
        more: Fields that a later version has written, and this one only keeps.
    """

    more: dict[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False)


K = TypeVar("K", bound=Kept)


def plain(value: Kept) -> dict[str, JSON]:
    """*value* as plain data; what is None is left out."""
    known = {name: _plain(getattr(value, name)) for name in _fields(type(value))}
    return {**value.more, **{name: item for name, item in known.items() if item is not None}}


def _plain(value: Any) -> JSON:
    if isinstance(value, Kept):
        return plain(value)
    if isinstance(value, Key):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return value


def value_of(cls: type[K], data: JSON, what: str) -> K:
    """Plain data as an instance of *cls*.

    Raises:
        Corrupt: It is something else; *what* says whose it is.
    """
    if not isinstance(data, Mapping):
        raise _damaged(what, f"expected a table, found {type(data).__name__}")
    fields = _fields(cls)
    found: dict[str, Any] = {}
    for name, value in data.items():
        if name not in fields:
            found.setdefault("more", {})[name] = value
            continue
        kind, nested = fields[name]
        if nested is not None and value is not None:
            found[name] = value_of(nested, value, f"{what}: {name}")
            continue
        try:
            found[name] = structure(kind, value, name)
        except SettingsError as error:
            raise _damaged(what, str(error.problems[0])) from None
    try:
        return cls(**found)
    except TypeError:
        missing = sorted(
            field.name
            for field in attrs.fields(cls)
            if field.default is attrs.NOTHING and field.name not in found
        )
        raise _damaged(what, f"{', '.join(missing)} missing") from None


async def scanned(
    store: StateStore, prefix: str
) -> tuple[list[tuple[str, Stored]], dict[str, tuple[int, str]]]:
    """Everything below *prefix*; and what is damaged there, each with its revision and what is wrong.

    Raises:
        StateError: The store cannot be read, or cannot tell what of it is damaged.
    """
    try:
        return await store.scan(prefix), {}
    except Corrupt as error:
        if not error.damaged:
            raise
        return error.sound, error.damaged


def _fields(cls: type[Kept]) -> dict[str, tuple[Any, Any]]:
    """Every field but ``more``: its type, and which of ours may stand in it."""
    found: dict[str, tuple[Any, Any]] = _resolved(cls)  # type: ignore[arg-type]  # a class is hashable
    return found


@functools.cache
def _resolved(cls: Any) -> dict[str, tuple[Any, Any]]:
    attrs.resolve_types(cls)
    return {
        field.name: (
            field.type,
            next((each for each in (field.type, *get_args(field.type)) if attrs.has(each)), None),
        )
        for field in attrs.fields(cls)
        if field.name != "more"
    }


def _damaged(what: str, message: str) -> Corrupt:
    return Corrupt(f"{what} is damaged: {message}", hint="say it again, or delete it")


async def change(store: StateStore, key: str, make: Callable[[JSON | None], JSON | None]) -> int:
    """Change the value of *key*, whoever else does so at the same time.

    Args:
        store: Where.
        key: Which.
        make: Makes the new value of the one that is there, of None where there is none; None deletes it.  Called again
            when somebody else was faster.
    Returns:
        The new revision; 0 where there is none.
    Raises:
        Conflict: Somebody else was faster each time, for a thousand times.
    """
    for left in reversed(range(_TRIES)):
        stored = await store.get(key)
        revision = 0 if stored is None else stored.revision
        value = make(None if stored is None else stored.value)
        try:
            if value is not None:
                return await store.put(key, value, expect=revision)
            await store.delete(key, expect=revision)
        except Conflict:
            if not left:
                raise
            await sleep(random.uniform(0, 0.002))
        else:
            return 0
    raise AssertionError  # the last try returns, or raises
