"""``action:data.sanitize``: take out of data what others are not to see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from attrs.validators import ge, le
from oneiric_hookspecs import MASK, Action, hookimpl

from oneiric.plugins._requests import unfit
from oneiric.plugins._walk import MAX_DEPTH, SECRET_NAMES, Hiding, Names, Unwalkable, measure

KEY = "data.sanitize"


def _patterns(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...] | None) -> None:
    Names(value or ())


@attrs.frozen(eq=False, repr=False)
class Settings:
    """What is hidden.  Patterns have ``*`` and ``?``, in any case.

    A pattern without a dot means a name at any depth, in lists too; one with dots a path from the top, on which lists
    are no step: ``users.email``.

    Args:
        allow: Only this is kept, with all that is below; None keeps everything.
        drop: Left out; a request may add to it.
        mask: Shown as the mask, whatever it is; a request may add to it.
        text: The mask.
        max_depth: How many tables and lists may stand in one another.
        max_values: How many values there may be, tables and lists counted too.
    """

    allow: tuple[str, ...] | None = attrs.field(default=None, validator=_patterns)
    drop: tuple[str, ...] = attrs.field(default=(), validator=_patterns)
    mask: tuple[str, ...] = attrs.field(default=SECRET_NAMES, validator=_patterns)
    text: str = MASK
    max_depth: int = attrs.field(default=64, validator=[ge(1), le(MAX_DEPTH)])
    max_values: int = attrs.field(default=100_000, validator=ge(1))


@attrs.frozen(eq=False, repr=False)
class Request:
    """What is to be looked through.  Patterns are as in the settings.

    Args:
        data: Plain data.
        allow: Only this is kept of what the settings keep; None keeps all of that.
        drop: Left out, too.
        mask: Masked, too.
    """

    data: Any
    allow: tuple[str, ...] | None = attrs.field(default=None, validator=_patterns)
    drop: tuple[str, ...] = attrs.field(default=(), validator=_patterns)
    mask: tuple[str, ...] = attrs.field(default=(), validator=_patterns)


@attrs.frozen(eq=False, repr=False)
class Result:
    """What others may see.

    Args:
        data: A copy, without what is hidden.
        masked: How many values are masked.
        dropped: How many are left out, without those below them.
    """

    data: Any
    masked: int
    dropped: int


async def run(request: Request, settings: Settings) -> Result:
    """Copy what may be seen.  Raises: ActionError."""
    try:
        measure(request.data, depth=settings.max_depth, values=settings.max_values, at="data")
    except Unwalkable as error:
        raise unfit(KEY, error.path, str(error)) from None
    data, dropped = request.data, 0
    for allow in (settings.allow, request.allow):
        if allow is not None:
            data, more = _kept(data, Names(allow), ())
            dropped += more
    hiding = Hiding(
        Names((*settings.mask, *request.mask)),
        Names((*settings.drop, *request.drop)),
        depth=settings.max_depth,
        values=settings.max_values,
        text=settings.text,
    )
    data = hiding.copy(data)
    return Result(data, hiding.masked, hiding.dropped + dropped)


def _kept(data: Any, allow: Names, path: tuple[str, ...]) -> tuple[Any, int]:
    """What of *data* is allowed, and how many values are not; a table or list stays where something in it may."""
    if isinstance(data, Mapping):
        table, dropped = {}, 0
        for name, item in data.items():
            below = (*path, name.casefold())
            if allow.match(below):
                table[name] = item
            elif isinstance(item, (Mapping, list, tuple)):
                inside, more = _kept(item, allow, below)
                dropped += more
                if inside:
                    table[name] = inside
            else:
                dropped += 1
        return table, dropped
    if isinstance(data, (list, tuple)):
        kept = [_kept(item, allow, path) for item in data]
        return [item for item, _ in kept if item], sum(count for _, count in kept)
    return None, 1


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY,
        "Drop and mask what others are not to see",
        takes=Request,
        returns=Result,
        settings=Settings,
        run=run,
        idempotent=True,
    )
