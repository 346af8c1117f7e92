"""Values become plain data, as JSON has it."""

from __future__ import annotations

import base64
import datetime as dt
import enum
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import attrs
from oneiric_hookspecs import MASK, Key, Secret


def plain(value: Any) -> Any:
    """*value* in dicts, lists, texts, numbers, true, false and null.

    Instances of attrs classes and named tuples become dicts by field, dates and times ISO 8601, bytes base64, members
    of enumerations their values, paths and keys texts; a secret stays hidden.

    Raises:
        TypeError: Something in it is none of these.
    """
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, (Key, PurePath)):
        return str(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if attrs.has(type(value)):
        return {
            (field.alias or field.name): plain(getattr(value, field.name))
            for field in attrs.fields(type(value))
        }
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {_name(name): plain(item) for name, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    raise TypeError(f"a {type(value).__name__} is not plain data")


def _name(name: Any) -> str:
    if isinstance(name, (Key, str)):
        return str(name)
    raise TypeError(f"a key of plain data is a text, found {name!r}")
