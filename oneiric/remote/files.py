"""The files of one stream on this machine.

    remote/NAME/state.json       what was accepted, refused and seen: the one commit point
    remote/NAME/floors/1.42.SHA  the highest release that was verified, once more, as nothing but a name
    remote/NAME/blobs/SHA        bodies, and what the verifier read, by what they hash to
    remote/NAME/keep/            the verifier's own
    remote/NAME/lock             held while state.json is read, changed and written

A damaged ``state.json`` is treated as if it were not there, and so nothing is in force until the next sync.  The floor
does not go with it: a name has no bytes that could be torn.  Only who takes away the one and the other lowers it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs
from oneiric_hookspecs import Malformed, RemoteError

from .disk import RECENT, UNFINISHED, Disk, trouble
from .kept import Kept, of_json, to_json

#: Seconds to wait for another process that commits.
PATIENCE = 10.0
#: Bytes of a state.json, at most; it names artifacts and holds retained lines.
STATE = 256 * 1024 * 1024
#: Bytes of a blob, at most; what is signed is smaller as a rule, and its size is known.
BLOB = 4 * 1024 * 1024 * 1024
#: Bytes of a file of a verifier.
SMALL = 1024 * 1024

_FLOOR = re.compile(r"(\d{1,16})\.(\d{1,16})\.([0-9a-f]{64})", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_KEPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


class StreamFiles:
    """The files of one stream.  Nothing is made before something is written.

    Args:
        folder: ``remote/NAME`` in the application's state directory.
        disk: What is done to files.
    """

    def __init__(self, folder: Path, *, disk: Disk | None = None) -> None:
        self.folder = folder
        self.disk = disk or Disk()

    # --- what is kept ----------------------------------------------------------------------------------------

    def load(self) -> Kept:
        """What is kept; whatever is damaged counts as not there, and ``damaged`` says so.

        Raises:
            RemoteError: The folder is somebody else's, or others may write to it.
        """
        if not os.path.lexists(self.folder):
            return Kept()
        self.disk.private(self.folder)
        damaged, kept = "", Kept()
        try:
            data = self.disk.read(self.folder / "state.json", STATE)
            if data is not None:
                kept = of_json(data)
        except (OSError, Malformed) as error:
            said = error.strerror if isinstance(error, OSError) else error.message
            damaged = f"{self.folder / 'state.json'}: {said}"
        try:
            for name in self.disk.names(self.folder / "floors"):
                match = _FLOOR.fullmatch(name)
                if match is not None:
                    kept = kept.raised((int(match[1]), int(match[2])), match[3])
        except OSError as error:
            damaged = damaged or f"{self.folder / 'floors'}: {error.strerror}"
        return attrs.evolve(kept, damaged=damaged)

    def fingerprint(self) -> tuple[int, int, int] | None:
        """Another one whenever state.json was written; None where there is none."""
        try:
            found = (self.folder / "state.json").stat(follow_symlinks=False)
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def update(self, change: Callable[[Kept], Kept]) -> Kept:
        """Read what is kept, change it, and write it, while no other process does.  The floor never sinks.

        Args:
            change: Gives what is to be kept, from what is.  It may be called in any process state: what *it* knew may
                be older.
        Returns:
            What is kept now.
        Raises:
            RemoteError: It could not be written; what is kept is what was.
        """
        with self.locked():
            before = self.load()
            after = change(before).raised(before.floor, before.floor_sha256)
            after = attrs.evolve(after, clock_floor=max(after.clock_floor, before.clock_floor))
            if after == before and not before.damaged:
                return before
            with self.told():
                if after.floor is not None and after.floor != before.floor:
                    self._raise_floor(after.floor, after.floor_sha256)
                self.disk.write(self.folder / "state.json", to_json(after))
            return attrs.evolve(after, damaged="")

    def _raise_floor(self, floor: tuple[int, int], sha256: str) -> None:
        """Before state.json: should that never be written, the floor stands all the same."""
        floors = self.folder / "floors"
        self.disk.private(floors)
        name = f"{floor[0]}.{floor[1]}.{sha256}"
        there = self.disk.names(floors)
        if name not in there:
            self.disk.write(floors / name, b"")
        for other in there:
            if other != name:
                self.disk.remove(floors / other)

    # --- blobs -----------------------------------------------------------------------------------------------

    def put(self, data: bytes) -> str:
        """Keep *data* under what it hashes to, and give that.

        Raises:
            RemoteError: It could not be written.
        """
        name = hashlib.sha256(data).hexdigest()
        blobs = self.folder / "blobs"
        self._make()
        with self.told():
            self.disk.private(blobs)
            if self.blob(name) is None:  # damaged ones are written anew
                self.disk.write(blobs / name, data)
            else:
                self.disk.do("touch", os.utime, blobs / name)  # it is recent again to whoever sweeps
        return name

    def blob(self, name: str) -> bytes | None:
        """What is kept under *name*, if it still hashes to that."""
        if _SHA256.fullmatch(name) is None:
            return None
        try:
            data = self.disk.read(self.folder / "blobs" / name, BLOB)
        except OSError:
            return None
        return data if data is not None and hashlib.sha256(data).hexdigest() == name else None

    def sweep(self, but: Iterable[str] = (), *, older: float = RECENT) -> None:
        """Take away blobs that nobody refers to, and what was left of writing; what cannot be, stays.

        Args:
            but: Blobs that are about to be referred to.
            older: Seconds; what is younger stays, as another process may be about to refer to it.
        """
        with contextlib.suppress(RemoteError, OSError), self.locked():
            kept = self.load()
            if kept.damaged:
                return  # nobody knows what is referred to
            needed = kept.blobs | set(but)
            blobs = self.folder / "blobs"
            for name in self.disk.names(blobs):
                if name not in needed:
                    self.disk.remove_old(blobs / name, older)
            for folder in (self.folder, self.folder / "floors", self.folder / "keep"):
                for name in self.disk.names(folder):
                    if name.startswith(UNFINISHED):
                        self.disk.remove_old(folder / name, older)

    # --- artifacts ------------------------------------------------------------------------------------------------

    @property
    def artifacts(self) -> Path:
        """Where its artifacts are: in the user's cache directory, or here where there is none."""
        from .artifacts import cache_folder

        return cache_folder(self.folder.parents[1], self.folder.name) or self.folder / "artifacts"

    # --- the verifier's --------------------------------------------------------------------------------------

    @property
    def keep(self) -> KeepFiles:
        """The verifier's own files."""
        return KeepFiles(self)

    # --- inside ----------------------------------------------------------------------------------------------

    def _make(self) -> None:
        self.disk.private(self.folder.parent)
        self.disk.private(self.folder)

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """In this block, what a file cannot do is an error of the stream."""
        try:
            yield
        except OSError as error:
            raise trouble(error, self.folder) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """In this block no other process, and no other thread, changes what is kept."""
        from filelock import FileLock, Timeout

        self._make()
        # Its own each time: threads of one process keep each other out as processes do.
        lock = FileLock(self.folder / "lock", timeout=PATIENCE, mode=0o600)
        try:
            lock.acquire()
        except Timeout:
            raise RemoteError(
                f"{self.folder / 'lock'}: another process has held it for {PATIENCE:.0f} seconds",
                hint="look for a process of this application that hangs",
            ) from None
        except OSError as error:
            raise trouble(error, self.folder / "lock") from error
        try:
            yield
        finally:
            lock.release()


class KeepFiles:
    """The small files of a stream's verifier: the contract's ``Keep``."""

    def __init__(self, files: StreamFiles) -> None:
        self._files = files
        self._folder = files.folder / "keep"

    def load(self, name: str) -> bytes | None:
        """What was saved under *name*; None where nothing was, or what was cannot be read."""
        try:
            return self._files.disk.read(self._folder / self._checked(name), SMALL)
        except OSError:
            return None

    def save(self, name: str, data: bytes) -> None:
        """Save *data*, to be there after a crash.

        Raises:
            RemoteError: It could not be written.
        """
        path = self._folder / self._checked(name)
        with self._files.locked(), self._files.told():
            self._files.disk.private(self._folder)
            self._files.disk.write(path, data)

    def names(self) -> list[str]:
        """What was saved, sorted."""
        try:
            return [name for name in self._files.disk.names(self._folder) if _KEPT.fullmatch(name)]
        except OSError:
            return []

    @staticmethod
    def _checked(name: str) -> str:
        if _KEPT.fullmatch(name) is None:
            raise RemoteError(f"{name[:80]!r} is not the name of a file to keep")
        return name
