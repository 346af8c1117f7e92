"""The secret source ``file``: files that hold one secret each.  ``[secrets] db = "file:/run/secrets/db"``.

Rules, in order; each is tested by its number.

R1  the path is absolute, or begins with ``~``
R2  it is opened anew each time, through whatever links there are by then; so a mount that is swapped is seen
R3  it is a regular file: opening it neither waits nor does anything
R4  as ``ssh`` has it, a file of this user's own is refused if its mode lets others at it; not so on a file system that
    is mounted read-only, where nobody could change the mode
R5  it has at most 64 KiB
R6  it is UTF-8; one line break at its end is no part of the secret; an empty file holds none
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from oneiric_hookspecs import Secret, SecretError, SecretSource, hookimpl

#: Bytes.
LARGEST = 64 * 1024


def get(path: str) -> Secret | None:
    """What the file holds; None where there is no such file, or an empty one.

    Raises:
        SecretError: One of the rules does not hold, or the file cannot be read.
    """
    try:
        file = Path(path).expanduser()
    except RuntimeError:
        raise SecretError(f"there is no home directory that {path} could begin with") from None
    if not file.is_absolute():
        raise SecretError("the path is relative", hint="write the whole path: file:/run/secrets/db")  # R1
    try:
        content = _read(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise SecretError(f"{file} may not be read by this user") from None
    except ValueError:
        raise SecretError(f"{str(file)!r} is no name of a file") from None
    except OSError as error:
        raise SecretError(f"{file} cannot be read: {error.strerror or error}") from None
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        place = error.start
    else:
        text = text.removesuffix("\n").removesuffix("\r")  # R6
        return Secret(text) if text else None
    # Outside of the handler, as the error of the decoder holds all that was read; and not among the locals here.
    del content
    raise SecretError(f"{file} is not UTF-8: byte {place + 1}")


def _read(file: Path) -> bytes:
    # R2; and without waiting for somebody to write into a pipe.
    handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOCTTY", 0))
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):  # R3
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise SecretError(f"{file} is {kind}")
        if status.st_uid == os.geteuid() and status.st_mode & 0o077 and not _read_only(handle):  # R4
            raise SecretError(
                f"{file} is open to others (mode {stat.S_IMODE(status.st_mode):04o})",
                hint=f"chmod 600 {file}",
            )
        with os.fdopen(os.dup(handle), "rb") as stream:
            content = stream.read(LARGEST + 1)
    finally:
        os.close(handle)
    if len(content) > LARGEST:  # R5
        raise SecretError(f"{file} has more than {LARGEST // 1024} KiB")
    return content


def _read_only(handle: int) -> bool:
    return bool(os.fstatvfs(handle).f_flag & os.ST_RDONLY)


@hookimpl
def oneiric_secret_sources() -> Iterable[SecretSource]:
    """Declare ``file``."""
    yield SecretSource("file", get, "a file that holds nothing else")
