"""``action:debug.console``: say something to whoever watches.

What cannot be said is told in the result; nothing is raised into who wanted it said.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from typing import Any, Literal

import attrs
from attrs.validators import ge, le
from oneiric_hookspecs import Action, hookimpl

from oneiric.plugins._plain import plain
from oneiric.plugins._walk import MAX_DEPTH, SECRET_NAMES, Hiding, Names, one_line

KEY = "debug.console"
Level = Literal["debug", "info", "warning", "error", "critical"]


def _patterns(_: object, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    Names(value)


@attrs.frozen(eq=False, repr=False)
class Settings:
    """What is said, and where.

    Args:
        level: What is less than this is not said at all.
        echo: Whether it is written to stderr, too, where a request does not say.
        logger: The name of the logger.
        mask: Names of details that are shown as ``***``, at any depth: patterns with ``*``, in any case.
        max_message: Characters of a message that are shown.
        max_depth: How deep details are shown.
        max_values: How many of them.
    """

    level: Level = "debug"
    echo: bool = False
    logger: str = "oneiric.console"
    mask: tuple[str, ...] = attrs.field(default=SECRET_NAMES, validator=_patterns)
    max_message: int = attrs.field(default=2000, validator=[ge(1), le(100_000)])
    max_depth: int = attrs.field(default=8, validator=[ge(1), le(MAX_DEPTH)])
    max_values: int = attrs.field(default=200, validator=[ge(1), le(100_000)])


@attrs.frozen(eq=False, repr=False)
class Request:
    """What is to be said.

    Args:
        message: A sentence.
        level: How much it matters.
        details: Plain data that belong to it.
        echo: Whether it is written to stderr, too; None is as the settings say.
    """

    message: str
    level: Level = "info"
    details: dict[str, Any] = attrs.field(factory=dict)
    echo: bool | None = None


@attrs.frozen(eq=False, repr=False)
class Result:
    """What was said.

    Args:
        said: The line, without what is secret and without control characters; empty where the level is too low.
        logged: Whether the logger took it.
        echoed: Whether it was written to stderr.
        trouble: Why it could not be said; empty where it could, or was not to be.
    """

    said: str
    logged: bool
    echoed: bool
    trouble: str = ""


def run(request: Request, settings: Settings) -> Result:
    """Say it.  Never raises: not even where stderr is gone, or a handler of the logger fails."""
    number = logging.getLevelNamesMapping()[request.level.upper()]
    if number < logging.getLevelNamesMapping()[settings.level.upper()]:
        return Result("", logged=False, echoed=False)
    trouble: list[str] = []
    said = _line(request, settings, trouble)
    logger = logging.getLogger(settings.logger)
    logged = echoed = False
    try:
        if logger.isEnabledFor(number):
            logger.log(number, "%s", said)
            logged = True
    except Exception as error:
        trouble.append(f"the logger failed: {type(error).__name__}")
    if settings.echo if request.echo is None else request.echo:
        try:
            sys.stderr.write(f"{request.level}: {said}\n")
            sys.stderr.flush()
            echoed = True
        except Exception as error:  # it is closed, a broken pipe, or None
            trouble.append(f"stderr failed: {type(error).__name__}")
    return Result(said, logged, echoed, "; ".join(trouble))


def _line(request: Request, settings: Settings, trouble: list[str]) -> str:
    line = one_line(request.message, settings.max_message)
    if not request.details:
        return line
    try:
        hiding = Hiding(Names(settings.mask), depth=settings.max_depth, values=settings.max_values)
        details = json.dumps(plain(hiding.copy(request.details)), default=str)
        return f"{line} {one_line(details, 10 * settings.max_message)}"
    except Exception as error:
        trouble.append(f"the details cannot be shown: {type(error).__name__}")
        return line


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY, "Say something to whoever watches", takes=Request, returns=Result, settings=Settings, run=run
    )
