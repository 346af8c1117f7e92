"""JSON Schema (draft 2020-12) of what ``structure`` takes: for editors, and for who calls actions.

It describes the JSON form of plain data: dates and times are texts, as ``isoformat`` writes them.  What ``structure``
takes the schema takes; the schema takes more only where it has no words for the rule: what a class's own converters
and validators refuse.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, Literal, get_args

import attrs
from oneiric_hookspecs import Key, Secret
from oneiric_hookspecs.keys import NAME

from . import described
from .plain import FREE, REFERENCE, Faults
from .scalars import LISTS, SETS, TABLES, bare, is_foreign, is_union, origin_of
from .strict import fields_of

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NAMES = f"^{NAME.pattern}$"
FREE_KEYS: Schema = {f"^{FREE}": {}}
#: Nothing is taken: settings cannot fill such a type.
_NEVER: Schema = {"not": {}}

_SCALARS: dict[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    Path: {"type": "string", "minLength": 1},
    PurePath: {"type": "string", "minLength": 1},
    Key: {"type": "string", "pattern": f"^{NAME.pattern}:{NAME.pattern}$"},
    Secret: {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {REFERENCE: {"type": "string", "description": "a name in [secrets]"}},
                "required": [REFERENCE],
                "additionalProperties": False,
            },
        ]
    },
    dt.datetime: {"type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"},
    dt.date: {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    dt.time: {"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}"},
    types.NoneType: {"type": "null"},
    None: {"type": "null"},
}


def schema_of(cls: Any) -> Schema:
    """The schema of what ``structure`` takes for *cls*, an attrs class or any type that a field of one may have."""
    return Schemas().whole(cls)


class Schemas:
    """Makes schemas; a class that holds itself is referred to, in ``$defs``.

    Args:
        partial: Whether they are of one layer of several, where what is required may stand in another one.
    """

    def __init__(self, *, partial: bool = False) -> None:
        self.defs: dict[str, Schema] = {}
        self._partial = partial
        self._open: list[Any] = []
        self._names: dict[Any, str] = {}

    def whole(self, kind: Any) -> Schema:
        """The schema of *kind*, with everything it refers to."""
        schema = {"$schema": DRAFT, **self.of(kind)}
        return schema | ({"$defs": self.defs} if self.defs else {})

    def of(self, kind: Any) -> Schema:
        """The schema of *kind*; what it refers to is in ``defs``."""
        kind = bare(kind)
        origin = origin_of(kind)
        if kind is Any or kind is object or isinstance(kind, typing.TypeVar):
            return {}
        if isinstance(origin, type) and attrs.has(origin):
            return self._class(kind if origin is kind else origin)
        if is_union(kind):
            return self._union(kind)
        if origin is Literal:
            return _enum([option for option in get_args(kind) if not isinstance(option, enum.Enum)])
        if origin in LISTS or origin in SETS or origin is tuple:
            return self._several(kind, origin)
        if origin in TABLES:
            return self._table(kind)
        if isinstance(origin, type) and issubclass(origin, enum.Enum):
            return _enum([member.value for member in origin])
        try:
            known = _SCALARS.get(origin)
        except TypeError:
            known = None
        if known is not None:
            return dict(known)
        return dict(_NEVER) if isinstance(origin, type) or is_foreign(kind) else {}

    def _union(self, kind: Any) -> Schema:
        arms: list[Schema] = []
        for arm in get_args(kind):
            schema = self.of(arm)
            if schema not in arms and schema != _NEVER:
                arms.append(schema)
        return arms[0] if len(arms) == 1 else {"anyOf": arms} if arms else dict(_NEVER)

    def _several(self, kind: Any, origin: Any) -> Schema:
        # What stands in a list has no other layer to be completed from.
        outer, self._partial = self._partial, False
        try:
            kinds = get_args(kind)
            if origin is tuple and kinds and kinds[-1] is not Ellipsis:
                items = [self.of(each) for each in kinds]
                return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
            schema: Schema = {"type": "array"}
            item = self.of(kinds[0]) if kinds else {}
            if item:
                schema["items"] = item
            if origin in SETS and kinds and _compared_as_written(kinds[0]):
                schema["uniqueItems"] = True
            return schema
        finally:
            self._partial = outer

    def _table(self, kind: Any) -> Schema:
        keys, values = get_args(kind) or (str, Any)
        schema: Schema = {"type": "object"}
        item = self.of(values)
        if item:
            schema["additionalProperties"] = item
        names = self.of(keys)
        if names and names != {"type": "string"}:
            schema["propertyNames"] = names
        # A table that refers to a secret is no table of values.
        schema["not"] = {"required": [REFERENCE]}
        return schema

    def _class(self, cls: Any) -> Schema:
        if cls in self._open:
            return {"$ref": f"#/$defs/{self._name(cls)}"}
        self._open.append(cls)
        try:
            schema = self._properties(cls)
        finally:
            self._open.remove(cls)
        name = self._names.get(cls)
        if name is None:
            return schema
        self.defs[name] = schema
        return {"$ref": f"#/$defs/{name}"}

    def _name(self, cls: Any) -> str:
        if cls not in self._names:
            name, number = cls.__name__, 2
            while name in self._names.values():
                name, number = f"{cls.__name__}{number}", number + 1
            self._names[cls] = name
        return self._names[cls]

    def _properties(self, cls: Any) -> Schema:
        try:
            fields = fields_of(cls)
        except Faults:
            return dict(_NEVER)
        meanings = described.meanings(cls)
        schema: Schema = {"type": "object", "title": cls.__name__}
        about = described.summary(cls)
        if about:
            schema["description"] = about
        schema["properties"] = {
            name: self._field(field, meanings.get(field.name, "")) for name, field in fields.items()
        }
        needed = [name for name, field in fields.items() if described.required(field)]
        if needed and not self._partial:
            schema["required"] = needed
        schema["patternProperties"] = dict(FREE_KEYS)
        schema["additionalProperties"] = False
        return schema

    def _field(self, field: attrs.Attribute[Any], meaning: str) -> Schema:
        kind = Any if field.type is None else field.type
        schema = self.of(kind)
        if field.converter is None:
            for word, value in described.bounds(field.validator, measured=_measured(kind)):
                if word == "enum":
                    value = _options(value)
                    if "enum" in schema or not value:
                        continue
                if word not in schema:
                    schema[word] = value
        if meaning:
            schema["description"] = meaning
        there, value = described.default(field)
        plain_ = plain(value) if there and value is not None else None
        if plain_ is not None and not _holds_secret(kind):
            schema["default"] = plain_
        return schema


def plain(value: Any) -> Any:
    """*value* in JSON; None where it has no such form, or is a secret."""
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Key):
        return str(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if attrs.has(type(value)):
        fields = fields_of(type(value))
        return {name: plain(getattr(value, field.name, None)) for name, field in fields.items()}
    return None


def _enum(values: list[Any]) -> Schema:
    options = _options(values)
    return {"enum": options} if options else dict(_NEVER)


def _options(values: Any) -> list[Any]:
    """Those that plain data can be equal to."""
    options: list[Any] = []
    for value in values:
        made = plain(value)
        if (made is not None or value is None) and not any(
            made == each and type(made) is type(each) for each in options
        ):
            options.append(made)
    return options


def _compared_as_written(kind: Any) -> bool:
    """Whether two values of *kind* are equal only if they are written alike."""
    kind = bare(kind)
    return kind in (bool, int, float, str, dt.date) or origin_of(kind) is Literal


def _measured(kind: Any) -> list[str]:
    """What the length of a value of *kind* is of, in the words of a schema; nothing if some have none."""
    kind = bare(kind)
    if is_union(kind):
        arms = [_measured(arm) for arm in get_args(kind) if bare(arm) is not types.NoneType]
        return list(dict.fromkeys(word for words in arms for word in words)) if all(arms) else []
    origin = origin_of(kind)
    if origin is str:
        return ["Length"]
    if origin in TABLES:
        return ["Properties"]
    return ["Items"] if origin is tuple or origin in LISTS or origin in SETS else []


def _holds_secret(kind: Any) -> bool:
    kind = bare(kind)
    return kind is Secret or any(_holds_secret(each) for each in get_args(kind) if not isinstance(each, str))
