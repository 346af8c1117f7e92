"""Plain data, as TOML has it: checked, frozen, thawed, shown."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self

import attrs
from oneiric_hookspecs import Key

#: Where something is in the user's tables: keys, and places in lists.
Parts = tuple[str | int, ...]

#: Keys that start like this are the user's own, wherever a key of ours could stand.
FREE = "x-"

#: The key of a table that stands for a secret, by its name in ``[secrets]``.
REFERENCE = "$secret"

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_CONTROL = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SHOWN = 40


@attrs.frozen
class Fault:
    """One thing wrong, before it is known in which file: a ``Problem`` in the making."""

    path: Parts
    message: str
    hint: str | None = None

    def under(self, *parts: str | int) -> Self:
        """The same, seen from further out."""
        return attrs.evolve(self, path=(*parts, *self.path))


class Faults(Exception):
    """All that is wrong with one piece of data."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{path_text(fault.path)}: {fault.message}" for fault in self.faults))

    @classmethod
    def one(cls, message: str, hint: str | None = None) -> Self:
        """Something wrong with the value at hand."""
        return cls([Fault((), message, hint)])


def path_text(path: Iterable[str | int]) -> str:
    """A path as the user would write it: ``actions.settings."http.fetch".hosts[2]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else quoted(part))
    return text


def quoted(text: str) -> str:
    """*text* as TOML writes it, without anything that a terminal would obey."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))


def found(value: object) -> str:
    """What *value* is, in a few words of TOML; never more than the beginning of it."""
    if isinstance(value, Mapping):
        return "a reference to a secret" if REFERENCE in value else "a table"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        if isinstance(value, str):
            text = repr(value[: _SHOWN + 1])
        elif isinstance(value, (dt.date, dt.time)):
            text = value.isoformat()
        else:
            text = repr(value)
    except Exception:
        # A repr of somebody's own, or a number too long for one.
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def is_reference(value: object) -> bool:
    """Whether it refers to a secret, or is meant to."""
    return isinstance(value, Mapping) and REFERENCE in value


def mismatch(expected: str, value: object, hint: str | None = None) -> Faults:
    """*value* is not what was expected."""
    if is_reference(value):
        hint = "annotate the field with oneiric_hookspecs.Secret"
    return Faults.one(f"expected {expected}, found {found(value)}", hint)


def freeze(value: Any) -> Any:
    """An immutable copy of plain data: tables as read-only mappings, lists as tuples, paths and keys as texts.

    For what is known to be plain; ``sift`` finds out.
    """
    frozen, faults = sift(value)
    assert not faults, faults
    return frozen


def sift(value: Any) -> tuple[Any, list[Fault]]:
    """As ``freeze``, without what is not plain, and a fault for each: a key that is no text, an object, a NaN.

    A NaN is equal to nothing, not even to itself, so settings with one would seem changed for ever.
    """
    faults: list[Fault] = []
    return _sifted(value, (), faults), faults


def _sifted(value: Any, path: Parts, faults: list[Fault]) -> Any:
    if isinstance(value, Mapping):
        table = {}
        for key, item in value.items():
            if not isinstance(key, str):
                faults.append(Fault((*path, found(key)), f"expected a text as the key, found {found(key)}"))
                continue
            before = len(faults)
            frozen = _sifted(item, (*path, key), faults)
            # A table goes on without what is wrong in it; a list would lose count.
            if isinstance(item, Mapping) or len(faults) == before:
                table[key] = frozen
        return MappingProxyType(table)
    if isinstance(value, Key):
        return str(value)
    if isinstance(value, (list, tuple)):
        return tuple(_sifted(item, (*path, place), faults) for place, item in enumerate(value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and math.isnan(value):
        faults.append(Fault(path, f"expected a number, found {found(value)}"))
    elif value is not None and not isinstance(value, (bool, int, float, str, dt.date, dt.time)):
        faults.append(Fault(path, f"expected plain data, found {found(value)}"))
    return value


def thaw(value: Any) -> Any:
    """A copy of frozen data in dicts and lists, for somebody to change."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    return value


def canonical(value: Any) -> str:
    """The one text of plain data: equal data give equal texts, data that differ in value or type do not."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(canonical, value)) + "]"
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bool, str)) or value is None:
        return json.dumps(value)
    return repr(value)
