"""What the words share: options, passphrases, days."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from oneiric.plugins.pinned import keys
from oneiric.plugins.pinned.publishing import parse_when

DAY = 86_400
#: A file or folder on the command line.
PATH: Any = click.Path(path_type=Path)


def takes_passphrase(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--passphrase-env``."""
    return click.option(
        "--passphrase-env",
        metavar="VARIABLE",
        help="Where the passphrase of the key is; else it is asked for.",
    )(command)


def passphrase_from(variable: str) -> str:
    """The passphrase in a variable of the environment.  Raises: click.UsageError, it is not set."""
    found = os.environ.get(variable)
    if not found:
        raise click.UsageError(f"the variable {variable} is not set, or empty")
    return found


def private_key(path: Path, variable: str | None) -> Any:
    """The private key of a file, with its passphrase where it has one."""
    if not keys.is_locked(path):
        return keys.load(path, None)
    if variable is not None:
        return keys.load(path, passphrase_from(variable))
    return keys.load(path, click.prompt(f"passphrase of {path}", hide_input=True, err=True))


def takes_times(days: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options ``--expires`` and ``--issued``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option(
            "--issued", metavar="TIME", help="When it was made, YYYY-MM-DDThh:mm:ssZ; now by default."
        )(command)
        return click.option(
            "--expires",
            "days",
            type=click.IntRange(1, 36_500),
            default=days,
            show_default=True,
            metavar="DAYS",
            help="For how long it holds.",
        )(command)

    return decorate


def times(issued: str | None, days: int) -> tuple[int, int]:
    """When something is issued, and when it expires.  Raises: click.UsageError."""
    try:
        began = parse_when(issued, time.time())
    except ValueError:
        raise click.UsageError(f"--issued is a time, YYYY-MM-DDThh:mm:ssZ, found {issued!r}") from None
    return began, began + days * DAY


def of_threshold(done: int, threshold: int) -> str:
    """How far signing is."""
    return f"{done} of {threshold}" + ("" if done < threshold else ", enough")
