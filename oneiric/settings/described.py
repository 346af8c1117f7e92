"""What a class says about its fields, in its docstring and by its validators."""

from __future__ import annotations

import inspect
import math
import operator
import re
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import attrs

_BOUNDS = {
    operator.ge: "minimum",
    operator.gt: "exclusiveMinimum",
    operator.le: "maximum",
    operator.lt: "exclusiveMaximum",
}
#: What Python's expressions have and those of a schema have not.
_OURS_ALONE = re.compile(r"\(\?P|\\A|\\Z|\(\?#|\(\?\(|\(\?[aiLmsux]")


def summary(cls: type) -> str:
    """The first paragraph of its docstring, without marks."""
    return _plain((inspect.getdoc(cls) or "").partition("\n\n")[0]) if cls.__doc__ else ""


def meanings(cls: type) -> dict[str, str]:
    """What ``Args:`` of its docstring, and of those of its bases, say of each field."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base is object or not base.__doc__:
            continue
        body = re.split(r"\n(?=[A-Z]\w*:$)", inspect.cleandoc(base.__doc__), flags=re.MULTILINE)
        args = next((each for each in body if each.startswith("Args:\n")), "")
        entries = textwrap.dedent(args.partition("\n")[2])
        for entry in re.split(r"\n(?=\S)", entries):
            name, colon, text = entry.partition(":")
            if colon and re.fullmatch(r"\w+(?: \([^)]*\))?", name.strip()):
                found[name.split()[0]] = _plain(text)
    return found


def _plain(text: str) -> str:
    return " ".join(re.sub(r"``([^`]*)``", r"\1", text).split())


def bounds(validator: Any, *, measured: Collection[str]) -> Iterator[tuple[str, Any]]:
    """What a validator of attrs, or one with ``keywords``, says in the words of a schema.

    Args:
        validator: The field's; None for none.
        measured: What a length of its values is of: ``Length``, ``Items``, ``Properties``.
    """
    own = getattr(validator, "keywords", None)
    if isinstance(own, Mapping):
        yield from own.items()
        return
    kind = type(validator).__name__
    if type(validator).__module__.partition(".")[0] not in ("attr", "attrs"):
        return
    if kind == "_AndValidator":
        for each in validator._validators:  # noqa: SLF001 - attrs has no other way to ask
            yield from bounds(each, measured=measured)
    elif kind == "_OptionalValidator":
        yield from bounds(validator.validator, measured=measured)
    elif kind == "_NumberValidator":
        if _is_number(validator.bound) and validator.compare_func in _BOUNDS:
            yield _BOUNDS[validator.compare_func], validator.bound
    elif kind == "_MinLengthValidator":
        for word in measured:
            yield f"min{word}", validator.min_length
    elif kind == "_MaxLengthValidator":
        for word in measured:
            yield f"max{word}", validator.max_length
    elif kind == "_InValidator":
        options = validator.options
        if isinstance(options, (list, tuple, set, frozenset)) and all(map(_is_scalar, options)):
            yield "enum", sorted(options, key=str) if isinstance(options, (set, frozenset)) else list(options)
    elif kind == "_MatchesReValidator":
        pattern = _pattern(validator.pattern, validator.match_func)
        if pattern is not None:
            yield "pattern", pattern


def _pattern(pattern: re.Pattern[Any], match: Callable[..., Any]) -> str | None:
    text = pattern.pattern
    if not isinstance(text, str) or pattern.flags != re.UNICODE or _OURS_ALONE.search(text):
        return None
    start = {"fullmatch": "^(?:", "match": "^(?:", "search": ""}.get(match.__name__)
    if start is None:
        return None
    return f"{start}{text}{')$' if match.__name__ == 'fullmatch' else ')' if start else ''}"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, (bool, str)) or _is_number(value)


def required(field: attrs.Attribute[Any]) -> bool:
    """Whether a table must have it."""
    return field.default is attrs.NOTHING


def default(field: attrs.Attribute[Any]) -> tuple[bool, Any]:
    """Whether it has a default that is known without an instance, and that."""
    made: Any = field.default
    if made is attrs.NOTHING:
        return False, None
    if isinstance(made, attrs.Factory):  # type: ignore[arg-type]
        if made.takes_self:
            return False, None
        try:
            made = made.factory()
        except Exception:
            return False, None  # structuring says so
    return True, made
