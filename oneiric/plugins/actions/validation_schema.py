"""``action:validation.schema``: whether data are as they should be; everything that is wrong at once.

By a small language of fields, or by JSON Schema where jsonschema is installed (``oneiric[schema]``).

J1  a schema refers to itself only (``#...``): nothing is fetched
J2  regular expressions keep the rules of ``_patterns``, on the longest text there is
J3  references are followed a bounded number of times: some schemas mean more than all the time there is
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import attrs
from attrs.validators import ge, le
from oneiric_hookspecs import Action, ActionError, Problem, hookimpl, nearest

from oneiric.plugins._patterns import Pattern
from oneiric.plugins._requests import just_one, unfit, unfit_all
from oneiric.plugins._walk import MAX_DEPTH, Unwalkable, measure

KEY = "validation.schema"
Type = Literal["any", "string", "integer", "number", "boolean", "object", "array"]

#: J3.
MAX_REFERENCES = 10_000
_CUT = 60
#: Among so many names it is looked which one was meant.
_MANY = 200


@attrs.frozen(eq=False, repr=False)
class Settings:
    """How much, and what becomes of data that are not valid.

    Args:
        on_invalid: ``report``: the result says so; ``error``: the action fails, with what is wrong.
        max_problems: Problems that are reported.
        max_depth: How many tables and lists may stand in one another, in data and schema.
        max_values: How many values there may be, tables and lists counted too.
    """

    on_invalid: Literal["report", "error"] = "report"
    max_problems: int = attrs.field(default=100, validator=[ge(1), le(10_000)])
    max_depth: int = attrs.field(default=64, validator=[ge(1), le(MAX_DEPTH)])
    max_values: int = attrs.field(default=10_000, validator=ge(1))


@attrs.frozen(eq=False, repr=False)
class Field:
    """What a value should be.

    Args:
        type: ``integer`` and ``number`` are never true or false, and 1.0 is no integer.
        required: Whether it must be there.
        nullable: Whether it may be null.
        min: Least number, length of a text, or length of a list.
        max: Greatest number, length of a text, or length of a list.
        choices: What it may be; empty for anything.
        pattern: A regular expression for all of a text.
        items: What each item of a list should be.
        fields: What an object should hold.
        extra: Whether an object may hold more than its ``fields``.
    """

    type: Type = "any"
    required: bool = True
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    choices: tuple[Any, ...] = ()
    pattern: str | None = None
    items: Field | None = None
    fields: dict[str, Field] | None = None
    extra: bool = False

    def __attrs_post_init__(self) -> None:
        for name, types in _MEANS.items():
            if getattr(self, name) is not None and self.type not in types:
                raise ValueError(f"{name} is for {' and '.join(types)}, and type is {self.type!r}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min is {self.min:g}, and max {self.max:g}")
        if self.pattern is not None:
            Pattern(self.pattern)


_SIZED = ("string", "array", "integer", "number")
_MEANS: dict[str, tuple[str, ...]] = {
    "min": _SIZED,
    "max": _SIZED,
    "pattern": ("string",),
    "items": ("array",),
    "fields": ("object",),
}


@attrs.frozen(eq=False, repr=False)
class Request:
    """What is looked at, and what it should be; one of ``fields`` and ``schema``.

    Args:
        data: Plain data.
        fields: What it should hold, where it is an object.
        schema: A JSON Schema, by default of draft 2020-12.
        extra: Whether it may hold more than its ``fields``.
    """

    data: Any
    fields: dict[str, Field] | None = None
    schema: dict[str, Any] | bool | None = None
    extra: bool = False

    def __attrs_post_init__(self) -> None:
        just_one(self, "fields", "schema")


@attrs.frozen(eq=False, repr=False)
class Result:
    """What was found.

    Args:
        valid: Whether it is as it should be.
        problems: What is wrong: tables with ``path``, empty for the whole, and ``message``.
        more: Whether there is more that is wrong.
    """

    valid: bool
    problems: tuple[dict[str, str], ...]
    more: bool


def run(request: Request, settings: Settings) -> Result:
    """Look.  Raises: ActionError."""
    for field in ("data", "schema"):
        try:
            measure(getattr(request, field), depth=settings.max_depth, values=settings.max_values, at=field)
        except Unwalkable as error:
            raise unfit(KEY, error.path, str(error)) from None
    if request.fields is not None:
        root = Field("object", fields=request.fields, extra=request.extra)
        found = _checked(request.data, root, "")
    else:
        found = _by_schema(request.data, request.schema)
    problems = list(itertools.islice(found, settings.max_problems + 1))
    shown = problems[: settings.max_problems]
    if problems and settings.on_invalid == "error":
        told = [Problem(_below("data", path), message) for path, message in shown]
        raise unfit_all(KEY, told, setting="on_invalid")
    return Result(
        not problems,
        tuple({"path": path, "message": message} for path, message in shown),
        more=len(problems) > len(shown),
    )


def _below(path: str, name: str) -> str:
    return f"{path}{name}" if not path or not name or name.startswith("[") else f"{path}.{name}"


# --- by fields -----------------------------------------------------------------------------------------------------


def _checked(value: Any, field: Field, path: str) -> Iterator[tuple[str, str]]:
    """What is wrong with *value*, each with its path."""
    if value is None and field.nullable:
        return
    if not _is(value, field.type):
        yield path, f"expected {_CALLED[field.type]}, found {_found(value)}"
        return
    if field.choices and not any(_same(value, each) for each in field.choices):
        listed = ", ".join(_found(each) for each in field.choices[:10])
        yield path, f"expected one of {listed}, found {_found(value)}"
    yield from _bounds(value, field, path)
    if field.pattern is not None:
        pattern = Pattern(field.pattern)
        if pattern.too_long(value):
            yield path, f"is longer than the {pattern.longest} characters that the pattern can be tried on"
        elif not pattern.matches(value):
            yield path, f"does not match {field.pattern!r}"
    if field.items is not None:
        for place, item in enumerate(value):
            yield from _checked(item, field.items, f"{path}[{place}]")
    if field.fields is not None:
        yield from _members(value, field, path)


def _members(value: Mapping[str, Any], field: Field, path: str) -> Iterator[tuple[str, str]]:
    fields = field.fields or {}
    for name, each in fields.items():
        if name in value:
            yield from _checked(value[name], each, _below(path, name))
        elif each.required:
            yield _below(path, name), f"is missing; expected {_CALLED[each.type]}"
    if not field.extra:
        for name in value:
            if name not in fields:
                near = nearest(name[:100], fields) if len(fields) <= _MANY else None
                yield _below(path, name[:100]), "is not known" + (f"; did you mean {near!r}?" if near else "")


def _bounds(value: Any, field: Field, path: str) -> Iterator[tuple[str, str]]:
    if field.min is None and field.max is None:
        return
    size, what = (len(value), "length ") if isinstance(value, (str, list, tuple)) else (value, "")
    if field.min is not None and size < field.min:
        yield path, f"expected a {what or 'number '}of at least {field.min:g}, found {_found(size)}"
    if field.max is not None and size > field.max:
        yield path, f"expected a {what or 'number '}of at most {field.max:g}, found {_found(size)}"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind in {"boolean", "any"}
    return isinstance(value, _TYPES[kind])


_TYPES: Mapping[str, Any] = {
    "any": object,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": Mapping,
    "array": (list, tuple),
}
_CALLED: Mapping[str, str] = {
    "any": "something",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
}


def _same(one: Any, other: Any) -> bool:
    from oneiric.plugins._filters import same

    return same(one, other)


def _found(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    shown = repr(value[:_CUT]) if isinstance(value, str) else repr(value)
    return shown if len(shown) <= _CUT else f"{shown[: _CUT - 3]}..."


# --- by JSON Schema ------------------------------------------------------------------------------------------------


def _by_schema(data: Any, schema: Any) -> Iterator[tuple[str, str]]:
    """What is wrong with *data*."""
    try:
        import jsonschema
        import referencing
    except ImportError:
        hint = "pip install 'oneiric[schema]'; or give fields"
        raise ActionError(f"{KEY}: JSON Schema needs a library that is not installed", hint=hint) from None
    longest = max((len(text) for text in _texts(data)), default=0)
    if problems := list(itertools.islice(_dangers(schema, longest), 20)):
        raise unfit_all(KEY, problems)
    validators: Any = jsonschema.validators
    base: Any = jsonschema.Draft202012Validator
    if isinstance(schema, dict) and "$schema" in schema:
        named = schema["$schema"]
        base = validators.validator_for(schema, default=None) if isinstance(named, str) else None
        if base is None:
            raise unfit(KEY, "schema.$schema", f"there is no draft {_found(named)}")
    try:
        base.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise unfit(KEY, f"schema{_path(error.path)}", _message(error)) from None
    followed = itertools.count(1)

    def counted(call: Any) -> Any:
        def follow(*args: Any) -> Any:
            if next(followed) > MAX_REFERENCES:  # J3
                raise unfit(KEY, "schema", f"refers to itself more than {MAX_REFERENCES:,} times")
            return call(*args)

        return follow

    references = {name: counted(base.VALIDATORS[name]) for name in _REFERENCES if name in base.VALIDATORS}
    checker = validators.extend(base, references)(schema, registry=referencing.Registry())
    try:
        for wrong in checker.iter_errors(data):
            yield _path(wrong.absolute_path).removeprefix("."), _message(wrong)
    except referencing.exceptions.Unresolvable as error:
        raise unfit(KEY, "schema", f"refers to what is not there: {error.ref!r}") from None
    except RecursionError:
        raise unfit(KEY, "schema", "refers to itself without end") from None


_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


def _path(parts: Iterable[str | int]) -> str:
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in parts)


def _message(error: Any) -> str:
    """What jsonschema says; it quotes the whole of what it has found."""
    said = " ".join(str(error.message).split())
    return said if len(said) <= 200 else f"{said[:100]} ... {said[-80:]}"


def _texts(data: Any) -> Iterator[str]:
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from value
            waiting += value.values()
        elif isinstance(value, (list, tuple)):
            waiting += value


def _dangers(schema: Any, longest: int) -> Iterator[Problem]:
    """References that lead out (J1), and patterns that might never end (J2)."""
    waiting = [(schema, "schema")]
    while waiting:
        value, path = waiting.pop()
        if isinstance(value, (list, tuple)):
            waiting += [(item, f"{path}[{place}]") for place, item in enumerate(value)]
        if not isinstance(value, Mapping):
            continue
        waiting += [(item, f"{path}.{name}") for name, item in value.items()]
        for name in _REFERENCES:
            reference = value.get(name)
            if isinstance(reference, str) and not reference.startswith("#"):
                yield Problem(
                    f"{path}.{name}", f"{reference[:_CUT]!r} is not in this schema: only #... is followed"
                )
        if isinstance(value.get("$schema"), str) and path != "schema":
            yield Problem(f"{path}.$schema", "stands at the top of a schema only")  # it would take J3 away
        patterns = [(f"{path}.pattern", value.get("pattern"))]
        if isinstance(named := value.get("patternProperties"), Mapping):
            patterns += [(f"{path}.patternProperties", each) for each in named]
        for where, text in patterns:
            if isinstance(text, str):
                try:
                    pattern = Pattern(text, whole=False)
                except ValueError as error:
                    yield Problem(where, str(error))
                else:
                    if pattern.longest is not None and longest > pattern.longest:
                        message = f"may take too long on a text of {longest:,} characters"
                        yield Problem(where, message)


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY,
        "Tell whether data are as they should be",
        takes=Request,
        returns=Result,
        settings=Settings,
        run=run,
        idempotent=True,
    )
