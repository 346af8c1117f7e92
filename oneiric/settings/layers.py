"""The layers that settings are made of, the weakest first, and where in them a value was set."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import attrs
from oneiric_hookspecs import Problem

from .lines import line_of, positions
from .plain import FREE, Fault, Parts, is_reference, path_text

#: What kinds there are, the weakest first; of one kind the later one is stronger.
Kind = Literal["code", "file", "profile", "environment", "command line"]

#: The table whose tables are profiles.
PROFILE = "profile"

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@attrs.frozen
class Layer:
    """What one source says.

    Args:
        kind: What it is.
        name: As it is shown: the file, ``profile test``, ``environment``.
        tables: What it says, frozen.
        file: The file it is written in, as it is shown; None where it is in none.
        text: What that held when it was read: it may have changed since.
        under: The table of the file that this is the content of: ``("profile", "test")``.
        named: The variable, or the option, that set a path.
    """

    kind: Kind
    name: str
    tables: Mapping[str, Any] = attrs.field(default=_NOTHING, repr=False)
    file: str | None = None
    text: str = attrs.field(default="", repr=False)
    under: Parts = ()
    named: Mapping[Parts, str] = attrs.field(default=_NOTHING, repr=False)

    def at(self, path: Parts) -> tuple[bool, Any]:
        """Whether it says something at *path*, and what."""
        value: Any = self.tables
        for part in path:
            try:
                below: Any = value
                value = below[part] if isinstance(value, (Mapping, tuple)) else None
            except (KeyError, IndexError, TypeError):
                return False, None
            if value is None:
                return False, None
        return True, value

    def says(self, path: Parts) -> bool:
        """Whether it sets *path*, or a table in which *path* is; of a variable or option, whether that does."""
        if self.kind in ("environment", "command line"):
            return bool(self._namers(path))
        # What is written and no plain data, is no longer in the tables.
        return self.at(path)[0] or (bool(self.text) and (*self.under, *path) in self._lines)

    def place(self, path: Parts) -> str | None:
        """``file:line``, the variable or the option that set *path*; None for settings given in code."""
        if self.kind in ("environment", "command line"):
            return ", ".join(self._namers(path)) or None
        if self.file is None:
            return self.name if self.kind == "profile" else None
        line = line_of(self._lines, (*self.under, *path))
        return self.file if line is None else f"{self.file}:{line}"

    def count(self) -> int:
        """How many values it sets, without what is the user's own."""
        return sum(1 for path, _ in leaves(self.tables) if self.kind != "file" or path[0] != PROFILE)

    def _namers(self, path: Parts) -> list[str]:
        found = [
            self.named[path[:length]] for length in range(1, len(path) + 1) if path[:length] in self.named
        ]
        if not found and isinstance(self.at(path)[1], tuple):
            # A list to which options have added.
            found = [name for place, name in self.named.items() if place[: len(path)] == path]
        return list(dict.fromkeys(found))

    @functools.cached_property
    def _lines(self) -> dict[Parts, int]:
        return positions(self.text)


class Said(NamedTuple):
    """What one layer says about a path.

    Args:
        place: ``file:line``, the variable or the option; None for settings given in code.
        value: Plain data.
    """

    place: str | None
    value: Any


@attrs.frozen
class Origin:
    """Knows where every value was set.

    Args:
        layers: The weakest first.
    """

    layers: tuple[Layer, ...] = ()

    def where(self, path: Parts) -> str | None:
        """What set *path*, or what encloses it most closely; see ``Layer.place``."""
        if path and str(path[0]).startswith("ONEIRIC_"):
            return None  # a variable is its own place
        layer, known = self._of(path)
        if layer is not None:
            return layer.place(known)
        return next((each.file for each in self.layers if each.kind == "file"), None)

    def path(self, path: Parts) -> Parts:
        """*path* as it is written: below ``profile.NAME`` where the profile set it."""
        layer, _ = self._of(path)
        return path if layer is None else (*layer.under, *path)

    def history(self, path: Parts) -> list[Said]:
        """What was said about *path*, the weakest first; the last is in force."""
        found = []
        for layer in self.layers:
            for length in range(len(path), 0, -1):
                there, value = layer.at(path[:length])
                if there:
                    # A table in which it is says nothing about it; a value in whose place there could be one does.
                    if length == len(path) or not is_table(value):
                        place = layer.place(path[:length])
                        named = layer.kind == "profile" and place != layer.name
                        found.append(Said(f"{place} ({layer.name})" if named else place, value))
                    break
        return found

    def problems(self, faults: Iterable[Fault]) -> list[Problem]:
        """*faults* with where they are."""
        return [
            Problem(path_text(self.path(fault.path)), fault.message, self.where(fault.path), fault.hint)
            for fault in faults
        ]

    def _of(self, path: Parts) -> tuple[Layer | None, Parts]:
        """The strongest layer that says most of *path*, and how much of it."""
        for length in range(len(path), 0, -1):
            for layer in reversed(self.layers):
                if layer.says(path[:length]):
                    return layer, path[:length]
        return None, ()


def in_order(problems: Iterable[Problem], origin: Origin) -> list[Problem]:
    """As they stand in the files, each once; those of variables and options after them."""
    files = {layer.file: n for n, layer in reversed(list(enumerate(origin.layers))) if layer.file}

    def place(problem: Problem) -> tuple[int, int]:
        where = problem.where or ""
        file, _, line = where.rpartition(":")
        if where in files:
            return files[where], 0
        return (files[file], int(line)) if file in files and line.isdigit() else (len(files), 0)

    return sorted(dict.fromkeys(problems), key=place)


def is_table(value: object) -> bool:
    """Whether it is a table of settings: not a value, nor a reference to a secret, which looks like one."""
    return isinstance(value, Mapping) and not is_reference(value)


def leaves(table: Mapping[str, Any], path: Parts = ()) -> Iterator[tuple[Parts, Any]]:
    """Every value below *table*, by its path; without what is the user's own."""
    for name, value in table.items():
        if name.startswith(FREE):
            continue
        if is_table(value):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """*above* laid over *below*: table by table, while a value or a list takes the place of what was there."""
    if not above:
        return below
    table = dict(below)
    for name, value in above.items():
        under = table.get(name)
        both = is_table(value) and is_table(under)
        table[name] = merged(under, value) if both and under is not None else value
    return MappingProxyType(table)
