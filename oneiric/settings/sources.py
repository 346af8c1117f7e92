"""Where settings come from: finding the files, and reading them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from oneiric_hookspecs import Problem, SettingsError

FILE_NAME = "oneiric.toml"
VARIABLE = "ONEIRIC_CONFIG"

_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class Found(NamedTuple):
    """Where a settings file was looked for.

    Args:
        files: Those to read, the weakest first.
        considered: Every place that was looked at, in that order.
        named_by: What named the files; None where they were looked for.
    """

    files: tuple[Path, ...]
    considered: tuple[Path, ...]
    named_by: str | None = None


def configured(environ: Mapping[str, str]) -> Found:
    """The files that ``ONEIRIC_CONFIG`` names, else the nearest ``oneiric.toml`` from here upward, else none.

    ``ONEIRIC_CONFIG`` may name several, separated as in ``PATH``; the later ones are laid over the earlier ones.
    """
    named = tuple(Path(each) for each in environ.get(VARIABLE, "").split(os.pathsep) if each)
    if named:
        return Found(named, named, VARIABLE)
    try:
        here = Path.cwd()
    except OSError:
        # The working directory has been removed under us: nothing is above it.
        return Found((), ())
    considered: list[Path] = []
    for folder in (here, *here.parents):
        considered.append(folder / FILE_NAME)
        # A dangling link or a folder of that name is found too, and then said to be wrong, not passed over.
        if os.path.lexists(considered[-1]):
            return Found((considered[-1],), tuple(considered))
    return Found((), tuple(considered))


def read(file: Path) -> tuple[dict[str, Any], str]:
    """The tables of *file*, and its text.

    Raises:
        SettingsError: It cannot be read, is not UTF-8 or not TOML.
    """
    import tomllib  # not every application has a file

    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise _unreadable(file, "there is no such file") from None
    except IsADirectoryError:
        raise _unreadable(
            file, f"is a directory, not a file of settings; is {file / FILE_NAME} meant?"
        ) from None
    except PermissionError:
        raise _unreadable(file, "may not be read by this user") from None
    except (OSError, ValueError) as error:
        raise _unreadable(file, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        # Some editors on Windows begin a file with a mark of UTF-8.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unreadable(f"{file}:{line}", f"is not UTF-8: byte 0x{data[error.start]:02x}") from None
    try:
        return tomllib.loads(text), text
    except RecursionError:
        raise _unreadable(file, "is nested too deeply") from None
    except ValueError as error:
        raise _not_toml(file, text, str(error)) from None


def _unreadable(where: object, message: str) -> SettingsError:
    return SettingsError([Problem("", message, str(where))])


def _not_toml(file: Path, text: str, said: str) -> SettingsError:
    place = _PLACE.search(said)
    message = " ".join(said[: place.start()].split()) if place else " ".join(said.split())
    # An integer of thousands of digits is refused without a place.
    where = str(file) if place is None else f"{file}:{place[1] or max(1, len(text.splitlines()))}"
    return _unreadable(where, f"is not TOML: {message[:1].lower()}{message[1:]}")
