"""Reading a file that a request names, inside folders that the settings allow.

F1  A path is resolved first, links and ``..`` too; what it comes to lies in one of the folders, or it is refused.
F2  It is then opened from that folder, a part at a time, and no part is a link any more: what is exchanged for a link
    in the meantime is not followed.
F3  It is a plain file: no pipe, device or folder; opening waits for nobody.
F4  What is said about a path outside is the same, whether something is there or not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO


class Refused(ValueError):
    """The file may not be read, or cannot; the text says why."""


def open_inside(path: str, roots: Sequence[Path]) -> BinaryIO:
    """Open a file for reading.

    Args:
        path: Absolute, or relative to the first of *roots* in which it is.
        roots: The folders that may be read from; those that are not there are passed over.
    Raises:
        Refused: It may not be read, or cannot.
    """
    if not roots:
        raise Refused("no folder is open for reading")
    if not path or "\0" in path:
        raise Refused("is no path of a file")
    for root in roots:
        try:
            folder = os.path.realpath(root, strict=True)
            target = os.path.realpath(Path(folder, path), strict=True)
            inside = os.path.commonpath([folder, target]) == folder  # F1
        except (OSError, ValueError):
            continue
        if inside and target == folder:
            raise Refused("is no plain file")
        if inside:
            return _opened(folder, os.path.relpath(target, folder))
    raise Refused("is no file in a folder that is open for reading")  # F4


def _opened(folder: str, relative: str) -> BinaryIO:
    *folders, name = Path(relative).parts
    here = -1
    try:
        here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in folders:  # F2
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            deeper = os.open(part, flags, dir_fd=here)
            os.close(here)
            here = deeper
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        opened = os.open(name, flags, dir_fd=here)
    except OSError as error:
        raise Refused(f"cannot be read: {(error.strerror or 'it is not there').lower()}") from None
    finally:
        if here >= 0:
            os.close(here)
    if not stat.S_ISREG(os.fstat(opened).st_mode):  # F3
        os.close(opened)
        raise Refused("is no plain file")
    return open(opened, "rb", closefd=True)  # noqa: PTH123 - it is open already
