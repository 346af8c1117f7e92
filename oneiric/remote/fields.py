"""One line of a body becomes an entry: B3 of ``decoding``, and how its fields are gone through.

Written out by hand: with a library for it, reading takes twice as long.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from oneiric_hookspecs import Entry, EntryIdentity, Malformed, nearest
from oneiric_hookspecs.keys import NAME
from oneiric_hookspecs.releases import DEPTH, GREATEST, read_json

from .checks import (
    ALONE,
    CHECKS,
    LABELS,
    LONG,
    SHORT,
    Wrong,
    check_artifact,
    check_factory,
    check_flag,
    check_labels,
    check_name,
    check_plain,
    check_python,
    check_retry,
    check_seconds,
    check_settings,
    check_size,
    check_version,
    check_whole,
)
from .proved import entry_maker

_fits_name = NAME.fullmatch


class _Twice(ValueError):
    """A name stands twice in an object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise _Twice
    return table


def _constant(word: str) -> NoReturn:
    raise ValueError(word)


#: Made once: ``json.loads`` would make one for each line.  Numbers are checked where they land.
_decoder = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_constant)
#: Gives a value, and where it ends; ``raw_decode`` without the call around it.
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]


def _json(line: bytes, number: int) -> Any:
    """B3.  Most lines are harmless, and say so by how they look; all others go the way that tells what is wrong."""
    if line.count(b"{") + line.count(b"[") <= DEPTH and b"\\u" not in line:
        try:
            text = line.decode()
            try:
                value, end = _scan(text, 0)
                if end == len(text):
                    return value
            except StopIteration:  # no value begins here
                pass
            return _decoder.decode(text)  # with room around it, maybe
        except ValueError:
            pass
    value = read_json(line, "the line", line=number)
    try:
        # Half of a pair of surrogates can be written with backslashes, and never be encoded again.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed("the line has half a character in it (a lone surrogate)", line=number) from None
    return value


#: What stands for a list and for a table that are not given: nothing that is read is one of them.
_NO_TEXTS: tuple[str, ...] = ()
_NO_TABLE: Mapping[str, Any] = MappingProxyType({})
#: Every field, in the order of an entry's; what is None here and required is refused as no text.
_DEFAULTS: dict[str, Any] = {
    "domain": None,
    "key": None,
    "provider": None,
    "factory": None,
    "version": "",
    "priority": 0,
    "stack_level": 0,
    "settings": _NO_TABLE,
    "needs": _NO_TEXTS,
    "distributions": _NO_TEXTS,
    "python": "",
    "platforms": _NO_TEXTS,
    "capabilities": _NO_TEXTS,
    "conflicts": _NO_TEXTS,
    "artifact": None,
    "timeout": None,
    "retry": None,
    "data": None,
    "owner": "",
    "license": "",
    "docs": "",
    "enabled": True,
    "labels": _NO_TABLE,
}


class LineReader:
    """Reads lines.  One reader remembers what it has seen: what very many entries share is checked once.

    Args:
        lenient: Whether fields that are not known are passed over.
    """

    def __init__(self, lenient: bool) -> None:
        self._lenient = lenient
        # Both by their own value, so that what is equal is one object.
        self._seen: dict[tuple[str, str, str, str], tuple[str, str, str, str]] = {}
        self._words: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._entry = entry_maker()

    def __call__(self, line: bytes, number: int) -> tuple[EntryIdentity, Entry, tuple[str, ...]]:
        """What a line says: its identity, the entry, and the names of fields that are not known.

        Raises:
            Malformed: One of the rules does not hold.
        """
        table = _json(line, number)
        if table.__class__ is not dict:
            raise Malformed("the line is no object", line=number)
        try:
            return self._quickly(table, line)
        except (TypeError, ValueError):
            return self._carefully(table, line, number)

    def _quickly(self, table: dict[str, Any], line: bytes) -> tuple[EntryIdentity, Entry, tuple[str, ...]]:
        """An entry of which nothing has to be told, in one go; *table* stays as it was.

        Raises:
            TypeError, ValueError: There is something to tell, which ``_carefully`` does.
        """
        # Too many values are fields that are not known.  What is missing is no text.
        (
            domain,
            key,
            provider,
            factory,
            version,
            priority,
            stack_level,
            settings,
            needs,
            distributions,
            python,
            platforms,
            capabilities,
            conflicts,
            artifact,
            timeout,
            retry,
            data,
            owner,
            license_,
            docs,
            enabled,
            labels,
        ) = (_DEFAULTS | table).values()
        shared = (domain, provider, factory, version)
        # What was seen was texts: nothing else is equal to a text.
        seen = self._seen.get(shared)
        if seen is None:
            seen = self._seen[shared] = (
                check_name(domain),
                check_name(provider),
                check_factory(factory),
                check_version(version),
            )
        domain, provider, factory, version = seen
        if key.__class__ is not str or _fits_name(key) is None:
            raise Wrong
        if (
            priority.__class__ is not int
            or not -GREATEST <= priority <= GREATEST
            or owner.__class__ is not str
            or license_.__class__ is not str
            or docs.__class__ is not str
            or len(owner) > SHORT
            or len(license_) > SHORT
            or len(docs) > LONG
            or not owner.isprintable()
            or not license_.isprintable()
            or not docs.isprintable()
        ):
            raise Wrong
        # Each is of JSON, or the very default: no list is a tuple.
        if capabilities is not _NO_TEXTS:
            if capabilities.__class__ is not list:
                raise Wrong
            words = self._words.get(tuple(capabilities))
            if words is None:
                words = CHECKS["capabilities"](capabilities)
                self._words[words] = words
            capabilities = words
        if stack_level.__class__ is not int or stack_level:
            check_whole(stack_level)
        if settings is _NO_TABLE:
            settings = {}
        else:
            check_settings(settings)
        if needs is not _NO_TEXTS:
            needs = CHECKS["needs"](needs)
        if distributions is not _NO_TEXTS:
            distributions = CHECKS["distributions"](distributions)
        if python.__class__ is not str or python:
            check_python(python)
        if platforms is not _NO_TEXTS:
            platforms = CHECKS["platforms"](platforms)
        if conflicts is not _NO_TEXTS:
            conflicts = CHECKS["conflicts"](conflicts)
        if artifact is not None:
            artifact = check_artifact(artifact)
        if timeout is not None:
            timeout = check_seconds(timeout)
        if retry is not None:
            check_retry(retry)
        if data is not None:
            check_plain(data)
        if enabled is not True:
            check_flag(enabled)
        if labels is _NO_TABLE:
            labels = {}
        else:
            check_labels(labels)
            if len(line) > LABELS:
                check_size(labels)
        entry = self._entry(
            domain,
            key,
            provider,
            factory,
            version,
            priority,
            stack_level,
            settings,
            needs,
            distributions,
            python,
            platforms,
            capabilities,
            conflicts,
            artifact,
            timeout,
            retry,
            data,
            owner,
            license_,
            docs,
            enabled,
            labels,
        )
        return (domain, key, provider, version), entry, ()

    def _carefully(
        self, table: dict[str, Any], line: bytes, number: int
    ) -> tuple[EntryIdentity, Entry, tuple[str, ...]]:
        """A check a field, in the order of the line: the first that does not hold is told."""
        unknown = () if table.keys() <= CHECKS.keys() else self._unknown(table, number)
        try:
            key, version = table["key"], table.get("version", "")
            shared = (table["domain"], table["provider"], table["factory"], version)
        except KeyError as error:
            raise Malformed(f"{_who(table)}{error.args[0]} is missing", line=number) from None
        name = ""
        try:
            for name, value in zip(("domain", "provider", "factory", "version"), shared, strict=True):
                CHECKS[name](value)
            for name, value in table.items():
                check = ALONE.get(name)
                if check is not None:
                    table[name] = check(value)  # no name is added: it may be gone through meanwhile
            if len(line) > LABELS and "labels" in table:
                name = "labels"
                check_size(table["labels"])
        except Wrong as error:
            raise Malformed(f"{_who(table)}{name} is not {error}", line=number) from None
        return (shared[0], key, shared[1], version), Entry(**table), unknown

    def _unknown(self, table: dict[str, Any], number: int) -> tuple[str, ...]:
        """Take out what is not known, if that is allowed."""
        unknown = tuple(name for name in table if name not in CHECKS)
        if not self._lenient:
            near = nearest(unknown[0], CHECKS)
            raise Malformed(
                f"{_who(table)}{unknown[0][:80]!r} is not a field of an entry",
                line=number,
                hint=f"did you mean {near}?" if near else "free data goes under labels",
            )
        for name in unknown:
            del table[name]
        return unknown


def _who(table: Mapping[str, Any]) -> str:
    names = [table.get(name) for name in ("domain", "key", "provider")]
    if all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        return f"{names[0]}:{names[1]} {names[2]}: "
    return "the entry: "
