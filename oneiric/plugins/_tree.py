"""Files below one folder, by names that come from elsewhere.  Rules, each tested by its number.

T1  A name is parts with ``/`` between them, none of which is empty, ``.`` or ``..``; it has no NUL, and is short
    enough.  The first part is not the folder of T5.
T2  It is walked from the descriptor of the root, a part at a time, and a part that is a link is not followed: what is
    exchanged for a link meanwhile is refused as well.
T3  Plain files are read, listed and deleted; links, pipes, sockets and devices are as if they were not there, and none
    is opened.
T4  A file comes into sight by one rename, whole, and on the disk.
T5  What is in the making stands in a folder of its own, and is locked by who makes it; whoever opens the root deletes
    what nobody holds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

#: Where files in the making are, below the root.
PARTIAL = ".oneiric-partial"
#: Longest name, and longest part, in bytes of UTF-8.
MAX_NAME, MAX_PART = 1_000, 255

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: What the system says where a part is no folder, or a link.
_NO_FOLDER = (errno.ENOTDIR, errno.ELOOP)
#: How often a file is placed anew when its folder, being empty, was removed by somebody else.
_TRIES = 100


def parse(name: str) -> tuple[str, ...]:
    """The parts of a name (T1).

    Raises:
        TypeError: It is no text.
        ValueError: It is no name.
    """
    if not isinstance(name, str):
        raise TypeError(f"a name is a text, found {type(name).__name__}")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"a name has no lone surrogate, found {name!r}") from None
    if length > MAX_NAME:
        raise ValueError(f"a name has at most {MAX_NAME} bytes, found {length}")
    parts = tuple(name.split("/"))
    for part in parts:
        if part in ("", ".", "..") or "\0" in part:
            raise ValueError(
                f"a name is parts with / between them, none of them empty, . or .., without NUL; found {name!r}"
            )
        if len(part.encode()) > MAX_PART:
            raise ValueError(f"a part of a name has at most {MAX_PART} bytes, found {name!r}")
    if parts[0] == PARTIAL:
        raise ValueError(f"{PARTIAL} is where files in the making are; choose another name")
    return parts


def missing(name: str) -> FileNotFoundError:
    """The error for a name under which there is nothing."""
    return FileNotFoundError(errno.ENOENT, "there is nothing under this name", name)


class Tree:
    """A folder, held open; its methods block.

    Args:
        root: Where it is; it is made if it is not there.
        sync: Whether a change is on the disk before it is done.
    Raises:
        OSError: It cannot be made, or is no folder.
    """

    def __init__(self, root: Path, *, sync: bool) -> None:
        self.root, self.sync = root, sync
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._sweep()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the root; a second time does nothing."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    @contextlib.contextmanager
    def folder(self, parts: tuple[str, ...], *, make: bool = False) -> Iterator[int]:
        """The descriptor of a folder below the root (T2)."""
        here = os.dup(self.fd)
        try:
            for part in parts:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=here)
                        self._flush(here)
                deeper = os.open(part, _FOLDER, dir_fd=here)
                os.close(here)
                here = deeper
            yield here
        finally:
            os.close(here)

    def open(self, name: str) -> tuple[int, int]:
        """The descriptor of a file for reading, and its size.  Raises: FileNotFoundError."""
        *above, last = parse(name)
        with self._found(name), self.folder(tuple(above)) as folder:
            if not stat.S_ISREG(os.stat(last, dir_fd=folder, follow_symlinks=False).st_mode):  # T3
                raise missing(name)
            fd = os.open(last, _READ, dir_fd=folder)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):  # exchanged in this very moment
            os.close(fd)
            raise missing(name)
        return fd, status.st_size

    def size(self, name: str) -> int:
        """How many bytes a file has.  Raises: FileNotFoundError."""
        *above, last = parse(name)
        with self._found(name), self.folder(tuple(above)) as folder:
            status = os.stat(last, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise missing(name)
        return status.st_size

    def delete(self, name: str) -> bool:
        """Delete a file, and the folders above it that are empty then; whether it was there."""
        parts = parse(name)
        try:
            with self._found(name), self.folder(parts[:-1]) as folder:
                if not stat.S_ISREG(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode):
                    return False
                os.unlink(parts[-1], dir_fd=folder)
                self._flush(folder)
        except FileNotFoundError:
            return False
        for depth in range(len(parts) - 1, 0, -1):
            try:
                with self.folder(parts[: depth - 1]) as folder:
                    os.rmdir(parts[depth - 1], dir_fd=folder)
            except OSError:  # not empty, as a rule; else it may as well stay
                break
        return True

    def names(self, prefix: str) -> list[str]:
        """The names of all files that begin with *prefix*, sorted."""
        found: list[str] = []
        folders: list[str] = [""]
        while folders:
            above = folders.pop()
            # A folder that has gone meanwhile has no files.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._look_into(above, prefix, found, folders)
        return sorted(found)

    def _look_into(self, above: str, prefix: str, found: list[str], folders: list[str]) -> None:
        with self.folder(tuple(above.split("/")[:-1])) as folder, os.scandir(folder) as entries:
            for entry in entries:
                name = above + entry.name
                try:
                    parse(name)
                except ValueError:  # nobody could ask for it
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if f"{name}/".startswith(prefix) or prefix.startswith(f"{name}/"):
                        folders.append(f"{name}/")
                elif name.startswith(prefix) and entry.is_file(follow_symlinks=False):
                    found.append(name)

    @contextlib.contextmanager
    def _found(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENXIO, *_NO_FOLDER):
                raise missing(name) from None
            raise

    def _flush(self, folder: int) -> None:
        if self.sync:
            os.fsync(folder)

    def _sweep(self) -> None:
        """Delete what was in the making when its process ended (T5)."""
        with contextlib.suppress(FileNotFoundError), self.folder((PARTIAL,)) as folder:
            for name in os.listdir(folder):  # noqa: PTH208 - of a descriptor
                with contextlib.suppress(OSError):  # gone, or not ours: the next one looks again
                    fd = os.open(name, _READ, dir_fd=folder)
                    try:
                        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        os.unlink(name, dir_fd=folder)
                    finally:
                        os.close(fd)


class Partial:
    """A file in the making (T4, T5); its methods block.

    Args:
        tree: Where it will be.
        limit: How many bytes it may have.
    """

    def __init__(self, tree: Tree, limit: int) -> None:
        self._tree, self._limit = tree, limit
        self._fd, self._name = -1, ""
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add to it.

        Raises:
            OSError: The disk is full; of the kind ``EFBIG`` where it is larger than it may be.
        """
        if self._fd < 0:
            self._begin()
        self.size += len(data)
        if self.size > self._limit:
            raise OSError(errno.EFBIG, f"it is larger than the {self._limit} bytes that one may have")
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def finish(self, name: str) -> int:
        """Give it its name; how many bytes it has."""
        parts = parse(name)
        self.write(b"")  # there may have been none yet
        if self._tree.sync:
            os.fsync(self._fd)
        try:
            self._place(parts)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                raise NotADirectoryError(
                    error.errno, "a name above this one is a file, or a link", name
                ) from None
            if error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise IsADirectoryError(error.errno, "there are names below this one", name) from None
            raise
        self._name = ""
        self.discard()
        return self.size

    def discard(self) -> None:
        """Delete it, if it has no name yet; a second time does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        if self._name:
            with contextlib.suppress(OSError), self._tree.folder((PARTIAL,)) as folder:
                os.unlink(self._name, dir_fd=folder)
            self._name = ""

    def _begin(self) -> None:
        while self._fd < 0:
            name = os.urandom(16).hex()
            with self._tree.folder((PARTIAL,), make=True) as folder:
                fd = os.open(name, _MAKE, 0o600, dir_fd=folder)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                kept = os.fstat(fd).st_nlink > 0  # whoever sweeps may have been faster than the lock
            except BaseException:
                os.close(fd)
                raise
            if kept:
                self._fd, self._name = fd, name
            else:
                os.close(fd)

    def _place(self, parts: tuple[str, ...]) -> None:
        for left in reversed(range(_TRIES)):
            try:
                with (
                    self._tree.folder((PARTIAL,)) as partial,
                    self._tree.folder(parts[:-1], make=True) as folder,
                ):
                    os.rename(self._name, parts[-1], src_dir_fd=partial, dst_dir_fd=folder)
                    if self._tree.sync:
                        os.fsync(folder)
                return
            except FileNotFoundError:
                # Who deletes removes empty folders, one that was made for this file among them.
                if not left:
                    raise
