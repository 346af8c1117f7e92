"""The fields of an entry: B5 to B7 of ``decoding``, a check for each.

A check gives the value, or raises what it is not.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from oneiric_hookspecs import FileRef, Malformed, PluginError, Retry
from oneiric_hookspecs.candidates import FACTORY_NAME
from oneiric_hookspecs.keys import NAME
from oneiric_hookspecs.releases import GREATEST, read_file

#: The one key of a table that refers to a secret.
REFERENCE = "$secret"
#: Bytes of the labels of an entry, as JSON.
LABELS = 4096
#: How many things a list may hold.
MANY = 64
#: Characters of a text that is shown, and of one that may be an address.
SHORT, LONG = 256, 512

_PLATFORM = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_WORDS: Mapping[str, tuple[type, ...]] = {
    "attempts": (int,),
    "backoff": (int, float),
    "factor": (int, float),
    "max_backoff": (int, float),
    "jitter": (int, float),
    "on": (list,),
}


class Wrong(ValueError):
    """What a field is not."""


def check_name(value: Any) -> str:
    if value.__class__ is not str or NAME.fullmatch(value) is None:
        raise Wrong("a name (lower-case letters, digits and . _ -, at most 128, no '__')")
    return value


def check_factory(value: Any) -> str:
    if (
        value.__class__ is not str
        or len(value) > 512
        or not value.isascii()
        or FACTORY_NAME.fullmatch(value) is None
    ):
        raise Wrong("ep:NAME or pkg.mod:attr")
    return value


def check_version(value: Any) -> str:
    if value.__class__ is not str or (value and not _is_version(value)):
        raise Wrong("a version (PEP 440)")
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


def check_python(value: Any) -> str:
    if value.__class__ is not str or (value and not _is_specifier(value)):
        raise Wrong("versions of Python (PEP 440), such as >=3.11")
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


def check_flag(value: Any) -> bool:
    if value.__class__ is not bool:
        raise Wrong("true or false")
    return value


def check_whole(value: Any) -> int:
    if value.__class__ is not int or not -GREATEST <= value <= GREATEST:
        raise Wrong("a whole number (within 2^53 - 1)")
    return value


def check_seconds(value: Any) -> float | None:
    if value is None:
        return None
    if value.__class__ not in (int, float) or not 0 < value <= GREATEST:
        raise Wrong("a number of seconds above 0")
    return float(value)


def _texts(what: str, fits: Callable[[str], Any]) -> Callable[[Any], tuple[str, ...]]:
    wrong = f"a list of at most {MANY} {what}, each once"

    def check(value: Any) -> tuple[str, ...]:
        if value.__class__ is not list or len(value) > MANY:
            raise Wrong(wrong)
        for each in value:
            if each.__class__ is not str or not fits(each):
                raise Wrong(wrong)
        if len(value) > 1 and len(set(value)) < len(value):
            raise Wrong(wrong)
        return tuple(value)

    return check


def _is_key(text: str) -> bool:
    domain, _, name = text.partition(":")
    return NAME.fullmatch(domain) is not None and NAME.fullmatch(name) is not None


def _shown(most: int) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value.__class__ is not str or len(value) > most or not value.isprintable():
            raise Wrong(f"a text of one line, at most {most} characters")
        return value

    return check


def _is_word(text: str) -> bool:
    return 0 < len(text) <= 128 and text.isprintable()


def check_settings(value: Any) -> dict[str, Any]:
    if value.__class__ is not dict:
        raise Wrong("an object")
    if value:
        check_plain(value, secrets=True)
        if REFERENCE in value:
            raise Wrong("a table: it refers to a secret itself")
    return value


def _data(value: Any) -> Any:
    check_plain(value)
    return value


def check_labels(value: Any) -> dict[str, Any]:
    if value.__class__ is not dict:
        raise Wrong("an object")
    check_plain(value)
    return value


def check_size(labels: Mapping[str, Any]) -> None:
    """Of a line that is longer: in a shorter one they have room."""
    if len(json.dumps(labels, ensure_ascii=False, separators=(",", ":")).encode()) > LABELS:
        raise Wrong("an object of at most 4 KiB")


def check_plain(value: Any, *, secrets: bool = False) -> None:
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
                check_plain(each, secrets=secrets)
    elif kind is list:
        for each in value:
            if each.__class__ is not str:
                check_plain(each, secrets=secrets)
    elif kind is int:
        if not -GREATEST <= value <= GREATEST:
            raise Wrong("made of numbers within 2^53 - 1")
    elif not math.isfinite(value):
        raise Wrong("made of finite numbers")


def _check_reference(value: Mapping[str, Any], secrets: bool) -> None:
    name = value[REFERENCE]
    if not secrets:
        raise Wrong(f"without {REFERENCE}: secrets stand in the settings")
    if len(value) != 1 or name.__class__ is not str or NAME.fullmatch(name) is None:
        # What stands there is not told: it may be the secret itself.
        raise Wrong(
            f'well formed: a secret is {{"{REFERENCE}": "name"}}, a name of [secrets] and never where it is'
        )


def check_retry(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if value.__class__ is not dict:
        raise Wrong("an object")
    for name, each in value.items():
        if name not in _WORDS:
            raise Wrong(f"well formed: {name[:40]!r} is not one of {', '.join(_WORDS)}")
        if each.__class__ not in _WORDS[name]:
            raise Wrong(f"well formed: {name} is of the wrong type")
    try:
        given: dict[str, Any] = {name: tuple(each) if name == "on" else each for name, each in value.items()}
        Retry(**given)
    except (PluginError, OverflowError) as error:
        said = error.message if isinstance(error, PluginError) else "a number is too large"
        raise Wrong(f"well formed: {said}") from None
    return value


def check_artifact(value: Any) -> FileRef | None:
    if value is None:
        return None
    try:
        return read_file(value, "it")
    except Malformed as error:
        raise Wrong(f"well formed: {error.message}") from None


CHECKS: Mapping[str, Any] = {
    "domain": check_name,
    "key": check_name,
    "provider": check_name,
    "factory": check_factory,
    "version": check_version,
    "priority": check_whole,
    "stack_level": check_whole,
    "settings": check_settings,
    "needs": _texts("keys such as adapter:cache", _is_key),
    "distributions": _texts("requirements (PEP 508) without an address", _is_requirement),
    "python": check_python,
    "platforms": _texts("values of sys.platform", _PLATFORM.fullmatch),
    "capabilities": _texts("words", _is_word),
    "conflicts": _texts("names of providers", NAME.fullmatch),
    "artifact": check_artifact,
    "timeout": check_seconds,
    "retry": check_retry,
    "data": _data,
    "owner": _shown(SHORT),
    "license": _shown(SHORT),
    "docs": _shown(LONG),
    "enabled": check_flag,
    "labels": check_labels,
}
#: Those that are not looked at together.
ALONE: Mapping[str, Any] = {
    name: check for name, check in CHECKS.items() if name not in ("domain", "provider", "factory", "version")
}
