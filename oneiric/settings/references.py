"""References to secrets: ``{ "$secret" = "name" }`` stands where a field is a ``Secret``, and means ``[secrets] name``.

A table is read twice.  First everything about it is checked, with nothing in the place of what it refers to: no
validator or converter sees that place, and nothing is fetched.  When it is wanted, what it refers to is fetched, and
the table is read again with that.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

import attrs
from oneiric_hookspecs import OneiricError, Secret, SettingsError, a_few, check_name, nearest
from oneiric_hookspecs.secrets import MASK

from .plain import FREE, REFERENCE, Fault, Faults, Parts, is_reference

P = ParamSpec("P")
T = TypeVar("T")

#: Texts that are shorter are not looked for in messages: they would be found everywhere, and be told by their gaps.
SHORTEST = 4

_SOURCE = re.compile(r"([^:]*):(.+)", re.DOTALL)
_FORM = 'write it as "env:NAME", "file:/PATH" or "adapter:KEY#NAME"'
_OPTIONS = {
    "ttl": "how long secrets are kept is [lifecycle] secret_ttl",
    "timeout": "how long one may take is [lifecycle] secret_timeout",
}


class Unshown(Mapping[str, Any]):
    """A table that does not show what it holds, for those who have it among their locals when something raises."""

    __slots__ = ("_table",)

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table

    def __getitem__(self, name: str) -> Any:
        return self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        return f"<a table of {len(self)}>"


def opaque(function: Callable[P, T]) -> Callable[P, T]:
    """Let the ``SettingsError`` of *function* go without its frames: their locals hold what the file says.

    Some tools show the locals of every frame of a traceback.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except SettingsError as error:
            told = error
        del args, kwargs
        told.__context__ = None
        raise told.with_traceback(None)

    return call


class Awaited:
    """Stands for what is made of a secret that has not been fetched."""


@attrs.define(eq=False)
class Reading:
    """How one table, or several, are read.

    Args:
        sources: ``[secrets]``; None where there is nothing to refer to.
        fetched: What was fetched, by name; None where the table is only checked.

    Attributes:
        names: What is referred to, in the order in which it was found; more than once where it is more than once.
        seen: The secrets that were put in, those that are written as a text too.
    """

    sources: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    fetched: Mapping[str, Secret] | None = None
    names: list[str] = attrs.field(factory=list)
    seen: list[Secret] = attrs.field(factory=list, repr=False)

    def masked(self, text: str) -> str:
        """*text* without the secrets that were put in."""
        return masked(text, (each.reveal() for each in self.seen))


_reading: ContextVar[Reading | None] = ContextVar("oneiric_reading", default=None)


@contextlib.contextmanager
def reading(how: Reading | None = None) -> Iterator[Reading]:
    """Read so in this block; without a way of its own, as in the block around it."""
    how = how or _reading.get() or Reading()
    token = _reading.set(how)
    try:
        yield how
    finally:
        _reading.reset(token)


def being_read() -> bool:
    """Whether somebody has said how it is read here."""
    return _reading.get() is not None


def now() -> Reading:
    """How it is read here; a new way, where nobody has said."""
    return _reading.get() or Reading()


def secret(value: Any) -> Any:
    """A secret: one that is given, a text, or what a reference stands for.

    Raises:
        Faults: It is none of these, or refers to nothing; what was found is not shown.
    """
    how = now()
    if isinstance(value, (str, Secret)):
        made = Secret(value) if isinstance(value, str) else value
        how.seen.append(made)
        return made
    if not is_reference(value):
        raise Faults.one(f'expected a secret: a text, or {{ "{REFERENCE}" = "name" }}')
    name = value[REFERENCE]
    if len(value) != 1 or not isinstance(name, str):
        raise Faults.one(f'a reference to a secret is {{ "{REFERENCE}" = "name" }}, and nothing more')
    if how.sources is None:
        raise Faults.one("there is nothing here that a reference to a secret could mean", "write a text")
    if name not in how.sources:
        near = nearest(name, how.sources)
        there = (
            f"there are: {a_few(how.sources)}" if how.sources else f'add it: [secrets] {name} = "env:NAME"'
        )
        raise Faults.one(f"there is no {name!r} in [secrets]", f"did you mean {near}?" if near else there)
    how.names.append(name)
    if how.fetched is None:
        return Awaited()
    if name not in how.fetched:
        raise Faults.one(f"the secret {name!r} has not been fetched")
    how.seen.append(how.fetched[name])
    return how.fetched[name]


def referred(data: Any, path: Parts = ()) -> Iterator[tuple[Parts, str]]:
    """Where in plain data something refers to a secret, and to which; the user's own keys are passed over.

    Those of the table itself: further in, ``x-`` may begin a key like any other, such as the name of a header.
    """
    if is_reference(data):
        yield path, str(data[REFERENCE])
    elif isinstance(data, Mapping):
        for key, item in data.items():
            if path or not key.startswith(FREE):
                yield from referred(item, (*path, key))
    elif isinstance(data, (list, tuple)):
        for place, item in enumerate(data):
            yield from referred(item, (*path, place))


def sources_of(table: Any, faults: list[Fault]) -> Mapping[str, str]:
    """``[secrets]``, where it is well formed; what is not is added to *faults*, and never shown: it may be a secret."""
    if not isinstance(table, Mapping):
        faults.append(Fault((), "expected a table"))
        return MappingProxyType({})
    sources: dict[str, str] = {}
    for name, source in table.items():
        if name.startswith(FREE):
            continue
        try:
            check_name(name, "name of a secret")
        except OneiricError as error:
            faults.append(Fault((name,), error.message, error.hint))
            continue
        match = _SOURCE.fullmatch(source) if isinstance(source, str) else None
        if match is None:
            faults.append(
                Fault((name,), "expected SCHEME:WHERE, which is not shown here", _OPTIONS.get(name, _FORM))
            )
            continue
        try:
            check_name(match[1], "scheme")
        except OneiricError:
            faults.append(Fault((name,), "what stands before the colon is no scheme", _FORM))
            continue
        sources[name] = source
    return MappingProxyType(sources)


def split(source: str) -> tuple[str, str]:
    """Scheme, and what stands behind the colon."""
    scheme, _, rest = source.partition(":")
    return scheme, rest


def undeclared(
    sources: Mapping[str, str], schemes: Mapping[str, Iterable[str]]
) -> Iterator[tuple[Fault, bool]]:
    """What is wrong with the schemes of ``[secrets]``, and whether a plugin that is not there could put it right.

    Args:
        sources: ``[secrets]``.
        schemes: The plugins that declare each scheme.
    """
    for name, source in sources.items():
        scheme, _ = split(source)
        by = sorted(schemes.get(scheme, ()))
        if len(by) > 1:
            message = f"the plugins {' and '.join(by)} both declare a secret source {scheme!r}"
            yield Fault(("secrets", name), message, f"leave one of them out: -p no:{by[0]}"), False
        elif not by:
            near = nearest(scheme, schemes)
            hint = f"did you mean {near}?" if near else f"there are: {a_few(schemes)}"
            yield Fault(("secrets", name), f"nobody declares a secret source {scheme!r}", hint), True


def masked(text: str, secrets: Iterable[str]) -> str:
    """*text* with ``***`` in the place of each of *secrets*, as they are or as they are quoted.

    Those shorter than four characters stay: they would be found everywhere.  Of one with several lines, each line
    counts.
    """
    pattern = _pattern(frozenset(secrets))
    return text if pattern is None else pattern.sub(MASK, text)


@functools.lru_cache(maxsize=16)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str] | None:
    forms = sorted({form for text in secrets for form in _forms(text)}, key=lambda form: (-len(form), form))
    # Where it has spaces or line breaks, a text that was wrapped has others.
    spelled = [r"\s+".join(map(re.escape, form.split())) for form in forms]
    return re.compile("|".join(spelled)) if spelled else None


def _forms(text: str) -> Iterator[str]:
    """*text*, and each of its lines; also as JSON and ``repr`` write them."""
    import json

    for part in {text.strip(), *map(str.strip, text.splitlines())}:
        if len(part) >= SHORTEST:
            yield from (
                part,
                json.dumps(part)[1:-1],
                json.dumps(part, ensure_ascii=False)[1:-1],
                repr(part)[1:-1],
            )
