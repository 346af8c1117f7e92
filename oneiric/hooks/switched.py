"""``plugins.toml``: what operators switched off, in the application's state directory.

It is read before anything is imported, and written whole: under another name first, then put in its place, while a
lock keeps other processes from doing the same.  So it is always the old one or the new one, and nobody's change is
lost.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from oneiric_hookspecs import Locked, Problem, SettingsError, StateError

from oneiric.installed import alike

FILE = "plugins.toml"
PATIENCE = 10.0  # seconds for another process to have written

_HEAD = "# Written by `oneiric plugins off` and `oneiric plugins on`.\n"


class Unwritable(StateError):
    """The file cannot be written."""

    exit_code = 4


@attrs.frozen
class Switch:
    """One that is off.

    Args:
        name: Of a plugin, an entry point or a distribution, as it was given.
        by: Who switched it off.
        at: When, in UTC.
        where: ``file:line``, the place where that is written.
    """

    name: str
    by: str
    at: datetime
    where: str = attrs.field(default="", eq=False)

    def __str__(self) -> str:
        return f"{FILE} ({self.by}, {self.at:%Y-%m-%d %H:%M} UTC)"


@attrs.frozen
class SwitchFile:
    """The ``plugins.toml`` of a state directory.

    Args:
        folder: The state directory; made when something is written.
    """

    folder: Path

    @property
    def file(self) -> Path:
        """Its path."""
        return self.folder / FILE

    def read(self) -> dict[str, Switch]:
        """What is off, by names that can be compared (``alike``); nothing where there is no file.

        Raises:
            SettingsError: It is damaged, or cannot be read; where, and what to do.
        """
        text = self._text()
        if text is None:
            return {}
        return self._switches(self._tables(text), text)

    def off(self, names: Iterable[str], by: str, at: datetime) -> list[Switch]:
        """Switch *names* off; those that are keep who did it, and when.

        Returns:
            Those that were not off before.
        Raises:
            SettingsError: What is there is damaged.
            StateError: It cannot be written.
        """
        new: list[Switch] = []

        def change(tables: dict[str, Any], there: dict[str, Switch]) -> None:
            for name in names:
                if alike(name) not in there:
                    # A file holds text; what is no text in an argument is written out.
                    name = name.encode(errors="backslashreplace").decode()
                    switch = there[alike(name)] = Switch(name, by, at.astimezone(UTC).replace(microsecond=0))
                    tables.setdefault("off", {})[name] = {"by": by, "at": switch.at}
                    new.append(switch)

        self._change(change)
        return new

    def on(self, names: Iterable[str]) -> list[Switch]:
        """Take back ``off`` for *names*.

        Returns:
            Those that were off.
        Raises:
            SettingsError: What is there is damaged.
            StateError: It cannot be written.
        """
        wanted, gone = set(map(alike, names)), dict[str, Switch]()

        def change(tables: dict[str, Any], there: dict[str, Switch]) -> None:
            # All that are alike: somebody may have written another spelling of it.
            for name in [name for name in tables.get("off", ()) if alike(name) in wanted]:
                del tables["off"][name]
                gone[alike(name)] = there[alike(name)]

        if self.read():
            self._change(change)
        return list(gone.values())

    # --- how it is done ------------------------------------------------------------------------------------------

    def _text(self) -> str | None:
        try:
            return self.file.read_bytes().decode()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnicodeDecodeError as error:
            raise self._damaged(f"is not UTF-8: byte 0x{error.object[error.start]:02x}") from None
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise SettingsError(
                [Problem("", message, str(self.file), "it says which plugins are off; make it readable")]
            ) from None

    def _tables(self, text: str) -> dict[str, Any]:
        import tomllib  # hardly anybody has such a file

        try:
            return tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            said = " ".join(str(error).split())
            place = re.search(r" \(at line (\d+), column \d+\)$", said)
            raise self._damaged(
                f"is not TOML: {said[: place.start()] if place else said}", int(place[1]) if place else None
            ) from None

    def _switches(self, tables: dict[str, Any], text: str) -> dict[str, Switch]:
        table = tables.get("off", {})
        if not isinstance(table, dict):
            raise self._damaged("expected a table [off]", self._line(text, "off"))
        found = {}
        for name, one in table.items():
            line = self._line(text, name)
            if not isinstance(one, dict) or not isinstance(one.get("by", ""), str):
                raise self._damaged(f'expected a table [off."{name}"] with by and at', line)
            at = one.get("at")
            if not isinstance(at, datetime) or at.tzinfo is None:
                raise self._damaged(f'[off."{name}"] has no time at = 2026-01-31T12:00:00Z', line)
            where = f"{self.file}:{line}" if line else str(self.file)
            found[alike(name)] = Switch(name, one.get("by", "somebody"), at.astimezone(UTC), where)
        return found

    def _line(self, text: str, name: str) -> int | None:
        """The first line that has *name*: near enough, in a file of a few tables."""
        return next((n for n, line in enumerate(text.splitlines(), 1) if name in line), None)

    def _damaged(self, message: str, line: int | None = None) -> SettingsError:
        hint = "mend it, or remove it: then what it switched off is on again"
        return SettingsError([Problem("", message, f"{self.file}:{line}" if line else str(self.file), hint)])

    def _change(self, change: Callable[[dict[str, Any], dict[str, Switch]], None]) -> None:
        import tomli_w

        with self._locked():
            text = self._text()
            tables = {} if text is None else self._tables(text)
            change(tables, self._switches(tables, text or ""))
            if not tables.get("off", True):
                del tables["off"]
            write_whole(self.file, _HEAD + tomli_w.dumps(tables))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / f"{FILE}.lock", timeout=PATIENCE):
                yield
        except Timeout:
            raise Locked(
                f"{self.file} is being written by another process", hint="try again; see its .lock file"
            ) from None
        except OSError as error:
            raise Unwritable(
                f"{self.file} cannot be written: {error.strerror or error}",
                hint="set ONEIRIC_STATE_DIR, or [app] state_dir, to a directory of your own; "
                "or write the name into [plugins] off",
            ) from error


def write_whole(file: Path, text: str) -> None:
    """Put *text* in the place of *file*: whoever reads it gets the old one or the new one.

    Raises:
        OSError: It cannot be written; what was there is as it was.
    """
    import tempfile

    # A name of its own: of two that write at once neither writes into the other's.
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - it is open already
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # a name is the folder's content
    finally:
        os.close(folder)
