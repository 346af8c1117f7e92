"""What stands for something else in the arguments of a node: ``{"$result": "fetch.items.0"}``, ``{"$payload": ""}``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import JSON, RunError

from oneiric.plugins._paths import MISSING, find, parse, shown

#: What a table consists of that stands for something else.
RESULT, PAYLOAD = "$result", "$payload"
#: Gives the arguments, of the results of nodes and the payload of the run.
Fill = Callable[[Mapping[str, JSON], JSON], JSON]


@attrs.frozen
class Reference:
    """One of these tables.

    Args:
        node: Whose result; empty for the payload.
        path: The part of it; empty for all.
    """

    node: str
    path: tuple[str, ...]

    def __call__(self, results: Mapping[str, JSON], payload: JSON) -> JSON:
        """What it stands for; a value of one's own.

        Raises:
            RunError: There is no such part.
        """
        found = find(results[self.node] if self.node else payload, self.path)
        if found is MISSING:
            whose = f"the result of {self.node}" if self.node else "the payload"
            raise RunError(f"there is nothing at {shown(self.path)} in {whose}")
        return copied(found)


def copied(value: Any) -> Any:
    """A copy of plain data, so that nobody changes what others are given."""
    if value.__class__ is dict:
        return {name: copied(item) for name, item in value.items()}
    if value.__class__ is list:
        return [copied(item) for item in value]
    return value


def references(args: Any) -> Iterator[Reference]:
    """Those in some arguments.

    Raises:
        ValueError: One is not well formed.
    """
    if (found := _reference(args)) is not None:
        yield found
    elif isinstance(args, Mapping):
        for item in args.values():
            yield from references(item)
    elif isinstance(args, (list, tuple)):
        for item in args:
            yield from references(item)


def compiled(args: Any) -> Fill | None:
    """What fills in some arguments, which are well formed; None where they are the same each time and cannot change."""
    if args is None or args.__class__ in (str, int, float, bool):
        return None
    if (found := _reference(args)) is not None:
        return found
    parts: Any
    if isinstance(args, Mapping):
        parts = {name: (compiled(item), item) for name, item in args.items()}

        def table(results: Mapping[str, JSON], payload: JSON) -> JSON:
            return {
                name: item if fill is None else fill(results, payload) for name, (fill, item) in parts.items()
            }

        return table
    if isinstance(args, (list, tuple)):
        parts = [(compiled(item), item) for item in args]

        def row(results: Mapping[str, JSON], payload: JSON) -> JSON:
            return [item if fill is None else fill(results, payload) for fill, item in parts]

        return row
    return None


def _reference(value: Any) -> Reference | None:
    """What a table stands for; None where it is just a table."""
    if not isinstance(value, Mapping) or not (RESULT in value or PAYLOAD in value):
        return None
    word = RESULT if RESULT in value else PAYLOAD
    if len(value) != 1:
        raise ValueError(f"a table with {word} has nothing beside it")
    path = value[word]
    if not isinstance(path, str):
        raise ValueError(f"{word} is followed by a path, found {path!r}")  # noqa: TRY004 - it is told with others
    if word == PAYLOAD:
        return Reference("", parse(path) if path else ())
    node, *rest = parse(path)
    return Reference(node, tuple(rest))
