"""What is said when a file cannot be used: what, where, and what to do."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

from oneiric_hookspecs import Locked, StateError


def choose(setting: str) -> str:
    """What to do about a file that is in the way."""
    return f"move it away, or name another file: {setting}"


def explained(
    error: sqlite3.Error | OSError, path: Path, busy_timeout: float, setting: str = "[state] url"
) -> StateError:
    """*error* in words; nothing is damaged.

    Args:
        error: What was raised.
        path: The file.
        busy_timeout: How many seconds were waited for another process.
        setting: Which one names the file.
    """
    where = str(path)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    number = error.errno if isinstance(error, OSError) else None
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        message = f"another process has been writing to it for {busy_timeout:g} s"
        return Locked(message, where=where, hint="try again; find that process if it goes on")
    if code == sqlite3.SQLITE_FULL or number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StateError(
            "the disk is full; nothing was changed", where=where, hint="make room, and try again"
        )
    if code in (
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_CANTOPEN,
    ) or (number in (errno.EACCES, errno.EPERM, errno.EROFS)):
        return StateError(
            f"it cannot be opened or written: {error}",
            where=where,
            hint="this user needs to write to the file and to its folder; ONEIRIC_STATE_DIR names another folder",
        )
    if isinstance(error, IsADirectoryError):
        return StateError("it is a folder", where=where, hint=f"name a file: {setting}")
    if isinstance(error, NotADirectoryError):
        return StateError("one of the folders above it is a file", where=where, hint=choose(setting))
    if code == sqlite3.SQLITE_IOERR or isinstance(error, OSError):
        return StateError(
            f"the disk does not take it: {error}; nothing was changed",
            where=where,
            hint="make room, or see what the system says about that disk",
        )
    return StateError(f"it cannot be used: {error}", where=where, hint="oneiric doctor")
