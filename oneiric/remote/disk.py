"""Files that are there whole after a crash, or not at all.  Every operation on a file passes through ``Disk.do``.

A file is written under a name that nobody has, brought to the disk, and renamed; then its folder is too.
What is read is a regular file: a link, a pipe or a device in its place is an error, and nobody waits for it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar, cast

from oneiric_hookspecs import RemoteError

P = ParamSpec("P")
T = TypeVar("T")

#: How the names of files begin that are being written.
UNFINISHED = ".new-"
#: Seconds for which nobody takes away what nobody refers to: somebody may be about to.
RECENT = 3600.0
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting for whoever would write into a pipe.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Written:
    """The one thing that is done to a file that is being written."""

    def __init__(self, disk: Disk, handle: int) -> None:
        self._disk, self._handle = disk, handle

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[self._disk.do("write", os.write, self._handle, left) :]
        return len(data)


class Disk:
    """What is done to files."""

    def do(self, step: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do one step.  A test may fail, or die, before it and after it.

        Args:
            step: Which kind: ``open write fsync replace fsync-folder touch remove mkdir read list``.
            call: What does it.
            args: What it is called with.
            kwargs: The same.
        """
        return call(*args, **kwargs)

    def write(self, path: Path, data: bytes) -> None:
        """Put *data* in the place of whatever *path* is.

        Raises:
            OSError: It could not be done; *path* is what it was.
        """

        def bring(file: BinaryIO) -> None:
            file.write(data)

        self.fill(path, bring)

    def fill(self, path: Path, bring: Callable[[BinaryIO], object]) -> None:
        """As ``write``, for what is brought in pieces.

        Args:
            path: What it is to become.
            bring: Writes the bytes; where it raises, so does this, and *path* is what it was.
        """
        new = path.with_name(f"{UNFINISHED}{os.getpid()}-{secrets.token_hex(8)}")
        try:
            handle = self.do("open", os.open, new, _NEW, 0o600)
            try:
                bring(cast("BinaryIO", _Written(self, handle)))
                self.do("fsync", os.fsync, handle)
            finally:
                os.close(handle)
            self.do("replace", os.replace, new, path)
        except BaseException:
            try:
                new.unlink()
            except OSError:
                pass  # it was renamed, or never there; what stays is swept away with what nobody refers to
            raise
        self.settle(path.parent)

    def settle(self, folder: Path) -> None:
        """Bring the names in *folder* to the disk."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.do("fsync-folder", os.fsync, handle)
        finally:
            os.close(handle)

    def read(self, path: Path, limit: int) -> bytes | None:
        """What *path* holds; None where there is nothing.

        Args:
            path: A regular file.
            limit: The most bytes it may have.
        Raises:
            OSError: It cannot be read, is something else, or is longer.
        """
        try:
            handle = self.do("read", os.open, path, _READ)
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", str(path))
            if found.st_size > limit:
                raise OSError(errno.EFBIG, f"it is longer than {limit} bytes", str(path))
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(limit + 1)
        finally:
            os.close(handle)
        if len(data) > limit:
            raise OSError(errno.EFBIG, f"it is longer than {limit} bytes", str(path))
        return data

    def remove(self, path: Path) -> None:
        """Take *path* away, if it is there."""
        try:
            self.do("remove", os.unlink, path)
        except FileNotFoundError:
            pass

    def remove_old(self, path: Path, age: float) -> None:
        """Take *path* away, if it was not written within the last *age* seconds."""
        try:
            if time.time() - path.lstat().st_mtime >= age:
                self.remove(path)
        except FileNotFoundError:
            pass

    def names(self, folder: Path) -> list[str]:
        """What is in *folder*, sorted; nothing where there is no such."""
        try:
            return sorted(self.do("list", os.listdir, folder))
        except FileNotFoundError:
            return []

    def private(self, folder: Path) -> None:
        """Make *folder*, for this user alone; its parents too, where they are not there.

        Raises:
            RemoteError: It is somebody else's, or others may write to it, or it cannot be made.
        """
        try:
            if not folder.parent.is_dir():
                self.do("mkdir", os.makedirs, folder.parent, 0o700, exist_ok=True)
            try:
                self.do("mkdir", os.mkdir, folder, 0o700)
            except FileExistsError:
                pass
            found = os.lstat(folder)
        except OSError as error:
            raise trouble(error, folder) from error
        if not stat.S_ISDIR(found.st_mode):
            raise RemoteError(
                f"{folder} is no directory", hint="move it away: what is accepted is kept there"
            )
        if found.st_uid != os.geteuid():
            raise RemoteError(
                f"{folder} belongs to the user {found.st_uid}, and this process runs as {os.geteuid()}",
                hint="whoever owns it decides what is accepted: run as its owner, or set another ONEIRIC_STATE_DIR",
            )
        if found.st_mode & 0o022:
            raise RemoteError(
                f"others may write to {folder}", hint=f"chmod go-w {folder}, after a look at what is in it"
            )


def trouble(error: OSError, path: Path) -> RemoteError:
    """The error of a stream that a file could not be read or written."""
    said = error.strerror or type(error).__name__
    hint = "make room: nothing was changed" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return RemoteError(f"{path}: {said[:1].lower()}{said[1:]}", hint=hint)
