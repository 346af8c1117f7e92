"""What is at the place of a SQLite state store, said without making or changing anything."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from oneiric_hookspecs import Corrupt, StateError, StoreFinding

from oneiric.plugins import _sqlite
from oneiric.plugins._state import decode
from oneiric.plugins._telling import explained

from . import _tables
from ._telling import of_something_else, too_new


def is_ours(path: Path) -> bool:
    """Whether a file that is no sound database was a store of ours."""
    return _sqlite.was_ours(path, _tables.APPLICATION)


def findings(path: Path, known: int) -> Iterator[StoreFinding]:
    """What is there; *known* is the version of the schema that this program has."""
    where = str(path)
    try:
        there = _sqlite.identity(path)
    except OSError as error:
        yield _error(explained(error, path, 0))
        return
    if there is None:
        yield StoreFinding("note", "there is no state yet; it begins with the first change", where)
        yield from _writable(path)
        return
    if not path.is_file():
        yield _error(StateError("it is no file", where=where, hint="name a file: [state] url"))
        return
    yield from _aside(path)
    try:
        version, said, damaged = _examined(path, known)
    except StateError as error:
        yield _error(error)
        return
    if said != "ok":
        yield StoreFinding(
            "error",
            f"it is damaged: {said.splitlines()[-1]}",
            where,
            "it will be set aside at the next start, and state begins anew; to keep it for a look, copy it now",
        )
        return
    later = f", and will be brought to {known}" if version < known else ""
    yield StoreFinding("note", f"sound, schema {version}{later}", where)
    for each in damaged:
        yield StoreFinding(
            "warning", each, where, "a wish of operators is taken back by: oneiric unpin, oneiric resume"
        )
    yield from _writable(path)


def peeked(path: Path, prefix: str, known: int) -> list[tuple[str, str, int]]:
    """Key, text and revision of everything that begins with *prefix*; nothing where there is no file.

    Not examined for damage, which takes as long as there is much in it.

    Raises:
        StateError: It cannot be read, is not ours, or of a later version.
    """
    if not path.is_file():
        return []
    try:
        with contextlib.closing(_open(path)) as db:
            found = _tables.version_of(db)
            if found is None:
                raise of_something_else(path)
            if found > known:
                raise too_new(path, found, known)
            return _tables.scan(db, prefix) if found else []
    except sqlite3.Error as error:
        raise explained(error, path, 1.0) from error


def _examined(path: Path, known: int) -> tuple[int, str, list[str]]:
    """The version of the schema; ``"ok"``, or how the file is damaged; single values that are.  Raises: StateError."""
    version = 0
    try:
        with contextlib.closing(_open(path)) as db:
            found = _tables.version_of(db)
            if found is None:
                raise of_something_else(path)
            if found > known:
                raise too_new(path, found, known)
            version = found
            said = str(db.execute("PRAGMA quick_check(1)").fetchone()[0]) if version else "ok"
            return version, said, _unread(db) if version and said == "ok" else []
    except sqlite3.Error as error:
        if not _sqlite.is_broken(error):
            raise explained(error, path, 1.0) from error
        if not is_ours(path):
            raise of_something_else(path) from error
        return version, str(error), []


def _unread(db: sqlite3.Connection) -> list[str]:
    """What is wrong with values that are none."""
    found = []
    for key, text, _ in _tables.scan(db, ""):
        try:
            decode(text, f"the value of {key}")
        except Corrupt as error:
            found.append(error.message)
    return found


def _open(path: Path) -> sqlite3.Connection:
    # Without a log nobody has it open, and all of it is in the file: opened as one that does not change, it is read
    # without locks, and without the log that any other way of opening would make.
    alone = not Path(f"{path}-wal").exists()
    uri = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if alone else ''}"
    return sqlite3.connect(uri, uri=True, timeout=1.0, isolation_level=None)


def _aside(path: Path) -> Iterator[StoreFinding]:
    with contextlib.suppress(OSError):  # a folder that cannot be listed is told of below
        for each in sorted(path.parent.iterdir()):
            number = each.name.removeprefix(f"{path.name}.corrupt-")
            if number != each.name and number.isdecimal():
                yield StoreFinding(
                    "warning",
                    "it was damaged, and set aside; what was in it is not in force",
                    str(each),
                    "delete it when nobody wants to look at it any more",
                )


def _writable(path: Path) -> Iterator[StoreFinding]:
    nearest = next(each for each in (path, *path.parents) if each.exists())
    folder = nearest if nearest.is_dir() else nearest.parent
    if nearest is not path and not nearest.is_dir():
        yield StoreFinding(
            "error", "one of the folders above it is a file", str(nearest), "name another file: [state] url"
        )
    elif not os.access(nearest, os.W_OK) or not os.access(folder, os.W_OK | os.X_OK):
        yield StoreFinding(
            "error",
            "this user cannot write there",
            str(nearest),
            "this user needs to write to the file and to its folder; ONEIRIC_STATE_DIR names another folder",
        )


def _error(error: StateError) -> StoreFinding:
    return StoreFinding("error", error.message, error.where, error.hint)
