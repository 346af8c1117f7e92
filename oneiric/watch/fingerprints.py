"""What is seen of a file without reading it, and what its content hashes to."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple


class Fingerprint(NamedTuple):
    """One look at a path; two that are equal were of one file, with one content as far as the system says.

    Args:
        resolved: Where the path leads now, through all links.
        device: The file's device.
        inode: Its number there.
        size: Its bytes.
        mtime_ns: When its content was changed.
        ctime_ns: When anything about it was: a change that kept its time, or who may read it.
        trouble: Why it cannot be seen, ``ENOENT``, ``EACCES``; empty where it can.
    """

    resolved: str
    device: int = 0
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0
    ctime_ns: int = 0
    trouble: str = ""


def fingerprint(path: Path) -> Fingerprint:
    """Look at *path*; never raises: what cannot be seen has a fingerprint, too."""
    resolved = str(path)
    try:
        resolved = os.path.realpath(path)
        # The path, and not where it led a moment ago: a link may have moved in between.
        found = path.stat()
    except (OSError, ValueError) as error:
        return Fingerprint(resolved, trouble=_name_of(error))
    return Fingerprint(
        resolved, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )


class Content(NamedTuple):
    """What files hold.

    Args:
        digest: Equal digests, equal content; of files that cannot be read, why not.
        readable: Whether all of them could be read.
    """

    digest: str
    readable: bool


def content(files: Iterable[Path]) -> Content:
    """Read *files*; never raises."""
    found: list[bytes | str] = []
    for file in files:
        try:
            found.append("a pipe or a device" if is_endless(file) else file.read_bytes())
        except (OSError, ValueError) as error:
            found.append(_name_of(error))
    return Content(digest_of(found), all(isinstance(each, bytes) for each in found))


def is_endless(path: Path) -> bool:
    """Whether reading *path* might never end: a pipe nobody writes to, a device.  Raises: OSError."""
    mode = path.stat().st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def digest_of(contents: Sequence[bytes | str]) -> str:
    """The digest of what several files hold, in their order; a text stands for one that cannot be read."""
    import hashlib  # it loads openssl

    whole = hashlib.sha256()
    for each in contents:
        # The mark with which some editors begin a file of UTF-8 is no content.
        data = each.removeprefix(codecs.BOM_UTF8) if isinstance(each, bytes) else each.encode()
        whole.update(f"{'read' if isinstance(each, bytes) else 'not'} {len(data)}\n".encode())
        whole.update(data)
    return whole.hexdigest()


def _name_of(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return type(error).__name__ if number is None else errno.errorcode.get(number, str(number))
