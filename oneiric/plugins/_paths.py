"""Dotted paths into plain data: ``user.name``, ``items.0``, ``headers."x.y"``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

#: Longest path, in characters; and how many parts it may have.
MAX_PATH, MAX_PARTS = 500, 32

_PART = re.compile(r'"((?:[^"\\]|\\["\\])*)"|([^."]+)')
_ESCAPED = re.compile(r"\\(.)")


class Missing:
    """Nothing is there; not even null."""


MISSING: Final = Missing()


def parse(text: str) -> tuple[str, ...]:
    """The parts of a path.  A part that holds a dot stands in double quotes.

    Raises:
        ValueError: It is none.
    """
    if len(text) > MAX_PATH:
        raise ValueError(f"a path has at most {MAX_PATH} characters, found {len(text)}")
    parts, at = [], 0
    while True:
        found = _PART.match(text, at)
        if found is None:
            raise ValueError(f"{text!r} is no path: names with dots between them, those with a dot in quotes")
        parts.append(_ESCAPED.sub(r"\1", found[1]) if found[1] is not None else found[2])
        at = found.end()
        if at == len(text):
            break
        if text[at] != ".":
            raise ValueError(f"{text!r} is no path: expected a dot at character {at}")
        at += 1
    if len(parts) > MAX_PARTS:
        raise ValueError(f"a path has at most {MAX_PARTS} parts, found {len(parts)}")
    return tuple(parts)


def find(data: Any, path: tuple[str, ...]) -> Any:
    """What stands at *path*: by name in tables, by number in lists; ``MISSING`` where there is nothing."""
    for part in path:
        if isinstance(data, Mapping):
            data = data.get(part, MISSING)
        elif isinstance(data, (list, tuple)) and part.isascii() and part.isdecimal() and len(part) < 10:
            place = int(part)
            data = data[place] if place < len(data) else MISSING
        else:
            return MISSING
    return data


def shown(path: tuple[str | int, ...]) -> str:
    """A path as ``parse`` reads it."""
    return ".".join(_quoted(part) if isinstance(part, str) else str(part) for part in path)


def _quoted(part: str) -> str:
    if part and "." not in part and '"' not in part:
        return part
    return '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
