"""Walking through plain data that is given from outside: how deep, how much, and what is hidden in it."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from oneiric_hookspecs import MASK

#: What stands for what is too deep, or too much, where that is no error.
CUT = "..."
#: Names of what is not to be shown, for settings to begin with.
SECRET_NAMES = (
    "*password*",
    "*passwd*",
    "*passphrase*",
    "*secret*",
    "*token*",
    "*api*key*",
    "*private*key*",
    "*credential*",
    "authorization",
    "cookie",
    "set-cookie",
)
#: Most patterns of names, and the longest.
MAX_PATTERNS, MAX_PATTERN = 200, 200
#: Most deep data can be here without Python's own limit being met.
MAX_DEPTH = 200
#: Largest whole number: Python writes and reads no more than 4,300 digits.
MAX_BITS = 14_000


class Unwalkable(ValueError):
    """There is something in the data that is too deep, too much, or no plain data.

    Attributes:
        path: Where, from the top.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


def measure(data: Any, *, depth: int, values: int, at: str, others: tuple[type, ...] = ()) -> None:
    """Make sure that *data* is plain, and not larger than that.

    Args:
        data: What may be anything.
        depth: How many tables and lists may stand in one another.
        values: How many values there may be, tables and lists counted too.
        at: The path of *data* itself.
        others: Classes whose instances count as plain, too.
    Raises:
        Unwalkable: It is not.
    """
    count = 0
    waiting: list[tuple[Any, str, int]] = [(data, at, 1)]
    while waiting:
        value, path, level = waiting.pop()
        count += 1
        if count > values:
            raise Unwalkable(at, f"holds more than {values:,} values")
        if isinstance(value, (Mapping, list, tuple)):
            if level > depth:
                raise Unwalkable(_short(path), f"is nested deeper than {depth}")
            if count + len(value) > values:
                raise Unwalkable(at, f"holds more than {values:,} values")
            if isinstance(value, Mapping):
                for name in value:
                    if not isinstance(name, str):
                        raise Unwalkable(
                            _short(path), f"a table's names are texts, found a {type(name).__name__}"
                        )
                waiting += [(item, f"{path}.{name}", level + 1) for name, item in value.items()]
            else:
                waiting += [(item, f"{path}[{place}]", level + 1) for place, item in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            raise Unwalkable(_short(path), f"{value} is no number of JSON")
        elif isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise Unwalkable(_short(path), "has too many digits")
        elif value is not None and not isinstance(value, (str, int, float, *others)):
            raise Unwalkable(_short(path), f"a {type(value).__name__} is not plain data")


def _short(path: str) -> str:
    return path if len(path) <= 120 else f"{path[:60]}...{path[-50:]}"


class Names:
    """Patterns of names in tables: ``*`` and ``?`` as in a shell, in any case.

    A pattern without a dot means a name at any depth; one with dots a path from the top, on which lists are no step.

    Args:
        patterns: Of names, and of paths.
    Raises:
        ValueError: There are too many, or one is too long, or empty.
    """

    __slots__ = ("_anywhere", "_paths")

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        if len(patterns) > MAX_PATTERNS:
            raise ValueError(f"there are at most {MAX_PATTERNS} patterns, found {len(patterns)}")
        for pattern in patterns:
            if not pattern or len(pattern) > MAX_PATTERN:
                raise ValueError(f"a pattern has 1 to {MAX_PATTERN} characters, found {len(pattern)}")
        folded = [pattern.casefold() for pattern in patterns]
        self._anywhere = _compiled(pattern for pattern in folded if "." not in pattern)
        self._paths = [
            [_compiled([part]) for part in pattern.split(".")] for pattern in folded if "." in pattern
        ]

    def match(self, path: tuple[str, ...]) -> bool:
        """Whether one of them means what stands at *path*, whose names are folded (``str.casefold``)."""
        if self._anywhere is not None and self._anywhere.fullmatch(path[-1]):
            return True
        return any(
            len(parts) == len(path) and all(p and p.fullmatch(n) for p, n in zip(parts, path, strict=True))
            for parts in self._paths
        )


def _compiled(patterns: Iterable[str]) -> re.Pattern[str] | None:
    found = [fnmatch.translate(pattern.replace("[", "[[]")) for pattern in patterns]
    return re.compile("|".join(found)) if found else None


class Hiding:
    """Copies plain data without what is not to be shown.

    Args:
        mask: What is shown as ``***``, whatever it is.
        drop: What is left out.
        depth: How deep it looks; what is deeper is shown as ``...``.
        values: How many values it copies; what is more is shown as ``...``.
        text: The mask.

    Attributes:
        masked: How many values were hidden so far.
        dropped: How many were left out.
    """

    def __init__(
        self, mask: Names, drop: Names | None = None, *, depth: int, values: int, text: str = MASK
    ) -> None:
        self._mask, self._drop, self._depth, self._left, self._text = mask, drop, depth, values, text
        self.masked = self.dropped = 0

    def copy(self, data: Any, path: tuple[str, ...] = ()) -> Any:
        """*data*, copied."""
        return self._copy(data, path, 1)

    def _copy(self, data: Any, path: tuple[str, ...], level: int) -> Any:
        self._left -= 1
        if self._left < 0:
            return CUT
        if isinstance(data, Mapping):
            return CUT if level > self._depth else self._table(data, path, level)
        if isinstance(data, (list, tuple)):
            if level > self._depth:
                return CUT
            copied = []
            for item in data:
                copied.append(self._copy(item, path, level + 1))
                if self._left < 0:
                    break
            return copied
        return data

    def _table(self, data: Mapping[Any, Any], path: tuple[str, ...], level: int) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for name, item in data.items():
            name = str(name)
            below = (*path, name.casefold())
            if self._drop is not None and self._drop.match(below):
                self.dropped += 1
            elif self._mask.match(below):
                self.masked += 1
                table[name] = self._text
            else:
                table[name] = self._copy(item, below, level + 1)
                if self._left < 0:
                    break
        return table


def one_line(text: str, limit: int) -> str:
    """*text* without line breaks and control characters, which could forge a line of a log, or steer a terminal."""
    cut = text[:limit]
    safe = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut)
    return safe if len(text) <= limit else f"{safe}{CUT}"
