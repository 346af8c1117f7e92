"""Settings from environment variables: ``ONEIRIC__SECTION__KEY``.

Names are upper case, every character that is no letter or digit is ``_``, and ``__`` separates.  The text is read
leniently, by the type of what it sets: ``1 true yes on`` and ``0 false no off``, numbers, and lists by comma.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import attrs
from oneiric_hookspecs import a_few, nearest

from .plain import Faults, mismatch
from .scalars import expected, origin_of
from .sections import FIXED
from .strict import fields_of

PREFIX = "ONEIRIC__"
NO_SETTING = "names no setting"

#: Those that have a name of their own.
SPECIAL: dict[str, tuple[str, ...]] = {
    "ONEIRIC_STATE_DIR": ("app", "state_dir"),
    "ONEIRIC_STACK_ORDER": ("resolver", "stack_order"),
}

#: All that have one, and what they are for.
PLAIN: dict[str, str] = {
    "ONEIRIC_CONFIG": "the files, separated as in PATH",
    "ONEIRIC_PROFILE": "the profile",
    "ONEIRIC_STATE_DIR": "the same as ONEIRIC__APP__STATE_DIR",
    "ONEIRIC_STACK_ORDER": "the same as ONEIRIC__RESOLVER__STACK_ORDER",
    "ONEIRIC_STRICT": "whether a plugin that fails is an error",
    "ONEIRIC_BISECT_OFF": "installed plugins that `oneiric bisect` leaves out",
}

_TRUTH = {
    word: value
    for value, words in ((True, "1 true yes on"), (False, "0 false no off"))
    for word in words.split()
}
_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_SEVERAL = {list, tuple, set, frozenset}


@attrs.frozen
class Variable:
    """One that was set.

    Args:
        name: ``ONEIRIC__APP__NAME``.
        text: Its value.
    """

    name: str
    text: str = attrs.field(repr=False)

    @property
    def parts(self) -> list[str]:
        """What ``__`` separates."""
        return self.name.removeprefix(PREFIX).split("__")


@attrs.frozen
class Override:
    """What a variable means: a value of plain data at a path."""

    variable: str
    path: tuple[str, ...]
    value: Any = attrs.field(repr=False)


def variables(environ: Mapping[str, str]) -> list[Variable]:
    """Those that override settings by their path, sorted by name."""
    return [Variable(name, environ[name]) for name in sorted(environ) if name.startswith(PREFIX)]


def special(environ: Mapping[str, str]) -> list[Override]:
    """Those with a name of their own; an empty one counts as not set."""
    overrides = []
    for name, path in SPECIAL.items():
        text = environ.get(name)
        if text:
            # A relative path in the environment is relative to here, whatever file is found.
            value = str(Path(text).absolute()) if path[-1] == "state_dir" else text
            overrides.append(Override(name, path, value))
    return overrides


def strangers(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Those that begin like ours, and are none that we know; they may be somebody else's."""
    return tuple(
        name
        for name in sorted(environ)
        if name.startswith("ONEIRIC_") and not name.startswith(PREFIX) and name not in PLAIN
    )


def concerns_fixed(variable: Variable) -> bool:
    """Whether it names one of the sections that every application has."""
    return variable.parts[0].upper() in map(folded, FIXED)


def override_fixed(variable: Variable, tables: Mapping[str, Any]) -> Override:
    """What *variable* means for one of the sections that every application has.

    Raises:
        Faults: It names nothing there, or its text is not of the right form.
    """
    section, *rest = variable.parts
    name = one_of(section, FIXED, PREFIX)
    if name == "resolver" and [part.upper() for part in rest] == ["STACK_ORDER"]:
        return Override(variable.name, (name, "stack_order"), variable.text)
    path, value = placed(FIXED[name], rest, variable.text, tables.get(name, {}), f"{PREFIX}{folded(name)}")
    return Override(variable.name, (name, *path), value)


def folded(name: str) -> str:
    """*name* as a part of a variable's name."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def one_of(part: str, names: Iterable[str], before: str) -> str:
    """The one of *names* that *part* of a variable means.

    Args:
        part: What was written.
        names: What it may mean.
        before: The variable's name up to it, for the hint.
    Raises:
        Faults: It means none of them, or more than one.
    """
    spelled: dict[str, list[str]] = {}
    for name in names:
        spelled.setdefault(folded(name), []).append(name)
    meant = spelled.get(part.upper(), [])
    if len(meant) > 1:
        raise Faults.one(f"may mean {' or '.join(sorted(meant))}", "write it in the file")
    if meant:
        return meant[0]
    start = before if before.endswith("__") else f"{before}__"
    near = nearest(part.upper(), spelled)
    if near:
        raise Faults.one(NO_SETTING, f"did you mean {start}{near}?")
    raise Faults.one(NO_SETTING, f"there are: {a_few(start + name for name in spelled)}")


def placed(kind: Any, parts: list[str], text: str, tables: Any, before: str) -> tuple[tuple[str, ...], Any]:
    """The path and value that a variable sets inside a table of *kind*.

    Args:
        kind: An attrs class, a mapping, or the type of a single value.
        parts: The rest of the variable's name.
        text: Its value.
        tables: What the file says there; the keys of a mapping are those that are written.
        before: The variable's name up to here.
    Raises:
        Faults: As ``one_of``, or the text is not of the right form.
    """
    kind = without_none(kind)
    inside: Callable[[str], Any]
    if attrs.has(kind):
        fields = fields_of(kind)
        names: Iterable[str] = fields
        inside = lambda name: fields[name].type  # noqa: E731
    elif origin_of(kind) in (dict, Mapping) and get_args(kind):
        names = tables if isinstance(tables, Mapping) else ()
        inside = lambda _: get_args(kind)[1]  # noqa: E731
    elif parts:
        raise Faults.one(NO_SETTING, f"there is nothing below {before}")
    else:
        return (), lenient(text, kind)
    if not parts:
        raise Faults.one(
            "names a table, not a setting", f"there are: {a_few(f'{before}__{folded(n)}' for n in names)}"
        )
    name = one_of(parts[0], names, before)
    below = tables.get(name, {}) if isinstance(tables, Mapping) else {}
    path, value = placed(inside(name), parts[1:], text, below, f"{before}__{folded(name)}")
    return (name, *path), value


def without_none(kind: Any) -> Any:
    arms = [arm for arm in get_args(kind) if arm is not types.NoneType]
    return arms[0] if len(arms) == 1 and types.NoneType in get_args(kind) else kind


def lenient(text: str, kind: Any) -> Any:
    """Read *text* as plain data for a value of *kind*.

    Raises:
        Faults: It is not of the right form, or no text can be.
    """
    origin = origin_of(kind)
    word = text.strip()
    if origin is bool:
        if word.lower() not in _TRUTH:
            raise mismatch("1, true, yes, on or 0, false, no, off", text)
        return _TRUTH[word.lower()]
    if origin is int and _WHOLE.fullmatch(word):
        return int(word)
    if origin is float:
        try:
            number = float(word)
        except ValueError:
            raise mismatch(expected(kind), text) from None
        if math.isnan(number):
            raise mismatch(expected(kind), text)
        return number
    if origin is Literal:
        return next((option for option in get_args(kind) if str(option) == word), text)
    if origin in _SEVERAL:
        item = next(iter(get_args(kind)), str)
        return [lenient(each.strip(), item) for each in text.split(",")] if word else []
    if origin is int:
        raise mismatch(expected(kind), text)
    if origin in (dt.datetime, dt.date, dt.time):
        try:
            return origin.fromisoformat(word)
        except ValueError:
            raise mismatch(expected(kind), text) from None
    if expected(kind) in ("a value", "a table"):
        raise Faults.one("cannot be set from the environment", "write it in the file")
    return text
