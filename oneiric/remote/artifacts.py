"""Files that entries are made from: by their digest in the user's cache directory, hashed again whenever one is opened.

A cache may be wiped, and may rot.  What does not hash to its name is set aside, and fetched again by the next sync.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from oneiric_hookspecs import FileRef, RemoteError

from .disk import RECENT, UNFINISHED, Disk, trouble
from .transport import StreamIO

if TYPE_CHECKING:
    from .changes import Plan
    from .stream import Stream

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PIECE = 1024 * 1024
#: How the name of a file ends that did not hash to its name.
BAD = ".bad"


class ArtifactError(RemoteError):
    """An artifact is not there, or is not what was signed."""

    code = "artifact"


def cache_folder(state: Path, stream: str) -> Path | None:
    """Where the artifacts of a stream belong: in the user's cache directory; None where there is none.

    Args:
        state: The state directory of the application.
        stream: Its name.
    """
    from platformdirs import user_cache_path

    try:
        users = user_cache_path("oneiric", appauthor=False)
    except RuntimeError:  # of platformdirs 4.10 and newer; older ones give the path with its ~
        return None
    if not users.is_absolute():
        return None
    # Two applications may have streams of one name, and each sweeps its own.
    mine = f"{state.name}-{zlib.crc32(os.fsencode(os.path.realpath(state))):08x}"
    return users / mine / "artifacts" / stream


class Artifacts:
    """The artifacts of one stream.

    Args:
        folder: Where they are.
        disk: What is done to files.
    """

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self.folder, self.disk = folder, disk or Disk()

    def opener(self, ref: FileRef) -> Callable[[], BinaryIO]:
        """What opens one of them, as long as the process lives."""
        return functools.partial(self.open, ref)

    def there(self, ref: FileRef) -> bool:
        """Whether there is something in its place; one look, and nothing is read."""
        return os.path.lexists(self.folder / ref.sha256)

    def has(self, ref: FileRef) -> bool:
        """Whether it is there; one that is damaged is set aside, and is not."""
        try:
            self.open(ref).close()
        except (RemoteError, OSError):
            return False
        return True

    def open(self, ref: FileRef) -> BinaryIO:
        """The file, open for reading, at its beginning; its bytes were hashed through this very handle.

        Raises:
            ArtifactError: It is not there, or was damaged, and is set aside.
        """
        path = self.folder / ref.sha256
        try:
            handle = self.disk.do(
                "read", os.open, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            )
        except FileNotFoundError:
            raise ArtifactError(
                f"the artifact {ref.path} is not there", hint="the next sync fetches it"
            ) from None
        except OSError as error:
            self._set_aside(path)
            raise ArtifactError(f"{path}: {error.strerror}", hint="the next sync fetches it again") from error
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode) and found.st_size == ref.size:
            file = os.fdopen(handle, "rb")
            if _digest(file) == ref.sha256:
                file.seek(0)
                return file
            file.close()
        else:
            os.close(handle)  # a folder, too, can be opened, and is no file to Python
        self._set_aside(path)
        raise ArtifactError(
            f"{path} is not what was signed, and was set aside", hint="the next sync fetches it again"
        )

    def put(self, ref: FileRef, bring: Callable[[BinaryIO], object]) -> None:
        """Have it brought, whole, or not at all.

        Args:
            ref: What it is.
            bring: Writes its bytes; raises where they are not those that were signed.
        Raises:
            RemoteError: It cannot be brought, or not be written.
        """
        self.disk.private(self.folder)
        try:
            self.disk.fill(self.folder / ref.sha256, bring)
        except OSError as error:
            raise trouble(error, self.folder) from error

    def sweep(self, needed: Iterable[str], *, older: float = RECENT) -> None:
        """Take away all but *needed*, and what is younger than *older* seconds; what cannot be, stays."""
        keep = set(needed)
        try:
            for name in self.disk.names(self.folder):
                ours = _SHA256.fullmatch(name) or name.endswith(BAD) or name.startswith(UNFINISHED)
                if ours and name not in keep:
                    self.disk.remove_old(self.folder / name, older)
        except OSError:
            pass  # a cache that is too full is no reason to refuse what has been accepted

    def _set_aside(self, path: Path) -> None:
        try:
            self.disk.do("replace", os.replace, path, path.with_name(path.name + BAD))
        except OSError:
            pass  # another process was first, or nobody may; it is not used either way


def artifacts_of(stream: Stream) -> Artifacts:
    """The artifacts of *stream*."""
    return Artifacts(stream.files.artifacts, stream.files.disk)


def fetch_artifacts(
    stream: Stream, io: object, plan: Plan, *, dry_run: bool = False
) -> Mapping[str, FileRef]:
    """Have every artifact there that is needed once *plan* is applied.

    Args:
        stream: Whose.
        io: What brings them, a ``StreamIO``; with anything else nobody is asked, and whoever opens one that is not
            there is told so.
        plan: What is to be registered.
        dry_run: Whether nothing is brought.
    Returns:
        All that are needed, by digest.
    Raises:
        RemoteError: One cannot be had, is not what was signed, or cannot be written.
    """
    needed = {
        standing.entry.artifact.sha256: standing.entry.artifact
        for standing in plan.registered.values()
        if standing.entry.artifact is not None
    }
    if needed and isinstance(io, StreamIO) and not dry_run:
        artifacts = artifacts_of(stream)
        for ref in needed.values():
            if not artifacts.has(ref):
                artifacts.put(ref, functools.partial(io.artifact, ref))
    return needed


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()
