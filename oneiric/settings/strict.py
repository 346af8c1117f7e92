"""Plain data becomes an instance of a class, and nothing is coerced on the way.

cattrs finds the hook of a type: through ``NewType``, ``Annotated``, aliases and strings.  Every hook is ours, because
its own are lenient: they read ``"false"`` as true, ``True`` as 1, ``"5"`` as 5 and ``"ab"`` as ``["a", "b"]``.  It is
the dearest import of the kernel, so it is made when first used.
"""

from __future__ import annotations

import collections.abc
import enum
import functools
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, overload

import attrs
from oneiric_hookspecs import Key, Problem, Secret, SettingsError, a_few, nearest

from .plain import FREE, REFERENCE, Fault, Faults, Parts, found, is_reference, mismatch, path_text, thaw
from .references import Awaited, Reading, being_read, now, opaque, reading, referred
from .scalars import (
    EXPECTED,
    LISTS,
    SETS,
    TABLES,
    expected,
    foreign,
    is_foreign,
    is_union,
    literal,
    name_of,
    nothing,
    origin_of,
    scalar,
)

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")
Where = str | Callable[[Parts], str | None] | None


@overload
def structure(
    cls: type[T], data: Any, path: str, *, where: Where = None, how: Reading | None = None
) -> T: ...
@overload
def structure(cls: Any, data: Any, path: str, *, where: Where = None, how: Reading | None = None) -> Any: ...
@opaque
def structure(cls: Any, data: Any, path: str, *, where: Where = None, how: Reading | None = None) -> Any:
    """Turn plain data into an instance of *cls*, strictly.

    A value has the type its field is annotated with, and is never made to have it; only a whole number may stand
    for a float, a text for a path, a key or a member of an enumeration (by its value), and a list for a tuple or a
    set.  Keys that start with ``x-`` are passed over where *cls* has no field of that name.

    Args:
        cls: An attrs class, or any type that one of its fields may have: ``bool int float str``, dates and times,
            ``Path``, ``Key``, ``Secret``, ``Literal``, enumerations, unions, tuples, lists, sets and dicts of these.
        data: As it came from TOML or JSON.
        path: Where it stands, for messages: ``plugins.settings.redis``.
        where: ``file:line``, or what gives it for a path below *path*.
        how: What references to secrets mean; None for nothing.
    Returns:
        The instance.
    Raises:
        SettingsError: Everything that is wrong with it, at once.
    """
    try:
        with reading(how):
            return convert(data, cls)
    except Faults as error:
        raise SettingsError(problems(error.faults, path, where)) from None


def problems(faults: tuple[Fault, ...] | list[Fault], path: str = "", where: Where = None) -> list[Problem]:
    """Say of each fault where it is."""
    found_at = where if callable(where) else lambda _: where
    return [
        Problem(_joined(path, path_text(fault.path)), fault.message, found_at(fault.path), fault.hint)
        for fault in faults
    ]


def convert(data: Any, kind: Any) -> Any:
    """As ``structure``, for use inside it.

    Raises:
        Faults: With paths below *data*.
    """
    try:
        return _converter().structure(data, kind)
    except Faults:
        raise
    except Exception as error:
        # cattrs knows no hook for it, or the annotation names what is not there.
        raise Faults.one(f"settings cannot fill a {name_of(kind)}: {_one_line(error)}") from error


@functools.cache
def _converter() -> Converter:
    from cattrs import Converter

    converter = Converter(detailed_validation=False)
    for kind in (bool, int, float, str, bytes, Path, enum.Enum, *EXPECTED):
        if kind is not types.NoneType:
            converter.register_structure_hook(kind, scalar)
    hooks: list[tuple[Callable[[Any], bool], Callable[[Any, Any], Any]]] = [
        (attrs.has, _instance),
        (lambda kind: origin_of(kind) in LISTS, _list),
        (lambda kind: origin_of(kind) in SETS, _set),
        (lambda kind: origin_of(kind) in TABLES, _table),
        (lambda kind: origin_of(kind) is tuple, _tuple),
        (lambda kind: origin_of(kind) is Literal, literal),
        (is_union, _union),
        (lambda kind: kind is types.NoneType or kind is None, nothing),
        (lambda kind: kind is Any or kind is object, _anything),
        (is_foreign, foreign),
    ]
    for accepts, hook in hooks:
        converter.register_structure_hook_func(accepts, hook)
    return converter


def _anything(value: Any, _: Any) -> Any:
    # In a section that holds the tables of others, it is not read yet.
    places = [path for path, _ in referred(value)] if being_read() else []
    if places:
        [fault] = mismatch("a value", {REFERENCE: ""}).faults
        raise Faults(fault.under(*path) for path in places)
    return thaw(value)


# --- several values ------------------------------------------------------------------------------------------------


def _gathered(value: Any, kinds: Callable[[int], Any]) -> list[Any]:
    """The items of a list, each of its kind; what is wrong with any of them at once."""
    if not isinstance(value, (list, tuple)) or isinstance(value, Key):
        raise mismatch("a list", value)
    items, faults = [], []
    for place, item in enumerate(value):
        try:
            items.append(convert(item, kinds(place)))
        except Faults as error:
            faults += [fault.under(place) for fault in error.faults]
    if faults:
        raise Faults(faults)
    return items


def _item_kind(kind: Any) -> Any:
    return next(iter(get_args(kind)), Any)


def _list(value: Any, kind: Any) -> list[Any] | tuple[Any, ...]:
    items = _gathered(value, lambda _: _item_kind(kind))
    mutable = origin_of(kind) in (list, collections.abc.MutableSequence)
    return items if mutable else tuple(items)


def _set(value: Any, kind: Any) -> set[Any] | frozenset[Any]:
    seen: set[Any] = set()
    faults = []
    for place, item in enumerate(_gathered(value, lambda _: _item_kind(kind))):
        if item in seen:
            faults.append(Fault((place,), f"{found(item)} is given twice"))
        seen.add(item)
    if faults:
        raise Faults(faults)
    mutable = origin_of(kind) in (set, collections.abc.MutableSet)
    return seen if mutable else frozenset(seen)


def _tuple(value: Any, kind: Any) -> tuple[Any, ...]:
    kinds = get_args(kind)
    if not kinds or kinds[-1] is Ellipsis:
        return tuple(_gathered(value, lambda _: _item_kind(kind)))
    if isinstance(value, (list, tuple)) and len(value) != len(kinds):
        raise Faults.one(f"expected a list of {len(kinds)}, found one of {len(value)}")
    return tuple(_gathered(value, lambda place: kinds[place]))


def _table(value: Any, kind: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping) or is_reference(value):
        raise mismatch("a table", value)
    key_kind, item_kind = get_args(kind) or (str, Any)
    if key_kind is Secret:
        raise Faults.one("settings cannot fill a table whose keys are secrets")
    table, faults = {}, []
    for name, item in value.items():
        part = name if isinstance(name, str) else found(name)
        try:
            key = convert(name, key_kind)
            table[key] = convert(item, item_kind)
        except Faults as error:
            faults += [fault.under(part) for fault in error.faults]
    if faults:
        raise Faults(faults)
    return table


def _union(value: Any, kind: Any) -> Any:
    arms = get_args(kind)
    # The very type first: 5 is an int of `float | int`, though a float would take it.
    refused: list[tuple[Any, Faults]] = []
    names = now().names
    before = len(names)
    for arm in sorted(arms, key=lambda arm: arm is not type(value)):
        try:
            return convert(value, arm)
        except Faults as error:
            refused.append((arm, error))
            del names[before:]
    # Where only one arm could have been meant, what is wrong with it says more than that no arm fits.
    meant = [error for arm, error in refused if expected(arm) == found(value)]
    if len(meant) == 1:
        raise meant[0]
    if len(refused) == 2 and types.NoneType in arms:
        raise next(error for arm, error in refused if arm is not types.NoneType)
    if Secret in arms:
        raise Faults.one(f"expected {expected(kind)}")  # what was found may be one
    raise mismatch(expected(kind), value)


# --- classes -------------------------------------------------------------------------------------------------------


def fields_of(cls: Any) -> dict[str, attrs.Attribute[Any]]:
    """What a table for *cls* may hold, by key."""
    try:
        attrs.resolve_types(cls, include_extras=True)
    except NameError as error:
        raise Faults.one(f"the class {name_of(cls)} has an annotation that cannot be read: {error}") from None
    return {field.alias or field.name: field for field in attrs.fields(cls) if field.init}


def _instance(value: Any, cls: Any) -> Any:
    if not isinstance(value, Mapping) or is_reference(value):
        raise mismatch("a table", value)
    fields = fields_of(cls)
    faults: list[Fault] = []
    given: dict[str, Any] = {}
    awaited = False
    names = now().names
    for name, item in value.items():
        field = fields.get(name)
        if field is not None:
            before = len(names)
            try:
                made = convert(item, Any if field.type is None else field.type)
                if now().fetched is None and len(names) > before:
                    awaited = True  # nobody of its class sees it
                else:
                    given[name] = made
            except Faults as error:
                faults += [fault.under(name) for fault in error.faults]
        elif not (isinstance(name, str) and name.startswith(FREE)):
            part = name if isinstance(name, str) else found(name)
            faults.append(Fault((part,), "unknown key", did_you_mean(part, fields)))
    for name, field in fields.items():
        if field.default is attrs.NOTHING and name not in value:
            faults.append(Fault((name,), f"is missing; expected {expected(field.type)}"))
    if faults or awaited:
        faults += _blamed(cls, fields, given)
        if faults:
            raise Faults(faults)
        return Awaited()
    try:
        return cls(**given)
    except Exception as error:
        raise Faults(_blamed(cls, fields, given) or [Fault((), _one_line(error))]) from error


def _blamed(cls: Any, fields: dict[str, attrs.Attribute[Any]], given: dict[str, Any]) -> list[Fault]:
    """What the class's own converters and validators say, field by field; it stopped at the first itself."""
    faults: list[Fault] = []
    blank = cls.__new__(cls)
    for name, field in fields.items():
        if name not in given:
            continue
        value = given[name]
        try:
            if field.converter is not None:
                converter: Any = field.converter
                more: list[Any] = []
                takes_more = isinstance(converter, attrs.Converter)
                if takes_more:
                    offered = ((blank, converter.takes_self), (field, converter.takes_field))
                    more = [each for each, taken in offered if taken]
                    converter = converter.converter
                value = converter(value, *more)
            object.__setattr__(blank, field.name, value)
            if field.validator is not None:
                field.validator(blank, field, value)
        except AttributeError:
            # It looks at another field, which is not there because that one is wrong itself.
            continue
        except Exception as error:
            faults.append(Fault((name,), _one_line(error), _hint(error)))
    return faults


def did_you_mean(word: str, known: Any) -> str:
    """A hint for an unknown *word*: the nearest that is known, else what there is."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else f"there are: {a_few(known)}"


def _joined(path: str, below: str) -> str:
    return f"{path}{below}" if not path or not below or below.startswith("[") else f"{path}.{below}"


def _hint(error: Exception) -> str | None:
    hint = getattr(error, "hint", None)
    return now().masked(hint) if isinstance(hint, str) else None


def _one_line(error: Exception) -> str:
    # attrs' own validators put the sentence first, and the facts after it.
    said = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    said = now().masked(said)
    return " ".join(said.split())[:200] or type(error).__name__
