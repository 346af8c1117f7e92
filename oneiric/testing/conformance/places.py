"""Where something of a kit is written."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import Candidate

if TYPE_CHECKING:
    from .kit import Kit


def where(thing: Any) -> str | None:
    """``file:line`` of a module, class, function or object; None where it was not written in Python."""
    if inspect.ismodule(thing):
        return f"{thing.__file__}:1" if getattr(thing, "__file__", None) else None
    if callable(thing):
        thing = inspect.unwrap(thing)
    thing = getattr(thing, "func", thing)  # of a partial
    thing = getattr(thing, "__func__", thing)
    code = getattr(thing, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    cls = thing if inspect.isclass(thing) else type(thing)
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return None


def factory_of(candidate: Candidate) -> Any:
    """Its factory; one that is named is imported, and one of an action is what it runs.

    Raises:
        Exception: Whatever importing it raises.
    """
    factory = candidate.factory
    if not isinstance(factory, str):
        action = getattr(factory, "action", None)
        return factory if action is None else action.run
    if factory.startswith("ep:"):
        from importlib.metadata import entry_points

        for entry in entry_points(group="oneiric.factories", name=factory.removeprefix("ep:")):
            return entry.load()
        raise LookupError(f"there is no entry point {factory.removeprefix('ep:')} in oneiric.factories")
    module, _, path = factory.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def of_candidate(kit: Kit, candidate: Candidate) -> str | None:
    """Where its factory is; else where the kit is."""
    try:
        return where(factory_of(candidate)) or kit.where
    except Exception:
        return kit.where  # what is wrong with the factory is another rule's matter


def of_field(cls: type, name: str) -> str | None:
    """The line of a class at which a field is written; that of the class where it is nowhere."""
    place = where(cls)
    try:
        lines, first = inspect.getsourcelines(cls)
    except (OSError, TypeError):
        return place
    for number, line in enumerate(lines):
        if re.match(rf"\s+{re.escape(name)}\s*[:=]", line):
            return f"{inspect.getsourcefile(cls)}:{first + number}"
    return place


def nearer(place: str | None) -> str | None:
    """*place* below the working directory, where it is there."""
    if place is None:
        return None
    file, colon, line = place.rpartition(":")
    try:
        return f"{Path(file).relative_to(Path.cwd())}{colon}{line}"
    except ValueError:
        return place
