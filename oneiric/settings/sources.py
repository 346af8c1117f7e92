"""Where settings come from: finding the file, reading it, and knowing afterwards where something was written."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
from oneiric_hookspecs import Problem, SettingsError

from .lines import line_of, positions
from .plain import Parts

FILE_NAME = "oneiric.toml"

_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@attrs.frozen
class Origin:
    """Knows where a value was written.

    Args:
        file: As it is shown; None for a mapping given in code.
        text: What the file held when it was read: it may have changed since.
        variables: The environment variable that set a path.
    """

    file: str | None = None
    text: str = attrs.field(default="", repr=False)
    variables: Mapping[Parts, str] = MappingProxyType({})

    def where(self, path: Parts) -> str | None:
        """The variable, or ``file:line``, that set *path* or what encloses it most closely."""
        if path and str(path[0]).startswith("ONEIRIC_"):
            return None  # a variable is its own place
        for length in range(len(path), 0, -1):
            if path[:length] in self.variables:
                return self.variables[path[:length]]
        if self.file is None:
            return None
        line = line_of(self._lines, path)
        return self.file if line is None else f"{self.file}:{line}"

    @functools.cached_property
    def _lines(self) -> dict[Parts, int]:
        return positions(self.text)


def configured_file(environ: Mapping[str, str]) -> Path | None:
    """The file that ``ONEIRIC_CONFIG`` names, else the nearest ``oneiric.toml`` from here upward, else None."""
    named = environ.get("ONEIRIC_CONFIG")
    if named:
        return Path(named)
    try:
        here = Path.cwd()
    except OSError:
        # The working directory has been removed under us: nothing is above it.
        return None
    for folder in (here, *here.parents):
        # A dangling link or a folder of that name is found too, and then said to be wrong, not passed over.
        if os.path.lexists(folder / FILE_NAME):
            return folder / FILE_NAME
    return None


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
