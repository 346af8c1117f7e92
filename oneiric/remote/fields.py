"""One line of a body becomes an entry: B3 and B5 to B7 of ``decoding``.

Written out by hand, a check a field: with a library for it, reading takes twice as long.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from oneiric_hookspecs import Entry, EntryIdentity, FileRef, Malformed, PluginError, Retry, nearest
from oneiric_hookspecs.candidates import FACTORY_NAME
from oneiric_hookspecs.keys import NAME
from oneiric_hookspecs.releases import DEPTH, GREATEST, read_file, read_json

#: The one key of a table that refers to a secret.
REFERENCE = "$secret"
#: Bytes of the labels of an entry, as JSON.
LABELS = 4096
#: How many things a list may hold.
MANY = 64

_PLATFORM = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_WORDS: Mapping[str, tuple[type, ...]] = {
    "attempts": (int,),
    "backoff": (int, float),
    "factor": (int, float),
    "max_backoff": (int, float),
    "jitter": (int, float),
    "on": (list,),
}


class _Wrong(ValueError):
    """What a field is not."""


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
_scan = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_constant).decode


def _json(line: bytes, number: int) -> Any:
    """B3.  Most lines are harmless, and say so by how they look; all others go the way that tells what is wrong."""
    if line.count(b"{") + line.count(b"[") <= DEPTH and b"\\u" not in line:
        try:
            return _scan(line.decode())
        except ValueError:
            pass
    value = read_json(line, "the line", line=number)
    try:
        # Half of a pair of surrogates can be written with backslashes, and never be encoded again.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed("the line has half a character in it (a lone surrogate)", line=number) from None
    return value


class LineReader:
    """Reads lines.  One reader remembers what it has seen: what very many entries share is checked once.

    Args:
        lenient: Whether fields that are not known are passed over.
    """

    def __init__(self, lenient: bool) -> None:
        self._lenient = lenient
        self._seen: set[Any] = set()

    def __call__(self, line: bytes, number: int) -> tuple[EntryIdentity, Entry, tuple[str, ...]]:
        """What a line says: its identity, the entry, and the names of fields that are not known.

        Raises:
            Malformed: One of the rules does not hold.
        """
        table = _json(line, number)
        if table.__class__ is not dict:
            raise Malformed("the line is no object", line=number)
        unknown = () if table.keys() <= _CHECKS.keys() else self._unknown(table, number)
        try:
            key, version = table["key"], table.get("version", "")
            shared = (table["domain"], table["provider"], table["factory"], version)
        except KeyError as error:
            raise Malformed(f"{_who(table)}{error.args[0]} is missing", line=number) from None
        name = ""
        try:
            # What was seen was texts: nothing else is equal to a text.
            try:
                known = shared in self._seen
            except TypeError:  # a list or a table is among them
                known = False
            if not known:
                for name, value in zip(("domain", "provider", "factory", "version"), shared, strict=True):
                    _CHECKS[name](value)
                self._seen.add(shared)
            for name, value in table.items():
                check = _ALONE.get(name)
                if check is not None:
                    table[name] = check(value)  # no name is added: it may be gone through meanwhile
            if len(line) > LABELS and "labels" in table:
                name = "labels"
                _check_size(table["labels"])
        except _Wrong as error:
            raise Malformed(f"{_who(table)}{name} is not {error}", line=number) from None
        return (shared[0], key, shared[1], version), Entry(**table), unknown

    def _unknown(self, table: dict[str, Any], number: int) -> tuple[str, ...]:
        """Take out what is not known, if that is allowed."""
        unknown = tuple(name for name in table if name not in _CHECKS)
        if not self._lenient:
            near = nearest(unknown[0], _CHECKS)
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


# --- a check a field: gives the value, or raises what it is not ------------------------------------------------------


def _name(value: Any) -> str:
    if value.__class__ is not str or NAME.fullmatch(value) is None:
        raise _Wrong("a name (lower-case letters, digits and . _ -, at most 128, no '__')")
    return value


def _factory(value: Any) -> str:
    if (
        value.__class__ is not str
        or len(value) > 512
        or not value.isascii()
        or FACTORY_NAME.fullmatch(value) is None
    ):
        raise _Wrong("ep:NAME or pkg.mod:attr")
    return value


def _version(value: Any) -> str:
    if value.__class__ is not str or (value and not _is_version(value)):
        raise _Wrong("a version (PEP 440)")
    return value


@functools.lru_cache(4096)
def _is_version(text: str) -> bool:
    from packaging.version import InvalidVersion, Version

    if len(text) > 128 or not text.isascii() or text != text.strip():
        return False
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


@functools.lru_cache(4096)
def _is_requirement(text: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    if len(text) > 512 or not text.isascii() or text != text.strip():
        return False
    try:
        # One with an address could name a file of the reader's.
        return Requirement(text).url is None
    except InvalidRequirement:
        return False


def _python(value: Any) -> str:
    if value.__class__ is not str or (value and not _is_specifier(value)):
        raise _Wrong("versions of Python (PEP 440), such as >=3.11")
    return value


@functools.lru_cache(1024)
def _is_specifier(text: str) -> bool:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if len(text) > 256 or not text.isascii():
        return False
    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        return False
    return True


def _flag(value: Any) -> bool:
    if value.__class__ is not bool:
        raise _Wrong("true or false")
    return value


def _whole(value: Any) -> int:
    if value.__class__ is not int or not -GREATEST <= value <= GREATEST:
        raise _Wrong("a whole number (within 2^53 - 1)")
    return value


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if value.__class__ not in (int, float) or not 0 < value <= GREATEST:
        raise _Wrong("a number of seconds above 0")
    return float(value)


def _texts(what: str, fits: Callable[[str], Any]) -> Callable[[Any], tuple[str, ...]]:
    wrong = f"a list of at most {MANY} {what}, each once"

    def check(value: Any) -> tuple[str, ...]:
        if value.__class__ is not list or len(value) > MANY:
            raise _Wrong(wrong)
        for each in value:
            if each.__class__ is not str or not fits(each):
                raise _Wrong(wrong)
        if len(value) > 1 and len(set(value)) < len(value):
            raise _Wrong(wrong)
        return tuple(value)

    return check


def _is_key(text: str) -> bool:
    domain, _, name = text.partition(":")
    return NAME.fullmatch(domain) is not None and NAME.fullmatch(name) is not None


def _shown(most: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value.__class__ is not str or len(value) > most or not value.isprintable():
            raise _Wrong(f"a text of one line, at most {most} characters")
        return value

    return check


def _is_word(text: str) -> bool:
    return 0 < len(text) <= 128 and text.isprintable()


def _settings(value: Any) -> dict[str, Any]:
    if value.__class__ is not dict:
        raise _Wrong("an object")
    if value:
        _check_plain(value, secrets=True)
        if REFERENCE in value:
            raise _Wrong("a table: it refers to a secret itself")
    return value


def _data(value: Any) -> Any:
    _check_plain(value)
    return value


def _labels(value: Any) -> dict[str, Any]:
    if value.__class__ is not dict:
        raise _Wrong("an object")
    _check_plain(value)
    return value


def _check_size(labels: Mapping[str, Any]) -> None:
    """Of a line that is longer: in a shorter one they have room."""
    if len(json.dumps(labels, ensure_ascii=False, separators=(",", ":")).encode()) > LABELS:
        raise _Wrong("an object of at most 4 KiB")


def _check_plain(value: Any, *, secrets: bool = False) -> None:
    """B7, and J4: what nobody knows the type of yet.  How deep it goes is known."""
    kind = value.__class__
    if kind is str or kind is bool or value is None:
        return
    if kind is dict:
        if REFERENCE in value:
            _check_reference(value, secrets)
            return
        for each in value.values():
            if each.__class__ is not str:
                _check_plain(each, secrets=secrets)
    elif kind is list:
        for each in value:
            if each.__class__ is not str:
                _check_plain(each, secrets=secrets)
    elif kind is int:
        if not -GREATEST <= value <= GREATEST:
            raise _Wrong("made of numbers within 2^53 - 1")
    elif not math.isfinite(value):
        raise _Wrong("made of finite numbers")


def _check_reference(value: Mapping[str, Any], secrets: bool) -> None:
    name = value[REFERENCE]
    if not secrets:
        raise _Wrong(f"without {REFERENCE}: secrets stand in the settings")
    if len(value) != 1 or name.__class__ is not str or NAME.fullmatch(name) is None:
        # What stands there is not told: it may be the secret itself.
        raise _Wrong(
            f'well formed: a secret is {{"{REFERENCE}": "name"}}, a name of [secrets] and never where it is'
        )


def _retry(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if value.__class__ is not dict:
        raise _Wrong("an object")
    for name, each in value.items():
        if name not in _WORDS:
            raise _Wrong(f"well formed: {name[:40]!r} is not one of {', '.join(_WORDS)}")
        if each.__class__ not in _WORDS[name]:
            raise _Wrong(f"well formed: {name} is of the wrong type")
    try:
        given: dict[str, Any] = {name: tuple(each) if name == "on" else each for name, each in value.items()}
        Retry(**given)
    except (PluginError, OverflowError) as error:
        said = error.message if isinstance(error, PluginError) else "a number is too large"
        raise _Wrong(f"well formed: {said}") from None
    return value


def _artifact(value: Any) -> FileRef | None:
    if value is None:
        return None
    try:
        return read_file(value, "it")
    except Malformed as error:
        raise _Wrong(f"well formed: {error.message}") from None


_CHECKS: Mapping[str, Any] = {
    "domain": _name,
    "key": _name,
    "provider": _name,
    "factory": _factory,
    "version": _version,
    "priority": _whole,
    "stack_level": _whole,
    "settings": _settings,
    "needs": _texts("keys such as adapter:cache", _is_key),
    "distributions": _texts("requirements (PEP 508) without an address", _is_requirement),
    "python": _python,
    "platforms": _texts("values of sys.platform", _PLATFORM.fullmatch),
    "capabilities": _texts("words", _is_word),
    "conflicts": _texts("names of providers", NAME.fullmatch),
    "artifact": _artifact,
    "timeout": _seconds,
    "retry": _retry,
    "data": _data,
    "owner": _shown(256),
    "license": _shown(256),
    "docs": _shown(512),
    "enabled": _flag,
    "labels": _labels,
}
#: Those that are not looked at together.
_ALONE: Mapping[str, Any] = {
    name: check for name, check in _CHECKS.items() if name not in ("domain", "provider", "factory", "version")
}
