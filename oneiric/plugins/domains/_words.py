"""What the words of domains share: input from the command line, and a runtime to give it to."""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import click
from oneiric_hookspecs import CommandContext, Host

from oneiric.plugins._json import no_constant, once


def takes_input(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``--input`` and ``--param``; read them by ``payload``."""
    command = click.option(
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        help="One field of the input; VALUE is JSON, else a text; a.b=1 reaches into tables; may be repeated.",
    )(command)
    return click.option(
        "--input", "source", metavar="JSON|@FILE|-", help="The input as JSON: here, in a file, or on stdin."
    )(command)


def payload(source: str | None, params: Sequence[str], texts: frozenset[str] = frozenset()) -> Any:
    """The input that a command was given.

    Args:
        source: As of ``--input``; None is an empty table.
        params: As of ``--param``, laid over it.
        texts: Fields that are texts, whose values are taken as they are.
    Raises:
        click.UsageError: It is not JSON, cannot be read, or is not of the form NAME=VALUE.
    """
    value = {} if source is None else _read(source)
    for param in params:
        name, equals, text = param.partition("=")
        if not equals or not name:
            raise click.UsageError(f"--param is NAME=VALUE, found {param!r}")
        if not isinstance(value, dict):
            raise click.UsageError("--param sets a field of a table, and --input is none")
        table, parts = value, name.split(".")
        for part in parts[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise click.UsageError(f"--param {name}: {part} is no table")
        table[parts[-1]] = text if name in texts else _value(text)
    return value


def with_host(context: CommandContext, run: Callable[[Host], Awaitable[None]]) -> None:
    """Await ``run(host)`` with a started runtime, which is closed at the end."""

    async def within() -> None:
        async with context.host() as host:
            await run(host)

    asyncio.run(within())


def loads(text: str | bytes) -> Any:
    """Strict JSON: a name stands once in an object, and numbers are finite.

    Raises:
        ValueError: It is not.
    """
    return json.loads(text, object_pairs_hook=once, parse_constant=no_constant, parse_float=_finite)


def _read(source: str) -> Any:
    if source == "-":
        what, text = "stdin", sys.stdin.read()
    elif source.startswith("@"):
        what = source[1:]
        try:
            text = Path(what).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise click.UsageError(f"--input {source}: cannot be read: {reason}") from None
    else:
        what, text = "--input", source
    try:
        return loads(text)
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise click.UsageError(f"{what} is not JSON: {said[:1].lower()}{said[1:]}") from None


def _value(text: str) -> Any:
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return text


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large")
    return number
